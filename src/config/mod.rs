//! What a program runs with: file, environment and command line, checked together.
//!
//! The command line beats the environment, the environment the file, and the file the defaults. All of them go through the
//! same checks, and all that is wrong is reported at once, each [`Mistake`] with its place.

mod address;
#[cfg(test)]
mod example;
mod file;
mod http;
mod log;
pub(crate) mod mistake;
pub(crate) mod options;
pub(crate) mod proxy;
pub(crate) mod spec;
mod statsd;
mod tree;
pub(crate) mod values;
mod walk;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use rand::TryRng;
use rand::rngs::SysRng;

use crate::cli;
use crate::handler::Registry;
use crate::settings::Given;
use options::{Options, ProgramOptions, Scope};
use proxy::{Origin, clashes};
use values::{All, Asked, Place, Values};
use walk::{Named, table_of};

pub use address::{Address, BadAddress, Host};
pub use http::{Http, Token};
pub use log::{Format, Level, Log};
pub use mistake::{Mistake, Mistakes};
pub(crate) use proxy::DEFAULT;
pub use proxy::ProxyConfig;
pub use statsd::Statsd;

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
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Config {
    /// The proxies, at least one, in the file's order.
    pub proxies: Vec<ProxyConfig>,
    /// Where all choices come from: the same seed and the same calls make the same choices. Drawn at random unless given.
    pub seed: u64,
    /// What is logged, and how.
    pub log: Log,
    /// The HTTP API, if there is to be one.
    pub http: Option<Http>,
    /// Where counters are sent, if anywhere.
    pub statsd: Option<Statsd>,
    /// The file that each event is written to, one JSON object a line, if any.
    pub events: Option<PathBuf>,
    /// Whether to show the program at work in front of a built-in backend, which takes the place of the one proxy's. The
    /// protocol is then `http`, the mix one of all handlers and the seed fixed, unless given.
    pub demo: bool,
    /// What was asked for and does nothing, each to be told in a line.
    pub warnings: Vec<String>,
    /// Whether there is one proxy, and nobody asked for where it listens.
    pub(crate) listens_anywhere: bool,
    /// Whether a file was read.
    pub(crate) reads_a_file: bool,
    /// Whether somebody asked for `seed`.
    pub(crate) seed_is_given: bool,
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
        let from_flag = line.config.map(|path| ("--config", path));
        let from_env = || env("VAURIEN_CONFIG").map(|path| ("VAURIEN_CONFIG", PathBuf::from(path)));
        let (mut keys, mut proxies, mut unread) = (Vec::new(), None, false);
        let file = from_flag.or_else(from_env);
        let reads_a_file = file.is_some();
        if let Some((place, path)) = file {
            match file::read(place, &path, &options) {
                Ok(walk) => (keys, proxies) = (walk.keys, walk.proxies),
                Err(unreadable) => {
                    mistakes.extend(unreadable);
                    unread = true;
                }
            }
        }
        if line.demo && proxies.is_some() {
            mistakes
                .push(Mistake::new("--demo", "shows one proxy, and the file has `[proxies]`, leave one of them out"));
        }

        // The weakest first.
        let mut asked: Vec<_> = if line.demo { demo(&options).map(Ok).collect() } else { Vec::new() };
        asked.extend(keys);
        let variables = options.all().filter_map(|setting| {
            let variable = setting.variable();
            let given = Given::Text(env(&variable)?);
            Some(Asked { setting, given, place: Place::new(variable, ""), of: DEFAULT.to_owned() })
        });
        asked.extend(variables.chain(line.asked).map(|asked| match &proxies {
            Some(proxies) if !asked.setting.scope.is_programs() => Err(misplaced(&asked, proxies)),
            _ => Ok(asked),
        }));

        let mut all = All::check(&options, asked, &mut mistakes);
        let program = all.of("");
        let http = Http::of(&program, &mut mistakes)?;
        let (configs, listens_anywhere) = if let Some(proxies) = &proxies {
            (several(proxies, &mut all, &mut mistakes)?, false)
        } else {
            let (mut values, origin) = (all.of(DEFAULT), Origin::Only { demo: line.demo, unread });
            let config = ProxyConfig::from_values(DEFAULT, &mut values, &origin, &mut mistakes)?;
            (vec![config], values.place(&Scope::Proxy, "proxy").is_none())
        };
        mistakes.none_or(())?;
        let ProgramOptions { seed, log_level, log_format, events } = program.build(&Scope::Program)?;
        Ok(Self {
            proxies: configs,
            seed: seed.map_or_else(random_seed, Ok)?,
            log: Log { level: log_level, format: log_format },
            http,
            statsd: Statsd::of(&program)?,
            events,
            demo: line.demo,
            warnings: idle(&options, &program),
            listens_anywhere,
            reads_a_file,
            seed_is_given: seed.is_some(),
        })
    }
}

/// What was given for a part of the program without what turns that on.
fn idle(options: &Options<'_>, program: &Values<'_>) -> Vec<String> {
    let without = |scope: &Scope| {
        let switch = options.find(std::slice::from_ref(scope), "enabled").ok().map(|setting| setting.flag());
        let idle = program.idle(scope).map(ToString::to_string);
        let warnings = idle.zip(switch.into_iter().cycle());
        warnings.map(|(given, switch)| format!("`{given}` does nothing without `--{switch}`")).collect::<Vec<_>>()
    };
    Scope::SECTIONS.iter().flat_map(|(_, scope)| without(scope)).collect()
}

/// The proxies that have names, in the file's order.
fn several(proxies: &[Named], all: &mut All<'_>, mistakes: &mut Mistakes) -> Result<Vec<ProxyConfig>, Mistakes> {
    let (mut configs, mut places) = (Vec::new(), Vec::new());
    for named in proxies {
        let mut values = all.of(&named.name);
        let place = values.place(&Scope::Proxy, "proxy").unwrap_or(&named.place).clone();
        // About an address that cannot be read, all has been said.
        places.push((!values.is_wrong("proxy")).then_some(place));
        configs.push(ProxyConfig::from_values(&named.name, &mut values, &Origin::File(named), mistakes)?);
    }
    let listening: Vec<_> =
        configs.iter().zip(&places).filter_map(|(config, place)| Some((config, place.as_ref()?))).collect();
    let addresses: Vec<_> = listening.iter().map(|(config, _)| *config).collect();
    for (number, what) in clashes(&addresses) {
        mistakes.push(Mistake::new(listening[number].1, what));
    }
    Ok(configs)
}

/// What to say about a flag or a variable that only one proxy can have, where there are several.
fn misplaced(asked: &Asked<'_>, proxies: &[Named]) -> Mistake {
    let handler = match &asked.setting.scope {
        Scope::Handler(name) => Some(name.as_str()),
        _ => None,
    };
    let table = table_of(proxies.first().map_or("cache", |named| &named.name), handler);
    let key = &asked.setting.field.name;
    Mistake::new(&asked.place, format_args!("belongs to one proxy, write `{key}` under `{table}` in the file"))
}

fn demo<'a>(options: &'a Options<'_>) -> impl Iterator<Item = Asked<'a>> {
    options.all().filter_map(|setting| {
        let (_, value) = DEMO.iter().find(|(flag, _)| *flag == setting.flag())?;
        let given = Given::Text((*value).to_owned());
        Some(Asked { setting, given, place: Place::new("--demo", ""), of: DEFAULT.to_owned() })
    })
}

fn random_seed() -> Result<u64, Mistakes> {
    let none = |error| Mistake::new("--seed", format_args!("the system has no random numbers ({error}), give a seed"));
    Ok(SysRng.try_next_u64().map_err(none)?)
}
