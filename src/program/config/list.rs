//! A setting with several values: a list, or text with commas.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use crate::diagnostic::shown;

/// Values, each written as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct List<T>(pub(super) Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: fmt::Display> Serialize for List<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(ToString::to_string))
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Listed {
    Text(String),
    List(Vec<Value>),
}

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values: Vec<Value> = match Listed::deserialize(deserializer)? {
            Listed::Text(text) => text.split(',').map(|value| value.trim().into()).collect(),
            Listed::List(values) => values,
        };
        let (mut read, mut wrong) = (Vec::new(), Vec::new());
        for value in &values {
            match value.as_str().map(str::parse) {
                Some(Ok(value)) => read.push(value),
                Some(Err(error)) => wrong.push(format!("{error}")),
                None => wrong.push(format!("{} is not text, a list holds text only", shown(value))),
            }
        }
        if wrong.is_empty() { Ok(Self(read)) } else { Err(de::Error::custom(wrong.join("; "))) }
    }
}

impl<T> JsonSchema for List<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "List".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["array", "string"] })
    }
}
