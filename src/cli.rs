//! The command line: one flag for each option, and what `--help` says.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::Value;

use crate::config::Exit;
use crate::config::mistake::{Mistake, nearest};
use crate::config::options::{Options, Scope, Setting};
use crate::config::proxy::DEFAULT;
use crate::config::values::{Asked, Place};
use crate::handler::{Entry, Registry};
use crate::settings::{Field, Given};

/// What the command line asked for.
pub(crate) struct Line<'a> {
    pub(crate) config: Option<PathBuf>,
    pub(crate) demo: bool,
    pub(crate) asked: Vec<Asked<'a>>,
}

/// Flags by heading, in the order of the help. The handlers' own follow those of their heading.
const HEADINGS: [(&str, &[&str]); 6] = [
    ("Proxy", &["proxy", "backend", "protocol", ENABLED, "seed"]),
    (HANDLERS, &["handler"]),
    ("Connection", &["buffer", "keep-alive", "reuse-socket", "pool-size", "pool-timeout", "connect-timeout"]),
    ("HTTP API", &["http", "http-host", "http-port", "http-allow-host", "http-token", "http-token-file"]),
    ("statsd", &["statsd-enabled", "statsd-host", "statsd-port", "statsd-prefix"]),
    ("Logging", &["log-level", "log-format", "events"]),
];

/// A flag that is of use in the file alone, and not shown.
const ENABLED: &str = "enabled";

const HANDLERS: &str = "Handlers";

/// What the help ends with.
const NOTES: &str = "\
A BOOL is true or false; its flag alone means true. SECONDS may have decimals, or a unit: 250ms.
A variable is as good as its flag: VAURIEN_BACKEND for --backend, VAURIEN_HANDLER_DELAY_SLEEP for
--handler-delay-sleep. Flags win over variables, variables over the file.

Examples:
  One Redis call in five is a quarter of a second late:
    vaurien --backend localhost:6379 --protocol redis --handler 20:delay --handler-delay-sleep 0.25
  An HTTP API that sometimes fails and seldom hangs up:
    vaurien --backend localhost:8080 --protocol http --handler 5:error,0.5:blackout
  All options from a file, the address from here:
    vaurien --config vaurien.toml --proxy localhost:9000";

/// The widest line of the help, in columns.
const WIDTH: usize = 100;

/// Reads `args`, of which the first is the program's name.
pub(crate) fn parse<'a>(args: impl IntoIterator<Item = OsString>, options: &'a Options<'_>) -> Result<Line<'a>, Exit> {
    let command = command(options);
    let flags = command.get_arguments().filter_map(Arg::get_long).map(|flag| format!("--{flag}"));
    let flags: Vec<String> = flags.collect();
    let mut matches = command.try_get_matches_from(args).map_err(|error| exit(&error, &flags))?;
    let asked = options.all().filter_map(|setting| asked(setting, &mut matches)).collect();
    Ok(Line { config: matches.remove_one("config"), demo: matches.get_flag("demo"), asked })
}

fn asked<'a>(setting: Setting<'a>, matches: &mut ArgMatches) -> Option<Asked<'a>> {
    let flag = setting.flag();
    let given = Given::Text(matches.remove_one(&flag)?);
    Some(Asked { setting, given, place: Place::new(format!("--{flag}"), ""), of: DEFAULT.to_owned() })
}

fn command(options: &Options<'_>) -> Command {
    let mut command = Command::new("vaurien")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Stands between a client and a backend, passes their traffic on, and makes trouble on purpose.")
        .override_usage("vaurien --backend HOST:PORT [--handler MIX] [OPTIONS]")
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
    command.next_help_heading("Other").args([
        Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("Read options from this TOML file"),
        Arg::new("demo")
            .long("demo")
            .action(ArgAction::SetTrue)
            .help("Show all handlers at work on a small built-in HTTP server"),
        Arg::new("help").short('h').long("help").action(ArgAction::Help).help("Print this help"),
        Arg::new("version").short('V').long("version").action(ArgAction::Version).help("Print the version"),
    ])
}

fn flag(setting: &Setting<'_>) -> Arg {
    let field = setting.field;
    let flag = setting.flag();
    let arg = Arg::new(flag.clone()).long(flag.clone()).allow_negative_numbers(true).help(help(field));
    let arg = match flag.strip_prefix("handler") {
        Some(rest) => arg.alias(format!("behavior{rest}")),
        None => arg,
    };
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
    let takers = registry.entries().iter().filter(|entry| entry.takes_connection_options).map(Entry::name);
    let takers = takers.collect::<Vec<_>>().join(", ");
    format!(
        "What handlers do:\n{handlers}The rest of a mix is dummy. --behavior is another name of --handler.\n\n\
         --protocol, --buffer, --keep-alive and --reuse-socket can also be set for {takers}, as in \
         --handler-delay-protocol redis: that wins where the handler is in the mix.\n\n\
         {NOTES}"
    )
}

/// What is wrong with the command line, in one line; or the text that it asked for.
fn exit(error: &clap::Error, flags: &[String]) -> Exit {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    // clap names a flag as its usage has it: `--backend <HOST:PORT>`.
    let arg = context(ContextKind::InvalidArg).split([' ', '=', '[']).next().unwrap_or_default();
    let what = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => return Exit::Help(error.to_string()),
        ErrorKind::UnknownArgument if arg.starts_with('-') => {
            let near = nearest(arg, flags.iter().map(String::as_str));
            let hint = match near {
                Some(near) => format!(", did you mean `{near}`?"),
                None if arg[1..].starts_with(|digit: char| digit.is_ascii_digit()) => {
                    format!(", a value that begins with `-` goes behind `=`: `--option={arg}`")
                }
                None => ", see --help".to_owned(),
            };
            format!("unknown option `{arg}`{hint}")
        }
        ErrorKind::UnknownArgument => {
            format!("`{}` belongs to no option, see --help", context(ContextKind::InvalidArg))
        }
        ErrorKind::ArgumentConflict => format!("`{arg}` is there twice, give it once"),
        ErrorKind::InvalidValue => format!("`{arg}` needs a value, see --help"),
        ErrorKind::TooManyValues => format!("`{arg}` takes no value"),
        ErrorKind::InvalidUtf8 => "the command line is not UTF-8".to_owned(),
        _ => error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    };
    Exit::Mistakes(Mistake::new("", what).into())
}
