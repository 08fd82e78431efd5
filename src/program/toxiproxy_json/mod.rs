//! Proxies and toxics in Toxiproxy's JSON: read from requests and files, written in answers.

mod fields; // values of the wrong type
pub(crate) mod json; // values as Go reads them
pub(crate) mod listen; // addresses as Go reads them
pub(crate) mod proxy; // a proxy of a body
pub(crate) mod toxic; // a toxic of a body, and back

use std::fmt;

use crate::diagnostic::did_you_mean;
use crate::toxic::types;
use json::Json;

/// The version of Toxiproxy whose API this is. Clients switch on at least 2.6.0.
pub(crate) const VERSION: &str = "2.12.0";

/// A mistake in a body.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Wrong {
    /// JSON, or a value of it.
    Body(String),
    /// A value of another type than Go has for the field of a struct, or for the whole.
    Value { value: String, field: Option<(String, String)>, go_type: String },
    /// A field without which there is no proxy: `name`, `upstream at proxy 2`.
    Missing(String),
    /// A stream that there is not.
    Stream(String),
    /// A type that there is not.
    Type(String),
    /// One in a place where Toxiproxy reads nothing: what comes behind its text is ours.
    In(String, Box<Wrong>),
}

impl Wrong {
    fn of_type(value: &Json, go_type: &str) -> Self {
        Self::Value { value: value.kind().to_owned(), field: None, go_type: go_type.to_owned() }
    }

    /// Whether it is about the value of this key, or with an empty one about the whole.
    pub(crate) fn is_of(&self, key: &str) -> bool {
        let Self::Value { field, .. } = self else { return false };
        field.as_ref().map_or("", |(_, name)| name) == key
    }

    /// What is wrong and what would be right, for who wrote a file.
    pub(crate) fn why(&self) -> String {
        match self {
            Self::Body(why) => why.clone(),
            Self::Value { value, field, go_type } => {
                let what = field.as_ref().map_or_else(|| "it".to_owned(), |(_, name)| format!("`{name}`"));
                let article = match value.as_str() {
                    "null" => "",
                    "array" | "object" => "an ",
                    _ => "a ",
                };
                let right = match go_type.as_str() {
                    "string" => "text in quotes",
                    "bool" => "true or false",
                    "int" | "int64" => "a whole number",
                    "float32" => "a number",
                    list if list.starts_with('[') => "a list",
                    _ => "an object",
                };
                format!("{what} is {article}{value}, write {right}")
            }
            Self::Missing(field) => format!("`{field}` is missing"),
            Self::Stream(stream) => format!("`{stream}` is neither `upstream` nor `downstream`"),
            Self::Type(kind) => {
                let names = || types().iter().map(|known| known.name);
                let (known, hint) = (names().collect::<Vec<_>>().join(", "), did_you_mean(kind, names()));
                let what =
                    if kind.is_empty() { "`type` is missing".to_owned() } else { format!("unknown type `{kind}`") };
                format!("{what} (known: {known}){hint}")
            }
            Self::In(place, wrong) => format!("{place}: {}", wrong.why()),
        }
    }
}

/// Clients match on these texts.
impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body(why) => write!(f, "bad request body: {why}"),
            Self::Value { value, field, go_type } => {
                write!(f, "bad request body: json: cannot unmarshal {value} into Go ")?;
                match field {
                    Some((of, name)) => write!(f, "struct field {of}.{name} of type {go_type}"),
                    None => write!(f, "value of type {go_type}"),
                }
            }
            Self::Missing(field) => write!(f, "missing required field: {field}"),
            Self::Stream(_) => f.write_str("stream was invalid, can be either upstream or downstream"),
            Self::Type(_) => f.write_str("invalid toxic type"),
            Self::In(place, wrong) => write!(f, "{wrong} ({place})"),
        }
    }
}

/// Says that a key has no effect: Toxiproxy ignores what it does not know.
fn ignored<'k>(what: &str, key: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    format!(
        "the {what} `{}` is unknown and has no effect{}",
        key.escape_debug(),
        did_you_mean(&key.to_lowercase(), known)
    )
}
