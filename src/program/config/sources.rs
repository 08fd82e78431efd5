//! What file, variables and command line ask for, each stronger than those before it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::file;
use super::options::{Options, Scope, Setting};
use super::values::{Asked, Place};
use super::variables::Variables;
use super::walk::{Named, table_of};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::program::cli::Line;
use crate::program::command::Again;
use crate::proxy::config::DEFAULT;
use crate::settings::Given;

/// What `--demo` asks for where nothing else does. With this seed the first five connections to the proxy meet one handler
/// each: dummy, delay, error, blackout, hang.
const DEMO: [(&str, &str); 4] = [
    ("protocol", "http"),
    ("handler", "20:delay,20:error,10:blackout,5:hang"),
    ("handler-delay-sleep", "0.25"),
    ("seed", "2508"),
];

/// Other defaults where a command is run: it is told where they are, so nothing need depend on a port that may be taken.
const WITH_A_COMMAND: [(&str, &str); 2] = [("proxy", "localhost:0"), ("http-port", "0")];

/// The variable for `--config`.
const FILE: &str = "VAURIEN_CONFIG";

/// What was asked for.
pub(super) struct Sources<'a> {
    /// The weakest first.
    pub(super) asked: Vec<Result<Asked<'a>, Diagnostic>>,
    /// The proxies that have names in the file.
    pub(super) proxies: Option<Vec<Named>>,
    /// Whether a file was named.
    pub(super) has_file: bool,
    /// Whether that cannot be read, and may well have it all.
    pub(super) unread: bool,
    /// What asks for it again.
    pub(super) again: Again,
}

impl<'a> Sources<'a> {
    /// All that is asked for with `args`, of which `line` was read. What the line asks for goes over to the rest.
    pub(super) fn read(
        args: &[OsString],
        line: &mut Line<'a>,
        variables: &Variables<'_>,
        options: &'a Options<'a>,
        mistakes: &mut Diagnostics,
    ) -> Self {
        let (mut keys, mut proxies, mut unread) = (Vec::new(), None, false);
        let from_flag = line.config.take().map(|path| ("--config", path));
        let file = from_flag.or_else(|| variables.asked(FILE).map(|path| (FILE, PathBuf::from(path))));
        if let Some((place, path)) = &file {
            match file::read(place, Path::new(path), options) {
                Ok(walk) => (keys, proxies) = (walk.keys, walk.proxies),
                Err(unreadable) => {
                    mistakes.extend(unreadable);
                    unread = true;
                }
            }
        }
        let mut asked = Vec::new();
        if !line.command.is_empty() {
            let named = proxies.iter().flatten().map(|named| named.name.as_str());
            for of in named.chain(proxies.is_none().then_some(DEFAULT)) {
                let place = Place::by_default("default with a command");
                asked.extend(preset(options, &WITH_A_COMMAND, place, of).map(Ok));
            }
        }
        if line.demo {
            asked.extend(preset(options, &DEMO, Place::new("--demo", ""), DEFAULT).map(Ok));
        }
        asked.extend(keys);
        let found = options.all().filter_map(|setting| {
            let variable = setting.variable();
            let value = variables.asked(&variable)?;
            Some((setting, variable, value))
        });
        let found: Vec<_> = found.collect();
        let mut again = again(args, options, &found, variables.asked(FILE));
        let is_repeat = |setting: &Setting<'_>| setting.flag() == "repeat";
        again.repeats = asked.iter().flatten().any(|asked: &Asked<'_>| is_repeat(&asked.setting))
            || found.iter().any(|(setting, ..)| is_repeat(setting));
        let from_variables = found.into_iter().map(|(setting, variable, value)| {
            let place = Place::new(variable, "");
            Asked { setting, given: Given::Text(value), place, of: DEFAULT.to_owned() }
        });
        asked.extend(from_variables.chain(line.asked.drain(..)).map(|asked| match &proxies {
            Some(proxies) if !asked.setting.scope.is_programs() => Err(misplaced(&asked, proxies)),
            _ => Ok(asked),
        }));
        Self { asked, proxies, has_file: file.is_some(), unread, again }
    }
}

/// What does again what `args`, these variables and this file asked for.
fn again(
    args: &[OsString],
    options: &Options<'_>,
    variables: &[(Setting<'_>, String, String)],
    file: Option<String>,
) -> Again {
    let secrets = options.all().filter(|setting| setting.field.secret);
    let secrets: Vec<_> = secrets.map(|setting| (setting.flag(), setting.variable())).collect();
    // Flags tell these two.
    let others = variables.iter().filter(|(setting, ..)| !["seed", "repeat"].contains(&setting.flag().as_str()));
    let shown =
        others.map(|(setting, variable, value)| (variable.clone(), (!setting.field.secret).then(|| value.clone())));
    let file = file.map(|file| (FILE.to_owned(), Some(file)));
    Again::new(args, &secrets, shown.chain(file).collect())
}

/// What to say about a flag or a variable that only one proxy can have, where there are several.
fn misplaced(asked: &Asked<'_>, proxies: &[Named]) -> Diagnostic {
    let handler = match &asked.setting.scope {
        Scope::Handler(name) => Some(name.as_str()),
        _ => None,
    };
    let table = table_of(proxies.first().map_or("cache", |named| &named.name), handler);
    let key = &asked.setting.field.name;
    Diagnostic::new(&asked.place, format_args!("belongs to one proxy, write `{key}` under `{table}` in the file"))
}

/// The options of these flags with these values, of the program and of the proxy `of`.
fn preset<'a>(
    options: &'a Options<'_>,
    flags: &[(&str, &str)],
    place: Place,
    of: &str,
) -> impl Iterator<Item = Asked<'a>> {
    options.all().filter_map(move |setting| {
        let (_, value) = flags.iter().find(|(flag, _)| *flag == setting.flag())?;
        let given = Given::Text((*value).to_owned());
        Some(Asked { setting, given, place: place.clone(), of: of.to_owned() })
    })
}
