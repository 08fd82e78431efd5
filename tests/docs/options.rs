//! `docs/options.md` lists the options that the program has, as `--help` and `--print-config` tell of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::sync::LazyLock;

use regex_lite::Regex;
use vaurien::{Authority, Registry};

use super::page::{Page, path};
use super::world::Program;

const PAGE: &str = "docs/options.md";
const BEGIN: &str = "<!-- These tables are written by: UPDATE_DOCS=1 cargo test --test docs -->\n";
const END: &str = "<!-- Here they end. -->\n";

/// The heading of flags that are no options: they are in no file and no variable.
const OTHER: &str = "Other";

/// Keys without a flag in the help. The page says in a sentence what they are for.
const ONLY_KEYS: [&str; 1] = ["enabled"];

/// A flag as the help shows it.
#[derive(Debug, Clone)]
struct Flag {
    heading: String,
    /// With its dashes.
    name: String,
    /// What its value is called: `BYTES`. Empty where it takes none.
    value: String,
    meaning: String,
    default: Option<String>,
}

/// Every flag in the help, in its order.
fn flags() -> Vec<Flag> {
    let help = Program::run(Program::command("--help").env_remove("COLUMNS")).stdout;
    let flags = read(&help);
    assert!(flags.len() > 40, "{help}");
    flags
}

/// The flags in this help. The text of a flag may go on in lines that are further to the right.
fn read(help: &str) -> Vec<Flag> {
    let first =
        Regex::new(r"^ {2,6}(?:-\w, )?(--[a-z][a-z-]*)(?: \[?<([^>]+)>\]?(?:\.\.\.)?)?(?: {2,}(.*))?$").unwrap();
    let (mut flags, mut heading): (Vec<Flag>, _) = (Vec::new(), String::new());
    let mut within = false;
    for line in help.lines() {
        if let Some(found) = first.captures(line) {
            let part = |group| found.get(group).map_or(String::new(), |part| part.as_str().to_owned());
            let (name, value, meaning) = (part(1), part(2), part(3));
            flags.push(Flag { heading: heading.clone(), name, value, meaning, default: None });
            within = true;
        } else if !line.is_empty() && !line.starts_with(' ') {
            line.trim_end_matches(':').clone_into(&mut heading);
            within = false;
        } else if let Some(flag) = flags.last_mut().filter(|_| within && line.starts_with("        ")) {
            if !flag.meaning.is_empty() && !line.trim().is_empty() {
                flag.meaning += " ";
            }
            flag.meaning += line.trim();
        }
    }
    let default = Regex::new(r"^(.*?) ?\[default: (.*)\]$").unwrap();
    for flag in &mut flags {
        if let Some(parts) = default.captures(&flag.meaning) {
            let (meaning, value) = (parts[1].to_owned(), parts[2].to_owned());
            (flag.meaning, flag.default) = (meaning, Some(value));
        }
    }
    flags
}

#[test]
fn help_may_have_its_text_beside_or_below_a_flag() {
    let below = "Proxy:\n  -s, --size [<BYTES>]\n          How\n          large [default: 9]\n\n      --on\n          On\n\nEnd.\n";
    for help in ["Proxy:\n  -s, --size [<BYTES>]  How large [default: 9]\n      --on              On\n", below] {
        let [size, on] = &read(help)[..] else { panic!("{help}") };
        assert_eq!((&size.heading[..], &size.name[..], &size.value[..]), ("Proxy", "--size", "BYTES"));
        assert_eq!((&size.meaning[..], size.default.as_deref()), ("How large", Some("9")));
        assert_eq!((&on.name[..], &on.value[..], &on.meaning[..], &on.default), ("--on", "", "On", &None));
    }
}

/// What `--print-config` prints: for each key, with its tables, its value and where that comes from.
fn printed(more: &[String], variable: Option<(&str, &str)>) -> Option<BTreeMap<String, (String, String)>> {
    let mut command = Program::command("--print-config");
    let ended = Program::run(command.args(more).envs(variable));
    if ended.code != Some(0) {
        return None;
    }
    let line = Regex::new(r"^(?:# )?([a-z_]+) = ?(.*?) *# (.*)$").unwrap();
    let mut table = String::new();
    let mut keys = BTreeMap::new();
    for text in ended.stdout.lines() {
        if let Some(name) = text.strip_prefix('[') {
            table = name.trim_end_matches(']').to_owned() + ".";
        } else if let Some(found) = line.captures(text) {
            keys.insert(format!("{table}{}", &found[1]), (found[2].to_owned(), found[3].to_owned()));
        }
    }
    Some(keys)
}

/// The handlers that the program has.
pub(crate) fn handlers() -> Vec<String> {
    Registry::default().names().map(str::to_owned).collect()
}

/// A mix of all that this protocol has, so that the options of each are printed.
fn mix(protocol: &str) -> String {
    let has = |name: &String| protocol == "http" || name != "goaway";
    handlers().iter().filter(|name| has(name)).map(|name| format!("1:{name}")).collect::<Vec<_>>().join(",")
}

/// Whether it belongs to the handler that needs `http` or `grpc`.
fn is_of_goaway(flag: &str) -> bool {
    flag.starts_with("--handler-goaway-")
}

/// The least that the program needs to take this flag, without it.
fn base(flag: &str) -> Vec<String> {
    const OF_HTTP: [&str; 8] =
        ["-grpc", "-status", "-retry-after", "-headers", "-body", "-rewrite-host", "-reset-code", "-reset-connection"];
    let is_of_http = flag.is_empty() || is_of_goaway(flag) || OF_HTTP.iter().any(|option| flag.ends_with(option));
    let protocol = if is_of_http { "http" } else { "redis" };
    let all =
        [("--backend", "a:1"), ("--handler", &mix(protocol)), ("--protocol", protocol), ("--handler-reply-bytes", "a")];
    // Not with a certificate of its own, and some faults are.
    let has_own = ["--tls-cert", "--tls-key"].contains(&flag);
    let tls = if has_own { ("--handler-tls-fault", "self_signed") } else { ("--tls", "auto") };
    let all = all.into_iter().chain([tls, ("--tls-dir", "folder")]);
    let mut needed: Vec<_> = all.map(|(flag, value)| (flag.to_owned(), value)).collect();
    let of_a_failure = ["-kind", "-message", "-to"].iter().find_map(|option| flag.strip_suffix(option));
    if let Some(handler) = of_a_failure.filter(|handler| handler.starts_with("--handler-")) {
        if flag.ends_with("-message") {
            needed.push((format!("{handler}-kind"), "err"));
        } else {
            needed.extend([(format!("{handler}-kind"), "moved"), (format!("{handler}-to"), "a:1")]);
        }
    }
    let pem = PEM.path().to_str().unwrap();
    let other = [("-cert", "-key"), ("-key", "-cert")].into_iter().find_map(|(this, other)| {
        let side = flag.strip_suffix(this).filter(|side| ["--tls", "--backend"].contains(side))?;
        Some(format!("{side}{other}"))
    });
    needed.extend(other.iter().map(|other| (other.clone(), pem)));
    if flag.starts_with("--backend-") {
        // Any of them turns this on.
        needed.push(("--backend-tls".to_owned(), "true"));
    }
    needed.retain(|(needed, _)| needed != flag);
    needed.iter().map(|(flag, value)| format!("{flag}={value}")).collect()
}

/// A file that exists, for options that are read.
static TOKEN: LazyLock<tempfile::NamedTempFile> = LazyLock::new(|| {
    let file = tempfile::NamedTempFile::with_suffix(".html").unwrap();
    fs::write(file.path(), "secret\n").unwrap();
    file
});

/// A certificate and its key.
static PEM: LazyLock<tempfile::NamedTempFile> = LazyLock::new(|| {
    let (file, authority) = (tempfile::NamedTempFile::new().unwrap(), Authority::generate());
    fs::write(file.path(), authority.key_pem() + authority.certificate_pem()).unwrap();
    file
});

/// Something that this option takes, whose value is called so.
fn sample(flag: &str, value: &str) -> String {
    match value {
        "FILE" if flag.contains("--tls-") || flag.contains("--backend-") => PEM.path().to_str().unwrap().to_owned(),
        "AUTO" => "auto".to_owned(),
        "FAULT" => "self_signed".to_owned(),
        "FOLDER" => "folder".to_owned(),
        "HOST:PORT" => "a:2".to_owned(),
        "MIX" => mix("redis"),
        "RULE" => "=> dummy".to_owned(),
        "TOXIC" => "noop".to_owned(),
        "NETWORK" => "3g".to_owned(),
        "PROTOCOL" if is_of_goaway(flag) => "grpc".to_owned(),
        "PROTOCOL" => "redis".to_owned(),
        "BOOL" => "true".to_owned(),
        "EXPECTATION" => "calls>=0".to_owned(),
        "FILE" => TOKEN.path().to_str().unwrap().to_owned(),
        "LEVEL" => "debug".to_owned(),
        "FORMAT" => "json".to_owned(),
        "HOST" | "HOSTS" | "NAME" | "PREFIX" | "TOKEN" => "a".to_owned(),
        "BYTES" => "2048".to_owned(),
        "SIZE" => "256KiB".to_owned(),
        "END" => "reset".to_owned(),
        "KIND" => "moved".to_owned(),
        "ERROR-CODE" => "CANCEL".to_owned(),
        "CODE" => "14".to_owned(),
        "STATUS" => "503".to_owned(),
        "FIELDS" => "a: b".to_owned(),
        _ => "9".to_owned(),
    }
}

/// The key that has its value from this flag, and from the variable of the same name. None if there is no such flag.
fn key(flag: &str, value: &str) -> Option<(String, String)> {
    let of = |printed: BTreeMap<String, (String, String)>, place: &str| {
        let mut keys = printed.into_iter().filter(|(_, (_, from))| from.split(", ").next() == Some(place));
        let (key, _) = keys.next().unwrap_or_else(|| panic!("no key has its value from {place}"));
        assert!(keys.next().is_none(), "{place} sets more than one key");
        key
    };
    let (value, base) = (sample(flag, value), base(flag));
    let key = of(printed(&[base.clone(), vec![format!("{flag}={value}")]].concat(), None)?, flag);
    let variable = format!("VAURIEN_{}", flag[2..].replace('-', "_").to_uppercase());
    let same = printed(&base, Some((&variable, &value))).unwrap_or_else(|| panic!("{variable}={value} is not taken"));
    assert_eq!(of(same, &variable), key);
    Some((key, variable))
}

/// Options that a handler takes beside its own, as the connection has them: flag and what its value is called.
fn connection_options(handler: &str, flags: &[Flag]) -> Vec<Flag> {
    let of_a_proxy = flags.iter().filter(|flag| flag.heading != OTHER && !flag.name.starts_with("--handler"));
    let as_handlers = of_a_proxy.map(|flag| Flag {
        name: format!("--handler-{handler}-{}", &flag.name[2..]),
        meaning: format!("As `{}`", flag.name),
        default: Some("that of the proxy".to_owned()),
        ..flag.clone()
    });
    as_handlers.filter(|flag| key(&flag.name, &flag.value).is_some()).collect()
}

/// All flags that the pages may speak of.
pub(crate) fn documented_flags() -> BTreeSet<String> {
    let flags = flags();
    let of_handlers = handlers().into_iter().flat_map(|handler| connection_options(&handler, &flags));
    let all: Vec<Flag> = flags.iter().cloned().chain(of_handlers).collect();
    let names = all.into_iter().map(|flag| flag.name);
    names.flat_map(|name| [name.replace("--handler", "--behavior"), name]).collect()
}

/// A handler's own options, each with its default.
pub(crate) fn options_of(handler: &str) -> Vec<(String, String)> {
    let own =
        |flag: Flag| Some((flag.name.strip_prefix(&format!("--handler-{handler}-"))?.replace('-', "_"), flag.default?));
    flags().into_iter().filter_map(own).collect()
}

/// As a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{}`", cell(text)) }
}

/// The tables, one for each heading of the help.
fn tables() -> String {
    let flags = flags();
    let mut missing = printed(&base(""), None).unwrap();
    let mut text = String::new();
    let mut heading = "";
    for flag in &flags {
        if flag.heading != heading {
            heading = &flag.heading;
            let columns: &[&str] = match heading {
                OTHER => &["flag", "value", "meaning"],
                _ => &["flag", "key", "variable", "value", "default", "meaning"],
            };
            write!(text, "\n## {heading}\n\n| {} |\n|{}\n", columns.join(" | "), " --- |".repeat(columns.len()))
                .unwrap();
        }
        if heading == OTHER {
            let meaning = match &flag.default {
                Some(default) => format!("{} (default: {default})", flag.meaning),
                None => flag.meaning.clone(),
            };
            writeln!(text, "| `{}` | {} | {} |", flag.name, code(&flag.value), cell(&meaning)).unwrap();
            continue;
        }
        let (key, _) = key(&flag.name, &flag.value).unwrap_or_else(|| panic!("{} is not taken", flag.name));
        let (value, from) = missing.remove(&key).unwrap_or_else(|| panic!("{key} has two flags"));
        // The help and the file say the same of a default. What was given to have them print has none.
        if !from.starts_with("--") {
            let default = from.strip_prefix("default: ").unwrap_or(value.trim_matches('"'));
            assert_eq!(flag.default.as_deref().unwrap_or("none"), default, "{}", flag.name);
        }
        row(&mut text, flag);
    }
    assert_eq!(missing.into_keys().collect::<Vec<_>>(), ONLY_KEYS);
    text += "\n## Connection options of handlers\n\n| flag | key | variable | value | default | meaning |\n";
    text += "| --- | --- | --- | --- | --- | --- |\n";
    for handler in handlers() {
        for flag in connection_options(&handler, &flags) {
            row(&mut text, &flag);
        }
    }
    text + "\n"
}

fn row(text: &mut String, flag: &Flag) {
    let (key, variable) = key(&flag.name, &flag.value).unwrap();
    let default = flag.default.as_deref().unwrap_or_default();
    let (name, value, meaning) = (&flag.name, code(&flag.value), cell(&flag.meaning));
    writeln!(text, "| `{name}` | `{key}` | `{variable}` | {value} | {} | {meaning} |", cell(default)).unwrap();
}

#[test]
fn the_tables_are_what_the_program_says() {
    let page = Page::read(PAGE).text;
    let (before, rest) = page.split_once(BEGIN).expect("where the tables begin");
    let (written, after) = rest.split_once(END).expect("where the tables end");
    let tables = tables();
    if written == tables {
        return;
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        return fs::write(path(PAGE), [before, BEGIN, &tables, END, after].concat()).unwrap();
    }
    let only = |text: &str, other: &str, sign: char| -> Vec<String> {
        let lines = text.lines().filter(|line| !other.lines().any(|known| known == *line));
        lines.map(|line| format!("{sign} {line}")).collect()
    };
    let difference = [only(written, &tables, '-'), only(&tables, written, '+')].concat().join("\n");
    panic!("{PAGE} is not what the program says; UPDATE_DOCS=1 writes it again:\n{difference}");
}
