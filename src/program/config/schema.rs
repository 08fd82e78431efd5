//! What options there are, read off the settings structs.

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;

use super::entry::{Entry, Origin};
use super::http::Http;
use super::run::Run;
use super::statsd::Statsd;
use super::tls::{BackendTlsOptions, ClientTlsOptions};
use super::toxiproxy::Served;
use crate::handler::Registry;
use crate::program::logging::{Format, Level};
use crate::proxy::options::{ConnectionOptions, ProxyOptions};
use crate::settings::{self, Field};

/// The table of a proxy with the settings of handlers.
pub(crate) const HANDLERS: &str = "handlers";

/// The tables of a proxy that have the same options whatever handlers there are.
pub(crate) const PROXY_TABLES: [&str; 2] = [TLS, BACKEND_TLS];

/// The table of a proxy about TLS towards its clients.
pub(crate) const TLS: &str = "tls";

/// The table of a proxy about TLS towards its backend.
pub(crate) const BACKEND_TLS: &str = "backend_tls";

/// The table with the proxies, where they have names.
pub(super) const PROXIES: &str = "proxies";

/// The program's own tables.
pub(super) const SECTIONS: [&str; 3] = ["run", "http", "statsd"];

/// The program's options that are in no table.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-heading" = "Logging"))]
pub(super) struct ProgramOptions {
    /// Same seed, same calls: same choices [default: random]
    #[schemars(extend("x-heading" = "Proxy", "x-common" = true))]
    pub(super) seed: Option<u64>,
    /// Serve connections on this many threads [default: one per core]
    #[serde(deserialize_with = "workers")]
    #[schemars(range(min = 1, max = MAX_WORKERS), extend("x-heading" = "Proxy", "x-unit" = "threads"))]
    pub(super) workers: Option<NonZero<usize>>,
    /// Keep the authority of --tls auto here [default: in the user's data directory]
    #[serde(deserialize_with = "path")]
    #[schemars(extend("x-unit" = "folder", "x-heading" = "TLS"))]
    pub(super) tls_dir: Option<PathBuf>,
    /// Serve Toxiproxy's API; without a value at localhost:8474
    #[schemars(extend("x-heading" = "HTTP API"))]
    pub(super) toxiproxy: Served,
    /// Log level: error, warn, info, debug or trace
    #[schemars(extend("x-unit" = "level"))]
    pub(super) log_level: Level,
    /// Log format: text or json
    #[schemars(extend("x-unit" = "format"))]
    pub(super) log_format: Format,
    /// Write each event to this file, one JSON object per line
    #[serde(deserialize_with = "path")]
    #[schemars(extend("x-unit" = "file"))]
    pub(super) events: Option<PathBuf>,
}

/// The most threads that can be asked for.
const MAX_WORKERS: usize = 256;

fn workers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NonZero<usize>>, D::Error> {
    let Some(number) = Option::<usize>::deserialize(deserializer)? else { return Ok(None) };
    match NonZero::new(number) {
        Some(workers) if number <= MAX_WORKERS => Ok(Some(workers)),
        _ => Err(de::Error::custom(format_args!("`{number}` threads: give 1 to {MAX_WORKERS}"))),
    }
}

/// A setting that names a file.
pub(super) fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    match Option::<PathBuf>::deserialize(deserializer)? {
        Some(path) if path.as_os_str().is_empty() => Err(de::Error::custom("the path is empty, name a file")),
        path => Ok(path),
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Setting<'a> {
    /// In a file with one proxy: `seed`, `http.port`, `handlers.delay.sleep`.
    pub(crate) path: String,
    pub(crate) field: &'a Field,
    /// Whether each proxy has its own, rather than the program one for all.
    pub(crate) per_proxy: bool,
    /// Whether it is an option of the connection, set for a handler.
    pub(crate) inherited: bool,
}

impl Setting<'_> {
    /// `handler-delay-sleep`.
    pub(crate) fn flag(&self) -> String {
        let flag = match self.path.split_once('.') {
            Some(("http", "enabled")) => "http".to_owned(),
            Some(("run", key)) => key.to_owned(),
            Some((TLS, "auto")) => "tls".to_owned(),
            Some((BACKEND_TLS, "enabled")) => "backend-tls".to_owned(),
            Some((BACKEND_TLS, key)) => format!("backend-{key}"),
            Some((HANDLERS, key)) => format!("handler-{key}"),
            None if self.path == "rules" => "rule".to_owned(),
            None if self.path == "toxics" => "toxic".to_owned(),
            _ => self.path.clone(),
        };
        flag.replace(['_', '.'], "-")
    }

    /// `VAURIEN_HANDLER_DELAY_SLEEP`.
    pub(crate) fn variable(&self) -> String {
        format!("VAURIEN_{}", self.flag().replace('-', "_").to_uppercase())
    }

    /// The table that it is in; empty for the top of the file.
    pub(super) fn table(&self) -> &str {
        self.path.rsplit_once('.').map_or("", |(table, _)| table)
    }

    /// Puts a value into the keys of a proxy. A table that is not there yet is made by indexing it.
    pub(super) fn put(&self, keys: &mut Value, value: Value) {
        *self.path.split('.').fold(keys, |table, key| &mut table[key]) = value;
    }

    /// What asks for this `value`.
    pub(crate) fn entry(&self, value: Value, origin: Origin) -> Entry {
        Entry { path: self.path.split('.').map(str::to_owned).collect(), value, origin }
    }
}

/// Options that are the same whatever handlers there are.
struct Fields {
    program: Vec<Field>,
    sections: [Vec<Field>; SECTIONS.len()],
    proxy: Vec<Field>,
    proxy_tables: [Vec<Field>; PROXY_TABLES.len()],
    connection: Vec<Field>,
}

/// Read once, as each change of a proxy needs them.
static FIELDS: LazyLock<Fields> = LazyLock::new(|| Fields {
    program: settings::fields::<ProgramOptions>(),
    sections: [settings::fields::<Run>(), settings::fields::<Http>(), settings::fields::<Statsd>()],
    proxy: settings::fields::<ProxyOptions>(),
    proxy_tables: [settings::fields::<ClientTlsOptions>(), settings::fields::<BackendTlsOptions>()],
    connection: settings::fields::<ConnectionOptions>(),
});

pub(crate) struct Schema<'a> {
    pub(crate) registry: &'a Registry,
    settings: Vec<Setting<'a>>,
}

impl<'a> Schema<'a> {
    pub(crate) fn new(registry: &'a Registry) -> Self {
        let mut settings = Vec::new();
        let mut add = |table: &str, fields: &'a [Field], per_proxy, inherited| {
            let path = |name| if table.is_empty() { name } else { format!("{table}.{name}") };
            let setting = |field: &'a Field| Setting { path: path(field.name.clone()), field, per_proxy, inherited };
            settings.extend(fields.iter().map(setting));
        };
        add("", &FIELDS.proxy, true, false);
        for (table, fields) in PROXY_TABLES.iter().zip(&FIELDS.proxy_tables) {
            add(table, fields, true, false);
        }
        for (section, fields) in SECTIONS.iter().zip(&FIELDS.sections) {
            add(section, fields, false, false);
        }
        add("", &FIELDS.program, false, false);
        for entry in registry.entries() {
            let table = format!("{HANDLERS}.{}", entry.name);
            add(&table, &entry.fields, true, false);
            if entry.takes_connection_options {
                add(&table, &FIELDS.connection, true, true);
            }
        }
        // A handler's own setting hides the connection's of the same name.
        let mut known = std::collections::BTreeSet::new();
        settings.retain(|setting| known.insert(setting.path.clone()));
        Self { registry, settings }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Setting<'a>> {
        self.settings.iter()
    }

    /// The option with this path, of a proxy or of the program.
    pub(crate) fn get(&self, path: &[impl AsRef<str>]) -> Option<&Setting<'a>> {
        self.all().find(|setting| setting.path.split('.').eq(path.iter().map(AsRef::as_ref)))
    }

    /// The options of a table of the program: empty for the top, `http`.
    pub(crate) fn of_program(&self, table: &str) -> impl Iterator<Item = &Setting<'a>> {
        self.all().filter(move |setting| !setting.per_proxy && setting.table() == table)
    }

    /// The options of a table of each proxy: empty for its own, `tls`, `handlers.delay`.
    pub(crate) fn of_proxy(&self, table: &str) -> impl Iterator<Item = &Setting<'a>> {
        self.all().filter(move |setting| setting.per_proxy && setting.table() == table)
    }

    pub(crate) fn of_handler(&self, name: &str) -> Vec<&Setting<'a>> {
        let table = format!("{HANDLERS}.{name}");
        self.of_proxy(&table).collect()
    }
}
