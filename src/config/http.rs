//! The HTTP API: whether there is one, where, and for whom.

use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::address::{Host, host, port};
use super::file;
use super::mistake::{Mistake, Mistakes};
use super::options::{Scope, path};
use super::values::Values;

/// The HTTP API.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Http {
    /// Where it listens, a name or an IP address without brackets; default `localhost`.
    pub host: String,
    /// Where it listens; default 8080. Port 0 takes a free port.
    pub port: u16,
    /// Hosts that a request may name beside the one that it listens on.
    pub allow_hosts: Vec<Host>,
    /// What a request has to bear, if anything.
    pub token: Option<Token>,
}

/// What a request to the HTTP API has to bear. It is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token itself: at least one character, all of them visible ASCII. To be compared in constant time.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("the token is empty");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the token has characters that cannot be in a header, use ASCII without spaces");
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// Hosts, with ports or without: a list, or a text with commas.
struct Hosts(Vec<Host>);

impl Serialize for Hosts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(ToString::to_string))
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Listed {
    Text(String),
    List(Vec<String>),
}

impl<'de> Deserialize<'de> for Hosts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let no_list = |_| de::Error::custom("a list of hosts has only text in it");
        let hosts = match Listed::deserialize(deserializer).map_err(no_list)? {
            Listed::Text(text) => text.split(',').map(|host| host.trim().to_owned()).collect(),
            Listed::List(hosts) => hosts,
        };
        let hosts = hosts.iter().map(|host| host.parse()).collect::<Result<_, _>>();
        hosts.map(Self).map_err(|what: String| de::Error::custom(what))
    }
}

impl JsonSchema for Hosts {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Hosts".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["array", "string"], "x-unit": "hosts" })
    }
}

/// The options of the HTTP API.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct HttpOptions {
    /// Serve the HTTP API
    enabled: bool,
    /// The host that it listens on
    #[serde(deserialize_with = "host")]
    #[schemars(extend("x-unit" = "host"))]
    host: String,
    /// And the port; 0 takes a free one
    #[serde(deserialize_with = "port")]
    port: u16,
    /// Other names it may be called by: a,b
    allow_host: Option<Hosts>,
    /// What a request has to bear
    #[serde(skip_serializing)]
    #[schemars(with = "Option<String>", extend("x-unit" = "token", "x-secret" = true))]
    token: Option<Token>,
    /// Read the token from this file
    #[serde(deserialize_with = "path")]
    #[schemars(extend("x-unit" = "file"))]
    token_file: Option<PathBuf>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            enabled: false,
            host: "localhost".to_owned(),
            port: 8080,
            allow_host: None,
            token: None,
            token_file: None,
        }
    }
}

impl Http {
    /// What was asked for, if it was asked for; the token is read from its file.
    pub(super) fn of(program: &Values<'_>, mistakes: &mut Mistakes) -> Result<Option<Self>, Mistakes> {
        let options: HttpOptions = program.build(&Scope::Http)?;
        if !options.enabled {
            return Ok(None);
        }
        let Hosts(allow_hosts) = options.allow_host.unwrap_or(Hosts(Vec::new()));
        let mut http = Self { host: options.host, port: options.port, allow_hosts, token: options.token };
        if let Some(path) = options.token_file {
            let place = program.place(&Scope::Http, "token_file").cloned().unwrap_or_default();
            if let Some(token) = program.place(&Scope::Http, "token").filter(|_| http.token.is_some()) {
                let both = format_args!("the token is given as well ({token}), give one of them");
                mistakes.push(Mistake::new(&place, both));
            }
            let read = file::text(&place, &path).and_then(|text| {
                Token::read(text.trim())
                    .map_err(|what| Mistake::new(&place, format_args!("{what}, in `{}`", path.display())))
            });
            match read {
                Ok(token) => http.token = Some(token),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        Ok(Some(http))
    }
}
