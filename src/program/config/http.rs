//! The settings of the HTTP API.

use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::entry::Origin;
use super::file;
use super::host::{Host, host, port};
use super::list::{self, Listed};
use super::schema::path;
use super::values::Values;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::net::host_port::HostPort;

/// The largest file with a token, in bytes.
const TOKEN_FILE: u64 = 4096;

/// The HTTP API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-heading" = "HTTP API"))]
#[non_exhaustive]
pub struct Http {
    /// Serve the HTTP API
    #[schemars(extend("x-common" = true))]
    pub(crate) enabled: bool,
    /// Host that the API listens on
    #[serde(deserialize_with = "host")]
    #[schemars(extend("x-unit" = "host"))]
    pub host: String,
    /// Port that the API listens on; 0 takes a free one
    #[serde(deserialize_with = "port")]
    pub port: u16,
    /// Accept these Host headers as well: a,b
    #[serde(rename = "allow_host", with = "list")]
    #[schemars(with = "Option<Listed>", extend("x-unit" = "hosts"))]
    pub allow_hosts: Vec<Host>,
    /// Require this bearer token
    #[serde(skip_serializing)]
    #[schemars(with = "Option<String>", extend("x-unit" = "token", "x-secret" = true))]
    pub token: Option<Token>,
    /// Read the bearer token from this file
    #[serde(deserialize_with = "path")]
    #[schemars(extend("x-unit" = "file"))]
    pub(crate) token_file: Option<PathBuf>,
}

impl Default for Http {
    fn default() -> Self {
        let host = "localhost".to_owned();
        Self { enabled: false, host, port: 8080, allow_hosts: Vec::new(), token: None, token_file: None }
    }
}

/// The bearer token of the HTTP API. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token: one or more visible ASCII characters. Compare it in constant time.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// Reads it off a flag, a variable or a file.
    pub(crate) fn read(text: &str) -> Result<Self, &'static str> {
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

/// The address that `--health` asks, also if the API is not enabled.
pub(crate) fn health_address(values: &Values<'_>, mut diagnostics: Diagnostics) -> Result<HostPort, Diagnostics> {
    let Http { enabled, host, port, .. } = values.build("http.")?;
    if let Some(off) = values.place("http.enabled").filter(|_| !enabled) {
        let what = "the HTTP API is off, say where the daemon has it: `--health HOST:PORT`";
        diagnostics.push(Diagnostic::new(off, what));
    }
    if port == 0 {
        let place = values.place("http.port").unwrap_or_default();
        let what = "`0` is any free port, say which the daemon has: `--health HOST:PORT`";
        diagnostics.push(Diagnostic::new(place, what));
    }
    diagnostics.none_or(HostPort::new(host, port))
}

/// Whether the port of the API was not given.
pub(super) fn serves_anywhere(values: &Values<'_>) -> bool {
    values.get("http.port").is_none_or(|(_, origin)| matches!(origin, Origin::Default(_)))
}

/// The token that a file has, which `place` names.
pub(crate) fn token_of_file(place: &str, path: &Path) -> Result<Token, Diagnostic> {
    let text = file::text(place, path, TOKEN_FILE)?;
    Token::read(text.trim()).map_err(|what| Diagnostic::new(place, format_args!("{what}, in `{}`", path.display())))
}

impl Http {
    /// The settings that `values` have, if the API is on. Reads the token from its file.
    pub(super) fn of(values: &Values<'_>, diagnostics: &mut Diagnostics) -> Result<Option<Self>, Diagnostics> {
        let mut http: Self = values.build("http.")?;
        if !http.enabled {
            return Ok(None);
        }
        if let Some(path) = http.token_file.take() {
            let place = values.place("http.token_file").unwrap_or_default();
            if let Some(token) = values.place("http.token") {
                let both = format_args!("the token is also given by {token}, give one of them");
                diagnostics.push(Diagnostic::new(&place, both));
            }
            match token_of_file(&place, &path) {
                Ok(token) => http.token = Some(token),
                Err(diagnostic) => diagnostics.push(diagnostic),
            }
        }
        Ok(Some(http))
    }
}
