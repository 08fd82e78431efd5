//! Adds, changes and removes toxics.

use serde_json::{Map, Value, json};

use super::http::{Server, path};
use super::{Failure, proxy};
use crate::program::toxiproxy::flags::{Flag, Given, switch, taking};

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
            let mut body = json!({ "type": kind, "stream": stream, "attributes": attributes(&given)? });
            if let Some(name) = given.value("toxicName") {
                body["name"] = name.into();
            }
            body["toxicity"] = toxicity(&given)?;
            let toxic = server.ask("POST", &path(&[&proxy, "toxics"]), Some(&body))?;
            let name = toxic["name"].as_str().unwrap_or_default();
            Ok(format!("Added {stream} {kind} toxic '{name}' on proxy '{proxy}'\n"))
        }
        "update" | "u" => {
            let name = given.value("toxicName").ok_or_else(|| missing("the name of the toxic, -n,"))?;
            let body = json!({ "attributes": attributes(&given)?, "toxicity": toxicity(&given)? });
            server.ask("POST", &path(&[&proxy, "toxics", name]), Some(&body))?;
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

fn attributes(given: &Given) -> Result<Map<String, Value>, Failure> {
    let read = |text: &str| {
        let wrong = || Failure::Use(format!("-a: `{text}` is not KEY=NUMBER"));
        let (key, value) = text.split_once('=').ok_or_else(wrong)?;
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
        assert_eq!(attributes(&given("latency=5")).unwrap()["latency"], json!(5));
        assert_eq!(attributes(&given("rate=0.5")).unwrap()["rate"], json!(0.5));
        assert!(attributes(&given("latency")).is_err() && attributes(&given("latency=x")).is_err());
    }
}
