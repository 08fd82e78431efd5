//! The flags: one for each option, and those of the program alone.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgGroup, Command};
use serde_json::Value;

use super::{NAME, help};
use crate::program::config::schema::{HANDLERS, Schema, Setting};
use crate::settings::Field;

/// How much of the flags the help shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Help {
    /// `-h`: those that are used most.
    Short,
    /// `--help`.
    Long,
}

/// The heading of the flags that no setting has.
const OTHER: &str = "Other";

/// Flags that do something else than run the proxies. Only one can be given.
const INSTEAD: [&str; 6] = ["check", "print-config", "tls-ca", "health", "completions", "man"];

/// The widest line of the help, in columns.
const WIDTH: usize = 100;

pub(super) fn command(schema: &Schema<'_>, help: Help) -> Command {
    let after = if help == Help::Short { help::after_short() } else { help::after_long(schema.registry) };
    let command = Command::new(NAME)
        .version(env!("CARGO_PKG_VERSION"))
        .about(help::ABOUT)
        .override_usage(help::USAGE)
        .after_help(after)
        .max_term_width(WIDTH)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args(schema.all().map(flag))
        .next_help_heading(OTHER)
        .args(others())
        .group(ArgGroup::new("instead").args(INSTEAD));
    if help == Help::Long {
        return command;
    }
    let is_common = |id: &str| {
        let setting = schema.all().find(|setting| setting.flag() == id);
        setting.map_or(["config", "demo", "check", "help"].contains(&id), |setting| setting.field.common)
    };
    command.mut_args(|arg| {
        let hide = arg.is_hide_set() || !is_common(arg.get_id().as_str());
        arg.hide(hide).help_heading("Options")
    })
}

fn flag(setting: &Setting<'_>) -> Arg {
    let (field, flag) = (setting.field, setting.flag());
    let is_handlers = setting.path.starts_with(HANDLERS);
    let heading = if is_handlers { Some("Handlers") } else { field.heading.as_deref() };
    let arg = Arg::new(flag.clone())
        .long(flag.clone())
        .help_heading(heading.unwrap_or(OTHER).to_owned())
        .help(with_default(field))
        .value_name(field.placeholder())
        .allow_negative_numbers(true)
        // A secret that begins with `-` must not be taken for a flag, which would be shown.
        .allow_hyphen_values(field.secret)
        // Options of the connection are explained once, not for each handler.
        .hide(field.hidden || setting.inherited);
    let arg = match flag.strip_prefix("handler") {
        Some(rest) => arg.alias(format!("behavior{rest}")),
        None => arg,
    };
    let arg = if field.is_list() { arg.action(ArgAction::Append) } else { arg };
    if field.is_switch() || field.is_optional() { arg.num_args(0..=1).default_missing_value("true") } else { arg }
}

fn with_default(field: &Field) -> String {
    match &field.default {
        Value::Null => field.help.clone(),
        Value::Array(none) if none.is_empty() => field.help.clone(),
        default => format!("{} [default: {}]", field.help, default.as_str().unwrap_or(&default.to_string())),
    }
}

/// The flags that no option has.
fn others() -> [Arg; 11] {
    let switch = |flag, help| Arg::new(flag).long(flag).action(ArgAction::SetTrue).help(help);
    let taking = |flag, value, help| Arg::new(flag).long(flag).value_name(value).help(help);
    [
        taking("config", "FILE", "Read options from this TOML file").value_parser(clap::value_parser!(PathBuf)),
        switch("demo", "Show all handlers at work on a small built-in HTTP server"),
        Arg::new("command")
            .num_args(1..)
            .last(true)
            .value_name("COMMAND")
            .value_parser(clap::value_parser!(OsString))
            .hide(true),
        switch("check", "Check the options, print what would run, and exit"),
        switch("print-config", "Print all options as a file, with the origin of each"),
        switch("tls-ca", "Print the certificate of the authority of --tls auto"),
        taking("health", "HOST:PORT", "Ask a daemon if it is healthy [default: at --http-host, --http-port]")
            .num_args(0..=1)
            .default_missing_value(""),
        taking("completions", "SHELL", "Print completions for bash, elvish, fish, powershell or zsh"),
        switch("man", "Print the manual page"),
        Arg::new("help")
            .short('h')
            .long("help")
            .action(ArgAction::Help)
            .help("Print all options, or with -h the most used"),
        Arg::new("version").short('V').long("version").action(ArgAction::Version).help("Print the version"),
    ]
}
