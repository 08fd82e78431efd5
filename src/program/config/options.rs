//! Every option there is, by scope: what belongs to the program, to a proxy, and to a handler.

use std::path::PathBuf;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::http::HttpOptions;

use super::run::RunOptions;
use super::statsd::StatsdOptions;
use crate::diagnostic::did_you_mean;
use crate::handler::Registry;
use crate::program::logging::{Format, Level};
use crate::proxy::options::{ConnectionOptions, ProxyOptions};
use crate::settings;
use crate::settings::Field;

/// What an option belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    /// The whole program, however many proxies it runs.
    Program,
    /// What happens around the proxies.
    Run,
    /// The program's HTTP API.
    Http,
    /// What the program sends to statsd.
    Statsd,
    /// One proxy.
    Proxy,
    /// The handler of this name, in one proxy.
    Handler(String),
}

impl Scope {
    /// The program's tables in the file.
    pub(crate) const SECTIONS: [(&'static str, Self); 3] =
        [("run", Self::Run), ("http", Self::Http), ("statsd", Self::Statsd)];

    /// Whether it is a part of the program, rather than of one of its proxies.
    pub(crate) fn is_programs(&self) -> bool {
        matches!(self, Self::Program | Self::Run | Self::Http | Self::Statsd)
    }
}

/// The program's own options.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct ProgramOptions {
    /// Same seed, same calls: same choices [default: random]
    pub(crate) seed: Option<u64>,
    /// error, warn, info, debug or trace
    #[schemars(extend("x-unit" = "level"))]
    pub(crate) log_level: Level,
    /// text or json
    #[schemars(extend("x-unit" = "format"))]
    pub(crate) log_format: Format,
    /// Write each event to this file, a JSON object a line
    #[serde(deserialize_with = "path")]
    #[schemars(extend("x-unit" = "file"))]
    pub(crate) events: Option<PathBuf>,
}

/// A file that somebody named.
pub(super) fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    match Option::<PathBuf>::deserialize(deserializer)? {
        Some(path) if path.as_os_str().is_empty() => Err(de::Error::custom("the path is empty, name a file")),
        path => Ok(path),
    }
}

/// One option, with what it belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Setting<'a> {
    pub(crate) scope: Scope,
    pub(crate) field: &'a Field,
    /// Whether a handler has it from the connection.
    pub(crate) inherited: bool,
}

impl Setting<'_> {
    /// `handler-delay-sleep`.
    pub(crate) fn flag(&self) -> String {
        let name = match &self.scope {
            Scope::Handler(handler) => format!("handler-{handler}-{}", self.field.name),
            Scope::Http if self.field.name == "enabled" => "http".to_owned(),
            Scope::Http => format!("http-{}", self.field.name),
            Scope::Statsd => format!("statsd-{}", self.field.name),
            Scope::Program | Scope::Run | Scope::Proxy => self.field.name.clone(),
        };
        name.replace('_', "-")
    }

    /// `VAURIEN_HANDLER_DELAY_SLEEP`.
    pub(crate) fn variable(&self) -> String {
        format!("VAURIEN_{}", self.flag().replace('-', "_").to_uppercase())
    }
}

/// Options that are the same whatever handlers there are.
struct Known {
    program: Vec<Field>,
    run: Vec<Field>,
    http: Vec<Field>,
    statsd: Vec<Field>,
    proxy: Vec<Field>,
    connection: Vec<Field>,
}

/// Read off their structs once: each change of a proxy asks for them.
static KNOWN: LazyLock<Known> = LazyLock::new(|| Known {
    program: settings::fields::<ProgramOptions>(),
    run: settings::fields::<RunOptions>(),
    http: settings::fields::<HttpOptions>(),
    statsd: settings::fields::<StatsdOptions>(),
    proxy: settings::fields::<ProxyOptions>(),
    connection: settings::fields::<ConnectionOptions>(),
});

/// Every option there is.
pub(crate) struct Options<'a> {
    known: &'static Known,
    pub(crate) connection: &'static [Field],
    pub(crate) registry: &'a Registry,
}

impl<'a> Options<'a> {
    pub(crate) fn new(registry: &'a Registry) -> Self {
        Self { known: &KNOWN, connection: &KNOWN.connection, registry }
    }

    /// All of them, in the order of their declaration.
    pub(crate) fn all(&self) -> impl Iterator<Item = Setting<'_>> {
        let handlers = self.registry.names().map(|name| Scope::Handler(name.to_owned()));
        [Scope::Proxy, Scope::Program, Scope::Run, Scope::Http, Scope::Statsd]
            .into_iter()
            .chain(handlers)
            .flat_map(|scope| self.of(&scope))
    }

    /// Those of one scope.
    pub(crate) fn of(&self, scope: &Scope) -> Vec<Setting<'_>> {
        let (own, connection) = match scope {
            Scope::Program => (self.known.program.as_slice(), &[][..]),
            Scope::Run => (self.known.run.as_slice(), &[][..]),
            Scope::Http => (self.known.http.as_slice(), &[][..]),
            Scope::Statsd => (self.known.statsd.as_slice(), &[][..]),
            Scope::Proxy => (self.known.proxy.as_slice(), &[][..]),
            Scope::Handler(name) => match self.registry.get(name) {
                Some(entry) if entry.takes_connection_options => (entry.fields(), self.connection),
                Some(entry) => (entry.fields(), &[][..]),
                None => (&[][..], &[][..]),
            },
        };
        // A handler's own setting hides the connection's of the same name.
        let inherited = connection.iter().filter(|field| own.iter().all(|other| other.name != field.name));
        let setting = |inherited| move |field| Setting { scope: scope.clone(), field, inherited };
        own.iter().map(setting(false)).chain(inherited.map(setting(true))).collect()
    }

    /// The option of this name in one of `scopes`, or what to say about a name that none has.
    pub(crate) fn find(&self, scopes: &[Scope], name: &str) -> Result<Setting<'_>, UnknownKey> {
        let known: Vec<Setting<'_>> = scopes.iter().flat_map(|scope| self.of(scope)).collect();
        known.iter().find(|setting| setting.field.name == name).cloned().ok_or_else(|| UnknownKey {
            name: name.to_owned(),
            known: known.iter().map(|setting| setting.field.name.clone()).collect(),
        })
    }
}

/// A key that no option has.
#[derive(Debug)]
pub(crate) struct UnknownKey {
    name: String,
    known: Vec<String>,
}

impl UnknownKey {
    /// With `tables` among what is known; where the key is a table itself, nothing else can have been meant.
    pub(crate) fn or(mut self, tables: &[&str], is_table: bool) -> Self {
        if is_table && !tables.is_empty() {
            self.known.clear();
        }
        self.known.extend(tables.iter().map(|table| (*table).to_owned()));
        self
    }

    /// `within` is where the key was, behind a space, or empty.
    pub(crate) fn message(&self, within: &str) -> String {
        let hint = match did_you_mean(&self.name, self.known.iter().map(String::as_str)) {
            hint if !hint.is_empty() => hint,
            _ if self.known.is_empty() => " (none is known there)".to_owned(),
            _ => format!(" (known: {})", self.known.join(", ")),
        };
        format!("unknown key `{}`{within}{hint}", self.name)
    }
}
