//! What the API answers, for people; `None` if that is something else.

use std::fmt::Write;
use std::time::Duration;

use serde_json::Value;

use crate::program::columns::columns;
use crate::program::report::text::{self, visible_line};

pub(super) fn proxies(answer: &Value) -> Option<String> {
    let header = ["Name", "Listen", "Backend", "Protocol", "Enabled", "Handler", "Rules", "Toxics", "Calls", "Faults"];
    let rows = answer["proxies"].as_object()?.values().map(|proxy| {
        let status = &proxy["status"];
        let sum = |counts: &Value| -> u64 {
            counts.as_object().into_iter().flat_map(serde_json::Map::values).filter_map(Value::as_u64).sum()
        };
        let count = |list: &Value| list.as_array().map_or(0, Vec::len).to_string();
        let is_enabled = proxy["enabled"] == true;
        let addresses: Vec<_> = status["addresses"].as_array().into_iter().flatten().map(cell).collect();
        vec![
            cell(&proxy["name"]),
            if addresses.is_empty() { cell(&proxy["proxy"]) } else { addresses.join(",") },
            cell(&proxy["backend"]),
            cell(&proxy["protocol"]),
            if is_enabled { "yes" } else { "no" }.to_owned(),
            cell(&proxy["handler"]),
            count(&proxy["rules"]),
            count(&proxy["toxics"]),
            sum(&status["calls"]).to_string(),
            sum(&status["faults"]).to_string(),
        ]
    });
    Some(table(&header, 6.., rows, "no proxies"))
}

pub(super) fn rules(answer: &Value) -> Option<String> {
    let header = ["Name", "Rule", "Calls", "Faults", "Excluded", "Left", "Reverts in"];
    let rows = entries(answer, "rules")?.map(|rule| {
        let status = &rule["status"];
        vec![
            cell(&rule["name"]),
            cell(&rule["rule"]),
            cell(&status["calls"]),
            cell(&status["faults"]),
            cell(&status["excluded"]),
            cell(&status["times_left"]),
            time(&status["reverts_in"]),
        ]
    });
    Some(table(&header, 2.., rows, "no rules"))
}

pub(super) fn toxics(answer: &Value) -> Option<String> {
    let header = ["Name", "Toxic", "Connections", "Faults", "Reverts in"];
    let rows = entries(answer, "toxics")?.map(|toxic| {
        let status = &toxic["status"];
        let (connections, faults) = (cell(&status["connections"]), cell(&status["faults"]));
        vec![cell(&toxic["name"]), cell(&toxic["toxic"]), connections, faults, time(&status["reverts_in"])]
    });
    Some(table(&header, 2.., rows, "no toxics"))
}

pub(super) fn connections(answer: &Value) -> Option<String> {
    let header = ["Client", "State", "Handler", "ID", "Worker", "Age", "Calls", "To backend", "To client"];
    let rows = entries(answer, "connections")?.map(|connection| {
        let bytes = &connection["bytes"];
        vec![
            cell(&connection["peer"]),
            cell(&connection["state"]),
            cell(&connection["handler"]),
            cell(&connection["id"]),
            cell(&connection["worker"]),
            time(&connection["age"]),
            cell(&connection["calls"]),
            cell(&bytes["to_backend"]),
            cell(&bytes["to_client"]),
        ]
    });
    Some(table(&header, 3.., rows, "no connections"))
}

pub(super) fn calls(answer: &Value) -> Option<String> {
    let header = ["Shape", "Rule", "Calls", "p50", "p99"];
    let rows = entries(answer, "calls")?.map(|call| {
        let times = [time(&call["p50_seconds"]), time(&call["p99_seconds"])];
        [vec![cell(&call["shape"]), cell(&call["rule"]), cell(&call["calls"])], times.to_vec()].concat()
    });
    let none = answer["note"].as_str().map_or_else(|| "no calls".to_owned(), visible_line);
    let mut text = table(&header, 2.., rows, &none);
    if let Some(other @ 1..) = answer["other"].as_u64() {
        let _ = writeln!(text, "{other} calls of other shapes");
    }
    Some(text)
}

/// A proxy that was changed.
pub(super) fn changed(answer: &Value, duration: Option<&str>) -> Option<String> {
    let (name, handler) = (answer["name"].as_str()?, answer["handler"].as_str()?);
    let state =
        if answer["enabled"].as_bool()? { format!("handler {}", visible_line(handler)) } else { "disabled".to_owned() };
    Some(format!("{}: {state}{}\n", visible_line(name), lasts(duration)))
}

/// A rule or a toxic that was added.
pub(super) fn added(proxy: &str, what: &str, answer: &Value, duration: Option<&str>) -> Option<String> {
    let (name, text) = (visible_line(answer["name"].as_str()?), visible_line(answer[what].as_str()?));
    Some(format!("{}: added {what} {name}{}: {text}\n", visible_line(proxy), lasts(duration)))
}

/// A removal is answered by nothing.
pub(super) fn removed(proxy: &str, what: &str, name: &str, answer: &Value) -> Option<String> {
    answer.is_null().then(|| format!("{}: removed {what} {}\n", visible_line(proxy), visible_line(name)))
}

/// How long a change lasts, as it was asked for.
fn lasts(duration: Option<&str>) -> String {
    duration.map(|duration| format!(", for {duration}")).unwrap_or_default()
}

fn entries<'a>(answer: &'a Value, key: &str) -> Option<impl Iterator<Item = &'a Value> + use<'a>> {
    answer[key].as_array().map(|entries| entries.iter())
}

/// Rows under a header, the columns of `numbers` on the right; without any rows `none`.
fn table(
    header: &[&str],
    numbers: std::ops::RangeFrom<usize>,
    rows: impl Iterator<Item = Vec<String>>,
    none: &str,
) -> String {
    let header = header.iter().map(|name| (*name).to_owned()).collect();
    let rows: Vec<Vec<String>> = [header].into_iter().chain(rows).collect();
    if rows.len() == 1 { format!("{none}\n") } else { columns(&rows, |column| numbers.contains(&column)) }
}

/// A value that a terminal takes no command from; a dash for null.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => visible_line(text),
        other => visible_line(&other.to_string()),
    }
}

/// JSON that says the same and that a terminal takes no command from.
pub(super) fn as_it_is(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for char in json.chars() {
        if char.is_control() && char != '\n' {
            let _ = write!(text, "\\u{:04x}", u32::from(char));
        } else {
            text.push(char);
        }
    }
    text
}

/// A number of seconds, or a duration as text.
fn time(value: &Value) -> String {
    let seconds = value.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.map_or_else(|| cell(value), text::time)
}
