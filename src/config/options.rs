//! Every option there is, by scope: what belongs to the program, to a proxy, and to a handler.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::address::Address;
use super::http::HttpOptions;
use super::log::{Format, Level};
use super::mistake::did_you_mean;
use super::run::RunOptions;
use super::statsd::StatsdOptions;
use crate::buffer::MAX_READ;
use crate::handler::Registry;
use crate::protocol::Protocol;
use crate::seconds::Seconds;
use crate::settings::{self, Field};

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

/// A proxy's options.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct ProxyOptions {
    /// Listen here; port 0 takes a free port
    pub(crate) proxy: Address,
    /// Where calls go; required
    #[serde(deserialize_with = "backend")]
    #[schemars(with = "Address")]
    pub(crate) backend: Option<Address>,
    /// A handler, or a mix: 20:delay,5:error
    #[schemars(extend("x-unit" = "mix"))]
    pub(crate) handler: String,
    #[serde(flatten)]
    pub(crate) connection: ConnectionOptions,
    /// Free backend connections that are kept at most
    #[serde(deserialize_with = "pool_size")]
    #[schemars(extend("x-unit" = "connections"))]
    pub(crate) pool_size: usize,
    /// How long a free one is kept
    pub(crate) pool_timeout: Seconds,
    /// How long the backend has to accept one
    #[serde(deserialize_with = "connect_timeout")]
    pub(crate) connect_timeout: Seconds,
    /// Whether it listens
    pub(crate) enabled: bool,
}

impl Default for ProxyOptions {
    fn default() -> Self {
        Self {
            proxy: Address::new("localhost", 8000),
            backend: None,
            handler: "dummy".to_owned(),
            connection: ConnectionOptions::default(),
            pool_size: 100,
            pool_timeout: Seconds::from_secs(30),
            connect_timeout: Seconds::from_secs(10),
            enabled: true,
        }
    }
}

/// Options of a proxy's connections. Most handlers take them too, for a proxy that has the handler in its mix.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct ConnectionOptions {
    /// How calls are found: tcp, redis, memcache, http
    #[schemars(extend("x-unit" = "protocol"))]
    pub(crate) protocol: Protocol,
    /// Size of one read [default: 2048, growing with traffic]
    #[serde(deserialize_with = "buffer")]
    #[schemars(extend("x-unit" = "bytes"))]
    pub(crate) buffer: Option<usize>,
    /// The client stays when the backend closes
    pub(crate) keep_alive: bool,
    /// The next client gets a free backend connection
    pub(crate) reuse_socket: bool,
}

/// Sizes of one read that can be asked for, in bytes.
pub(crate) const BUFFER: RangeInclusive<usize> = 1..=MAX_READ;

/// Kept backend connections that can be asked for: as many as there are ports.
pub(crate) const POOL_SIZE: RangeInclusive<usize> = 1..=65536;

fn buffer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    let size = Option::deserialize(deserializer)?;
    size.map(|size| within(size, &BUFFER, "a read takes", "bytes")).transpose()
}

fn pool_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    within(usize::deserialize(deserializer)?, &POOL_SIZE, "a pool keeps", "connections")
}

fn within<E: de::Error>(number: usize, range: &RangeInclusive<usize>, what: &str, unit: &str) -> Result<usize, E> {
    if range.contains(&number) {
        return Ok(number);
    }
    let size = if number < *range.start() { "small" } else { "large" };
    Err(E::custom(format_args!("`{number}` is too {size}, {what} {} to {} {unit}", range.start(), range.end())))
}

fn backend<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Address>, D::Error> {
    match Option::<Address>::deserialize(deserializer)? {
        Some(address) if address.port == 0 => {
            Err(de::Error::custom(format_args!("`{address}` has the port 0, a backend's port is 1 to 65535")))
        }
        address => Ok(address),
    }
}

fn connect_timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Seconds, D::Error> {
    match Seconds::deserialize(deserializer)? {
        none if none == Seconds::default() => Err(de::Error::custom("`0` leaves no time to connect, give more than 0")),
        time => Ok(time),
    }
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
