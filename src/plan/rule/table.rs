//! A rule that is written as a table: `{ match = { command = "SET" }, times = 3, handler = "error" }`.

use serde_json::{Map, Value, json};

use super::parse::ParsedRule;
use super::words::quoted;
use crate::diagnostic::{did_you_mean, shown};
use crate::handler::Registry;

/// The keys of a rule's table, and those of the table `match` within it.
pub(super) const KEYS: [&str; 8] = ["name", "match", "after", "every", "times", "during", "per", "handler"];
pub(crate) const MATCH: [&str; 9] =
    ["command", "key", "service", "method", "path", "header", "query", "client", "connection"];

const NO_HANDLER: &str = "the rule has no `handler`, write `handler = \"error\"`";

/// The text of the rule that `value` is: a text, or a table.
pub(crate) fn text_of(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.trim().to_owned()),
        Value::Object(table) => of_table(table),
        other => Err(format!("{} is no rule, write a text such as `\"GET /pay* => error\"`, or a table", shown(other))),
    }
}

fn of_table(table: &Map<String, Value>) -> Result<String, String> {
    known(table, &KEYS, "")?;
    let mut words = Vec::new();
    match table.get("match") {
        None => {}
        Some(Value::Object(conditions)) => {
            known(conditions, &MATCH, "match.")?;
            for key in MATCH {
                match conditions.get(key) {
                    None => {}
                    Some(Value::Object(fields)) if matches!(key, "header" | "query") => {
                        for (name, value) in fields {
                            words.push(condition(&format!("{key}.{name}"), value)?);
                        }
                    }
                    Some(other) if matches!(key, "header" | "query") => {
                        return Err(format!("`match.{key}` is {}, write a table of names and values", shown(other)));
                    }
                    Some(value) => words.push(condition(key, value)?),
                }
            }
        }
        Some(other) => return Err(format!("`match` is {}, write a table of conditions", shown(other))),
    }
    for key in ["after", "every", "times", "during", "per", "name"] {
        words.extend(table.get(key).map(|value| condition(key, value)).transpose()?);
    }
    match table.get("handler") {
        Some(Value::String(mix)) => words.push(format!("=> {}", mix.trim())),
        Some(other) => return Err(format!("`handler` is {}, write a handler or a mix", shown(other))),
        None => return Err(NO_HANDLER.to_owned()),
    }
    Ok(words.join(" "))
}

pub(super) fn condition(name: &str, value: &Value) -> Result<String, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        other => return Err(format!("`{name}` is {}, write a text or a number", shown(other))),
    };
    if name.contains(|char: char| char.is_whitespace() || matches!(char, '=' | '"')) {
        return Err(format!("`{name}` is no name of a field"));
    }
    Ok(format!("{name}={}", quoted(&text)))
}

pub(super) fn known(table: &Map<String, Value>, keys: &[&str], within: &str) -> Result<(), String> {
    match table.keys().find(|key| !keys.contains(&key.as_str())) {
        None => Ok(()),
        Some(other) => {
            let hint = did_you_mean(other, keys.iter().copied());
            Err(format!("unknown key `{within}{other}` in a rule (known: {}){hint}", keys.join(", ")))
        }
    }
}

/// The keys of `table` that are wrong by themselves, each with what is wrong: `match.client`, `times`. A `null` takes a key away.
pub(crate) fn wrong_keys(table: &Map<String, Value>, registry: &Registry) -> Vec<(String, String)> {
    let mut wrong = Vec::new();
    let mut check = |key: String, alone: Value| {
        let mut rule = json!({ "handler": "dummy" });
        if key == "per" {
            // It needs something to count.
            rule["every"] = json!(2);
        }
        let rule = rule.as_object_mut().map(std::mem::take).into_iter().flatten();
        let rule: Map<_, _> = rule.chain(alone.as_object().cloned().unwrap_or_default()).collect();
        let text = of_table(&rule);
        let checked = text.clone().map_err(|what| vec![what]);
        let checked = checked.and_then(|text| ParsedRule::parse(&text, registry).map(drop));
        // The text is made up for the check: leave it out.
        let quote = text.map(|text| format!("`{text}`: ")).unwrap_or_default();
        let unquoted = |what: String| what.strip_prefix(&quote).unwrap_or(&what).to_owned();
        wrong.extend(checked.err().into_iter().flatten().map(|what| (key.clone(), unquoted(what))));
    };
    for (key, value) in table.iter().filter(|(_, value)| !value.is_null()) {
        match value {
            Value::Object(conditions) if key == "match" => {
                for (name, value) in conditions.iter().filter(|(_, value)| !value.is_null()) {
                    check(format!("match.{name}"), json!({ "match": { name: without_nulls(value) } }));
                }
            }
            value => check(key.clone(), json!({ key: value })),
        }
    }
    let matches = table.get("match").and_then(Value::as_object);
    for (table, keys, within) in [(Some(table), &KEYS[..], ""), (matches, &MATCH, "match.")] {
        for (key, value) in table.into_iter().flatten().filter(|(_, value)| value.is_null()) {
            let is_known = known(&Map::from_iter([(key.clone(), value.clone())]), keys, within);
            wrong.extend(is_known.err().map(|what| (format!("{within}{key}"), what)));
        }
    }
    if table.get("handler").is_some_and(Value::is_null) {
        wrong.push(("handler".to_owned(), "a rule needs a `handler`, write another one".to_owned()));
    }
    wrong
}

/// All that is wrong with the rule that `value` is: a text, or a table.
pub(crate) fn mistakes(value: &Value, registry: &Registry) -> Vec<String> {
    let mut wrong = Vec::new();
    if let Value::Object(table) = value {
        wrong.extend(wrong_keys(table, registry).into_iter().map(|(_, what)| what));
        if !table.contains_key("handler") && !wrong.is_empty() {
            wrong.push(NO_HANDLER.to_owned());
        }
    }
    if !wrong.is_empty() {
        return wrong;
    }
    let parse = |text: String| ParsedRule::parse(&text, registry).map(drop);
    text_of(value).map_err(|what| vec![what]).and_then(parse).err().unwrap_or_default()
}

/// The same without the keys whose value is `null`.
pub(crate) fn without_nulls(value: &Value) -> Value {
    let Value::Object(table) = value else { return value.clone() };
    let keys = table.iter().filter(|(_, value)| !value.is_null());
    Value::Object(keys.map(|(key, value)| (key.clone(), without_nulls(value))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_a_text() {
        for (table, text) in [
            (json!("GET => error "), "GET => error"),
            (json!({ "handler": "delay" }), "=> delay"),
            (
                json!({ "name": "writes", "match": { "command": "SET|DEL", "key": "user:*" }, "times": 3, "handler": "30:error" }),
                "command=SET|DEL key=user:* times=3 name=writes => 30:error",
            ),
            (
                json!({ "match": { "method": "GET", "path": "/a b", "header": { "X-A": "b" }, "query": { "id": 7 } }, "handler": "error" }),
                "method=GET path=\"/a b\" header.X-A=b query.id=7 => error",
            ),
            (
                json!({ "match": { "client": "10.0.0.0/8", "connection": 7 }, "after": 1, "every": 2, "during": "1s..2s", "per": "connection", "handler": "reset" }),
                "client=10.0.0.0/8 connection=7 after=1 every=2 during=1s..2s per=connection => reset",
            ),
        ] {
            assert_eq!(text_of(&table).as_deref(), Ok(text));
        }
    }

    #[test]
    fn a_wrong_key_is_found() {
        let wrong = |table: Value| -> Vec<String> {
            let wrong = wrong_keys(table.as_object().unwrap(), &Registry::default());
            wrong.into_iter().map(|(key, _)| key).collect()
        };
        let right = json!({ "match": { "method": "GET", "header": { "a": "b" } }, "times": 3, "per": "connection", "handler": "error" });
        assert_eq!(wrong(right), Vec::<String>::new());
        let removed = json!({ "match": { "method": null, "header": { "a": null } }, "times": null });
        assert_eq!(wrong(removed), Vec::<String>::new());
        let removed = json!({ "match": { "methd": null }, "tims": null, "handler": null });
        assert_eq!(wrong(removed), ["tims", "match.methd", "handler"]);
        let keys =
            json!({ "match": { "client": "x", "comand": "a" }, "times": 0, "tims": 1, "per": "x", "handler": "eror" });
        let mut wrong = wrong(keys);
        wrong.sort();
        assert_eq!(wrong, ["handler", "match.client", "match.comand", "per", "times", "tims"]);
    }

    #[test]
    fn all_mistakes_of_a_table_are_told_at_once() {
        let table = json!({ "name": "a b", "match": { "comand": "SET" }, "time": 3, "times": 0, "handler": "eror" });
        let mut wrong = mistakes(&table, &Registry::default());
        wrong.sort();
        let begins = [
            "`times=0`: ",
            "invalid name `a b`: ",
            "unknown handler `eror` ",
            "unknown key `match.comand` ",
            "unknown key `time` ",
        ];
        assert_eq!(wrong.len(), begins.len(), "{wrong:#?}");
        assert!(wrong.iter().zip(begins).all(|(what, begin)| what.starts_with(begin)), "{wrong:#?}");
        assert_eq!(mistakes(&json!({ "times": 0 }), &Registry::default()).len(), 2, "it has no handler either");
        assert_eq!(mistakes(&json!({ "match": { "key": "a" }, "handler": "error" }), &Registry::default()).len(), 0);
    }

    #[test]
    fn what_is_no_rule_is_told() {
        for (table, why) in [
            (json!(5), "`5` is no rule, write a text such as `\"GET /pay* => error\"`, or a table"),
            (json!({}), "the rule has no `handler`, write `handler = \"error\"`"),
            (json!({ "handler": 5 }), "`handler` is `5`, write a handler or a mix"),
            (json!({ "match": "GET", "handler": "error" }), "`match` is `GET`, write a table of conditions"),
            (
                json!({ "match": { "comand": "GET" }, "handler": "error" }),
                "unknown key `match.comand` in a rule (known: command, key, service, method, path, header, query, client, connection), did you mean `command`?",
            ),
            (json!({ "times": true, "handler": "error" }), "`times` is `true`, write a text or a number"),
            (
                json!({ "match": { "header": "x" }, "handler": "error" }),
                "`match.header` is `x`, write a table of names and values",
            ),
            (
                json!({ "match": { "header": { "a b": "x" } }, "handler": "error" }),
                "`header.a b` is no name of a field",
            ),
        ] {
            assert_eq!(text_of(&table).unwrap_err(), why);
        }
    }
}
