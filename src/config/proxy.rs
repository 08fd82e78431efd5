//! What one proxy runs with, and how proxies get on with each other.

use std::fmt;
use std::time::Duration;

use super::address::Address;
use super::mistake::{Mistake, Mistakes, shown};
use super::options::{ProxyOptions, Scope};
use super::spec::Spec;
use super::values::Values;
use super::walk::Named;
use crate::mix::Mix;
use crate::protocol::Protocol;

/// What a proxy is called that has no name.
pub(crate) const DEFAULT: &str = "default";

/// The longest name, in characters.
const MAX_NAME: usize = 64;

/// What one proxy runs with.
///
/// ```
/// use std::time::Duration;
///
/// use vaurien::config::ProxyConfig;
/// use vaurien::handler::Delay;
/// use vaurien::mix::Mix;
/// use vaurien::protocol::Protocol;
///
/// let slow = Delay { sleep: Duration::from_millis(250).into(), before: true };
/// let mut config = ProxyConfig::new("127.0.0.1:0", "localhost:6379")?
///     .protocol(Protocol::Redis)
///     .handler(Mix::default().with(20.0, "delay", slow)?);
/// config.keep_alive = true;
/// assert_eq!(config.mix.to_string(), "20:delay");
/// # Ok::<(), vaurien::config::Mistakes>(())
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
    /// What was given of all this, before options of the connection that handlers of the mix have.
    pub(crate) spec: Spec,
}

impl ProxyConfig {
    /// A proxy from `listen` to `backend`, both `host:port` or a socket address, that does nothing but pass bytes on; its
    /// fields have the rest.
    ///
    /// # Errors
    ///
    /// When an address is none.
    pub fn new(listen: impl fmt::Display, backend: impl fmt::Display) -> Result<Self, Mistakes> {
        let mut mistakes = Mistakes::default();
        let mut read = |place, text: String| {
            let address = text.parse().map_err(|error| mistakes.push(Mistake::new(place, error)));
            address.ok()
        };
        let (proxy, backend) = (read("proxy", listen.to_string()), read("backend", backend.to_string()));
        let defaults = ProxyOptions::default();
        let options = ProxyOptions { proxy: proxy.unwrap_or(defaults.proxy), backend, ..defaults };
        let given = [("proxy", Some(&options.proxy)), ("backend", options.backend.as_ref())];
        let given = given.into_iter().filter_map(|(key, address)| Some((key.to_owned(), address?.to_string().into())));
        let spec = Spec::new(given.collect());
        mistakes.none_or(Self::from_options(DEFAULT, options, Mix::default(), spec))
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
        self.spec = self.spec.clone().with("proxy", self.listen.to_string());
    }

    /// In a line, with where it listens and what it is in front of.
    pub(crate) fn line(&self, listening: &str, backend: &str) -> String {
        let listening = if self.enabled { listening } else { "disabled" };
        format!("{listening} -> {backend}, protocol {}, handler {}", self.protocol, self.mix)
    }

    /// Never without a mistake where the result is of no use.
    pub(super) fn from_values(
        name: &str,
        values: &mut Values<'_>,
        origin: &Origin<'_>,
        mistakes: &mut Mistakes,
    ) -> Result<Self, Mistakes> {
        let spec = values.spec();
        let options: ProxyOptions = values.build(&Scope::Proxy)?;
        if options.backend.is_none() && !values.is_wrong("backend") {
            mistakes.extend(origin.no_backend());
        }
        let itself = options.backend.as_ref().filter(|backend| **backend == options.proxy);
        if let Some(backend) = itself.filter(|_| !values.is_wrong("proxy")) {
            mistakes.push(origin.own_backend(backend));
        }
        let mix = values.mix(&origin.within()).unwrap_or_else(|wrong| {
            mistakes.extend(wrong);
            Mix::default()
        });
        values.settle(&mix, mistakes);
        let options: ProxyOptions = values.build(&Scope::Proxy)?;
        Ok(Self::from_options(name, options, mix, spec))
    }

    fn from_options(name: &str, options: ProxyOptions, mix: Mix, spec: Spec) -> Self {
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
            spec,
        }
    }
}

/// From where a proxy was asked for, which is what a mistake has to name.
pub(super) enum Origin<'a> {
    /// The only one, by flags, variables and file; a demo has its own backend.
    Only {
        demo: bool,
        /// Whether there is a file that cannot be read, and may well have it all.
        unread: bool,
    },
    /// One of several in the file.
    File(&'a Named),
    /// JSON.
    Api,
}

impl Origin<'_> {
    /// What stands before a key when its whole path is written.
    fn within(&self) -> String {
        match self {
            Self::File(named) => format!("{}.", named.place.key()),
            Self::Only { .. } | Self::Api => String::new(),
        }
    }

    fn no_backend(&self) -> Mistakes {
        let mistake = match self {
            Self::Only { demo, unread } if *demo || *unread => return Mistakes::default(),
            Self::Only { .. } => Mistake::new(
                "",
                "the backend is missing, give `--backend HOST:PORT`, or VAURIEN_BACKEND, or `backend` in the file",
            ),
            Self::File(named) => Mistake::new(&named.place, "the backend is missing, write `backend = \"HOST:PORT\"`"),
            Self::Api => Mistake::new("backend", "the backend is missing, give `HOST:PORT`"),
        };
        mistake.into()
    }

    fn own_backend(&self, address: &Address) -> Mistake {
        let itself = format!("`{address}` is both `backend` and `proxy`, listen somewhere else");
        match self {
            Self::Only { .. } => Mistake::new("", format_args!("{itself}: `--proxy HOST:PORT`")),
            Self::File(named) => Mistake::new(&named.place, itself),
            Self::Api => Mistake::new("proxy", itself),
        }
    }
}

/// Whether a proxy can be called so. The mistake has no place.
pub(crate) fn check_name(name: &str) -> Result<(), Mistake> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(());
    }
    let what =
        format!("{} cannot be a proxy's name, that is 1 to {MAX_NAME} of `a-z A-Z 0-9 _ -`", shown(&name.into()));
    Err(Mistake::new("", what))
}

/// What is wrong where two proxies listen on one address, each mistake with the key path `proxy`. Port 0 never clashes.
pub(crate) fn clash(configs: &[&ProxyConfig]) -> Mistakes {
    clashes(configs).into_iter().map(|(_, what)| Mistake::new("proxy", what)).collect()
}

/// Which of `configs` listens where one before it does, and what to say about it.
pub(super) fn clashes(configs: &[&ProxyConfig]) -> Vec<(usize, String)> {
    let mut clashes = Vec::new();
    for (place, config) in configs.iter().enumerate() {
        let ProxyConfig { name, listen, .. } = config;
        let same = |other: &Address| other.port == listen.port && other.host.eq_ignore_ascii_case(&listen.host);
        let earlier = configs[..place].iter().find(|other| same(&other.listen) && listen.port != 0);
        let Some(earlier) = earlier else { continue };
        let by_default = [config, earlier].iter().all(|config| !config.spec.keys().contains_key("proxy"));
        let advice = if by_default { " by default, give each its own `proxy`" } else { ", give one another `proxy`" };
        let what = format!("`{}` and `{name}` both listen on `{listen}`{advice}", earlier.name);
        clashes.push((place, what));
    }
    clashes
}
