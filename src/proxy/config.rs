//! The configuration of one proxy, and conflicts between proxies.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::options::ProxyOptions;
use crate::diagnostic::{Diagnostic, Diagnostics, shown};
use crate::events::{EventKind, SharedTexts};
use crate::net::address::Address;
use crate::net::backend::Backend;
use crate::net::host_port::HostPort;
use crate::net::tls::{BackendTls, ClientTls};
use crate::plan::mix::Mix;
use crate::plan::rule::{Rule, list};
use crate::plan::text::{LONGEST_ANY_NAME, is_any_name};
use crate::protocol::Protocol;
use crate::pump::ConnectionSettings;
use crate::toxic::{Profile, Toxic};

/// The name of a proxy that was given none.
pub(crate) const DEFAULT: &str = "default";

/// The longest name, in characters.
const MAX_NAME: usize = 64;

/// The ports that URLs and `Host` leave out.
const HTTP: u16 = 80;
const HTTPS: u16 = 443;

/// The configuration of one proxy.
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
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct ProxyConfig {
    /// Its name in logs, metrics and the API; default `default`.
    pub name: String,
    /// Where it listens; default `localhost:8000`. Port 0 takes a free port.
    pub listen: Address,
    /// Where calls go.
    pub backend: Address,
    /// How calls are found; default [`Protocol::Tcp`].
    pub protocol: Protocol,
    /// Which calls get what in place of the mix: the first that matches decides; default none. [`Self::rule`] adds one and checks
    /// it.
    pub rules: Vec<Rule>,
    /// What happens to other calls; default `dummy`.
    pub mix: Mix,
    /// What happens to the bytes of its connections, in this order; default nothing.
    pub toxics: Vec<Toxic>,
    /// How clients' connections are encrypted; default not at all.
    pub tls: Option<ClientTls>,
    /// How connections to the backend are encrypted; default not at all.
    pub backend_tls: Option<BackendTls>,
    /// Bytes of one read; by default 2048, growing while data keeps filling it.
    pub buffer: Option<usize>,
    /// Whether the client's connection outlives the backend's; default false.
    pub keep_alive: bool,
    /// Whether a backend connection is given to the next client; default false.
    pub reuse_socket: bool,
    /// The most backend connections kept for reuse; default 100.
    pub pool_size: usize,
    /// How long one is kept for reuse; default 30 s.
    pub pool_timeout: Duration,
    /// How long the backend may take to accept a connection; default 10 s.
    pub connect_timeout: Duration,
    /// How long an incomplete head is held for a handler that has to see it; default 5 s. Then its bytes pass, and the
    /// connection turns opaque.
    pub head_timeout: Duration,
    /// With [`Protocol::Http`], the longest head in bytes; default 65536. A longer one turns the connection opaque.
    pub max_head: usize,
    /// With [`Protocol::Http`], whether the host that a request asks for is replaced by the backend's, in its field `Host` and in
    /// its target; default false. Rules and handlers see what the client sent.
    pub rewrite_host: bool,
    /// How many bytes faults may hold back in one direction of a connection, in bytes; default 64 MiB. Past that the sender
    /// is not read from. All connections together hold at most 512 MiB.
    pub shape_buffer: usize,
    /// Whether it listens; default true.
    pub enabled: bool,
    /// Whether it was made in Toxiproxy's words, by its API or its file: it closes clients whose upstream cannot be reached, as
    /// Toxiproxy does, and messages about it have these words.
    pub(crate) is_toxiproxys: bool,
    /// The same in the keys of the file and the API.
    pub(crate) keys: Keys,
}

/// The texts of the rules and toxics that the latest event has.
#[derive(Debug, Default, Clone)]
pub(crate) struct Told {
    rules: SharedTexts,
    toxics: SharedTexts,
}

/// Makes `told` what it is `now`. Texts that it has already are kept.
fn share(told: &mut SharedTexts, now: impl Iterator<Item = String>) {
    let now: Vec<String> = now.collect();
    if !now.iter().map(String::as_str).eq(told.iter().map(|text| &**text)) {
        let known: HashSet<Arc<str>> = told.iter().cloned().collect();
        let shared = |text: String| known.get(text.as_str()).cloned().unwrap_or_else(|| text.into());
        *told = now.into_iter().map(shared).collect();
    }
}

impl ProxyConfig {
    /// A proxy from `listen` to `backend`, each `host:port` or a socket address, that passes every call unaltered. Everything
    /// else has its default.
    ///
    /// # Errors
    ///
    /// An address is invalid.
    pub fn new(listen: impl fmt::Display, backend: impl fmt::Display) -> Result<Self, Diagnostics> {
        let mut diagnostics = Diagnostics::default();
        let mut read = |place, text: String| {
            let address = text.parse().map_err(|error| diagnostics.push(Diagnostic::new(place, error)));
            address.ok()
        };
        let (proxy, backend) = (read("proxy", listen.to_string()), read("backend", backend.to_string()));
        let defaults = ProxyOptions::default();
        let options = ProxyOptions { proxy: proxy.unwrap_or(defaults.proxy), backend, ..defaults };
        let given = [("proxy", Some(&options.proxy)), ("backend", options.backend.as_ref())];
        let given = given.into_iter().filter_map(|(key, address)| Some((key.to_owned(), address?.to_string().into())));
        let keys = Keys { given: given.collect(), ..Keys::default() };
        diagnostics.none_or(Self::from_options(DEFAULT, options, Vec::new(), Mix::default(), keys))
    }

    /// Sets the protocol.
    #[must_use]
    pub fn protocol(self, protocol: Protocol) -> Self {
        Self { protocol, ..self }
    }

    /// Sets the mix.
    #[must_use]
    pub fn handler(self, mix: Mix) -> Self {
        Self { mix, ..self }
    }

    /// Adds a rule behind those that there are: a [`Rule`], or its text, `GET /pay* times=3 => error`. Set the protocol first.
    ///
    /// # Errors
    ///
    /// A mistake in the text, a condition that the protocol does not have, or an earlier rule that takes all of its calls.
    pub fn rule<R>(mut self, rule: R) -> Result<Self, Diagnostics>
    where
        R: TryInto<Rule, Error: Into<Diagnostics>>,
    {
        self.rules.push(rule.try_into().map_err(Into::into)?);
        list::name_all(&mut self.rules);
        let wrong = list::check(&self.rules, self.protocol).into_iter().map(|(_, what)| Diagnostic::new("rules", what));
        wrong.collect::<Diagnostics>().none_or(self)
    }

    /// Sets the toxics, in place of those of a profile as well.
    pub(crate) fn set_toxics(&mut self, toxics: Vec<Toxic>) {
        self.keys.given.remove("profile");
        self.keys.all.insert("profile".to_owned(), Value::Null);
        let texts: Vec<_> = toxics.iter().map(|toxic| Value::from(toxic.to_string())).collect();
        self.keys.set("toxics", texts);
        self.toxics = toxics;
    }

    /// What is told of its plan and its toxics when they change. What was told before is shared.
    pub(crate) fn event(&self, told: &mut Told) -> EventKind {
        share(&mut told.rules, self.rules.iter().map(Rule::to_string));
        share(&mut told.toxics, self.toxics.iter().map(Toxic::to_string));
        let Told { rules, toxics } = told.clone();
        EventKind::Plan { handler: self.mix.to_string(), rules, toxics, enabled: self.enabled }
    }

    /// What where it listens and where calls go are called by who configured it.
    pub(crate) fn words(&self) -> (&'static str, &'static str) {
        if self.is_toxiproxys { ("listen", "upstream") } else { ("proxy", "backend") }
    }

    /// Takes a free port, whatever was configured.
    pub(crate) fn listen_anywhere(&mut self) {
        if let Address::Tcp(address) = &mut self.listen {
            address.port = 0;
        }
        self.keys.set("proxy", self.listen.to_string());
    }

    /// The mixes of its rules, and the mix.
    pub(crate) fn mixes(&self) -> impl Iterator<Item = &Mix> {
        self.rules.iter().map(Rule::mix).chain([&self.mix])
    }

    /// Why its protocol cannot have `rewrite_host`, if it is to.
    pub(crate) fn check_rewrite_host(&self) -> Option<String> {
        let is_wrong = self.rewrite_host && !self.protocol.is_http();
        is_wrong.then(|| format!("it needs protocol http, this proxy has {}", self.protocol))
    }

    /// How its connections are made.
    pub(crate) fn connection_settings(&self) -> ConnectionSettings {
        let address = self.backend.clone();
        let default_port = if self.backend_tls.is_some() { HTTPS } else { HTTP };
        let name = self.backend_tls.as_ref().and_then(BackendTls::name);
        let named = name.map(|name| Address::new(name, address.tcp().map_or(default_port, |address| address.port)));
        let host = self.rewrite_host.then(|| named.as_ref().unwrap_or(&address).authority(default_port).into());
        ConnectionSettings {
            protocol: self.protocol,
            buffer: self.buffer,
            keep_alive: self.keep_alive,
            reuse_socket: self.reuse_socket,
            head_timeout: self.head_timeout,
            max_head: self.max_head,
            shape_buffer: self.shape_buffer,
            tls: self.tls.clone(),
            backend: Backend::new(
                address,
                self.backend_tls.clone(),
                self.connect_timeout,
                self.pool_size,
                self.pool_timeout,
            ),
            host,
            closes_if_unreachable: self.is_toxiproxys,
        }
    }

    /// The keys that differ and apply to new connections, in the order of the file.
    pub(crate) fn connection_changes(&self, other: &Self) -> Vec<&'static str> {
        let keys = [
            ("backend", self.backend != other.backend),
            ("protocol", self.protocol != other.protocol),
            ("tls", self.tls != other.tls),
            ("backend_tls", self.backend_tls != other.backend_tls),
            ("buffer", self.buffer != other.buffer),
            ("keep_alive", self.keep_alive != other.keep_alive),
            ("reuse_socket", self.reuse_socket != other.reuse_socket),
            ("pool_size", self.pool_size != other.pool_size),
            ("pool_timeout", self.pool_timeout != other.pool_timeout),
            ("connect_timeout", self.connect_timeout != other.connect_timeout),
            ("head_timeout", self.head_timeout != other.head_timeout),
            ("max_head", self.max_head != other.max_head),
            ("rewrite_host", self.rewrite_host != other.rewrite_host),
            ("shape_buffer", self.shape_buffer != other.shape_buffer),
        ];
        keys.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
    }

    /// The proxy in one line, with its address and its backend.
    pub(crate) fn line(&self, listening: &str, backend: &str) -> String {
        let listening = if self.enabled { listening } else { "disabled" };
        let counted = |count: usize, what: &str| match count {
            0 => String::new(),
            1 => format!(", 1 {what}"),
            several => format!(", {several} {what}s"),
        };
        let (rules, toxics) = (counted(self.rules.len(), "rule"), counted(self.toxics.len(), "toxic"));
        let within = |tls: bool| if tls { " (TLS)" } else { "" };
        let (ours, theirs) = (within(self.tls.is_some()), within(self.backend_tls.is_some()));
        let Self { protocol, mix, .. } = self;
        format!("{listening}{ours} -> {backend}{theirs}, protocol {protocol}{rules}{toxics}, handler {mix}")
    }

    pub(crate) fn from_options(name: &str, options: ProxyOptions, rules: Vec<Rule>, mix: Mix, keys: Keys) -> Self {
        let connection = options.connection;
        let of_profile = options.profile.into_iter().flat_map(Profile::toxics);
        Self {
            name: name.to_owned(),
            listen: options.proxy,
            // Only a demo has none: it sets its own.
            backend: options.backend.unwrap_or_else(|| Address::new("localhost", 0)),
            protocol: connection.protocol,
            rules,
            mix,
            toxics: of_profile.chain(options.toxics).collect(),
            tls: None,
            backend_tls: None,
            buffer: connection.buffer,
            keep_alive: connection.keep_alive,
            reuse_socket: connection.reuse_socket,
            pool_size: options.pool_size,
            pool_timeout: options.pool_timeout.duration(),
            connect_timeout: options.connect_timeout.duration(),
            head_timeout: options.head_timeout.duration(),
            max_head: options.max_head,
            rewrite_host: options.rewrite_host,
            shape_buffer: usize::try_from(options.shape_buffer.bytes()).unwrap_or(usize::MAX),
            enabled: options.enabled,
            is_toxiproxys: false,
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
    /// The settings that the handlers of the mix were built with.
    pub(crate) of_mix: Vec<(String, Map<String, Value>)>,
}

impl Keys {
    /// Gives `key` another value.
    pub(crate) fn set(&mut self, key: &str, value: impl Into<Value>) {
        let value = value.into();
        self.given.insert(key.to_owned(), value.clone());
        self.all.insert(key.to_owned(), value);
    }
}

/// Checks the name of a proxy that Toxiproxy's API may have made: `redis:6379`. The diagnostic has no place.
pub(crate) fn check_any_name(name: &str) -> Result<(), Diagnostic> {
    if is_any_name(name) {
        return Ok(());
    }
    let name = shown(&name.into());
    let what = format!("invalid proxy name {name}: use 1 to {LONGEST_ANY_NAME} bytes without control characters");
    Err(Diagnostic::new("", what))
}

/// Checks the name of a proxy in the file. The diagnostic has no place.
pub(crate) fn check_name(name: &str) -> Result<(), Diagnostic> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(());
    }
    let what = format!("invalid proxy name {}: use 1 to {MAX_NAME} of `a-z A-Z 0-9 _ -`", shown(&name.into()));
    Err(Diagnostic::new("", what))
}

/// What is wrong with the names of the rules of `config`: each names one of `proxies`, which expectations could not tell apart.
pub(crate) fn name_conflicts<'c>(
    config: &ProxyConfig,
    proxies: impl IntoIterator<Item = &'c ProxyConfig>,
) -> Vec<String> {
    let names: Vec<&str> = proxies.into_iter().map(|proxy| proxy.name.as_str()).collect();
    let is_proxy = |name: &str| names.contains(&name);
    let clashing = config.rules.iter().filter(|rule| is_proxy(rule.name()));
    clashing
        .map(|rule| format!("`{rule}`: a proxy is named `{}` as well, write `name=…` with another", rule.name()))
        .collect()
}

/// A diagnostic for each conflict between proxies, with its key.
pub(crate) fn address_conflicts(configs: &[&ProxyConfig]) -> Diagnostics {
    conflicts(configs).into_iter().map(|Conflict { key, what, .. }| Diagnostic::new(key, what)).collect()
}

/// What is wrong between proxies.
pub(crate) struct Conflict {
    /// The place of the last proxy that has a part in it.
    pub(crate) place: usize,
    /// Its key to change.
    pub(crate) key: &'static str,
    pub(crate) what: String,
}

/// Proxies that have the address of an earlier one, and those whose backends lead back to themselves. Port 0 never conflicts.
pub(crate) fn conflicts(configs: &[&ProxyConfig]) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    for (place, config) in configs.iter().enumerate() {
        let ProxyConfig { name, listen, .. } = config;
        let earlier = configs[..place].iter().find(|other| other.listen.is_same(listen) && !listen.is_any_port());
        if let Some(earlier) = earlier {
            let by_default = [config, earlier].iter().all(|config| !config.keys.given.contains_key("proxy"));
            let advice = if by_default { " by default, give each its own" } else { ", give one another" };
            let key = config.words().0;
            let what = format!("`{}` and `{name}` both listen on `{listen}`{advice} `{key}`", earlier.name);
            conflicts.push(Conflict { place, key: "proxy", what });
            continue;
        }
        if let Some(others) = loop_behind(config, &configs[..place]) {
            let (others, key) = (others.join("`, `"), config.words().1);
            let what = format!("the {key}s of `{name}`, `{others}` lead back to `{name}`");
            conflicts.push(Conflict { place, key: "backend", what });
        }
    }
    conflicts
}

/// The names of those proxies through which a connection to `config` comes back to it. One that is its own backend is told
/// elsewhere.
fn loop_behind<'a>(config: &ProxyConfig, others: &[&'a ProxyConfig]) -> Option<Vec<&'a str>> {
    let mut passed = Vec::new();
    let mut backend = &config.backend;
    while !leads_to(backend, &config.listen) {
        let next = others.iter().find(|other| leads_to(backend, &other.listen))?;
        if passed.contains(&&*next.name) {
            return None;
        }
        passed.push(&*next.name);
        backend = &next.backend;
    }
    (!passed.is_empty()).then_some(passed)
}

/// Whether a connection to `backend` comes to what listens on `listen`, as far as their text shows it.
fn leads_to(backend: &Address, listen: &Address) -> bool {
    let (Address::Tcp(backend), Address::Tcp(listen)) = (backend, listen) else { return backend.is_same(listen) };
    let any = |address: &HostPort| {
        address.host.eq_ignore_ascii_case("localhost")
            || address.host.parse().is_ok_and(|ip: IpAddr| ip.is_unspecified())
    };
    let here = |address: &HostPort| any(address) || address.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    let same = backend.host.eq_ignore_ascii_case(&listen.host)
        || here(backend) && here(listen) && (any(backend) || any(listen));
    same && backend.port == listen.port && listen.port != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::tls::Trust;

    #[test]
    fn the_host_is_the_backends_without_the_port_of_its_scheme() {
        for (backend, of_http, of_https) in [
            ("a:80", "a", "a:80"),
            ("a:443", "a:443", "a"),
            ("[::1]:81", "[::1]:81", "[::1]:81"),
            ("unix:/run/a.sock", "localhost", "localhost"),
        ] {
            let mut config = ProxyConfig::new("127.0.0.1:0", backend).unwrap().protocol(Protocol::Http);
            assert_eq!(config.connection_settings().host, None);
            config.rewrite_host = true;
            assert_eq!(config.connection_settings().host.as_deref(), Some(of_http));
            config.backend_tls = Some(BackendTls::new(Trust { insecure: true, ..Trust::default() }).unwrap());
            assert_eq!(config.connection_settings().host.as_deref(), Some(of_https));
        }
    }
}
