//! What a program runs with: file, environment and command line, checked together.
//!
//! The command line beats the environment, the environment the file, and the file the defaults. All of them go through the
//! same checks, and all that is wrong is reported at once, each [`Mistake`] with its place.

mod address;
#[cfg(test)]
mod example;
mod file;
mod log;
pub(crate) mod mistake;
pub(crate) mod options;
pub(crate) mod spec;
pub(crate) mod values;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use rand::TryRng;
use rand::rngs::SysRng;

use crate::cli;
use crate::handler::Registry;
use crate::mix::Mix;
use crate::protocol::Protocol;
use crate::settings::Given;
use options::{Options, ProgramOptions, ProxyOptions, Scope};
use values::{Asked, Place, Values};

pub use address::{Address, BadAddress};
pub use log::{Format, Level, Log};
pub use mistake::{Mistake, Mistakes};

/// What `--demo` asks for where nothing else does. With this seed the first five connections to the proxy meet one handler
/// each: dummy, delay, error, blackout, hang.
const DEMO: [(&str, &str); 4] = [
    ("protocol", "http"),
    ("handler", "20:delay,20:error,10:blackout,5:hang"),
    ("handler-delay-sleep", "0.25"),
    ("seed", "2508"),
];

/// All that a program runs with.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// The one proxy.
    pub proxy: ProxyConfig,
    /// Where all choices come from: the same seed and the same calls make the same choices. Drawn at random unless given.
    pub seed: u64,
    /// What is logged, and how.
    pub log: Log,
    /// Whether to show the program at work in front of a built-in backend, which takes the place of `proxy.backend`. The
    /// protocol is then `http`, the mix one of all handlers and the seed fixed, unless given.
    pub demo: bool,
    /// Whether nobody asked for `proxy.listen`.
    pub(crate) listens_anywhere: bool,
}

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
    /// Whether it listens; default true.
    pub enabled: bool,
    pub(crate) spec: spec::Spec,
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
}

/// Why there is nothing to run with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// Help or the version was asked for: to be printed on standard output, exit code 0.
    Help(String),
    /// Wrong use: each line to be printed on standard error, exit code 2.
    Mistakes(Mistakes),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Help(text) => f.write_str(text),
            Self::Mistakes(mistakes) => mistakes.fmt(f),
        }
    }
}

impl std::error::Error for Exit {}

impl From<Mistakes> for Exit {
    fn from(mistakes: Mistakes) -> Self {
        Self::Mistakes(mistakes)
    }
}

impl Config {
    /// Reads `args`, of which the first is the program's name, the variables that `env` knows, and the file that one of
    /// them names. An empty variable is as good as none.
    ///
    /// # Errors
    ///
    /// [`Exit::Help`] when help was asked for, [`Exit::Mistakes`] with all that is wrong.
    pub fn from_args(
        args: impl IntoIterator<Item = OsString>,
        env: impl Fn(&str) -> Option<String>,
        registry: &Registry,
    ) -> Result<Self, Exit> {
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let options = Options::new(registry);
        let line = cli::parse(args, &options)?;
        let mut mistakes = Mistakes::default();
        let mut asked = Vec::new();
        let mut backend_known = line.demo;

        // The weakest first.
        if line.demo {
            asked.extend(demo(&options).map(Ok));
        }
        let from_flag = line.config.map(|path| ("--config", path));
        let from_env = || env("VAURIEN_CONFIG").map(|path| ("VAURIEN_CONFIG", PathBuf::from(path)));
        if let Some((place, path)) = from_flag.or_else(from_env) {
            match file::read(place, &path, &options) {
                Ok(keys) => asked.extend(keys),
                Err(unreadable) => {
                    mistakes.extend(unreadable);
                    // The backend may well be in there: not to be reported as missing.
                    backend_known = true;
                }
            }
        }
        asked.extend(options.all().filter_map(|setting| {
            let variable = setting.variable();
            let given = Given::Text(env(&variable)?);
            Some(Ok(Asked { setting, given, place: Place::new(variable, "") }))
        }));
        asked.extend(line.asked.into_iter().map(Ok));

        let is_asked = |name| asked.iter().flatten().any(|asked| asked.setting.is(&Scope::Proxy, name));
        backend_known |= is_asked("backend");
        let listens_anywhere = !is_asked("proxy");
        let values = Values::check(&options, asked, &mut mistakes);
        if !backend_known {
            mistakes.push(Mistake::new(
                "",
                "the backend is missing, give `--backend HOST:PORT`, or VAURIEN_BACKEND, or `backend` in the file",
            ));
        }
        let config = Self::from_values(values, mistakes)?;
        Ok(Self { demo: line.demo, listens_anywhere, ..config })
    }

    fn from_values(mut values: Values<'_>, mut mistakes: Mistakes) -> Result<Self, Mistakes> {
        let mix = values.mix().unwrap_or_else(|wrong| {
            mistakes.extend(wrong);
            Mix::default()
        });
        values.settle(&mix, &mut mistakes);
        mistakes.none_or(())?;
        let ProgramOptions { seed, log_level, log_format } = values.build(&Scope::Program)?;
        let options: ProxyOptions = values.build(&Scope::Proxy)?;
        if let Some(backend) = options.backend.as_ref().filter(|backend| **backend == options.proxy) {
            let itself =
                format_args!("`{backend}` is both `backend` and `proxy`, listen somewhere else: `--proxy HOST:PORT`");
            return Err(Mistake::new("", itself).into());
        }
        Ok(Self {
            proxy: ProxyConfig::from_options(options, mix),
            seed: seed.map_or_else(random_seed, Ok)?,
            log: Log { level: log_level, format: log_format },
            demo: false,
            listens_anywhere: false,
        })
    }
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
        mistakes.none_or(Self::from_options(options, Mix::default()))
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

    fn from_options(options: ProxyOptions, mix: Mix) -> Self {
        let connection = options.connection;
        Self {
            name: "default".to_owned(),
            enabled: true,
            spec: spec::Spec::default(),
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
        }
    }
}

fn demo<'a>(options: &'a Options<'_>) -> impl Iterator<Item = Asked<'a>> {
    options.all().filter_map(|setting| {
        let (_, value) = DEMO.iter().find(|(flag, _)| *flag == setting.flag())?;
        let given = Given::Text((*value).to_owned());
        Some(Asked { setting, given, place: Place::new("--demo", "") })
    })
}

fn random_seed() -> Result<u64, Mistakes> {
    let none = |error| Mistake::new("--seed", format_args!("the system has no random numbers ({error}), give a seed"));
    Ok(SysRng.try_next_u64().map_err(none)?)
}
