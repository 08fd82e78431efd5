//! Changes of the text of a rule: its name, and the keys of a table merged into it.

use serde_json::{Map, Value};

use super::table::{KEYS, MATCH, condition, known};
use super::words::{Words, value};
use crate::diagnostic::shown;

/// The name that `text` gives the rule, and the text without it. A text that cannot be read stays as it is.
pub(crate) fn split_name(text: &str) -> Result<(Option<String>, String), String> {
    let Ok(Words { words, mix: Some(mix) }) = Words::split(text) else { return Ok((None, text.to_owned())) };
    let (names, others): (Vec<&str>, Vec<&str>) = words.into_iter().partition(|word| word.starts_with(NAME));
    match names[..] {
        [name] => {
            Ok((Some(value(&name[NAME.len()..]).map_err(|what| format!("`name`: {what}"))?), joined(&others, mix)))
        }
        _ => Ok((None, text.to_owned())),
    }
}

/// The text with this name, in place of one that it may have.
pub(crate) fn with_name(text: &str, name: &str) -> String {
    let text = split_name(text).map_or_else(|_| text.to_owned(), |(_, text)| text);
    match Words::split(&text) {
        Ok(Words { mut words, mix: Some(mix) }) => {
            let name = format!("{NAME}{name}");
            words.push(&name);
            joined(&words, mix)
        }
        _ => text,
    }
}

/// `text` with the keys of a rule's table merged into it, as RFC 7396 says: a key replaces, `null` removes, `match` and the tables
/// within it are merged.
pub(crate) fn merged(text: &str, patch: &Map<String, Value>) -> Result<String, String> {
    known(patch, &KEYS, "")?;
    let Words { words, mix } = Words::split(text)?;
    let mut mix = mix.unwrap_or_default().to_owned();
    let mut conditions = Conditions::of(&words);
    for (key, value) in patch {
        match (key.as_str(), value) {
            ("handler", Value::String(text)) => text.trim().clone_into(&mut mix),
            ("handler", Value::Null) => return Err("a rule needs a `handler`, write another one".to_owned()),
            ("handler", other) => return Err(format!("`handler` is {}, write a handler or a mix", shown(other))),
            ("match", Value::Null) => conditions.remove_matches(),
            ("match", Value::Object(patch)) => conditions.merge(patch)?,
            ("match", other) => return Err(format!("`match` is {}, write a table of conditions", shown(other))),
            (key, value) => conditions.set(key, value)?,
        }
    }
    let words = conditions.words();
    Ok(joined(&words.iter().map(String::as_str).collect::<Vec<_>>(), &mix))
}

const NAME: &str = "name=";

fn is_path(word: &str) -> bool {
    word.trim_start_matches('"').starts_with('/')
}

fn joined(words: &[&str], mix: &str) -> String {
    let blank = if words.is_empty() { "" } else { " " };
    format!("{}{blank}=> {mix}", words.join(" "))
}

/// The words before the arrow, each with what it is a condition on.
struct Conditions(Vec<(Subject, String)>);

#[derive(Debug, PartialEq, Eq)]
enum Subject {
    /// The command or the method, as the first word.
    Command,
    /// The key or the path, as a leading word.
    Key,
    Named(String),
}

impl Subject {
    fn named(name: &str) -> Self {
        // Names of header fields ignore case.
        Self::Named(if name.starts_with("header.") { name.to_ascii_lowercase() } else { name.to_owned() })
    }

    /// Whether `name` is about the same.
    fn is(&self, name: &str) -> bool {
        let (command, key) = (matches!(name, "command" | "method"), matches!(name, "key" | "path"));
        match self {
            Self::Command => command,
            Self::Key => key,
            Self::Named(own) => match own.as_str() {
                "command" | "method" => command,
                "key" | "path" => key,
                _ => *self == Self::named(name),
            },
        }
    }
}

impl Conditions {
    fn of(words: &[&str]) -> Self {
        let is_leading = |word: &&&str| word.starts_with('"') || !word.contains('=');
        let leading = words.iter().take_while(is_leading).count();
        let subject = |(place, word): (usize, &&str)| match word.split_once('=') {
            Some((name, _)) if place >= leading => Subject::named(name),
            _ if place == 0 && !(leading == 1 && is_path(word)) => Subject::Command,
            _ => Subject::Key,
        };
        Self(words.iter().enumerate().map(|(place, word)| (subject((place, word)), (*word).to_owned())).collect())
    }

    /// Sets the condition `name`, or removes it.
    fn set(&mut self, name: &str, value: &Value) -> Result<(), String> {
        let word = if value.is_null() { None } else { Some(condition(name, value)?) };
        let is_named = |subject: &Subject| matches!(subject, Subject::Named(_));
        let place = self.0.iter().position(|(subject, _)| subject.is(name) && is_named(subject));
        match (place, word) {
            (Some(place), Some(word)) => self.0[place] = (Subject::named(name), word),
            (None, Some(word)) => {
                self.0.retain(|(subject, _)| !subject.is(name));
                self.0.push((Subject::named(name), word));
            }
            (_, None) => self.0.retain(|(subject, _)| !subject.is(name)),
        }
        Ok(())
    }

    fn merge(&mut self, patch: &Map<String, Value>) -> Result<(), String> {
        known(patch, &MATCH, "match.")?;
        for (name, same) in [("command", "method"), ("key", "path")] {
            if [name, same].iter().all(|key| patch.get(*key).is_some_and(|value| !value.is_null())) {
                return Err(format!("the {same} is given twice"));
            }
        }
        for (key, value) in patch {
            match value {
                Value::Null if matches!(key.as_str(), "header" | "query") => self.remove_fields(key),
                Value::Object(fields) if matches!(key.as_str(), "header" | "query") => {
                    for (name, value) in fields {
                        self.set(&format!("{key}.{name}"), value)?;
                    }
                }
                other if matches!(key.as_str(), "header" | "query") => {
                    return Err(format!("`match.{key}` is {}, write a table of names and values", shown(other)));
                }
                value => self.set(key, value)?,
            }
        }
        Ok(())
    }

    /// Removes the conditions on all fields of the header, or of the query.
    fn remove_fields(&mut self, of: &str) {
        let is_field = |name: &str| name.strip_prefix(of).is_some_and(|rest| rest.starts_with('.'));
        self.0.retain(|(subject, _)| !matches!(subject, Subject::Named(name) if is_field(name)));
    }

    /// Removes all conditions that `match` may have.
    fn remove_matches(&mut self) {
        for key in MATCH {
            self.remove_fields(key);
            self.0.retain(|(subject, _)| !subject.is(key));
        }
    }

    fn words(mut self) -> Vec<String> {
        // A key that stands first would be taken for a command, but a path.
        if matches!(self.0.first(), Some((Subject::Key, word)) if !is_path(word)) {
            let command = self.0.iter().position(|(subject, _)| subject.is("command"));
            let command = command.map(|place| self.0.remove(place).1);
            let word = command.as_deref().and_then(|word| word.split_once('=')).map_or("*", |(_, word)| word);
            let is_quoted = word.starts_with('"') || !word.contains('=');
            let word = if is_quoted { word.to_owned() } else { format!("\"{word}\"") };
            self.0.insert(0, (Subject::Command, word));
        }
        self.0.into_iter().map(|(_, word)| word).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_is_taken_out_and_put_in() {
        for (text, name, without) in [
            ("GET name=a times=3=>error", Some("a"), "GET times=3 => error"),
            ("name=\"a\" => error", Some("a"), "=> error"),
            ("GET => error", None, "GET => error"),
            ("GET \"name=a\" => error", None, "GET \"name=a\" => error"),
            ("GET name=a", None, "GET name=a"),
            ("GET \"a => error", None, "GET \"a => error"),
            ("name=a name=b => error", None, "name=a name=b => error"),
        ] {
            assert_eq!(split_name(text), Ok((name.map(str::to_owned), without.to_owned())), "{text}");
        }
        assert_eq!(with_name("GET a times=3 => error", "x"), "GET a times=3 name=x => error");
        assert_eq!(with_name("GET name=a => error", "x"), "GET name=x => error");
        assert_eq!(with_name("=> error", "x"), "name=x => error");
    }

    #[test]
    fn keys_are_merged_into_a_text() {
        for (text, patch, after) in [
            ("GET a times=3 => error", json!({}), "GET a times=3 => error"),
            (
                "GET a times=3 name=x => error",
                json!({ "times": 5, "handler": " reset " }),
                "GET a times=5 name=x => reset",
            ),
            ("GET a times=3 => error", json!({ "times": null, "every": 2 }), "GET a every=2 => error"),
            ("GET a => error", json!({ "match": { "key": "b c" } }), "GET key=\"b c\" => error"),
            ("GET a => error", json!({ "match": { "command": "SET" } }), "SET a => error"),
            ("GET a => error", json!({ "match": { "command": null } }), "* a => error"),
            ("GET /a => error", json!({ "match": { "method": null } }), "/a => error"),
            ("/a => error", json!({ "match": { "path": "/b" } }), "path=/b => error"),
            ("\"GET\" \"a=b\" => error", json!({ "match": { "key": null } }), "\"GET\" => error"),
            ("key=a times=1 => error", json!({ "match": { "key": "b" } }), "key=b times=1 => error"),
            (
                "GET header.x-a=1 header.b=2 query.c=3 => error",
                json!({ "match": { "header": { "X-A": null, "d": 4 }, "query": null } }),
                "GET header.b=2 header.d=4 => error",
            ),
            (
                "service=a.B method=C times=3 => error",
                json!({ "match": { "method": "D", "service": null } }),
                "method=D times=3 => error",
            ),
            ("service=a.B method=C times=3 => error", json!({ "match": null }), "times=3 => error"),
            ("GET a client=::1 query.c=3 times=1 name=x => error", json!({ "match": null }), "times=1 name=x => error"),
        ] {
            assert_eq!(merged(text, patch.as_object().unwrap()).as_deref(), Ok(after), "{text} {patch}");
        }
        for (patch, why) in [
            (json!({ "handler": null }), "a rule needs a `handler`, write another one"),
            (json!({ "handler": 5 }), "`handler` is `5`, write a handler or a mix"),
            (json!({ "match": 5 }), "`match` is `5`, write a table of conditions"),
            (json!({ "match": { "query": 5 } }), "`match.query` is `5`, write a table of names and values"),
            (json!({ "match": { "key": "a", "path": "/b" } }), "the path is given twice"),
            (json!({ "match": { "command": "GET", "method": "PUT" } }), "the method is given twice"),
            (json!({ "times": [] }), "`times` is `[]`, write a text or a number"),
        ] {
            assert_eq!(merged("GET => error", patch.as_object().unwrap()).unwrap_err(), why);
        }
        assert!(merged("GET => error", json!({ "tims": null }).as_object().unwrap()).is_err());
    }
}
