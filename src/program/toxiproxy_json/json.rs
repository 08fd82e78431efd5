//! JSON as Go's decoder reads it: the first value of a text, whatever is behind it, and the same messages.

use std::str;

/// How deep values may be nested.
const DEPTH: usize = 128;

/// A value. Objects keep repeated keys, numbers their text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// What Go calls the value in a message.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Number(_) => "number",
            Self::Text(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }
}

/// The first value in `text`, or what Go says of it.
pub(crate) fn first(text: &[u8]) -> Result<Json, String> {
    let mut reader = Reader { text, at: 0 };
    reader.skip_blanks();
    if reader.peek().is_none() {
        return Err("EOF".to_owned());
    }
    reader.value(0)
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// The next byte, which is there in a complete text.
    fn next(&mut self) -> Result<u8, String> {
        let byte = self.peek().ok_or("unexpected EOF")?;
        self.at += 1;
        Ok(byte)
    }

    /// The next byte behind blanks.
    fn next_token(&mut self) -> Result<u8, String> {
        self.skip_blanks();
        self.next()
    }

    fn value(&mut self, depth: usize) -> Result<Json, String> {
        if depth > DEPTH {
            return Err("exceeded max depth".to_owned());
        }
        match self.next_token()? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string().map(Json::Text),
            b't' => self.literal("true", Json::Bool(true)),
            b'f' => self.literal("false", Json::Bool(false)),
            b'n' => self.literal("null", Json::Null),
            first @ (b'-' | b'0'..=b'9') => self.number(first),
            other => Err(invalid(other, "looking for beginning of value")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, String> {
        let mut keys = Vec::new();
        loop {
            match self.next_token()? {
                b'"' => {}
                b'}' if keys.is_empty() => break,
                other => return Err(invalid(other, "looking for beginning of object key string")),
            }
            let key = self.string()?;
            match self.next_token()? {
                b':' => {}
                other => return Err(invalid(other, "after object key")),
            }
            keys.push((key, self.value(depth + 1)?));
            match self.next_token()? {
                b',' => {}
                b'}' => break,
                other => return Err(invalid(other, "after object key:value pair")),
            }
        }
        Ok(Json::Object(keys))
    }

    fn array(&mut self, depth: usize) -> Result<Json, String> {
        let mut values = Vec::new();
        self.skip_blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::Array(values));
        }
        loop {
            values.push(self.value(depth + 1)?);
            match self.next_token()? {
                b',' => {}
                b']' => return Ok(Json::Array(values)),
                other => return Err(invalid(other, "after array element")),
            }
        }
    }

    /// The rest of a word whose first letter was read.
    fn literal(&mut self, word: &str, value: Json) -> Result<Json, String> {
        for expected in word.bytes().skip(1) {
            let byte = self.next()?;
            if byte != expected {
                let context = format!("in literal {word} (expecting {})", quoted(expected));
                return Err(invalid(byte, &context));
            }
        }
        Ok(value)
    }

    /// A number whose first byte was read. It ends where no digit follows.
    fn number(&mut self, first: u8) -> Result<Json, String> {
        let begin = self.at - 1;
        let mut digit = first;
        if first == b'-' {
            digit = self.next()?;
            if !digit.is_ascii_digit() {
                return Err(invalid(digit, "in numeric literal"));
            }
        }
        if digit != b'0' {
            self.skip_digits();
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        Ok(Json::Number(String::from_utf8_lossy(&self.text[begin..self.at]).into_owned()))
    }

    fn skip_digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }

    /// At least one digit.
    fn digits(&mut self, context: &str) -> Result<(), String> {
        let byte = self.next()?;
        if !byte.is_ascii_digit() {
            return Err(invalid(byte, context));
        }
        self.skip_digits();
        Ok(())
    }

    /// A string whose quote was read. What is no UTF-8 is replaced.
    fn string(&mut self) -> Result<String, String> {
        let mut bytes = Vec::new();
        loop {
            match self.next()? {
                b'"' => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
                b'\\' => {
                    let char = self.escape()?;
                    bytes.extend(char.encode_utf8(&mut [0; 4]).bytes());
                }
                control @ 0..0x20 => return Err(invalid(control, "in string literal")),
                byte => bytes.push(byte),
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        Ok(match self.next()? {
            byte @ (b'"' | b'\\' | b'/') => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.unit()?;
                if let Some(char) = char::from_u32(unit) {
                    return Ok(char);
                }
                // Two halves, of which a lone one stands for nothing.
                let begin = self.at;
                if (0xd800..0xdc00).contains(&unit) && self.text[begin..].starts_with(b"\\u") {
                    self.at += 2;
                    let low = self.unit()?;
                    if (0xdc00..0xe000).contains(&low) {
                        let whole = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                        return Ok(char::from_u32(whole).unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                    self.at = begin;
                }
                char::REPLACEMENT_CHARACTER
            }
            other => return Err(invalid(other, "in string escape code")),
        })
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Result<u32, String> {
        let mut unit = 0;
        for _ in 0..4 {
            let byte = self.next()?;
            let digit = char::from(byte).to_digit(16);
            unit = unit * 16 + digit.ok_or_else(|| invalid(byte, "in \\u hexadecimal character escape"))?;
        }
        Ok(unit)
    }
}

fn invalid(byte: u8, context: &str) -> String {
    format!("invalid character {} {context}", quoted(byte))
}

/// A byte as Go writes it.
fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => "'\\''".to_owned(),
        b'\\' => "'\\\\'".to_owned(),
        b'\n' => "'\\n'".to_owned(),
        b'\r' => "'\\r'".to_owned(),
        b'\t' => "'\\t'".to_owned(),
        control if control.is_ascii_control() => format!("'\\x{control:02x}'"),
        byte => format!("'{}'", char::from(byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Json {
        Json::Number(text.to_owned())
    }

    #[test]
    fn the_first_value_counts_and_keys_may_be_repeated() {
        let read = |text: &str| first(text.as_bytes()).unwrap();
        assert_eq!(read(" [1, -2.5e+3,0] trailing"), Json::Array(vec![number("1"), number("-2.5e+3"), number("0")]));
        let object = vec![("a".to_owned(), Json::Null), ("a".to_owned(), Json::Bool(true))];
        assert_eq!(read("{\"a\":null , \"a\":true}{"), Json::Object(object));
        assert_eq!(read("01"), number("0"));
        assert_eq!(read("[]"), Json::Array(Vec::new()));
        assert_eq!(read(r#""\u00e9\ud83d\ude00\ud83dx\n\/""#), Json::Text("é😀\u{fffd}x\n/".to_owned()));
        assert_eq!(first(b"\"\xff\""), Ok(Json::Text("\u{fffd}".to_owned())));
    }

    #[test]
    fn what_is_wrong_is_told_in_the_words_of_go() {
        for (text, message) in [
            ("", "EOF"),
            (" \n", "EOF"),
            ("{", "unexpected EOF"),
            ("{\"name\": \"x", "unexpected EOF"),
            ("nul", "unexpected EOF"),
            ("x", "invalid character 'x' looking for beginning of value"),
            ("{name}", "invalid character 'n' looking for beginning of object key string"),
            ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{\"a\":1 2}", "invalid character '2' after object key:value pair"),
            ("[1 2]", "invalid character '2' after array element"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("nulx", "invalid character 'x' in literal null (expecting 'l')"),
            ("-x", "invalid character 'x' in numeric literal"),
            ("1.x", "invalid character 'x' after decimal point in numeric literal"),
            ("1ex", "invalid character 'x' in exponent of numeric literal"),
            ("\"\n\"", "invalid character '\\n' in string literal"),
            ("\"\\x\"", "invalid character 'x' in string escape code"),
            ("\"\\u12g4\"", "invalid character 'g' in \\u hexadecimal character escape"),
        ] {
            assert_eq!(first(text.as_bytes()), Err(message.to_owned()), "{text}");
        }
        assert_eq!(first("[".repeat(100_000).as_bytes()), Err("exceeded max depth".to_owned()));
    }
}
