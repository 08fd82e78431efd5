//! What the command line asks for.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ArgMatches;

use super::{Exit, completions, errors, flags, help, man, program_name};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::net::host_port::HostPort;
use crate::program::config::entry::{Entry, Origin};
use crate::program::config::schema::{Schema, Setting};
use crate::program::health;

pub(super) struct Args {
    pub(super) config: Option<PathBuf>,
    pub(super) demo: bool,
    pub(super) instead: Option<Instead>,
    pub(super) entries: Vec<Entry>,
    /// What stands after `--`.
    pub(super) command: Vec<OsString>,
}

/// What to do instead of running.
pub(super) enum Instead {
    /// Say what would run.
    Check,
    /// Show all options, each with where it is from.
    PrintConfig,
    /// Show the certificate of the authority of `--tls auto`.
    Authority,
    /// Ask a daemon whether it is healthy: this one, or the one that the configuration describes.
    Health(Option<HostPort>),
}

/// Reads `words`, of which the first is the program's name.
pub(super) fn parse(words: &[OsString], schema: &Schema<'_>) -> Result<Args, Exit> {
    let command = flags::command(schema, flags::Help::Long);
    let mut matches = match command.clone().try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) if help::is_short(&error, words) => {
            return Err(Exit::Text(flags::command(schema, flags::Help::Short).render_help().to_string()));
        }
        Err(error) => return Err(errors::exit(&error, &command, words, schema)),
    };
    if matches.get_flag("man") {
        return Err(Exit::Text(man::page(command, schema.registry)));
    }
    if let Some(shell) = matches.remove_one::<String>("completions") {
        return Err(Exit::Text(completions::script(&shell, program_name(words), &command, schema)?));
    }
    let instead = instead(&mut matches)?;
    let entries = schema.all().filter_map(|setting| entry(setting, &mut matches)).collect();
    let command: Vec<OsString> = matches.remove_many("command").into_iter().flatten().collect();
    if command.is_empty() && words.iter().any(|word| word == "--") {
        return Err(Diagnostics::from(Diagnostic::new("", "no command after `--`")).into());
    }
    Ok(Args { config: matches.remove_one("config"), demo: matches.get_flag("demo"), instead, entries, command })
}

fn entry(setting: &Setting<'_>, matches: &mut ArgMatches) -> Option<Entry> {
    let flag = setting.flag();
    let given: Vec<String> = matches.remove_many(&flag)?.collect();
    // Rules and toxics hold commas.
    let is_lines = matches!(flag.as_str(), "rule" | "toxic");
    // An empty one among lines would be a blank line.
    let has_blank = || given.iter().any(|text| text.trim().is_empty());
    if is_lines && has_blank() {
        return Some(setting.entry(given.into(), Origin::Named(format!("--{flag}"))));
    }
    let separator = if is_lines { "\n" } else { "," };
    Some(setting.entry(setting.field.parse(&given.join(separator)), Origin::Named(format!("--{flag}"))))
}

fn instead(matches: &mut ArgMatches) -> Result<Option<Instead>, Diagnostics> {
    if matches.get_flag("check") {
        return Ok(Some(Instead::Check));
    }
    if matches.get_flag("print-config") {
        return Ok(Some(Instead::PrintConfig));
    }
    if matches.get_flag("tls-ca") {
        return Ok(Some(Instead::Authority));
    }
    let Some(daemon) = matches.remove_one::<String>("health") else { return Ok(None) };
    // As with variables, an empty value counts as unset.
    let daemon = (!daemon.is_empty()).then(|| health::read(&daemon)).transpose();
    let daemon = daemon.map_err(|what| Diagnostic::new("--health", what))?;
    Ok(Some(Instead::Health(daemon)))
}
