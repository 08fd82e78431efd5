//! `vaurien ctl`: speaks to the HTTP API of a running daemon.

mod args; // the command line
mod events; // a line for each event
mod show; // tables
mod target; // which daemon, and which of its proxies

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};

use clap::ArgMatches;
use serde_json::{Map, Value, json};

use crate::program::http_client::{Answer, Failure, Server};
use crate::program::report::text::visible_line;
use args::NAME;
pub(crate) use args::{command, commands};
use target::{chosen, path, server};

/// The status of an answer that is empty on purpose.
const NO_CONTENT: u16 = 204;

/// Whether the arguments, the program's name among them, are for this.
pub(crate) fn is_asked(args: &[OsString]) -> bool {
    args.get(1).is_some_and(|word| word == NAME)
}

/// Does what the arguments ask for, which are without the program's name. `variable` is one of the environment.
pub(crate) fn run(args: &[OsString], variable: impl Fn(&str) -> Option<OsString>) -> Result<(), Failure> {
    let help = [NAME, "--help"].map(OsString::from);
    let args = if args.get(1).is_some_and(|word| word == "help") { &help } else { args };
    let matches = match command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) if !error.use_stderr() => return print(&error.to_string()),
        Err(error) => return Err(Failure::Use(args::mistake(&error, args))),
    };
    // The options of all commands are where they were given, or further down.
    let last = std::iter::successors(Some(&matches), |matches| Some(matches.subcommand()?.1)).last();
    let last = last.unwrap_or(&matches);
    let daemon = Daemon { server: server(last, variable)?, is_json: last.get_flag("json") };
    let Some((name, matches)) = matches.subcommand() else { return Ok(()) };
    match name {
        "list" => daemon.show(&path(&["proxies"]), show::proxies),
        "handler" => daemon.patch(matches, json!({ "handler": word(matches, "mix") })),
        "enable" => daemon.patch(matches, json!({ "enabled": true })),
        "disable" => daemon.patch(matches, json!({ "enabled": false })),
        "reset" => {
            let proxy = chosen(&daemon.server, matches, None)?;
            daemon.change("POST", &path(&["proxies", &proxy, "reset"]), None, |answer| show::changed(answer, None))
        }
        "connections" => daemon.show_of(matches, "connections", show::connections),
        "calls" => daemon.show_of(matches, "calls", show::calls),
        "rule" => daemon.entries(matches, "rule", show::rules),
        "toxic" => daemon.entries(matches, "toxic", show::toxics),
        _ => events::run(&daemon.server, matches, daemon.is_json),
    }
}

/// A daemon, and how its answers are shown.
struct Daemon {
    server: Server,
    /// As they are.
    is_json: bool,
}

impl Daemon {
    /// Prints what is at this path.
    fn show(&self, path: &str, text: impl FnOnce(&Value) -> Option<String>) -> Result<(), Failure> {
        self.change("GET", path, None, text)
    }

    /// The same of what belongs to a proxy.
    fn show_of(
        &self,
        matches: &ArgMatches,
        what: &str,
        text: impl FnOnce(&Value) -> Option<String>,
    ) -> Result<(), Failure> {
        let proxy = chosen(&self.server, matches, None)?;
        self.show(&path(&["proxies", &proxy, what]), text)
    }

    /// Changes these keys of a proxy.
    fn patch(&self, matches: &ArgMatches, keys: Value) -> Result<(), Failure> {
        let mix = matches.try_get_one::<String>("mix").ok().flatten().map(String::as_str);
        let proxy = chosen(&self.server, matches, mix)?;
        let (body, duration) = with_duration(keys, matches);
        self.change("PATCH", &path(&["proxies", &proxy]), Some(&body), |answer| show::changed(answer, duration))
    }

    /// Lists, adds or removes rules or toxics.
    fn entries(
        &self,
        matches: &ArgMatches,
        what: &str,
        text: impl FnOnce(&Value) -> Option<String>,
    ) -> Result<(), Failure> {
        let Some((command, matches)) = matches.subcommand() else { return Ok(()) };
        let id = if command == "add" { what } else { "name" };
        let given = matches.try_get_one::<String>(id).ok().flatten().map(String::as_str);
        let proxy = chosen(&self.server, matches, given)?;
        let all = format!("{what}s");
        match command {
            "list" => self.show(&path(&["proxies", &proxy, &all]), text),
            "add" => {
                let mut body = json!({ what: word(matches, what) });
                if let Ok(Some(before)) = matches.try_get_one::<String>("before") {
                    body["before"] = before.as_str().into();
                }
                let (body, duration) = with_duration(body, matches);
                let added = |answer: &Value| show::added(&proxy, what, answer, duration);
                self.change("POST", &path(&["proxies", &proxy, &all]), Some(&body), added)
            }
            _ => {
                let name = word(matches, "name");
                let removed = |answer: &Value| show::removed(&proxy, what, name, answer);
                self.change("DELETE", &path(&["proxies", &proxy, &all, name]), None, removed)
            }
        }
    }

    /// Sends a request, and prints what is answered: as it is, or as `text` says it.
    fn change(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        text: impl FnOnce(&Value) -> Option<String>,
    ) -> Result<(), Failure> {
        let answer = granted(self.server.ask(method, path, body)?)?;
        let text = text(&understood(&answer)?).ok_or_else(foreign)?;
        if self.is_json {
            let raw = String::from_utf8_lossy(&answer.body);
            let raw = raw.trim_end();
            if raw.is_empty() { Ok(()) } else { print(&format!("{}\n", show::as_it_is(raw))) }
        } else {
            print(&text)
        }
    }
}

/// The word of this name on the command line.
fn word<'m>(matches: &'m ArgMatches, name: &str) -> &'m str {
    matches.get_one::<String>(name).map(String::as_str).unwrap_or_default()
}

/// With `--for`, if it is given.
fn with_duration(mut body: Value, matches: &ArgMatches) -> (Value, Option<&str>) {
    let duration = matches.try_get_one::<String>("for").ok().flatten().map(String::as_str);
    if let Some(duration) = duration {
        body["for"] = duration.into();
    }
    (body, duration)
}

/// What a server answers that is not vaurien.
fn foreign() -> Failure {
    Failure::Server("this is not the HTTP API of vaurien".to_owned())
}

/// The object that is answered; null if nothing is, on purpose.
fn understood(answer: &Answer) -> Result<Value, Failure> {
    let json = answer.json();
    let is_nothing = answer.status == NO_CONTENT && answer.body.is_empty();
    if json.is_object() || is_nothing { Ok(json) } else { Err(foreign()) }
}

/// The answer, unless it is a refusal.
fn granted(answer: Answer) -> Result<Answer, Failure> {
    if answer.is_success() {
        return Ok(answer);
    }
    let json = answer.json();
    let errors = json["errors"].as_array().map_or(&[][..], Vec::as_slice);
    let lines: Vec<_> = errors.iter().filter_map(Value::as_object).map(told).collect();
    if lines.is_empty() {
        let what = String::from_utf8_lossy(&answer.body);
        let what = what.trim().lines().next().unwrap_or_default();
        let what = if what.is_empty() { "is this the HTTP API of vaurien?" } else { what };
        return Err(Failure::Server(format!("HTTP {}: {}", answer.status, visible_line(what))));
    }
    Err(Failure::Server(lines.join("; ")))
}

/// An error of the API, with the key that is wrong.
fn told(error: &Map<String, Value>) -> String {
    let text = |key: &str| error.get(key).and_then(Value::as_str).map(visible_line).unwrap_or_default();
    let (name, what) = (text("name"), text("description"));
    let names_key = text("location") == "body" && !name.is_empty();
    if names_key { format!("{name}: {what}") } else { what }
}

/// Prints what was asked for. A reader that stops early, such as `head`, is no failure.
fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Server(format!("cannot write the answer: {error}")))
        }
        _ => Ok(()),
    }
}
