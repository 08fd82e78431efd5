//! The command line: one flag for each option, and what `--help` says.

mod completions;
mod man;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command};
use serde_json::Value;

use crate::diagnostic::Diagnostics;
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::handler::{Entry, Registry};
use crate::net::address::Address;
use crate::program::config::Exit;
use crate::program::config::options::{Options, Scope, Setting};
use crate::program::config::values::{Asked, Place};
use crate::program::health;
use crate::proxy::config::DEFAULT;
use crate::settings::{Field, Given};

/// What the command line asked for.
pub(crate) struct Line<'a> {
    pub(crate) config: Option<PathBuf>,
    pub(crate) demo: bool,
    pub(crate) instead: Option<Instead>,
    pub(crate) asked: Vec<Asked<'a>>,
    /// What stands behind `--`.
    pub(crate) command: Vec<OsString>,
}

/// What to do instead of running.
pub(crate) enum Instead {
    /// Say what would run.
    Check,
    /// Show all options, each with where it is from.
    PrintConfig,
    /// Ask a daemon whether it is well: this one, or where what was asked for has its API.
    Health(Option<Address>),
}

/// The flags of which each is for something else than to run.
const INSTEAD: &str = "instead";

/// The program, unless somebody gave it another name.
const NAME: &str = "vaurien";

/// Flags by heading, in the order of the help. The handlers' own follow those of their heading.
const HEADINGS: [(&str, &[&str]); 7] = [
    ("Proxy", &["proxy", "backend", "protocol", ENABLED, "seed"]),
    (HANDLERS, &["handler"]),
    ("Connection", &["buffer", "keep-alive", "reuse-socket", "pool-size", "pool-timeout", "connect-timeout"]),
    ("Command", &["wait-backend", "expect", "timeout", "repeat", "report", "ready-file"]),
    ("HTTP API", &["http", "http-host", "http-port", "http-allow-host", "http-token", "http-token-file"]),
    ("statsd", &["statsd-enabled", "statsd-host", "statsd-port", "statsd-prefix"]),
    ("Logging", &["log-level", "log-format", "events"]),
];

/// A flag that is of use in the file alone, and not shown.
const ENABLED: &str = "enabled";

const HANDLERS: &str = "Handlers";

/// How values are written.
pub(crate) const VALUES: &str =
    "A BOOL is true or false; its flag alone means true. SECONDS may have decimals, or a unit: 250ms.";

/// What flags can also be.
pub(crate) const VARIABLES: &str = "\
A variable is as good as its flag: VAURIEN_BACKEND for --backend, VAURIEN_HANDLER_DELAY_SLEEP for --handler-delay-sleep. Flags win \
over variables, variables over the file.";

/// What one may want, and how it is asked for.
pub(crate) const EXAMPLES: [(&str, &str); 4] = [
    (
        "Tests, while one Redis call in ten fails:",
        "vaurien --backend localhost:6379 --protocol redis --handler 10:error -- pytest -x",
    ),
    (
        "One Redis call in five is a quarter of a second late:",
        "vaurien --backend localhost:6379 --protocol redis --handler 20:delay --handler-delay-sleep 0.25",
    ),
    (
        "An HTTP API that sometimes fails and seldom hangs up:",
        "vaurien --backend localhost:8080 --protocol http --handler 5:error,0.5:blackout",
    ),
    ("All options from a file, the address from here:", "vaurien --config vaurien.toml --proxy localhost:9000"),
];

/// What a command finds.
pub(crate) const COMMAND: &str = "\
A COMMAND behind -- runs once everything listens, and its exit code is the program's. It finds the proxy in VAURIEN_PROXY (and \
_HOST, _PORT), one of several in VAURIEN_PROXY_NAME, the API in VAURIEN_HTTP, the seed in VAURIEN_SEED; {proxy}, {host}, {port}, \
{proxy.NAME}, {http} and {seed} in its arguments stand for these. With it --proxy and --http-port take a free port by default.";

/// What is to be known of a mix.
pub(crate) const MIX: &str = "The rest of a mix is dummy. --behavior is another name of --handler.";

/// The widest line of the help, in columns.
const WIDTH: usize = 100;

/// Reads `args`, of which the first is the program's name.
pub(crate) fn parse<'a>(args: impl IntoIterator<Item = OsString>, options: &'a Options<'_>) -> Result<Line<'a>, Exit> {
    let args: Vec<OsString> = args.into_iter().collect();
    let program = args.first().and_then(|program| Path::new(program).file_name()?.to_str()).unwrap_or(NAME).to_owned();
    let has_dashes = args.iter().any(|arg| arg == "--");
    let command = command(options);
    let flags = command.get_arguments().filter_map(Arg::get_long).map(|flag| format!("--{flag}"));
    let flags: Vec<String> = flags.collect();
    let mut matches = command.try_get_matches_from(args).map_err(|error| exit(&error, &flags))?;
    if matches.get_flag("man") {
        return Err(Exit::Text(man::page(self::command(options), options.registry)));
    }
    if let Some(shell) = matches.remove_one::<String>("completions") {
        return Err(Exit::Text(completions::script(&shell, &program, &self::command(options), options)?));
    }
    let instead = instead(&mut matches)?;
    let asked = options.all().filter_map(|setting| asked(setting, &mut matches)).collect();
    let command: Vec<OsString> = matches.remove_many("command").into_iter().flatten().collect();
    if has_dashes && command.is_empty() {
        return Err(Diagnostics::from(Diagnostic::new("", "there is no command behind `--`")).into());
    }
    Ok(Line { config: matches.remove_one("config"), demo: matches.get_flag("demo"), instead, asked, command })
}

fn asked<'a>(setting: Setting<'a>, matches: &mut ArgMatches) -> Option<Asked<'a>> {
    let flag = setting.flag();
    let given: Vec<String> = matches.remove_many(&flag)?.collect();
    let given = Given::Text(given.join(","));
    Some(Asked { setting, given, place: Place::new(format!("--{flag}"), ""), of: DEFAULT.to_owned() })
}

fn command(options: &Options<'_>) -> Command {
    let mut command = Command::new(NAME)
        .version(env!("CARGO_PKG_VERSION"))
        .about("Stands between a client and a backend, passes their traffic on, and makes trouble on purpose.")
        .override_usage("vaurien --backend HOST:PORT [--handler MIX] [OPTIONS] [-- COMMAND...]")
        .after_help(after_help(options.registry))
        .max_term_width(WIDTH)
        .disable_help_flag(true)
        .disable_version_flag(true);
    for (heading, names) in HEADINGS {
        for name in names {
            let named = options.all().find(|setting| setting.flag() == *name);
            command = command.args(named.map(|setting| flag(&setting).help_heading(heading)));
        }
        if heading == HANDLERS {
            let handlers = options.all().filter(|setting| matches!(setting.scope, Scope::Handler(_)));
            command = command.args(handlers.map(|setting| flag(&setting).help_heading(heading)));
        }
    }
    let other = [
        Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("Read options from this TOML file"),
        Arg::new("demo")
            .long("demo")
            .action(ArgAction::SetTrue)
            .help("Show all handlers at work on a small built-in HTTP server"),
        Arg::new("command")
            .num_args(1..)
            .last(true)
            .value_name("COMMAND")
            .value_parser(clap::value_parser!(OsString))
            .hide(true),
    ];
    let last = [
        Arg::new("help").short('h').long("help").action(ArgAction::Help).help("Print this help"),
        Arg::new("version").short('V').long("version").action(ArgAction::Version).help("Print the version"),
    ];
    let group = ArgGroup::new(INSTEAD).args(["check", "print-config", "health", "completions", "man"]);
    command.next_help_heading("Other").args(other.into_iter().chain(others()).chain(last)).group(group)
}

/// Flags for something else than to run.
fn others() -> [Arg; 5] {
    let switch = |flag, help| Arg::new(flag).long(flag).action(ArgAction::SetTrue).help(help);
    let taking = |flag, value, help| Arg::new(flag).long(flag).value_name(value).help(help);
    [
        switch("check", "Say what would run, or all that is wrong"),
        switch("print-config", "Print all options as a file, with where each is from"),
        taking("health", "HOST:PORT", "Ask a daemon if it is well [default: at --http-host, --http-port]")
            .num_args(0..=1)
            .default_missing_value(""),
        taking("completions", "SHELL", "Print completions for bash, elvish, fish, powershell or zsh"),
        switch("man", "Print the manual page"),
    ]
}

fn instead(matches: &mut ArgMatches) -> Result<Option<Instead>, Diagnostics> {
    if matches.get_flag("check") {
        return Ok(Some(Instead::Check));
    }
    if matches.get_flag("print-config") {
        return Ok(Some(Instead::PrintConfig));
    }
    let Some(daemon) = matches.remove_one::<String>("health") else { return Ok(None) };
    // As with variables, what is empty is as good as not there.
    let daemon = (!daemon.is_empty()).then(|| health::read(&daemon)).transpose();
    let daemon = daemon.map_err(|what| Diagnostic::new("--health", what))?;
    Ok(Some(Instead::Health(daemon)))
}

fn flag(setting: &Setting<'_>) -> Arg {
    let field = setting.field;
    let flag = setting.flag();
    let arg = Arg::new(flag.clone()).long(flag.clone()).allow_negative_numbers(true).help(help(field));
    let arg = match flag.strip_prefix("handler") {
        Some(rest) => arg.alias(format!("behavior{rest}")),
        None => arg,
    };
    let arg = if field.is_list() { arg.action(ArgAction::Append) } else { arg };
    let arg = if field.is_switch() { arg.num_args(0..=1).default_missing_value("true") } else { arg };
    // Options of the connection are explained once, not for each handler.
    let arg = arg.value_name(field.placeholder()).hide(setting.inherited || flag == ENABLED);
    // A secret that begins with `-` must not be taken for a flag, which would be shown.
    arg.allow_hyphen_values(field.secret)
}

fn help(field: &Field) -> String {
    match &field.default {
        Value::Null => field.help.clone(),
        Value::String(default) => format!("{} [default: {default}]", field.help),
        default => format!("{} [default: {default}]", field.help),
    }
}

fn after_help(registry: &Registry) -> String {
    let width = registry.names().map(str::len).max().unwrap_or_default();
    let handlers = registry.entries().iter().map(|entry| format!("  {:width$}  {}\n", entry.name(), entry.help()));
    let handlers: String = handlers.collect();
    let takers = takers(registry);
    let examples = EXAMPLES.iter().map(|(what, line)| format!("\n  {what}\n    {line}"));
    let examples: String = examples.collect();
    format!(
        "{COMMAND}\n\nWhat handlers do:\n{handlers}{MIX}\n\n{takers}\n\n{VALUES} {VARIABLES}\n\nExamples:{examples}"
    )
}

/// Which handlers can have options of the connection.
pub(crate) fn takers(registry: &Registry) -> String {
    let takers = registry.entries().iter().filter(|entry| entry.takes_connection_options).map(Entry::name);
    let takers = takers.collect::<Vec<_>>().join(", ");
    format!(
        "--protocol, --buffer, --keep-alive and --reuse-socket can also be set for {takers}, as in \
         --handler-delay-protocol redis: that wins where the handler is in the mix."
    )
}

/// A flag without its value: clap names it as its usage has it, `--backend <HOST:PORT>`.
fn name(usage: &str) -> &str {
    usage.split([' ', '=', '[']).next().unwrap_or_default()
}

/// What is wrong with the command line, in one line; or the text that it asked for.
fn exit(error: &clap::Error, flags: &[String]) -> Exit {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    let arg = name(context(ContextKind::InvalidArg));
    let what = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => return Exit::Text(error.to_string()),
        ErrorKind::UnknownArgument if arg.starts_with('-') => {
            let hint = match did_you_mean(arg, flags.iter().map(String::as_str)) {
                hint if !hint.is_empty() => hint,
                _ if arg[1..].starts_with(|digit: char| digit.is_ascii_digit()) => {
                    format!(", a value that begins with `-` goes behind `=`: `--option={arg}`")
                }
                _ => ", see --help".to_owned(),
            };
            format!("unknown option `{arg}`{hint}")
        }
        ErrorKind::UnknownArgument => {
            format!("`{}` belongs to no option, a command goes behind `--`", context(ContextKind::InvalidArg))
        }
        ErrorKind::ArgumentConflict => match error.get(ContextKind::PriorArg) {
            Some(ContextValue::String(prior)) if name(prior) != arg => {
                format!("`{arg}` and `{}` are two things to do, give one of them", name(prior))
            }
            _ => format!("`{arg}` is there twice, give it once"),
        },
        ErrorKind::InvalidValue => format!("`{arg}` needs a value, see --help"),
        ErrorKind::TooManyValues => format!("`{arg}` takes no value"),
        ErrorKind::InvalidUtf8 => "the command line is not UTF-8".to_owned(),
        _ => error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    };
    Exit::Diagnostics(Diagnostic::new("", what).into())
}
