//! The HTTP API: whether there is one, where, and for whom.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::file;
use super::list::List;
use super::options::{Options, Scope, Setting, path};
use super::values::{All, Asked, Values};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::net::address::{Address, Host, host, port};

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
    #[schemars(extend("x-unit" = "hosts"))]
    allow_host: Option<List<Host>>,
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

/// Where the API is by what was asked for, also if nobody asked for the API: nothing else matters here. `told` is where that of an
/// outer program is, which only flags are stronger than.
pub(super) fn address<'a>(
    options: &'a Options<'a>,
    asked: Vec<Result<Asked<'a>, Diagnostic>>,
    told: Option<String>,
    mut mistakes: Diagnostics,
) -> Result<Address, Diagnostics> {
    let matters = |asked: &Asked<'_>| {
        let Setting { scope, field, .. } = &asked.setting;
        *scope == Scope::Http && ["enabled", "host", "port"].contains(&&*field.name) && !asked.place.is_default()
    };
    let asked: Vec<_> = asked.into_iter().flatten().filter(matters).collect();
    let is_flagged = asked.iter().any(|asked| ["--http-host", "--http-port"].contains(&asked.place.line()));
    if let Some(told) = told.filter(|_| !is_flagged) {
        return told.parse().map_err(|error| Diagnostic::new("VAURIEN_HTTP", error).into());
    }
    let program = All::check(options, asked.into_iter().map(Ok), &mut mistakes).of("");
    let HttpOptions { enabled, host, port, .. } = program.build(&Scope::Http)?;
    let place = |key| program.place(&Scope::Http, key).cloned();
    if let Some(off) = place("enabled").filter(|_| !enabled) {
        mistakes.push(Diagnostic::new(off, "the HTTP API is off, say where the daemon has it: `--health HOST:PORT`"));
    }
    if port == 0 {
        let place = place("port").unwrap_or_default();
        mistakes.push(Diagnostic::new(place, "`0` is any free port, say which the daemon has: `--health HOST:PORT`"));
    }
    mistakes.none_or(Address::new(host, port))
}

impl Http {
    /// What was asked for, if it was asked for; the token is read from its file.
    pub(super) fn of(program: &Values<'_>, mistakes: &mut Diagnostics) -> Result<Option<Self>, Diagnostics> {
        let options: HttpOptions = program.build(&Scope::Http)?;
        if !options.enabled {
            return Ok(None);
        }
        let List(allow_hosts) = options.allow_host.unwrap_or_default();
        let mut http = Self { host: options.host, port: options.port, allow_hosts, token: options.token };
        if let Some(path) = options.token_file {
            let place = program.place(&Scope::Http, "token_file").cloned().unwrap_or_default();
            if let Some(token) = program.place(&Scope::Http, "token").filter(|_| http.token.is_some()) {
                let both = format_args!("the token is given as well ({token}), give one of them");
                mistakes.push(Diagnostic::new(&place, both));
            }
            let read = file::text(&place, &path).and_then(|text| {
                Token::read(text.trim())
                    .map_err(|what| Diagnostic::new(&place, format_args!("{what}, in `{}`", path.display())))
            });
            match read {
                Ok(token) => http.token = Some(token),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        Ok(Some(http))
    }
}
