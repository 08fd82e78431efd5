//! Values of handlers' settings that say what an answer holds.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::protocol::http::{BadField, Response};
use crate::text_value::text_value;

/// One status of a response, or several to draw from: `503`, `500|502|503`. Each is 200 to 599.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statuses(Vec<u16>);

impl Statuses {
    /// At least one.
    #[must_use]
    pub fn all(&self) -> &[u16] {
        &self.0
    }
}

impl From<u16> for Statuses {
    /// # Panics
    ///
    /// If it is not 200 to 599.
    fn from(status: u16) -> Self {
        assert!((200..600).contains(&status), "{status} is no status of a final response: 200 to 599");
        Self(vec![status])
    }
}

/// A text or number that is no status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid status `{0}`: write 200 to 599, or several: `500|502|503`")]
pub struct NotStatus(String);

impl FromStr for Statuses {
    type Err = NotStatus;

    fn from_str(text: &str) -> Result<Self, NotStatus> {
        let status = |text: &str| text.trim().parse().ok().filter(|status| (200..600).contains(status));
        let statuses: Option<Vec<u16>> = text.split('|').map(status).collect();
        statuses.map(Self).ok_or_else(|| NotStatus(text.to_owned()))
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let statuses: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&statuses.join("|"))
    }
}

impl Serialize for Statuses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [status] => serializer.serialize_u16(*status),
            _ => serializer.collect_str(self),
        }
    }
}

text_value!(Statuses, "write a status or several: `500|502|503`", {
    "type": ["integer", "string"], "minimum": 200, "maximum": 599, "pattern": "^ *[2-5][0-9][0-9] *(\\| *[2-5][0-9][0-9] *)*$"
});

/// Bytes as a text: `\r`, `\n`, `\t`, `\0`, `\\` and `\x7f` stand for one byte each, other characters for themselves in UTF-8.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Escaped(Bytes);

impl Escaped {
    /// What the text stands for.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }
}

impl<T: Into<Bytes>> From<T> for Escaped {
    fn from(bytes: T) -> Self {
        Self(bytes.into())
    }
}

/// A backslash that begins no escape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no escape, write `\\r`, `\\n`, `\\t`, `\\0`, `\\\\` or `\\x7f`")]
pub struct NotEscape(String);

impl FromStr for Escaped {
    type Err = NotEscape;

    fn from_str(text: &str) -> Result<Self, NotEscape> {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('\\') {
            bytes.extend_from_slice(&rest.as_bytes()[..at]);
            let escape = &rest[at..];
            let (byte, len) = match escape.as_bytes() {
                [_, b'r', ..] => (b'\r', 2),
                [_, b'n', ..] => (b'\n', 2),
                [_, b't', ..] => (b'\t', 2),
                [_, b'0', ..] => (0, 2),
                [_, b'\\', ..] => (b'\\', 2),
                [_, b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    (u8::from_str_radix(&escape[2..4], 16).unwrap_or_default(), 4)
                }
                [_, b'x', ..] => return Err(NotEscape(escape.chars().take(4).collect())),
                _ => return Err(NotEscape(escape.chars().take(2).collect())),
            };
            bytes.push(byte);
            rest = &escape[len..];
        }
        bytes.extend_from_slice(rest.as_bytes());
        Ok(Self(bytes.into()))
    }
}

impl fmt::Display for Escaped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for char in chunk.valid().chars() {
                match char {
                    '\r' => f.write_str("\\r")?,
                    '\n' => f.write_str("\\n")?,
                    '\t' => f.write_str("\\t")?,
                    '\0' => f.write_str("\\0")?,
                    '\\' => f.write_str("\\\\")?,
                    char if char.is_ascii_control() => write!(f, "\\x{:02x}", u32::from(char))?,
                    char => write!(f, "{char}")?,
                }
            }
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        Ok(())
    }
}

impl Serialize for Escaped {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

text_value!(Escaped, "write a text", { "type": "string" });

/// Header fields, one a line or one a text of a list: `Name: value`. A text has the escapes of [`Escaped`], so that in one text `\n` or
/// `\r\n` ends a line.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

/// What is wrong with header fields.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotHeaders {
    /// A backslash that begins no escape.
    #[error(transparent)]
    Escape(#[from] NotEscape),
    /// Bytes that are no text.
    #[error("`{0}` is not UTF-8")]
    Bytes(String),
    /// No colon.
    #[error("`{0}` is no header field, write `Name: value`")]
    NoColon(String),
    /// What is on either side of the colon.
    #[error(transparent)]
    Bad(#[from] BadField),
}

impl Headers {
    /// Reads `Name: value` of each.
    ///
    /// # Errors
    ///
    /// One is no header field, or one that vaurien writes itself.
    pub fn new<'a>(fields: impl IntoIterator<Item = &'a str>) -> Result<Self, NotHeaders> {
        let mut headers = Self::default();
        for field in fields.into_iter().map(str::trim).filter(|field| !field.is_empty()) {
            let (name, value) = field.split_once(':').ok_or_else(|| NotHeaders::NoColon(field.to_owned()))?;
            let (name, value) = (name.trim_end(), value.trim());
            Response::new(200).header(name, value)?;
            headers.0.push((name.to_owned(), value.to_owned()));
        }
        Ok(headers)
    }

    /// `response` with them.
    pub(super) fn add_to(&self, response: Response) -> Response {
        self.0.iter().fold(response, |response, (name, value)| response.with_field(name, value))
    }

    /// Whether one of them has this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    fn lines(&self) -> Vec<String> {
        let line = |(name, value): &(String, String)| Escaped::from(format!("{name}: {value}")).to_string();
        self.0.iter().map(line).collect()
    }
}

impl Serialize for Headers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.lines().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = || de::Error::custom("write `Name: value`, or a list of such texts");
        let texts = match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => vec![text],
            serde_json::Value::Array(texts) => {
                let texts = texts.iter().map(|text| text.as_str().map(str::to_owned));
                texts.collect::<Option<_>>().ok_or_else(wrong)?
            }
            _ => return Err(wrong()),
        };
        let unescaped = |text: &String| {
            let bytes = text.parse::<Escaped>()?.bytes().to_vec();
            String::from_utf8(bytes).map_err(|_| NotHeaders::Bytes(text.clone()))
        };
        let texts: Vec<String> = texts.iter().map(unescaped).collect::<Result<_, _>>().map_err(de::Error::custom)?;
        Self::new(texts.iter().flat_map(|text| text.lines())).map_err(de::Error::custom)
    }
}

impl schemars::JsonSchema for Headers {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Headers".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["array", "string"], "items": { "type": "string" } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_stand_for_bytes() {
        let read = |text: &str| text.parse::<Escaped>().map(|read| read.bytes().to_vec());
        assert_eq!(read(r"-ERR no\r\n\x00\xFF\0\\é"), Ok(b"-ERR no\r\n\0\xff\0\\\xc3\xa9".to_vec()));
        for (text, escape) in [(r"a\q", r"\q"), (r"\x0", r"\x0"), ("\\", "\\"), (r"\x0é", r"\x0é")] {
            assert_eq!(read(text), Err(NotEscape(escape.to_owned())));
        }
        let all: Vec<u8> = (0..=255).collect();
        let all = Escaped::from(all);
        assert_eq!(all.to_string().parse(), Ok(all));
    }

    #[test]
    fn statuses_are_those_of_final_responses() {
        assert_eq!("500| 502 |503".parse(), Ok(Statuses(vec![500, 502, 503])));
        assert_eq!(serde_json::to_value("429".parse::<Statuses>().unwrap()).unwrap(), 429);
        for text in ["100", "600", "", "500|", "abc", "500,502"] {
            assert!(text.parse::<Statuses>().is_err(), "{text}");
        }
    }

    #[test]
    fn headers_are_lines_or_a_list() {
        let read = |value: serde_json::Value| serde_json::from_value::<Headers>(value).map_err(|why| why.to_string());
        let both = Headers(vec![("A".into(), "b: c".into()), ("X-Y".into(), String::new())]);
        assert_eq!(read("A: b: c\\nX-Y:".into()).as_ref(), Ok(&both));
        assert_eq!(read("A: b: c\nX-Y:".into()).as_ref(), Ok(&both));
        assert_eq!(read(r"A: b: c\r\nX-Y:\x0d\x0a".into()).as_ref(), Ok(&both));
        let escaped = Headers(vec![("A".into(), "c:\\d \té".into())]);
        assert_eq!(read(r"A: c:\\d \t\xc3\xa9".into()).as_ref(), Ok(&escaped));
        assert_eq!(read(serde_json::to_value(&escaped).unwrap()).as_ref(), Ok(&escaped));
        assert_eq!(read(r"A: b\rX: c".into()), Err("the value of `A` has a control character".into()));
        assert_eq!(read(r"A: \xff".into()), Err(r"`A: \xff` is not UTF-8".into()));
        assert!(read(r"A: c:\dir".into()).unwrap_err().starts_with(r"`\d` is no escape"));
        assert_eq!(read(serde_json::json!(["A: b: c", "X-Y:"])).as_ref(), Ok(&both));
        assert_eq!(read(serde_json::to_value(&both).unwrap()).as_ref(), Ok(&both));
        assert_eq!(read("no".into()), Err("`no` is no header field, write `Name: value`".into()));
        assert_eq!(read("a b: c".into()), Err("`a b` is no header name, write `Name: value`".into()));
        assert_eq!(read("connection: close".into()), Err("`connection` is written by vaurien itself".into()));
        assert!(read(5.into()).is_err());
    }
}
