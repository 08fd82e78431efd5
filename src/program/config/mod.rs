//! What a program runs with: file, environment and command line, checked together.
//!
//! The command line beats the environment, the environment the file, and the file the defaults. All of them go through the
//! same checks, and all that is wrong is reported at once, each [`Diagnostic`] with its place.

mod check;
#[cfg(test)]
mod example;
mod file;
mod http;
mod list;
pub(crate) mod options;
mod print;
mod proxy;
mod run;
mod sources;
pub(crate) mod spec;
mod statsd;
mod tree;
pub(crate) mod values;
mod variables;
mod walk;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use rand::TryRng;
use rand::rngs::SysRng;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::handler::Registry;
use crate::program::cli;
use crate::program::cli::Instead;
use crate::program::command::Again;
use crate::program::health;
use crate::proxy::config::conflicts;
use options::{Options, ProgramOptions, Scope};
use proxy::Origin;
use sources::Sources;
use values::{All, Place, Values};
use variables::Variables;
use walk::Named;

pub use crate::net::address::{Address, Host};
pub use crate::program::logging::{Format, Level, Log};
pub(crate) use crate::proxy::config::DEFAULT;
pub use crate::proxy::config::ProxyConfig;
pub use check::Check;
pub use http::{Http, Token};
pub use run::Run;
pub use statsd::Statsd;

/// All that a program runs with.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Config {
    /// The proxies, at least one, in the file's order.
    pub proxies: Vec<ProxyConfig>,
    /// Where all choices come from: the same seed and the same calls make the same choices. SelectedHandler at random unless given.
    pub seed: u64,
    /// The command that is run in front of the proxies, and what else happens around them.
    pub run: Run,
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
    /// Whether the proxies have names of their own.
    pub(crate) names_proxies: bool,
    /// What does it again.
    pub(crate) again: Again,
    /// Whether a file was read.
    pub(crate) reads_a_file: bool,
    /// Whether somebody asked for `seed`.
    pub(crate) seed_is_given: bool,
}

/// Why there is nothing to run with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit {
    /// A text was asked for, such as help or the version: to be printed on standard output, exit code 0.
    Text(String),
    /// To check was asked for, and nothing is wrong.
    Check(Check),
    /// Whether a daemon is well was asked for: the one whose HTTP API is there. Exit code 0 if it is, else 1.
    Health(Address),
    /// Wrong use: each line to be printed on standard error, exit code 2.
    Diagnostics(Diagnostics),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Check(check) => f.write_str(&check.lines),
            Self::Health(address) => f.write_str(&health::url(address)),
            Self::Diagnostics(mistakes) => mistakes.fmt(f),
        }
    }
}

impl std::error::Error for Exit {}

impl From<Diagnostics> for Exit {
    fn from(mistakes: Diagnostics) -> Self {
        Self::Diagnostics(mistakes)
    }
}

impl Config {
    /// Reads `args`, of which the first is the program's name, the variables that `env` knows, and the file that one of
    /// them names. An empty variable is as good as none.
    ///
    /// # Errors
    ///
    /// [`Exit::Diagnostics`] with all that is wrong, or another [`Exit`] when something else than to run was asked for.
    pub fn from_args(
        args: impl IntoIterator<Item = OsString>,
        env: impl Fn(&str) -> Option<String>,
        registry: &Registry,
    ) -> Result<Self, Exit> {
        let (options, variables) = (Options::new(registry), Variables::new(&env));
        let args: Vec<OsString> = args.into_iter().collect();
        let mut line = cli::parse(args.clone(), &options)?;
        let mut mistakes = Diagnostics::default();
        let sources = Sources::read(&args, &mut line, &variables, &options, &mut mistakes);
        if let Some(Instead::Health(daemon)) = line.instead {
            let address = match daemon {
                Some(address) => address,
                None => http::address(&options, sources.asked, variables.told("VAURIEN_HTTP"), mistakes)?,
            };
            return Err(Exit::Health(health::reachable(address)));
        }
        let Sources { asked, proxies: named, has_file, unread, again } = sources;
        let mut all = All::check(&options, asked, &mut mistakes);
        let printed = || print::text(&options, &all, named.as_deref());
        let printed = matches!(line.instead, Some(Instead::PrintConfig)).then(printed);
        let program = all.of("");
        let http = Http::of(&program, &mut mistakes)?;
        let (proxies, listens_anywhere) = match &named {
            Some(named) => (several(named, &mut all, &mut mistakes)?, false),
            None => only(&mut all, &Origin::Only { demo: line.demo, unread }, &mut mistakes)?,
        };
        let run = Run::of(line.command, &program)?;
        run.check(&proxies, http.is_some(), &program, registry, &mut mistakes);
        if line.demo {
            mistakes.extend(no_demo(named.is_some(), printed.is_some(), &run));
        }
        mistakes.none_or(())?;
        if let Some(text) = printed {
            return Err(Exit::Text(text));
        }
        let ProgramOptions { seed, log_level, log_format, events } = program.build(&Scope::Program)?;
        let config = Self {
            proxies,
            seed: seed.map_or_else(random_seed, Ok)?,
            log: Log { level: log_level, format: log_format },
            http,
            statsd: Statsd::of(&program)?,
            events,
            demo: line.demo,
            warnings: idle(&options, &program, !run.command.is_empty()),
            run,
            listens_anywhere,
            names_proxies: named.is_some(),
            again,
            reads_a_file: has_file,
            seed_is_given: seed.is_some(),
        };
        if let Some(Instead::Check) = line.instead {
            return Err(Exit::Check(Check::of(config)));
        }
        Ok(config)
    }
}

/// What was given for a part of the program without what turns that on.
fn idle(options: &Options<'_>, program: &Values<'_>, runs_a_command: bool) -> Vec<String> {
    let without = |scope: &Scope| {
        let switch = options.find(std::slice::from_ref(scope), "enabled").ok().map(|setting| setting.flag());
        let idle = program.idle(scope).map(ToString::to_string);
        let warnings = idle.zip(switch.into_iter().cycle());
        warnings.map(|(given, switch)| format!("`{given}` does nothing without `--{switch}`")).collect::<Vec<_>>()
    };
    let mut warnings: Vec<String> = Scope::SECTIONS.iter().flat_map(|(_, scope)| without(scope)).collect();
    if !runs_a_command {
        let idle = ["timeout", "repeat"].iter().filter_map(|name| program.place(&Scope::Run, name));
        warnings.extend(idle.map(|given| format!("`{given}` does nothing without a command behind `--`")));
    }
    warnings
}

/// What is in the way of a demo, which shows one proxy and makes calls of its own.
fn no_demo(names_proxies: bool, prints: bool, run: &Run) -> Diagnostics {
    let in_the_way = [
        (names_proxies, "shows one proxy, and the file has `[proxies]`, leave one of them out"),
        (prints, "has a backend of its own, which no file can ask for, leave out `--print-config`"),
        (!run.command.is_empty(), "makes calls of its own, leave out the command"),
    ];
    let in_the_way = in_the_way.into_iter().filter(|(is_there, _)| *is_there);
    in_the_way.map(|(_, what)| Diagnostic::new("--demo", what)).collect()
}

/// The only proxy, and whether nobody asked for where it listens.
fn only(
    all: &mut All<'_>,
    origin: &Origin<'_>,
    mistakes: &mut Diagnostics,
) -> Result<(Vec<ProxyConfig>, bool), Diagnostics> {
    let mut values = all.of(DEFAULT);
    let config = proxy::config(DEFAULT, &mut values, origin, mistakes)?;
    Ok((vec![config], values.place(&Scope::Proxy, "proxy").is_none_or(Place::is_default)))
}

/// The proxies that have names, in the file's order.
fn several(proxies: &[Named], all: &mut All<'_>, mistakes: &mut Diagnostics) -> Result<Vec<ProxyConfig>, Diagnostics> {
    let (mut configs, mut places) = (Vec::new(), Vec::new());
    for named in proxies {
        let mut values = all.of(&named.name);
        let place = values.place(&Scope::Proxy, "proxy").unwrap_or(&named.place).clone();
        // About an address that cannot be read, all has been said.
        places.push((!values.is_wrong("proxy")).then_some(place));
        configs.push(proxy::config(&named.name, &mut values, &Origin::File(named), mistakes)?);
    }
    let listening: Vec<_> =
        configs.iter().zip(&places).filter_map(|(config, place)| Some((config, place.as_ref()?))).collect();
    let addresses: Vec<_> = listening.iter().map(|(config, _)| *config).collect();
    for (number, what) in conflicts(&addresses) {
        mistakes.push(Diagnostic::new(listening[number].1, what));
    }
    Ok(configs)
}

/// One that is easily typed again.
fn random_seed() -> Result<u64, Diagnostics> {
    let none =
        |error| Diagnostic::new("--seed", format_args!("the system has no random numbers ({error}), give a seed"));
    Ok(SysRng.try_next_u32().map(u64::from).map_err(none)?)
}
