//! Values of settings that are written as a number or a text.

/// `$type` is read from a number or a text by its `FromStr`; `$wanted` is what an error says for anything else. `$schema` is its
/// JSON schema.
macro_rules! text_value {
    ($type:ident, $wanted:literal, $schema:tt) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                use serde::de::Error;
                let text = match serde_json::Value::deserialize(deserializer)? {
                    serde_json::Value::Number(number) => number.to_string(),
                    serde_json::Value::String(text) => text,
                    _ => return Err(D::Error::custom($wanted)),
                };
                text.parse().map_err(D::Error::custom)
            }
        }

        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    };
}

pub(crate) use text_value;
