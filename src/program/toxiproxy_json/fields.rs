//! Values of fields, with the messages of Go's decoder for those of the wrong type.

use super::Wrong;
use super::json::Json;

/// What a value is read into: `Proxy.name`, of Go's type `string`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'f> {
    pub(super) of: &'f str,
    pub(super) name: &'f str,
}

impl Field<'_> {
    fn wrong(self, value: &str, go_type: &str) -> Wrong {
        let field = Some((self.of.to_owned(), self.name.to_owned()));
        Wrong::Value { value: value.to_owned(), field, go_type: go_type.to_owned() }
    }

    /// None for null, which is as an absent key.
    pub(super) fn text(self, value: &Json) -> Result<Option<String>, Wrong> {
        match value {
            Json::Null => Ok(None),
            Json::Text(text) => Ok(Some(text.clone())),
            other => Err(self.wrong(other.kind(), "string")),
        }
    }

    pub(super) fn truth(self, value: &Json) -> Result<Option<bool>, Wrong> {
        match value {
            Json::Null => Ok(None),
            Json::Bool(truth) => Ok(Some(*truth)),
            other => Err(self.wrong(other.kind(), "bool")),
        }
    }

    /// An integer: `1000.0` is none.
    pub(super) fn integer(self, value: &Json, go_type: &str) -> Result<Option<i64>, Wrong> {
        match value {
            Json::Null => Ok(None),
            Json::Number(text) => match text.parse() {
                Ok(integer) => Ok(Some(integer)),
                Err(_) => Err(self.wrong(&format!("number {text}"), go_type)),
            },
            other => Err(self.wrong(other.kind(), go_type)),
        }
    }

    /// A number, of the precision that Toxiproxy keeps: 0.1 stays 0.1.
    pub(super) fn float(self, value: &Json) -> Result<Option<f64>, Wrong> {
        match value {
            Json::Null => Ok(None),
            Json::Number(text) => match text.parse::<f32>() {
                Ok(float) if float.is_finite() => Ok(float.to_string().parse().ok()),
                _ => Err(self.wrong(&format!("number {text}"), "float32")),
            },
            other => Err(self.wrong(other.kind(), "float32")),
        }
    }

    /// The keys of an object; none for null.
    pub(super) fn object<'j>(self, value: &'j Json, go_type: &str) -> Result<&'j [(String, Json)], Wrong> {
        match value {
            Json::Null => Ok(&[]),
            Json::Object(keys) => Ok(keys),
            other => Err(self.wrong(other.kind(), go_type)),
        }
    }
}

/// Mistakes, in their order: all keys are read, whatever is wrong with others. A request is told the first.
#[derive(Debug, Default)]
pub(super) struct Mistakes(pub(super) Vec<Wrong>);

impl Mistakes {
    /// The value that was read, or none if it is absent or wrong.
    pub(super) fn take<T>(&mut self, read: Result<Option<T>, Wrong>) -> Option<T> {
        read.unwrap_or_else(|wrong| {
            self.0.push(wrong);
            None
        })
    }

    pub(super) fn none_or<T>(self, value: T) -> Result<T, Vec<Wrong>> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0) }
    }
}

/// The keys of a whole body; none for null.
pub(super) fn keys<'j>(body: &'j Json, go_type: &str) -> Result<&'j [(String, Json)], Wrong> {
    match body {
        Json::Null => Ok(&[]),
        Json::Object(keys) => Ok(keys),
        other => Err(Wrong::of_type(other, go_type)),
    }
}
