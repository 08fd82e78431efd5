//! What the API answers, for people.

use std::fmt::Write;
use std::time::Duration;

use serde_json::Value;

use crate::program::columns::columns;
use crate::program::report::text::{self, visible};

pub(super) fn proxies(answer: &Value) -> String {
    let header = ["Name", "Listen", "Backend", "Protocol", "Enabled", "Handler", "Rules", "Toxics", "Calls", "Faults"];
    let proxies = answer["proxies"].as_object();
    let rows = proxies.into_iter().flat_map(serde_json::Map::values).map(|proxy| {
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
    table(&header, 6.., rows, "no proxies")
}

pub(super) fn rules(answer: &Value) -> String {
    let header = ["Name", "Rule", "Calls", "Faults", "Excluded", "Left", "Reverts in"];
    let rows = entries(answer, "rules").map(|rule| {
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
    table(&header, 2.., rows, "no rules")
}

pub(super) fn toxics(answer: &Value) -> String {
    let header = ["Name", "Toxic", "Connections", "Faults", "Reverts in"];
    let rows = entries(answer, "toxics").map(|toxic| {
        let status = &toxic["status"];
        let (connections, faults) = (cell(&status["connections"]), cell(&status["faults"]));
        vec![cell(&toxic["name"]), cell(&toxic["toxic"]), connections, faults, time(&status["reverts_in"])]
    });
    table(&header, 2.., rows, "no toxics")
}

pub(super) fn connections(answer: &Value) -> String {
    let header = ["Client", "State", "Handler", "ID", "Worker", "Age", "Calls", "To backend", "To client"];
    let rows = entries(answer, "connections").map(|connection| {
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
    table(&header, 3.., rows, "no connections")
}

pub(super) fn calls(answer: &Value) -> String {
    let header = ["Shape", "Rule", "Calls", "p50", "p99"];
    let rows = entries(answer, "calls").map(|call| {
        let times = [time(&call["p50_seconds"]), time(&call["p99_seconds"])];
        [vec![cell(&call["shape"]), cell(&call["rule"]), cell(&call["calls"])], times.to_vec()].concat()
    });
    let none = answer["note"].as_str().unwrap_or("no calls");
    let mut text = table(&header, 2.., rows, none);
    if let Some(other @ 1..) = answer["other"].as_u64() {
        let _ = writeln!(text, "{other} calls of other shapes");
    }
    text
}

/// A proxy that was changed.
pub(super) fn changed(answer: &Value, duration: Option<&str>) -> String {
    let state =
        if answer["enabled"] == true { format!("handler {}", cell(&answer["handler"])) } else { "disabled".to_owned() };
    format!("{}: {state}{}\n", cell(&answer["name"]), lasts(duration))
}

/// A rule or a toxic that was added.
pub(super) fn added(proxy: &str, what: &str, answer: &Value, duration: Option<&str>) -> String {
    let (name, text) = (cell(&answer["name"]), cell(&answer[what]));
    format!("{}: added {what} {name}{}: {text}\n", visible(proxy), lasts(duration))
}

pub(super) fn removed(proxy: &str, what: &str, name: &str) -> String {
    format!("{}: removed {what} {}\n", visible(proxy), visible(name))
}

/// How long a change lasts, as it was asked for.
fn lasts(duration: Option<&str>) -> String {
    duration.map(|duration| format!(", for {duration}")).unwrap_or_default()
}

fn entries<'a>(answer: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    answer[key].as_array().into_iter().flatten()
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
        Value::String(text) => visible(text).replace('\n', "\\n"),
        other => other.to_string(),
    }
}

/// A number of seconds, or a duration as text.
fn time(value: &Value) -> String {
    let seconds = value.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.map_or_else(|| cell(value), text::time)
}
