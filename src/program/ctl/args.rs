//! The command line of `vaurien ctl`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command, value_parser};

use crate::diagnostic::did_you_mean;

/// The word that comes first.
pub(super) const NAME: &str = "ctl";

const ABOUT: &str = "Show and change the proxies of a running daemon";

const AFTER: &str = "\
PROXY can be left out if the daemon has one proxy. Without --http, the daemon is where VAURIEN_HTTP says, else at \
VAURIEN_HTTP_HOST and VAURIEN_HTTP_PORT. The token can be given by VAURIEN_HTTP_TOKEN or VAURIEN_HTTP_TOKEN_FILE as well.

Exit codes: 1 if the daemon refuses or cannot be reached, 2 if the command line is wrong.";

/// The place of the options of all commands in the help: behind those of one.
const LAST: usize = 100;

/// The widest line of the help, in columns.
const WIDTH: usize = 100;

pub(crate) fn command() -> Command {
    let entries = |what: &'static str, text: &'static str| {
        let add = of_proxy(Command::new("add")).about(format!("Add a {what}, after the others")).arg(needed(
            what,
            text,
            "As on the daemon's command line, in quotes",
        ));
        let add = add.arg(duration("Remove it after this time"));
        let before = Arg::new("before").long("before").value_name("NAME").help("Put it before this rule, or `first`");
        let list = of_proxy(Command::new("list")).about(format!("List the {what}s with their counts"));
        let remove = of_proxy(Command::new("remove")).about(format!("Remove a {what}"));
        Command::new(what)
            .subcommand(if what == "rule" { add.arg(before) } else { add })
            .subcommand(list)
            .subcommand(remove.arg(needed("name", "NAME", "Its name")))
            .subcommand_required(true)
    };
    let handler = of_proxy(Command::new("handler")).about("Give calls another mix of handlers: 20:delay,5:error");
    let disable = of_proxy(Command::new("disable")).about("Stop listening, and close all connections");
    let follow = Arg::new("follow").short('f').long("follow").action(ArgAction::SetTrue);
    let since = Arg::new("since").long("since").value_name("ID").value_parser(value_parser!(u64));
    let command = Command::new(NAME)
        .bin_name("vaurien ctl")
        .about(ABOUT)
        .after_help(AFTER)
        .max_term_width(WIDTH)
        .disable_help_subcommand(true)
        .disable_version_flag(true)
        .subcommand_required(true)
        .args(global())
        .subcommand(Command::new("list").about("List all proxies"))
        .subcommand(handler.arg(needed("mix", "MIX", "A handler, or a mix of them")).arg(duration("Then as before")))
        .subcommand(entries("rule", "RULE").about("Add, remove or list the rules of a proxy"))
        .subcommand(entries("toxic", "TOXIC").about("Add, remove or list the toxics of a proxy"))
        .subcommand(of_proxy(Command::new("enable")).about("Listen again, on the same port"))
        .subcommand(disable.arg(duration("Then listen again")))
        .subcommand(of_proxy(Command::new("reset")).about("Set a proxy back to what the file says"))
        .subcommand(of_proxy(Command::new("connections")).about("List the open connections"))
        .subcommand(of_proxy(Command::new("calls")).about("List what clients call, the most frequent first"))
        .subcommand(
            Command::new("events")
                .about("Print the latest events, a line each")
                .arg(follow.help("Print new events as they happen"))
                .arg(since.help("Begin after the event with this number")),
        );
    with_help(command)
}

/// The options of all commands.
fn global() -> [Arg; 4] {
    let option = |name: &'static str, value, help| {
        Arg::new(name).long(name).value_name(value).help(help).global(true).display_order(LAST)
    };
    [
        option("http", "HOST:PORT", "Where the daemon has its HTTP API [default: localhost:8080]"),
        option("http-token", "TOKEN", "The token of the API").allow_hyphen_values(true),
        option("http-token-file", "FILE", "Read the token from this file").value_parser(value_parser!(PathBuf)),
        Arg::new("json")
            .long("json")
            .action(ArgAction::SetTrue)
            .help("Print answers as they are")
            .global(true)
            .display_order(LAST),
    ]
}

fn of_proxy(command: Command) -> Command {
    command.allow_missing_positional(true).arg(Arg::new("proxy").value_name("PROXY").help("The name of the proxy"))
}

fn needed(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).value_name(value).required(true).help(help)
}

fn duration(help: &str) -> Arg {
    Arg::new("for").long("for").value_name("SECONDS").help(format!("{help}: 5s"))
}

/// Each command has `-h`, with a text like those of its other options.
fn with_help(command: Command) -> Command {
    let help = Arg::new("help")
        .short('h')
        .long("help")
        .action(ArgAction::Help)
        .help("Print this help")
        .display_order(LAST + 1);
    command.mut_subcommands(with_help).disable_help_flag(true).disable_help_subcommand(true).arg(help)
}

/// Each command as it is written, and what it does.
pub(crate) fn commands() -> Vec<(String, String)> {
    fn add(command: &Command, before: &str, all: &mut Vec<(String, String)>) {
        for command in command.get_subcommands() {
            let name = format!("{before}{}", command.get_name());
            if command.has_subcommands() {
                add(command, &format!("{name} "), all);
                continue;
            }
            let args = command.get_arguments().filter(|arg| arg.get_id() != "help").map(|arg| {
                let value = arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str());
                let flag = arg.get_short().map(|flag| format!("-{flag}"));
                match flag.or_else(|| arg.get_long().map(|flag| format!("--{flag} {value}"))) {
                    Some(flag) => format!("[{flag}]"),
                    None if arg.is_required_set() => value.to_owned(),
                    None => format!("[{value}]"),
                }
            });
            let usage = [name].into_iter().chain(args).collect::<Vec<_>>().join(" ");
            all.push((usage, command.get_about().map(ToString::to_string).unwrap_or_default() + "."));
        }
    }
    let mut all = Vec::new();
    add(&command(), "", &mut all);
    all
}

/// What is wrong, in one line.
pub(super) fn mistake(error: &clap::Error, args: &[OsString]) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        _ => String::new(),
    };
    let arg = context(ContextKind::InvalidArg);
    let flag = arg.split(' ').next().unwrap_or_default();
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let (given, known) = (context(ContextKind::InvalidSubcommand), known(args));
            let hint = did_you_mean(&given, known.iter().map(String::as_str));
            format!("unknown command `{given}` (known: {}){hint}", known.join(", "))
        }
        ErrorKind::MissingSubcommand => format!("no command: {}", known(args).join(", ")),
        ErrorKind::MissingRequiredArgument => format!("{} is missing, see --help", arg.replace(['<', '>'], "")),
        ErrorKind::UnknownArgument if arg.starts_with('-') => format!("unknown option `{flag}`, see --help"),
        ErrorKind::UnknownArgument => format!("`{arg}` is one word too many: quote what belongs together"),
        ErrorKind::ArgumentConflict => format!("`{flag}` is given twice, give it once"),
        ErrorKind::InvalidValue => format!("`{flag}` needs a value, see --help"),
        ErrorKind::ValueValidation => {
            format!("{flag}: `{}` is not an event's number", context(ContextKind::InvalidValue))
        }
        ErrorKind::InvalidUtf8 => "the command line is not UTF-8".to_owned(),
        _ => error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    }
}

/// The commands that can follow those of the command line.
fn known(args: &[OsString]) -> Vec<String> {
    let mut command = command();
    for word in args {
        if let Some(next) = command.find_subcommand(word) {
            command = next.clone();
        }
    }
    command.get_subcommands().map(|command| command.get_name().to_owned()).collect()
}
