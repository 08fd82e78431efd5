//! JSON without control characters: a terminal that shows it takes none of it as a command.

use std::fmt::Write;

use serde::Serialize;

/// `value` on one line.
pub(crate) fn to_string(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string(value).map(escaped)
}

/// `value` on several lines.
pub(crate) fn to_string_pretty(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string_pretty(value).map(escaped)
}

/// Escapes what JSON leaves as it is: DEL and U+0080 to U+009F. They can be in texts only.
fn escaped(json: String) -> String {
    let is_left = |char| matches!(char, '\u{7f}'..='\u{9f}');
    if !json.contains(is_left) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len() + 64);
    for char in json.chars() {
        if is_left(char) {
            let _ = write!(escaped, "\\u{:04x}", u32::from(char));
        } else {
            escaped.push(char);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_the_same_and_has_no_control_characters() {
        let all: String = ('\0'..='\u{a0}').chain("é\u{2028}\"\\".chars()).collect();
        for json in [to_string(&all).unwrap(), to_string_pretty(&[&all]).unwrap()] {
            assert!(!json.contains(|char: char| char.is_control() && char != '\n'), "{json}");
            assert!(json.contains(r"~\u007f\u0080") && json.contains("\\u009f\u{a0}é"), "{json}");
        }
        assert_eq!(serde_json::from_str::<String>(&to_string(&all).unwrap()).unwrap(), all);
    }
}
