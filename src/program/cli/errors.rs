//! What is wrong with the command line, in one line.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

use super::Exit;
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::program::config::hints;
use crate::program::config::schema::Schema;

/// The mistake in `words`, which `command` could not read; or the text that they ask for.
pub(super) fn exit(error: &clap::Error, command: &Command, words: &[OsString], schema: &Schema<'_>) -> Exit {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    let arg = name(context(ContextKind::InvalidArg));
    let what = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => return Exit::Text(error.to_string()),
        ErrorKind::UnknownArgument if arg.starts_with('-') => unknown(arg, command, words, schema),
        ErrorKind::UnknownArgument if words.iter().any(|word| word == "ctl") => {
            "`ctl` comes first: `vaurien ctl …`".to_owned()
        }
        ErrorKind::UnknownArgument => {
            format!("unexpected argument `{}`, a command goes after `--`", context(ContextKind::InvalidArg))
        }
        ErrorKind::ArgumentConflict => match error.get(ContextKind::PriorArg) {
            Some(ContextValue::String(prior)) if name(prior) != arg => {
                format!("`{arg}` and `{}` cannot be combined, give one of them", name(prior))
            }
            _ => format!("`{arg}` is given twice, give it once"),
        },
        ErrorKind::InvalidValue => format!("`{arg}` needs a value, see --help"),
        ErrorKind::TooManyValues => format!("`{arg}` takes no value"),
        ErrorKind::InvalidUtf8 => "the command line is not UTF-8".to_owned(),
        _ => error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    };
    Exit::Diagnostics(Diagnostic::new("", what).into())
}

/// A flag without its value: clap names it as its usage has it, `--backend <HOST:PORT>`.
fn name(usage: &str) -> &str {
    usage.split([' ', '=', '[']).next().unwrap_or_default()
}

/// The message for an unknown flag.
fn unknown(arg: &str, command: &Command, words: &[OsString], schema: &Schema<'_>) -> String {
    let flags = command.get_arguments().filter_map(Arg::get_long).map(|flag| format!("--{flag}"));
    let flags: Vec<String> = flags.collect();
    let word = arg.trim_start_matches('-');
    if let Some(hint) = hints::of_flag(word) {
        return format!("unknown option `{arg}`, {hint}");
    }
    if schema.registry.get(word).is_some() {
        return format!("unknown option `{arg}`, did you mean `--handler {word}`?");
    }
    if let Some((handler, known)) = handler_of(word, schema) {
        let near = did_you_mean(arg, known.iter().map(String::as_str));
        let known = match known.as_slice() {
            [] => format!(", `{handler}` has no options of its own"),
            known => format!(" (known: {})", known.join(", ")),
        };
        return format!("unknown option `{arg}`{known}{near}");
    }
    let near = did_you_mean(arg, flags.iter().map(String::as_str));
    if !near.is_empty() {
        return format!("unknown option `{arg}`{near}");
    }
    match meant_as_value(arg, command, words) {
        Some((flag, value)) => {
            format!("`{flag}` needs a value, write one that begins with `-` after `=`: `{flag}={value}`")
        }
        None => format!("unknown option `{arg}`, see --help"),
    }
}

/// The handler that an unknown flag is for, and the flags of its own options.
fn handler_of<'s>(word: &str, schema: &'s Schema<'_>) -> Option<(&'s str, Vec<String>)> {
    let rest = ["handler-", "behavior-"].iter().find_map(|prefix| word.strip_prefix(prefix))?;
    let is_for = |name: &&str| rest.strip_prefix(name).is_some_and(|option| option.starts_with('-'));
    let name = schema.registry.names().filter(is_for).max_by_key(|name| name.len())?;
    let own = schema.of_handler(name).into_iter().filter(|setting| !setting.inherited);
    Some((name, own.map(|setting| format!("--{}", setting.flag())).collect()))
}

/// The flag that stands before `arg` without a value, and the word that begins with `arg`.
fn meant_as_value<'w>(arg: &str, command: &Command, words: &'w [OsString]) -> Option<(&'w str, &'w str)> {
    let needs_value = |flag: &str| {
        let has_name = |known: &&Arg| {
            known.get_long() == Some(flag) || known.get_all_aliases().is_some_and(|names| names.contains(&flag))
        };
        let known = command.get_arguments().find(has_name);
        known.is_some_and(|known| {
            known.get_action().takes_values() && known.get_num_args().is_none_or(|number| number.min_values() > 0)
        })
    };
    let mut two = words.windows(2).filter_map(|two| Some((two[0].to_str()?, two[1].to_str()?)));
    two.find(|(flag, value)| value.starts_with(arg) && flag.strip_prefix("--").is_some_and(needs_value))
}
