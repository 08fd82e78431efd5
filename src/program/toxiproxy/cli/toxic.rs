//! Adds, changes and removes toxics.

use serde_json::{Map, Value, json};

use super::http::{Server, path};
use super::{Failure, proxy};
use crate::diagnostic::did_you_mean;
use crate::program::report::text::visible_line;
use crate::program::toxiproxy::flags::{Flag, Given, switch, taking};
use crate::toxic::types;

/// What a server says of a name that a proxy has twice.
const EXISTS: &str = "HTTP 409: toxic already exists";

const FLAGS: &[Flag] = &[
    taking(&["type", "t"]),
    taking(&["toxicName", "n"]),
    taking(&["toxicity", "tox"]),
    taking(&["attribute", "a"]),
    switch(&["upstream", "u"]),
    switch(&["downstream", "d"]),
];

pub(super) fn run(server: &Server, rest: &[String]) -> Result<String, Failure> {
    let Some((command, rest)) = rest.split_first() else {
        return Err(Failure::Use("no command: toxic add, toxic update or toxic remove".to_owned()));
    };
    let given = Given::read(rest, FLAGS)?;
    let proxy = proxy(&given)?;
    let missing = |what: &str| Failure::Use(format!("{what} is missing"));
    match command.as_str() {
        "add" | "a" => {
            let kind = given.value("type").ok_or_else(|| missing("the type of the toxic, -t,"))?;
            let is_upstream = given.has("upstream")?;
            if is_upstream && given.has("downstream")? {
                return Err(Failure::Use("-upstream and -downstream: give one of them".to_owned()));
            }
            let stream = if is_upstream { "upstream" } else { "downstream" };
            let mut body = json!({ "type": kind, "stream": stream, "attributes": attributes(&given, kind)? });
            if let Some(name) = given.value("toxicName") {
                body["name"] = name.into();
            }
            body["toxicity"] = toxicity(&given)?;
            let toxic = server.ask("POST", &path(&[&proxy, "toxics"]), Some(&body));
            let toxic = toxic.map_err(|failure| match failure {
                // The name may be that which a toxic without one has.
                Failure::Server(why) if why == EXISTS => {
                    let name = given.value("toxicName").map_or_else(|| format!("{kind}_{stream}"), str::to_owned);
                    Failure::Server(format!("{why}: '{name}' on proxy '{proxy}', give another name with -n"))
                }
                other => other,
            })?;
            let name = visible_line(toxic["name"].as_str().unwrap_or_default());
            Ok(format!("Added {stream} {kind} toxic '{name}' on proxy '{proxy}'\n"))
        }
        "update" | "u" => {
            let name = given.value("toxicName").ok_or_else(|| missing("the name of the toxic, -n,"))?;
            let at = path(&[&proxy, "toxics", name]);
            let toxicity = toxicity(&given)?;
            let kind = server.ask("GET", &at, None)?["type"].as_str().unwrap_or_default().to_owned();
            if let Some(other) = given.value("type").filter(|other| *other != kind) {
                let what = format!(
                    "-t: toxic '{name}' has the type {}, not {other}: remove it and add another",
                    visible_line(&kind)
                );
                return Err(Failure::Use(what));
            }
            let body = json!({ "attributes": attributes(&given, &kind)?, "toxicity": toxicity });
            server.ask("POST", &at, Some(&body))?;
            Ok(format!("Updated toxic '{name}' on proxy '{proxy}'\n"))
        }
        "remove" | "r" | "delete" | "d" => {
            let name = given.value("toxicName").ok_or_else(|| missing("the name of the toxic, -n,"))?;
            server.ask("DELETE", &path(&[&proxy, "toxics", name]), None)?;
            Ok(format!("Removed toxic '{name}' on proxy '{proxy}'\n"))
        }
        other => Err(Failure::Use(format!("unknown command `toxic {other}` (known: add, update, remove)"))),
    }
}

/// Null if it is not given.
fn toxicity(given: &Given) -> Result<Value, Failure> {
    let Some(text) = given.value("toxicity") else { return Ok(Value::Null) };
    let number: f64 = text.parse().map_err(|_| Failure::Use(format!("-tox: `{text}` is not a number from 0 to 1")))?;
    Ok(number.into())
}

/// Those of a toxic of this type. What the server may know and we do not is its business.
fn attributes(given: &Given, kind: &str) -> Result<Map<String, Value>, Failure> {
    let of = types().iter().find(|of| of.name == kind);
    let read = |text: &str| {
        let wrong = || Failure::Use(format!("-a: `{text}` is not KEY=NUMBER"));
        let (key, value) = text.split_once('=').ok_or_else(wrong)?;
        let names = || of.iter().flat_map(|of| &of.fields).map(|field| field.name.as_str());
        if of.is_some() && !names().any(|known| known.eq_ignore_ascii_case(key)) {
            let known = match names().collect::<Vec<_>>().join(", ") {
                none if none.is_empty() => "it has none".to_owned(),
                known => format!("known: {known}"),
            };
            let hint = did_you_mean(key, names());
            return Err(Failure::Use(format!("-a: {kind} has no attribute `{key}` ({known}){hint}")));
        }
        let value: Value = serde_json::from_str(value).map_err(|_| wrong())?;
        Ok((key.to_owned(), value))
    };
    given.values("attribute").map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_numbers() {
        let given = |text: &str| Given::read(&["-a".to_owned(), text.to_owned()], FLAGS).unwrap();
        let attributes = |text: &str, kind: &str| attributes(&given(text), kind);
        assert_eq!(attributes("latency=5", "latency").unwrap()["latency"], json!(5));
        assert_eq!(attributes("rate=0.5", "loss").unwrap()["rate"], json!(0.5));
        assert!(attributes("latency", "latency").is_err() && attributes("latency=x", "latency").is_err());
        assert!(attributes("rate=5", "latency").is_err() && attributes("rate=5", "packet_loss").is_ok());
    }
}
