//! Replies of our own: errors, and misses.

use super::{binary, line};
use crate::protocol::failure::{Failure, FailureKind};

/// The failures that memcached has an error for.
pub(in crate::protocol) const KINDS: [FailureKind; 5] =
    [FailureKind::ServerError, FailureKind::ClientError, FailureKind::Error, FailureKind::Oom, FailureKind::Busy];

/// The error line (protocol.txt, "Error strings"), or in reply to a packet the packet with the status of the same meaning.
pub(in crate::protocol) fn failure(failure: &Failure, head: &[u8]) -> Vec<u8> {
    if head.first() == Some(&binary::REQUEST) {
        // protocol-binary.xml, "Response Status".
        let (status, own) = match failure.kind {
            FailureKind::ClientError => (0x04, "Invalid arguments"),
            FailureKind::Error => (0x81, "Unknown command"),
            FailureKind::Oom => (0x82, "Out of memory"),
            FailureKind::Busy => (0x85, "Busy"),
            _ => (0x84, failure.text()),
        };
        let text = failure.message.as_deref().unwrap_or(own);
        return binary::answer(head, status, text.as_bytes());
    }
    let line = match (failure.kind, &failure.message) {
        (FailureKind::Error, _) => "ERROR".to_owned(),
        (FailureKind::ClientError, _) => format!("CLIENT_ERROR {}", failure.text()),
        (FailureKind::Oom, None) => "SERVER_ERROR out of memory storing object".to_owned(),
        (FailureKind::Busy, None) => "SERVER_ERROR busy".to_owned(),
        _ => format!("SERVER_ERROR {}", failure.text()),
    };
    format!("{line}\r\n").into_bytes()
}

/// The reply that says that there is no such item, empty where a quiet command tells that by no reply; `None` if the command
/// has no such reply.
pub(in crate::protocol) fn miss(head: &[u8]) -> Option<Vec<u8>> {
    if head.first() == Some(&binary::REQUEST) {
        return binary::miss(head);
    }
    let content = line::content(head);
    Some(match line::words(content).next()? {
        b"get" | b"gets" | b"gat" | b"gats" | b"bget" => b"END\r\n".into(),
        b"incr" | b"decr" | b"touch" | b"delete" => b"NOT_FOUND\r\n".into(),
        b"mg" => meta_miss(b"EN", content),
        b"md" | b"ma" => meta_miss(b"NF", content),
        _ => return None,
    })
}

/// `code` with the flags that a miss repeats of its request. A quiet `mg` gets no reply (protocol.txt, "Meta Get").
fn meta_miss(code: &[u8], content: &[u8]) -> Vec<u8> {
    let flags = || line::words(content).skip(2);
    if code == b"EN" && flags().any(|flag| flag[0] == b'q') {
        return Vec::new();
    }
    let mut reply = code.to_vec();
    for flag in flags() {
        match flag[0] {
            b'k' => {
                reply.extend_from_slice(b" k");
                reply.extend(line::words(content).nth(1).unwrap_or_default());
                // Behind the key that it is about, wherever the request has it.
                if flags().any(|flag| flag[0] == b'b') {
                    reply.extend_from_slice(b" b");
                }
            }
            b'O' => {
                reply.push(b' ');
                reply.extend_from_slice(flag);
            }
            _ => {}
        }
    }
    reply.extend_from_slice(b"\r\n");
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(kind: FailureKind) -> String {
        String::from_utf8(failure(&Failure::new(kind), b"get a\r\n")).unwrap()
    }

    #[test]
    fn each_kind_has_a_line() {
        assert_eq!(line(FailureKind::ServerError), "SERVER_ERROR injected by vaurien\r\n");
        assert_eq!(line(FailureKind::ClientError), "CLIENT_ERROR injected by vaurien\r\n");
        assert_eq!(line(FailureKind::Error), "ERROR\r\n");
        assert_eq!(line(FailureKind::Oom), "SERVER_ERROR out of memory storing object\r\n");
        assert_eq!(line(FailureKind::Busy), "SERVER_ERROR busy\r\n");
        assert_eq!(line(FailureKind::Moved), "SERVER_ERROR injected by vaurien\r\n", "one that redis has");
    }

    #[test]
    fn a_miss_is_what_the_command_gets_for_an_absent_key() {
        for (command, reply) in [
            ("get a b", Some("END\r\n")),
            ("gats 5 a", Some("END\r\n")),
            ("incr a 1", Some("NOT_FOUND\r\n")),
            ("mg a v", Some("EN\r\n")),
            ("mg a v q", Some("")),
            ("mg a v k O9", Some("EN ka O9\r\n")),
            ("md a q O3 k", Some("NF O3 ka\r\n")),
            ("md a", Some("NF\r\n")),
            ("mg YQ== b O1 k v", Some("EN O1 kYQ== b\r\n")),
            ("mg YQ== k O1 b", Some("EN kYQ== b O1\r\n")),
            ("mg YQ== b", Some("EN\r\n")),
            ("set a 0 0 1", None),
            ("ms a 1", None),
            ("version", None),
        ] {
            let said = miss(format!("{command}\r\n").as_bytes()).map(|reply| String::from_utf8(reply).unwrap());
            assert_eq!(said.as_deref(), reply, "{command}");
        }
    }
}
