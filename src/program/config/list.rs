//! A setting with several values: a list, or text with commas. For `#[serde(with)]`.

use std::fmt::Display;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serializer, de};
use serde_json::Value;

use crate::diagnostic::shown;

/// How the values are given.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(transform = as_types)]
pub(super) enum Listed {
    Text(String),
    List(Vec<Value>),
}

/// The types alone, which messages name.
fn as_types(schema: &mut schemars::Schema) {
    *schema = schemars::json_schema!({ "type": ["array", "string"] });
}

pub(super) fn serialize<T: Display, S: Serializer>(values: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    if values.is_empty() {
        serializer.serialize_none()
    } else {
        serializer.collect_seq(values.iter().map(T::to_string))
    }
}

pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: FromStr<Err: Display>,
    D: Deserializer<'de>,
{
    let values: Vec<Value> = match Option::deserialize(deserializer)? {
        None => Vec::new(),
        Some(Listed::Text(text)) => text.split(',').map(|value| value.trim().into()).collect(),
        Some(Listed::List(values)) => values,
    };
    let (mut read, mut wrong) = (Vec::new(), Vec::new());
    for value in &values {
        match value.as_str().map(str::parse) {
            Some(Ok(value)) => read.push(value),
            Some(Err(error)) => wrong.push(format!("{error}")),
            None => wrong.push(format!("{} is not text, a list holds text only", shown(value))),
        }
    }
    if wrong.is_empty() { Ok(read) } else { Err(de::Error::custom(wrong.join("; "))) }
}
