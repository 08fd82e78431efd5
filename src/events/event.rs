//! An event and its JSON form.

use std::sync::Arc;
use std::time::SystemTime;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::labels::CallLabel;
use crate::protocol::Protocol;

/// The longest command, key, method or path in an event, in characters. Longer ones are cut.
const CHARACTERS: usize = 64;

/// The longest character, and the longest invalid sequence that one replacement character stands for, in bytes.
const BYTES: usize = 4;

/// Something that a proxy did. It serializes as one JSON object.
#[derive(Debug)]
pub(crate) struct Event {
    /// Numbers the events of the process, from 1.
    pub(crate) id: u64,
    pub(crate) time: SystemTime,
    pub(crate) proxy: Arc<str>,
    /// That of its call; of what belongs to no call, the one that was in force.
    pub(crate) label: Option<Arc<CallLabel>>,
    pub(crate) kind: EventKind,
}

/// The kind of an event, with the fields of that kind.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum EventKind {
    /// A handler did something to a call.
    Fault {
        connection: u64,
        call: u64,
        #[serde(serialize_with = "text")]
        handler: Arc<str>,
        /// The rule that decided for the call, if one did.
        #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_text")]
        rule: Option<Arc<str>>,
        /// Which handler of a sequence it was.
        #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_text")]
        step: Option<Arc<str>>,
        verdict: Action,
        #[serde(skip_serializing_if = "Option::is_none")]
        head: Option<RequestHead>,
    },
    /// A toxic did something to a connection for the first time.
    Toxic {
        connection: u64,
        /// Its name.
        toxic: Box<str>,
        #[serde(rename = "type")]
        kind: &'static str,
        /// `upstream` or `downstream`.
        stream: &'static str,
    },
    /// The proxy got a new plan, or other toxics.
    Plan {
        /// The mix in its text form: `20:delay,5:error`.
        handler: String,
        /// The rules in their text form, in their order.
        #[serde(skip_serializing_if = "is_empty", serialize_with = "texts")]
        rules: SharedTexts,
        /// The toxics in their text form, in their order.
        #[serde(skip_serializing_if = "is_empty", serialize_with = "texts")]
        toxics: SharedTexts,
        enabled: bool,
    },
    /// The backend could not be reached.
    DialFailure { connection: u64, error: String },
    /// There is no TLS with the client, which was not intended.
    HandshakeFailure { connection: u64, why: Box<str> },
    /// The connection turned opaque.
    Opaque { connection: u64, why: Box<str> },
}

/// Texts that the events of a proxy share as long as they stay the same.
pub(crate) type SharedTexts = Arc<[Arc<str>]>;

/// How many have a list that no earlier event has: the event, and its proxy.
const OWNERS: usize = 2;

/// What a list takes that no earlier event has, in bytes.
fn weight(texts: &SharedTexts) -> usize {
    let all = || texts.iter().map(|text| size_of_val(text) + text.len()).sum();
    if Arc::strong_count(texts) > OWNERS { 0 } else { all() }
}

impl EventKind {
    /// How much memory it takes beside its own size, in bytes. What it shares with an earlier event counts there.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Fault { head, .. } => head.as_ref().map_or(0, |head| head.text.len()),
            Self::Plan { handler, rules, toxics, .. } => handler.len() + weight(rules) + weight(toxics),
            Self::DialFailure { error, .. } => error.len(),
            Self::HandshakeFailure { why, .. } | Self::Opaque { why, .. } => why.len(),
            Self::Toxic { toxic, .. } => toxic.len(),
        }
    }
}

/// What a handler did to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    /// Delayed it for a time.
    Sleep,
    /// Delayed it until something happened.
    Wait,
    /// Held the connection without an answer.
    Hold,
    /// Answered in place of the backend.
    Answer,
    /// Inserted bytes into the reply.
    Inject,
    /// Cut off the reply.
    Cut,
    /// Passed the reply on at a limited rate.
    Slow,
    /// Flipped bits of the reply.
    Corrupt,
    /// Made the TLS handshake go wrong.
    Handshake,
    /// Closed the client's connection.
    Close,
    /// Reset the client's connection, or the stream of the call.
    Reset,
    /// Told the client to open another connection.
    GoAway,
}

/// What identifies a request: `{"command": "GET", "key": "a"}`, with `http` `{"method": "GET", "path": "/"}`.
///
/// Each is cut to 64 characters; invalid UTF-8 is replaced by U+FFFD.
#[derive(Debug)]
pub(crate) struct RequestHead {
    protocol: Protocol,
    /// The command, directly followed by the key.
    text: Box<str>,
    /// The length of the command, in bytes.
    command: usize,
}

impl Event {
    /// The name of its kind: `fault`, `plan`, `dial_failure`, `handshake_failure` or `opaque`.
    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            EventKind::Fault { .. } | EventKind::Toxic { .. } => "fault",
            EventKind::Plan { .. } => "plan",
            EventKind::DialFailure { .. } => "dial_failure",
            EventKind::HandshakeFailure { .. } => "handshake_failure",
            EventKind::Opaque { .. } => "opaque",
        }
    }
}

impl RequestHead {
    /// Reads the head of a request. `None` with `tcp`, and before the request has been read.
    pub(crate) fn of(protocol: Protocol, head: &[u8]) -> Option<Self> {
        let (command, key) = protocol.words(head);
        let mut text = String::with_capacity((command.len() + key.len()).min(2 * CHARACTERS));
        text.extend(cut(command));
        let command = text.len();
        text.extend(cut(key));
        (!text.is_empty()).then(|| Self { protocol, text: text.into(), command })
    }

    /// The command and the key, or the method and the path. The second may be empty.
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

fn is_empty(texts: &SharedTexts) -> bool {
    texts.is_empty()
}

fn texts<S: Serializer>(texts: &SharedTexts, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(texts.iter().map(|text| &**text))
}

fn text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
fn optional_text<S: Serializer>(text: &Option<Arc<str>>, serializer: S) -> Result<S::Ok, S::Error> {
    text.as_deref().serialize(serializer)
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Object<'a> {
            id: u64,
            time: String,
            event: &'static str,
            proxy: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            label: Option<&'a str>,
            #[serde(flatten)]
            kind: &'a EventKind,
        }
        // `humantime` cannot format times before 1970, which a wrong clock may show.
        let time = humantime::format_rfc3339_micros(self.time.max(SystemTime::UNIX_EPOCH)).to_string();
        let Self { id, proxy, label, kind, .. } = self;
        let label = label.as_deref().map(|label| &*label.text);
        Object { id: *id, time, event: self.name(), proxy, label, kind }.serialize(serializer)
    }
}

impl Serialize for RequestHead {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let names = if self.protocol.is_http() { ("method", "path") } else { ("command", "key") };
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
    use crate::json;

    fn line(kind: EventKind) -> String {
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789);
        json::to_string(&Event { id: 7, time, proxy: "cache".into(), label: None, kind }).unwrap()
    }

    fn fault(protocol: Protocol, head: &[u8]) -> String {
        let head = RequestHead::of(protocol, head);
        line(EventKind::Fault {
            connection: 3,
            call: 2,
            handler: "delay".into(),
            rule: None,
            step: None,
            verdict: Action::Sleep,
            head,
        })
    }

    /// The beginning of every fault below.
    const FAULT: &str = r#"{"id":7,"time":"2023-11-14T22:13:20.123456Z","event":"fault","proxy":"cache","connection":3,"call":2,"handler":"delay","verdict":"sleep""#;

    #[test]
    fn faults_identify_their_request() {
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
    fn faults_name_the_rule_that_decided() {
        let (handler, rule) = ("error".into(), Some("pay".into()));
        let (verdict, head) = (Action::Answer, None);
        let fault = EventKind::Fault { connection: 3, call: 2, handler, rule, step: None, verdict, head };
        assert!(line(fault).ends_with(r#""handler":"error","rule":"pay","verdict":"answer"}"#));
    }

    #[test]
    fn other_kinds_have_their_own_fields() {
        let common =
            |kind: &str| format!(r#"{{"id":7,"time":"2023-11-14T22:13:20.123456Z","event":"{kind}","proxy":"cache","#);
        let none = SharedTexts::default();
        let plan = line(EventKind::Plan {
            handler: "20:delay".into(),
            rules: none.clone(),
            toxics: none.clone(),
            enabled: true,
        });
        assert_eq!(plan, common("plan") + r#""handler":"20:delay","enabled":true}"#);
        let plan = line(EventKind::Plan {
            handler: "dummy".into(),
            rules: ["GET => error".into()].into(),
            toxics: ["noop".into()].into(),
            enabled: true,
        });
        assert_eq!(
            plan,
            common("plan") + r#""handler":"dummy","rules":["GET => error"],"toxics":["noop"],"enabled":true}"#
        );
        let failure = line(EventKind::DialFailure { connection: 3, error: "refused".into() });
        assert_eq!(failure, common("dial_failure") + r#""connection":3,"error":"refused"}"#);
        let failure = line(EventKind::HandshakeFailure { connection: 3, why: "it left".into() });
        assert_eq!(failure, common("handshake_failure") + r#""connection":3,"why":"it left"}"#);
        let opaque = line(EventKind::Opaque { connection: 3, why: "MONITOR".into() });
        assert_eq!(opaque, common("opaque") + r#""connection":3,"why":"MONITOR"}"#);
    }

    #[test]
    fn acts_are_written_in_lower_case() {
        let actions = [
            Action::Sleep,
            Action::Wait,
            Action::Hold,
            Action::Answer,
            Action::Inject,
            Action::Cut,
            Action::Slow,
            Action::Corrupt,
            Action::Handshake,
            Action::Close,
            Action::Reset,
        ];
        let text = serde_json::to_string(&actions).unwrap();
        assert_eq!(
            text,
            r#"["sleep","wait","hold","answer","inject","cut","slow","corrupt","handshake","close","reset"]"#
        );
    }

    #[test]
    fn words_are_cut_to_64_characters_and_valid_utf8() {
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
        let text = serde_json::to_string(&Event { id: 1, time, proxy: "a".into(), label: None, kind }).unwrap();
        assert!(text.contains("1970-01-01T00:00:00.000000Z"), "{text}");
    }

    #[test]
    fn control_characters_are_escaped() {
        let key = "a\u{0}\u{1b}\u{7f}\u{80}\u{9b}\u{9f}\u{a0}\u{2028}é\"\\";
        let request = format!("*2\r\n$3\r\nGET\r\n${}\r\n{key}\r\n", key.len());
        let escaped = r#""a\u0000\u001b\u007f\u0080\u009b\u009f"#.to_owned() + "\u{a0}\u{2028}é" + r#"\"\\""#;
        let event = fault(Protocol::Redis, request.as_bytes());
        assert_eq!(event, format!("{FAULT},\"head\":{{\"command\":\"GET\",\"key\":{escaped}}}}}"));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&event).unwrap()["head"]["key"], key);
        let failure = line(EventKind::DialFailure { connection: 3, error: "\u{9b}\u{7f}".into() });
        assert!(failure.ends_with(r#""error":"\u009b\u007f"}"#), "{failure}");
    }
}
