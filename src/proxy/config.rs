//! What one proxy runs with, and how proxies get on with each other.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use super::options::ProxyOptions;
use crate::diagnostic::{Diagnostic, Diagnostics, shown};
use crate::net::address::Address;
use crate::net::backend::Backend;
use crate::plan::mix::Mix;
use crate::protocol::Protocol;
use crate::pump::ConnectionSettings;

/// What a proxy is called that has no name.
pub(crate) const DEFAULT: &str = "default";

/// The longest name, in characters.
const MAX_NAME: usize = 64;

/// What one proxy runs with.
///
/// ```
/// use std::time::Duration;
///
/// use vaurien::handler::Delay;
/// use vaurien::{Mix, Protocol, ProxyConfig};
///
/// let slow = Delay { sleep: Duration::from_millis(250).into(), before: true };
/// let mut config = ProxyConfig::new("127.0.0.1:0", "localhost:6379")?
///     .protocol(Protocol::Redis)
///     .handler(Mix::default().with(20.0, "delay", slow)?);
/// config.keep_alive = true;
/// assert_eq!(config.mix.to_string(), "20:delay");
/// # Ok::<(), vaurien::Diagnostics>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProxyConfig {
    /// What it is called in logs; default `default`.
    pub name: String,
    /// Where it listens; default `localhost:8000`. Port 0 takes a free port.
    pub listen: Address,
    /// Where it connects clients to.
    pub backend: Address,
    /// How calls are found; default `tcp`.
    pub protocol: Protocol,
    /// What happens to calls; default `dummy`.
    pub mix: Mix,
    /// Bytes of one read; by default 2048, growing while data keeps filling it.
    pub buffer: Option<usize>,
    /// Whether the client's connection outlives the backend's; default false.
    pub keep_alive: bool,
    /// Whether a backend connection is given to the next client; default false.
    pub reuse_socket: bool,
    /// Backend connections kept for reuse at most; default 100.
    pub pool_size: usize,
    /// How long one is kept for reuse; default 30 s.
    pub pool_timeout: Duration,
    /// How long the backend may take to accept a connection; default 10 s.
    pub connect_timeout: Duration,
    /// Whether it listens; default true.
    pub enabled: bool,
    /// The same as the file and the API write it.
    pub(crate) keys: Keys,
}

impl ProxyConfig {
    /// A proxy from `listen` to `backend`, both `host:port` or a socket address, that does nothing but pass bytes on; its
    /// fields have the rest.
    ///
    /// # Errors
    ///
    /// When an address is none.
    pub fn new(listen: impl fmt::Display, backend: impl fmt::Display) -> Result<Self, Diagnostics> {
        let mut mistakes = Diagnostics::default();
        let mut read = |place, text: String| {
            let address = text.parse().map_err(|error| mistakes.push(Diagnostic::new(place, error)));
            address.ok()
        };
        let (proxy, backend) = (read("proxy", listen.to_string()), read("backend", backend.to_string()));
        let defaults = ProxyOptions::default();
        let options = ProxyOptions { proxy: proxy.unwrap_or(defaults.proxy), backend, ..defaults };
        let given = [("proxy", Some(&options.proxy)), ("backend", options.backend.as_ref())];
        let given = given.into_iter().filter_map(|(key, address)| Some((key.to_owned(), address?.to_string().into())));
        let keys = Keys { given: given.collect(), all: Map::new() };
        mistakes.none_or(Self::from_options(DEFAULT, options, Mix::default(), keys))
    }

    /// The same with another protocol.
    #[must_use]
    pub fn protocol(self, protocol: Protocol) -> Self {
        Self { protocol, ..self }
    }

    /// The same with another mix.
    #[must_use]
    pub fn handler(self, mix: Mix) -> Self {
        Self { mix, ..self }
    }

    /// Takes a free port, whatever was asked for.
    pub(crate) fn listen_anywhere(&mut self) {
        self.listen.port = 0;
        self.keys.set("proxy", self.listen.to_string());
    }

    /// How its connections are made.
    pub(crate) fn connection_settings(&self) -> ConnectionSettings {
        let address = self.backend.clone();
        ConnectionSettings {
            protocol: self.protocol,
            buffer: self.buffer,
            keep_alive: self.keep_alive,
            reuse_socket: self.reuse_socket,
            backend: Backend::new(address, self.connect_timeout, self.pool_size, self.pool_timeout),
        }
    }

    /// The file's keys, in its order, of what differs in how connections are made.
    pub(crate) fn connection_changes(&self, other: &Self) -> Vec<&'static str> {
        let keys = [
            ("backend", self.backend != other.backend),
            ("protocol", self.protocol != other.protocol),
            ("buffer", self.buffer != other.buffer),
            ("keep_alive", self.keep_alive != other.keep_alive),
            ("reuse_socket", self.reuse_socket != other.reuse_socket),
            ("pool_size", self.pool_size != other.pool_size),
            ("pool_timeout", self.pool_timeout != other.pool_timeout),
            ("connect_timeout", self.connect_timeout != other.connect_timeout),
        ];
        keys.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
    }

    /// In a line, with where it listens and what it is in front of.
    pub(crate) fn line(&self, listening: &str, backend: &str) -> String {
        let listening = if self.enabled { listening } else { "disabled" };
        format!("{listening} -> {backend}, protocol {}, handler {}", self.protocol, self.mix)
    }

    pub(crate) fn from_options(name: &str, options: ProxyOptions, mix: Mix, keys: Keys) -> Self {
        let connection = options.connection;
        Self {
            name: name.to_owned(),
            listen: options.proxy,
            // Only the demo has none, and brings its own.
            backend: options.backend.unwrap_or_else(|| Address::new("localhost", 0)),
            protocol: connection.protocol,
            mix,
            buffer: connection.buffer,
            keep_alive: connection.keep_alive,
            reuse_socket: connection.reuse_socket,
            pool_size: options.pool_size,
            pool_timeout: options.pool_timeout.duration(),
            connect_timeout: options.connect_timeout.duration(),
            enabled: options.enabled,
            keys,
        }
    }
}

/// A proxy in the keys of the file and the API. The program reads and writes them; the engine keeps and compares them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Keys {
    /// Those that were given.
    pub(crate) given: Map<String, Value>,
    /// Every key with its value or default.
    pub(crate) all: Map<String, Value>,
}

impl Keys {
    /// Gives `key` another value.
    pub(crate) fn set(&mut self, key: &str, value: impl Into<Value>) {
        let value = value.into();
        self.given.insert(key.to_owned(), value.clone());
        self.all.insert(key.to_owned(), value);
    }
}

/// Whether a proxy can be called so. The mistake has no place.
pub(crate) fn check_name(name: &str) -> Result<(), Diagnostic> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(());
    }
    let what =
        format!("{} cannot be a proxy's name, that is 1 to {MAX_NAME} of `a-z A-Z 0-9 _ -`", shown(&name.into()));
    Err(Diagnostic::new("", what))
}

/// What is wrong where two proxies listen on one address, each mistake with the key path `proxy`. Port 0 never clashes.
pub(crate) fn clash(configs: &[&ProxyConfig]) -> Diagnostics {
    clashes(configs).into_iter().map(|(_, what)| Diagnostic::new("proxy", what)).collect()
}

/// Which of `configs` listens where one before it does, and what to say about it.
pub(crate) fn clashes(configs: &[&ProxyConfig]) -> Vec<(usize, String)> {
    let mut clashes = Vec::new();
    for (place, config) in configs.iter().enumerate() {
        let ProxyConfig { name, listen, .. } = config;
        let same = |other: &Address| other.port == listen.port && other.host.eq_ignore_ascii_case(&listen.host);
        let earlier = configs[..place].iter().find(|other| same(&other.listen) && listen.port != 0);
        let Some(earlier) = earlier else { continue };
        let by_default = [config, earlier].iter().all(|config| !config.keys.given.contains_key("proxy"));
        let advice = if by_default { " by default, give each its own `proxy`" } else { ", give one another `proxy`" };
        let what = format!("`{}` and `{name}` both listen on `{listen}`{advice}", earlier.name);
        clashes.push((place, what));
    }
    clashes
}
