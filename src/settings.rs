//! Settings read off a struct: its fields are the names, their documentation is the help text, its `Default` has the
//! defaults, and reading a value into it is the check. So flags, variables, keys of the file and help cannot drift apart.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::diagnostic::{did_you_mean, shown};

/// A struct whose fields are settings.
pub(crate) trait Settings: Default + Serialize + DeserializeOwned + JsonSchema {}

impl<T: Default + Serialize + DeserializeOwned + JsonSchema> Settings for T {}

/// One setting: a field of a struct.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    /// As in the file: with underscores.
    pub(crate) name: String,
    /// The field's documentation, on one line.
    pub(crate) help: String,
    /// What it is counted in, from the schema's `x-unit`.
    unit: Option<String>,
    /// Null where there is none.
    pub(crate) default: Value,
    /// The JSON types that it can be; empty where the schema is not that simple.
    types: Vec<String>,
    /// Whether it cannot be negative.
    unsigned: bool,
    /// All the values that it can have, where they are few.
    choices: Vec<String>,
    /// Whether nobody but who gave it may see its value.
    pub(crate) secret: bool,
    /// What the struct makes of this value in this field, as far as it writes it; or why it cannot be read.
    read: fn(&str, Value) -> Result<Value, String>,
}

/// A value as it was given.
#[derive(Debug, Clone)]
pub(crate) enum Given {
    /// On the command line or in a variable, where a type shows only in how the field reads it.
    Text(String),
    /// In the file, with its type.
    Value(Value),
}

/// The struct's fields in the order of their declaration.
pub(crate) fn fields<T: Settings>() -> Vec<Field> {
    let schema = schema::<T>();
    let defaults = serde_json::to_value(T::default()).unwrap_or_default();
    let properties = schema.get("properties").and_then(Value::as_object);
    properties
        .into_iter()
        .flatten()
        .map(|(name, property)| Field {
            name: name.clone(),
            help: one_line(property),
            unit: property.get("x-unit").and_then(Value::as_str).map(str::to_owned),
            default: defaults.get(name).cloned().unwrap_or_default(),
            types: types(property),
            unsigned: property.get("minimum").and_then(Value::as_f64) == Some(0.0),
            choices: choices(property),
            secret: property.get("x-secret") == Some(&Value::Bool(true)),
            read: |name, value| {
                let read = build::<T>(Map::from_iter([(name.to_owned(), value)]))?;
                let mut written = serde_json::to_value(read).unwrap_or_default();
                Ok(written.get_mut(name).map(Value::take).unwrap_or_default())
            },
        })
        .collect()
}

/// The struct's documentation, on one line.
pub(crate) fn help<T: JsonSchema>() -> String {
    one_line(schema::<T>().as_value())
}

/// The struct with `values` in place of defaults.
pub(crate) fn build<T: Settings>(values: Map<String, Value>) -> Result<T, String> {
    let mut all = serde_json::to_value(T::default()).map_err(|error| error.to_string())?;
    // A unit struct has no fields and is null.
    if let Value::Object(fields) = &mut all {
        fields.extend(values);
    }
    serde_json::from_value(all).map_err(|error| error.to_string())
}

impl Field {
    /// The value as the field reads it, or what is wrong with it.
    pub(crate) fn check(&self, given: &Given) -> Result<Value, String> {
        let text = match given {
            Given::Value(value) => return self.fit(value.clone(), &self.shown(value)),
            Given::Text(text) => text,
        };
        let as_text = Value::String(text.clone());
        let shown = self.shown(&as_text);
        // Null is how the schema says "none"; typed by a person it is a word.
        let Some(typed) = serde_json::from_str(text).ok().filter(|value: &Value| !value.is_null()) else {
            return self.fit(as_text, &shown);
        };
        self.fit(typed, &shown).or_else(|why| {
            self.fit(as_text, &shown).map_err(|why_as_text| if self.takes("string") { why_as_text } else { why })
        })
    }

    /// A value that it can be read from, in the spelling of the struct: two spellings are one value, and `"250ms"` is a number.
    pub(crate) fn canonical(&self, value: &Value) -> Value {
        let written = (self.read)(&self.name, value.clone()).ok();
        // A struct may write nothing of it, or what it would not read.
        let readable = |written: &Value| !written.is_null() && (self.read)(&self.name, written.clone()).is_ok();
        written.filter(readable).unwrap_or_else(|| value.clone())
    }

    /// Whether it is true or false, so that its flag alone means true.
    pub(crate) fn is_switch(&self) -> bool {
        self.takes("boolean") && !self.takes("string")
    }

    /// Whether it is several values, so that its flag may be there several times.
    pub(crate) fn is_list(&self) -> bool {
        self.takes("array")
    }

    /// All that it can be, where that is little.
    pub(crate) fn values(&self) -> Vec<String> {
        if self.is_switch() { ["true", "false"].map(str::to_owned).into() } else { self.choices.clone() }
    }

    /// Whether it names a file.
    pub(crate) fn is_file(&self) -> bool {
        self.unit.as_deref() == Some("file")
    }

    /// What stands for its value in the help.
    pub(crate) fn placeholder(&self) -> String {
        let by_type = if self.takes("integer") || self.takes("number") { "number" } else { "value" };
        self.unit.as_deref().unwrap_or(if self.is_switch() { "bool" } else { by_type }).to_uppercase()
    }

    fn shown(&self, value: &Value) -> String {
        if self.secret { "the value".to_owned() } else { shown(value) }
    }

    fn takes(&self, json_type: &str) -> bool {
        self.types.iter().any(|known| known == json_type)
    }

    /// `shown` is the value in messages.
    fn fit(&self, value: Value, shown: &str) -> Result<Value, String> {
        match (self.read)(&self.name, value.clone()) {
            Ok(_) => Ok(value),
            Err(why) => Err(self.explain(&value, shown).unwrap_or(why)),
        }
    }

    /// What is wrong with a value whose very type is wrong. About others, the field's own type knows best.
    fn explain(&self, value: &Value, shown: &str) -> Option<String> {
        if !self.choices.is_empty() {
            let hint = value.as_str().map(|text| did_you_mean(text, self.choices.iter().map(String::as_str)));
            let hint = hint.unwrap_or_default();
            return Some(format!("{shown} is not one of {}{hint}", self.choices.join(", ")));
        }
        let fits = self.types.is_empty()
            || match value {
                Value::Null => self.takes("null"),
                Value::Bool(_) => self.takes("boolean"),
                Value::Number(number) => {
                    let whole = number.is_u64() || (number.is_i64() && !self.unsigned);
                    self.takes("number") || (whole && self.takes("integer"))
                }
                Value::String(_) => self.takes("string"),
                Value::Array(_) => self.takes("array"),
                Value::Object(_) => self.takes("object"),
            };
        (!fits).then(|| format!("{shown} is not {}", self.noun()))
    }

    /// What it takes, as one says it.
    fn noun(&self) -> String {
        let of_unit = self.unit.as_ref().map(|unit| format!(" of {unit}")).unwrap_or_default();
        if self.takes("boolean") {
            "true or false".to_owned()
        } else if self.takes("number") {
            format!("a number{of_unit}")
        } else if self.takes("integer") {
            format!("a whole number{of_unit}{}", if self.unsigned { ", 0 or more" } else { "" })
        } else if self.takes("string") && self.takes("array") {
            format!("a list{of_unit}")
        } else if self.takes("string") {
            "text, put it in quotes".to_owned()
        } else {
            format!("of type {}", self.types.join(" or "))
        }
    }
}

fn schema<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::default().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<T>()
}

/// The first paragraph of the documentation.
fn one_line(schema: &Value) -> String {
    let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    paragraph.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.').to_owned()
}

fn types(property: &Value) -> Vec<String> {
    match property.get("type") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// An enum's values: listed, or each with its documentation; perhaps with null beside them.
fn choices(property: &Value) -> Vec<String> {
    let listed = property.get("enum").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let documented = ["oneOf", "anyOf"].iter().filter_map(|key| property.get(key)?.as_array()).flatten();
    listed
        .chain(property.get("const").and_then(Value::as_str))
        .map(str::to_owned)
        .chain(documented.flat_map(choices))
        .collect()
}
