//! One event, and how it is written.

use std::sync::Arc;
use std::time::SystemTime;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::protocol::Protocol;

/// As much of a command, key, method or path is told.
const CHARACTERS: usize = 64;

/// A character's bytes at most, and those of what one replacement stands for.
const BYTES: usize = 4;

/// What a proxy did that its user may want to know of. It is written as one JSON object.
#[derive(Debug)]
pub(crate) struct Event {
    /// Its place among all events of the process, from 1.
    pub(crate) id: u64,
    pub(crate) time: SystemTime,
    pub(crate) proxy: Arc<str>,
    pub(crate) kind: EventKind,
}

/// The event's kind, and what that kind tells.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum EventKind {
    /// A handler did something to a call.
    Fault {
        connection: u64,
        call: u64,
        #[serde(serialize_with = "text")]
        handler: Arc<str>,
        verdict: Action,
        #[serde(skip_serializing_if = "Option::is_none")]
        head: Option<RequestHead>,
    },
    /// The proxy has a new plan.
    Plan {
        /// The mix as it would be written.
        handler: String,
        enabled: bool,
    },
    /// The backend could not be reached.
    DialFailure { connection: u64, error: String },
    /// The connection's messages can no longer be told apart.
    Opaque { connection: u64, why: Box<str> },
}

/// What a handler did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    /// It let the call wait for a time.
    Sleep,
    /// It let the call wait for something else.
    Wait,
    /// It held the connection.
    Hold,
    /// It answered in the backend's place.
    Answer,
    /// It put bytes into the reply.
    Inject,
    Close,
    Reset,
}

/// Which call it was: `{"command": "GET", "key": "a"}`, with `http` `{"method": "GET", "path": "/"}`.
///
/// Each is cut to 64 characters; what is not UTF-8 is replaced.
#[derive(Debug)]
pub(crate) struct RequestHead {
    protocol: Protocol,
    /// The command, and then the key.
    text: Box<str>,
    command: usize,
}

impl Event {
    /// What kind of event it is, in one word.
    pub(crate) fn name(&self) -> &'static str {
        self.kind.name()
    }
}

impl EventKind {
    fn name(&self) -> &'static str {
        match self {
            Self::Fault { .. } => "fault",
            Self::Plan { .. } => "plan",
            Self::DialFailure { .. } => "dial_failure",
            Self::Opaque { .. } => "opaque",
        }
    }
}

impl RequestHead {
    /// The words of a request's head. There are none with `tcp`, nor before the request was read.
    pub(crate) fn of(protocol: Protocol, head: &[u8]) -> Option<Self> {
        let (command, key) = protocol.words(head);
        let mut text = String::with_capacity((command.len() + key.len()).min(2 * CHARACTERS));
        text.extend(cut(command));
        let command = text.len();
        text.extend(cut(key));
        (!text.is_empty()).then(|| Self { protocol, text: text.into(), command })
    }

    /// The command or method, and the key or path, which may be empty.
    pub(crate) fn words(&self) -> (&str, &str) {
        self.text.split_at(self.command)
    }
}

fn cut(word: &[u8]) -> impl Iterator<Item = char> {
    let enough = &word[..word.len().min(CHARACTERS * BYTES)];
    let chunks = enough.utf8_chunks();
    let characters = chunks.flat_map(|chunk| {
        let replaced = (!chunk.invalid().is_empty()).then_some(char::REPLACEMENT_CHARACTER);
        chunk.valid().chars().chain(replaced)
    });
    characters.take(CHARACTERS)
}

fn text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Object<'a> {
            id: u64,
            time: String,
            event: &'static str,
            proxy: &'a str,
            #[serde(flatten)]
            kind: &'a EventKind,
        }
        // Times before 1970, which only a clock that is wrong tells, cannot be written.
        let time = humantime::format_rfc3339_micros(self.time.max(SystemTime::UNIX_EPOCH)).to_string();
        let Self { id, proxy, kind, .. } = self;
        Object { id: *id, time, event: kind.name(), proxy, kind }.serialize(serializer)
    }
}

impl Serialize for RequestHead {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let names = if self.protocol == Protocol::Http { ("method", "path") } else { ("command", "key") };
        let (command, key) = self.words();
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry(names.0, command)?;
        if !key.is_empty() {
            object.serialize_entry(names.1, key)?;
        }
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn line(kind: EventKind) -> String {
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789);
        serde_json::to_string(&Event { id: 7, time, proxy: "cache".into(), kind }).unwrap()
    }

    fn fault(protocol: Protocol, head: &[u8]) -> String {
        let head = RequestHead::of(protocol, head);
        line(EventKind::Fault { connection: 3, call: 2, handler: "delay".into(), verdict: Action::Sleep, head })
    }

    /// What every fault here has in common.
    const FAULT: &str = r#"{"id":7,"time":"2023-11-14T22:13:20.123456Z","event":"fault","proxy":"cache","connection":3,"call":2,"handler":"delay","verdict":"sleep""#;

    #[test]
    fn faults_tell_which_call_it_was() {
        let get = fault(Protocol::Redis, b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
        assert_eq!(get, format!("{FAULT},\"head\":{{\"command\":\"GET\",\"key\":\"a\"}}}}"));
        let ping = fault(Protocol::Redis, b"PING\r\n");
        assert_eq!(ping, format!("{FAULT},\"head\":{{\"command\":\"PING\"}}}}"));
        let page = fault(Protocol::Http, b"GET /a?b HTTP/1.1\r\nHost: c\r\n\r\n");
        assert_eq!(page, format!("{FAULT},\"head\":{{\"method\":\"GET\",\"path\":\"/a\"}}}}"));
        assert_eq!(fault(Protocol::Tcp, b"hello"), format!("{FAULT}}}"));
        assert_eq!(fault(Protocol::Redis, b""), format!("{FAULT}}}"));
    }

    #[test]
    fn the_others_tell_what_belongs_to_them() {
        let common =
            |kind: &str| format!(r#"{{"id":7,"time":"2023-11-14T22:13:20.123456Z","event":"{kind}","proxy":"cache","#);
        let plan = line(EventKind::Plan { handler: "20:delay".into(), enabled: true });
        assert_eq!(plan, common("plan") + r#""handler":"20:delay","enabled":true}"#);
        let failure = line(EventKind::DialFailure { connection: 3, error: "refused".into() });
        assert_eq!(failure, common("dial_failure") + r#""connection":3,"error":"refused"}"#);
        let opaque = line(EventKind::Opaque { connection: 3, why: "MONITOR".into() });
        assert_eq!(opaque, common("opaque") + r#""connection":3,"why":"MONITOR"}"#);
    }

    #[test]
    fn acts_are_written_in_lower_case() {
        let actions =
            [Action::Sleep, Action::Wait, Action::Hold, Action::Answer, Action::Inject, Action::Close, Action::Reset];
        let text = serde_json::to_string(&actions).unwrap();
        assert_eq!(text, r#"["sleep","wait","hold","answer","inject","close","reset"]"#);
    }

    #[test]
    fn words_are_cut_to_64_characters_and_made_text() {
        for (character, expected) in
            [("a", "a"), ("ß", "ß"), ("🐢", "🐢"), ("\u{1}", "\\u0001"), ("\"", "\\\""), ("\u{2028}", "\u{2028}")]
        {
            let key = character.repeat(1000);
            let get = fault(Protocol::Redis, format!("*2\r\n$3\r\nGET\r\n${}\r\n{key}\r\n", key.len()).as_bytes());
            let written = expected.repeat(CHARACTERS);
            assert_eq!(get, format!("{FAULT},\"head\":{{\"command\":\"GET\",\"key\":\"{written}\"}}}}"));
        }
        let get = fault(Protocol::Redis, b"*2\r\n$3\r\nGET\r\n$6\r\n\xff\xf0\x9f\n\xe2a\r\n");
        let head = "\"head\":{\"command\":\"GET\",\"key\":\"\u{fffd}\u{fffd}\\n\u{fffd}a\"}";
        assert_eq!(get, format!("{FAULT},{head}}}"));
    }

    #[test]
    fn a_clock_before_1970_is_no_panic() {
        let time = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        let kind = EventKind::Opaque { connection: 1, why: "a".into() };
        let text = serde_json::to_string(&Event { id: 1, time, proxy: "a".into(), kind }).unwrap();
        assert!(text.contains("1970-01-01T00:00:00.000000Z"), "{text}");
    }
}
