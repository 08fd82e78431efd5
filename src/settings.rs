//! Settings read off a struct: its fields are the names, their documentation is the help text, its `Default` has the
//! defaults, schema attributes say how they are shown, and deserializing a value is the check.
//!
//! | attribute | meaning |
//! | --- | --- |
//! | `x-unit` | what the value is counted in; `file` or `folder` for a path |
//! | `x-heading` | heading in the help, of a field or of all fields of a struct |
//! | `x-common` | shown by `-h` as well |
//! | `x-hidden` | not shown in the help |
//! | `x-secret` | the value is never shown |

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
    /// The heading in the help.
    pub(crate) heading: Option<String>,
    /// Null where there is none.
    pub(crate) default: Value,
    /// Whether `-h` shows it as well.
    pub(crate) common: bool,
    /// Whether the help does not show it.
    pub(crate) hidden: bool,
    /// Whether its value is never shown.
    pub(crate) secret: bool,
    /// The JSON schema of its value.
    pub(crate) schema: Value,
    /// The JSON types that it can be; empty where the schema is not that simple.
    types: Vec<String>,
    /// All the values that it can have, where they are few.
    choices: Vec<String>,
    /// Reads a value into the field and writes it back, or says why it is invalid.
    read: fn(&str, Value) -> Result<Value, String>,
}

/// The struct's fields in the order of their declaration.
pub(crate) fn fields<T: Settings>() -> Vec<Field> {
    let schema = schema::<T>(SchemaSettings::default());
    let defaults = serde_json::to_value(T::default()).unwrap_or_default();
    let heading = schema.get("x-heading");
    let properties = schema.get("properties").and_then(Value::as_object);
    let field = |(name, property): (&String, &Value)| {
        let mut property = property.clone();
        let mut attribute = |key: &str| property.as_object_mut()?.remove(key);
        let [own_heading, common, hidden, secret] =
            ["x-heading", "x-common", "x-hidden", "x-secret"].map(&mut attribute);
        Field {
            name: name.clone(),
            help: one_line(&property),
            heading: own_heading.as_ref().or(heading).and_then(Value::as_str).map(str::to_owned),
            default: defaults.get(name).cloned().unwrap_or_default(),
            common: common.is_some(),
            hidden: hidden.is_some(),
            secret: secret.is_some(),
            types: types(&property),
            choices: choices(&property),
            schema: property,
            read: |name, value| {
                let read = build::<T>(Map::from_iter([(name.to_owned(), value)]))?;
                let mut written = serde_json::to_value(read).unwrap_or_default();
                Ok(written.get_mut(name).map(Value::take).unwrap_or_default())
            },
        }
    };
    properties.into_iter().flatten().map(field).collect()
}

/// The struct's documentation, on one line.
pub(crate) fn help<T: JsonSchema>() -> String {
    one_line(schema::<T>(SchemaSettings::default()).as_value())
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
    /// The value of a text on the command line or in a variable, by the field's type.
    pub(crate) fn parse(&self, text: &str) -> Value {
        let typed = match serde_json::from_str::<Value>(text) {
            // As text, `null` is a word. A field that takes text reads its numbers from the text.
            Ok(Value::Null | Value::Number(_) | Value::Bool(_)) if self.takes("string") || !self.choices.is_empty() => {
                None
            }
            typed => typed.ok().filter(|value| !value.is_null() && !value.is_string() && self.fits(value)),
        };
        typed.unwrap_or_else(|| text.into())
    }

    /// What is wrong with a value, if anything.
    pub(crate) fn check(&self, value: &Value) -> Result<(), String> {
        (self.read)(&self.name, value.clone()).map(drop).map_err(|why| self.explain(value).unwrap_or(why))
    }

    /// The value in the spelling of the struct: `"250ms"` is the number 0.25.
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

    /// Whether its flag alone means true, and it may be a text as well.
    pub(crate) fn is_optional(&self) -> bool {
        self.takes("boolean") && self.takes("string")
    }

    /// Whether it is several values, so that its flag may be repeated.
    pub(crate) fn is_list(&self) -> bool {
        self.takes("array")
    }

    /// Whether it names a file.
    pub(crate) fn is_file(&self) -> bool {
        self.unit() == Some("file")
    }

    /// Whether it names a folder.
    pub(crate) fn is_folder(&self) -> bool {
        self.unit() == Some("folder")
    }

    /// All the values that it can have, where they are few.
    pub(crate) fn values(&self) -> Vec<String> {
        if self.is_switch() { ["true", "false"].map(str::to_owned).into() } else { self.choices.clone() }
    }

    /// What stands for its value in the help.
    pub(crate) fn placeholder(&self) -> String {
        let by_type = match () {
            () if self.is_switch() => "bool",
            () if self.takes("integer") || self.takes("number") => "number",
            () => "value",
        };
        self.unit().unwrap_or(by_type).to_uppercase()
    }

    /// What the value is counted in.
    pub(crate) fn unit(&self) -> Option<&str> {
        self.schema.get("x-unit")?.as_str()
    }

    fn is_unsigned(&self) -> bool {
        self.limit("minimum").is_some_and(|least| least >= 0.0)
    }

    fn limit(&self, which: &str) -> Option<f64> {
        self.schema.get(which)?.as_f64()
    }

    /// Which whole numbers it takes, for a message.
    fn range(&self) -> String {
        match (self.limit("minimum"), self.limit("maximum")) {
            (Some(least), Some(most)) => format!(", {least} to {most}"),
            (Some(least), None) => format!(", {least} or more"),
            _ => String::new(),
        }
    }

    fn takes(&self, json_type: &str) -> bool {
        self.types.iter().any(|known| known == json_type)
    }

    /// Whether the value has one of the field's types.
    fn fits(&self, value: &Value) -> bool {
        self.types.is_empty()
            || match value {
                Value::Null => self.takes("null"),
                Value::Bool(_) => self.takes("boolean"),
                Value::Number(number) => {
                    let whole = number.is_u64() || (number.is_i64() && !self.is_unsigned());
                    self.takes("number") || (whole && self.takes("integer"))
                }
                Value::String(_) => self.takes("string"),
                Value::Array(_) => self.takes("array"),
                Value::Object(_) => self.takes("object"),
            }
    }

    /// The message for a value of the wrong type. `None` if the type is right: then the field's own message is better.
    fn explain(&self, value: &Value) -> Option<String> {
        let shown = if self.secret { "the value".to_owned() } else { shown(value) };
        if !self.choices.is_empty() {
            let hint = value.as_str().map(|text| self.meant(text));
            return Some(format!("{shown} is not one of {}{}", self.choices.join(", "), hint.unwrap_or_default()));
        }
        if let Some(text) = value.as_str().filter(|_| !self.takes("string"))
            && serde_json::from_str(text).is_ok_and(|value| self.fits(&value))
        {
            return Some(format!("`\"{text}\"` is a text, write `{text}` without quotes"));
        }
        // What reads numbers as texts knows better what it takes.
        let reads_both = self.takes("integer") && self.takes("string");
        (!reads_both && !self.fits(value)).then(|| format!("{shown} is not {}", self.noun()))
    }

    /// What was probably meant, where it is one of a few values.
    fn meant(&self, text: &str) -> String {
        let is_one = |choice: &str| self.choices.iter().any(|known| known == choice);
        if is_one("http") && ["h2", "h2c", "http2", "http/2", "https"].contains(&text.to_lowercase().as_str()) {
            return ", did you mean `http`?".to_owned();
        }
        did_you_mean(text, self.choices.iter().map(String::as_str))
    }

    /// What it takes, for a message.
    fn noun(&self) -> String {
        let of_unit = self.unit().map(|unit| format!(" of {unit}")).unwrap_or_default();
        match () {
            () if self.takes("boolean") => "true or false".to_owned(),
            () if self.takes("number") => format!("a number{of_unit}"),
            () if self.takes("integer") => {
                format!("a whole number{of_unit}{}", self.range())
            }
            () if self.takes("string") && self.takes("array") => format!("a list{of_unit}"),
            () if self.takes("string") => "text, put it in quotes".to_owned(),
            () => format!("of type {}", self.types.join(" or ")),
        }
    }
}

/// The schema of a type, in one piece.
pub(crate) fn schema<T: JsonSchema>(settings: SchemaSettings) -> Schema {
    let settings = settings.with(|settings| {
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
