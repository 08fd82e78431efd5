//! The command line: what it asks for, and what it can do instead of running.

mod args;
mod check;
mod completions;
mod errors;
mod flags;
mod help;
mod man;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::handler::Registry;
use crate::net::host_port::HostPort;
use crate::program::command::Again;
use crate::program::config::entry::{Entry, Origin};
use crate::program::config::layout::Layout;
use crate::program::config::schema::{PROXY_TABLES, Schema};
use crate::program::config::values::Values;
use crate::program::config::variables::{FILE, Variables};
use crate::program::config::{self, Config, Log, Outside, file, health_address, presets, print};
use crate::program::health;
use crate::program::tls::Kept;
use args::{Args, Instead};

pub use check::Check;

/// Why there is no configuration to run with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit {
    /// A text for standard output, such as help or the version: exit code 0.
    Text(String),
    /// The result of `--check` with nothing wrong, or another text that may come with warnings: exit code 0.
    Check(Check),
    /// To ask whether the daemon with this HTTP API is healthy: exit code 0 if it is, else 1.
    Health(HostPort),
    /// What is wrong, a line each for standard error: exit code 2.
    Diagnostics(Diagnostics),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Check(check) => f.write_str(&check.lines),
            Self::Health(address) => f.write_str(&health::url(address)),
            Self::Diagnostics(diagnostics) => diagnostics.fmt(f),
        }
    }
}

impl std::error::Error for Exit {}

impl From<Diagnostics> for Exit {
    fn from(diagnostics: Diagnostics) -> Self {
        Self::Diagnostics(diagnostics)
    }
}

impl Config {
    /// Reads `args`, of which the first is the program's name, the variables of `environment` that begin with `VAURIEN_`, and
    /// the file that one of them names. An empty variable counts as unset, unless it is the API's token.
    ///
    /// # Errors
    ///
    /// [`Exit::Diagnostics`] with all that is wrong, or another [`Exit`] if an option asks for something else than a run.
    pub fn from_args(
        args: impl IntoIterator<Item = OsString>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        registry: &Registry,
    ) -> Result<Self, Exit> {
        let schema = Schema::new(registry);
        let words: Vec<OsString> = args.into_iter().collect();
        let args = args::parse(&words, &schema)?;
        let mut diagnostics = Diagnostics::default();
        let variables = Variables::new(environment, &mut diagnostics);

        let from_flag = args.config.as_ref().map(|path| ("--config", path.clone()));
        let file = from_flag.or_else(|| variables.asked(FILE).map(|path| (FILE, PathBuf::from(path))));
        let read = file.as_ref().map(|(place, path)| file::read(place, path, registry)).transpose();
        let file_is_unread = read.is_err();
        let read = read.unwrap_or_else(|unreadable| {
            diagnostics.extend(unreadable);
            None
        });
        let (from_file, listed) = read.map_or((Vec::new(), None), |read| (read.entries, read.listed));
        let (listed, doubts) = listed.map(|list| (list.proxies, list.warnings)).unzip();

        // The weakest first.
        let layout = Layout::of(&from_file);
        let mut entries = Vec::new();
        if !args.command.is_empty() {
            entries.extend(presets::with_a_command(&schema, &layout));
        }
        if args.demo {
            entries.extend(presets::demo(&schema, &layout));
        }
        entries.extend(from_file);
        let from_variables = variables.entries(&schema);
        let again = again(&words, &schema, &entries, &from_variables, variables.asked(FILE));
        entries.extend(from_variables);
        entries.extend(args.entries.iter().cloned());

        if let Some(Instead::Authority) = args.instead {
            let only = |entry: &&Entry| entry.path == ["tls_dir"];
            let entries: Vec<Entry> = entries.iter().filter(only).cloned().collect();
            let values = Values::check(&schema, &layout, &entries, &mut diagnostics);
            let Kept { authority, warnings } = config::authority(&values, variables.authority(), diagnostics)?;
            let (lines, log) = (authority.certificate_pem().to_owned(), Log::default());
            return Err(Exit::Check(Check { lines, warnings, log }));
        }
        if let Some(Instead::Health(daemon)) = &args.instead {
            let told = || ask_where(&schema, &layout, &entries, variables.told("VAURIEN_HTTP"), diagnostics);
            let address = daemon.clone().map_or_else(told, Ok)?;
            return Err(Exit::Health(health::reachable(address)));
        }
        let values = Values::check(&schema, &layout, &entries, &mut diagnostics);
        if args.demo {
            diagnostics.extend(conflicts_with_demo(&args, &values));
        }
        let outside = Outside {
            file: file.as_ref().map(|(place, path)| (*place, path.as_path())),
            file_is_unread,
            listed: listed.clone(),
            authority: variables.authority(),
            is_dry: args.instead.is_some(),
        };
        let config = Self::build(&values, args.demo, args.command, outside, diagnostics)?;
        let warnings = [variables.unknown(&schema), doubts.unwrap_or_default(), config.warnings].concat();
        let config = Self { warnings, ..config };
        match args.instead {
            Some(Instead::PrintConfig) => Err(Exit::Text(match (&listed, &file) {
                (Some(listed), Some((_, path))) if !listed.is_empty() => {
                    let has_own = config.proxies.len() > listed.len();
                    print::with_listed(&schema, &entries, has_own, listed, &path.display().to_string())
                }
                _ => print::text(&values),
            })),
            Some(Instead::Check) => Err(Exit::Check(Check::of(config, registry))),
            _ => Ok(Self { again, ..config }),
        }
    }
}

/// The address that `--health` asks if it names none. `told` is the API of an outer vaurien; only flags override it.
fn ask_where(
    schema: &Schema<'_>,
    layout: &Layout,
    entries: &[Entry],
    told: Option<String>,
    mut diagnostics: Diagnostics,
) -> Result<HostPort, Diagnostics> {
    // Mistakes in other options do not matter here.
    let matters = |entry: &&Entry| {
        let path: Vec<&str> = entry.path.iter().map(String::as_str).collect();
        let is_default = matches!(entry.origin, Origin::Default(_));
        matches!(path[..], ["http"] | ["http", "enabled" | "host" | "port"]) && !is_default
    };
    let entries: Vec<Entry> = entries.iter().filter(matters).cloned().collect();
    let is_flag = |origin: &Origin| ["--http-host", "--http-port"].contains(&&*origin.to_string());
    let is_flagged = entries.iter().any(|entry| is_flag(&entry.origin));
    if let Some(told) = told.filter(|_| !is_flagged) {
        return told.parse().map_err(|error| Diagnostic::new("VAURIEN_HTTP", error).into());
    }
    let values = Values::check(schema, layout, &entries, &mut diagnostics);
    health_address(&values, diagnostics)
}

/// The command line that does the same again. `weaker` are the entries of all but variables and flags.
fn again(
    words: &[OsString],
    schema: &Schema<'_>,
    weaker: &[Entry],
    variables: &[Entry],
    file: Option<String>,
) -> Again {
    let secrets = schema.all().filter(|setting| setting.field.secret);
    let secrets: Vec<_> = secrets.map(|setting| (setting.flag(), setting.variable())).collect();
    let shown = variables.iter().filter_map(|entry| {
        let variable = entry.origin.to_string();
        let is_secret = secrets.iter().any(|(_, secret)| *secret == variable);
        // The line has flags for these two.
        let is_told = ["VAURIEN_SEED", "VAURIEN_REPEAT"].contains(&&*variable);
        let value = entry.value.as_str().map_or_else(|| entry.value.to_string(), str::to_owned);
        (!is_told).then(|| (variable, (!is_secret).then_some(value)))
    });
    let file = file.map(|file| (FILE.to_owned(), Some(file)));
    let mut again = Again::new(words, &secrets, shown.chain(file).collect());
    let asks = |key: &str| weaker.iter().chain(variables).any(|entry| entry.path == ["run", key]);
    (again.repeats, again.expects_totals) = (asks("repeat"), asks("expect_total"));
    again
}

/// What cannot be combined with `--demo`.
fn conflicts_with_demo(args: &Args, values: &Values<'_>) -> Diagnostics {
    let has_backend = args.entries.iter().any(|entry| entry.path == ["backend"]);
    let has_tls = PROXY_TABLES.iter().any(|table| values.table(&format!("{table}.")).next().is_some());
    let prints = matches!(args.instead, Some(Instead::PrintConfig));
    let conflicts = [
        (
            matches!(values.layout, Layout::Several(_)),
            "the demo has one proxy, and the file has `[proxies]`, leave one of them out",
        ),
        (has_backend, "the demo has a built-in backend, leave out `--backend`"),
        (prints, "no file can ask for the built-in backend, leave out `--print-config`"),
        (!args.command.is_empty(), "the demo makes its own calls, leave out the command"),
        (has_tls, "the demo's client and its backend speak HTTP without TLS, leave out options of TLS"),
    ];
    let conflicts = conflicts.into_iter().filter(|(is_there, _)| *is_there);
    conflicts.map(|(_, what)| Diagnostic::new("--demo", what)).collect()
}

/// The program's usual name.
const NAME: &str = "vaurien";

/// The name that the program was called by.
fn program_name(words: &[OsString]) -> &str {
    words.first().and_then(|program| Path::new(program).file_name()?.to_str()).unwrap_or(NAME)
}
