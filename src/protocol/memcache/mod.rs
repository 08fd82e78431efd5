//! `memcache`: the text protocol with its meta commands, and the binary protocol.
//!
//! References are to memcached's `doc/protocol.txt` and, for the binary protocol, to `protocol-binary.xml`. They do not
//! say what a malformed request does. There memcached 1.6 is the reference: it decides whether the data block after an
//! invalid command line is skipped or read as commands, and so to which request each later reply belongs.

mod binary;
mod command;
mod failure;
mod line;
mod meta;
mod payload;
mod reply;
mod session;

use memchr::memchr;

use super::{Expect as AnyExpect, Step, skip};

pub(super) use failure::{KINDS, failure, miss};
pub(super) use payload::payload;
pub(super) use session::session;

/// The shape of the reply to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expect {
    kind: ReplyKind,
    /// What the reply repeats of the request: a hash or an opaque; 0 for nothing. It is also 0 where pairing does not
    /// need it, so that similar calls have equal expectations.
    echo: u32,
}

const _: () = assert!(size_of::<Expect>() <= 8);

impl Expect {
    /// Whether there is a reply.
    pub(super) fn is_certain(self) -> bool {
        !matches!(self.kind, ReplyKind::QuietMeta(_) | ReplyKind::QuietPacket(_))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReplyKind {
    /// Text: one line.
    Line,
    /// Text: any number of `VALUE` lines with their data blocks, then `END` or an error.
    Values,
    /// Text: any number of list lines, then one other line.
    List,
    /// Text: any number of `CONFIG` lines with their data blocks, then `END` or an error.
    Config,
    /// Text: a command that memcached does not have. It gets an error; what else it may get is not known.
    Unknown,
    /// A meta command.
    Meta(meta::Command),
    /// A meta command with the `q` flag: its reply may be missing.
    QuietMeta(meta::Command),
    /// Binary: a packet of this opcode. A reply to `STAT` has several; the last has no key.
    Packet(u8),
    /// Binary: a packet of this opcode that may be missing.
    QuietPacket(u8),
}

impl ReplyKind {
    const fn expected(self) -> AnyExpect {
        self.with_echo(0)
    }

    const fn with_echo(self, echo: u32) -> AnyExpect {
        AnyExpect::Memcache(Expect { kind: self, echo })
    }
}

impl Expect {
    /// The no-op that ends a run of quiet commands, if this is one of them.
    pub(super) fn no_op(self) -> Option<(&'static [u8], AnyExpect)> {
        match self.kind {
            ReplyKind::QuietMeta(_) => Some((b"mn\r\n", ReplyKind::Meta(meta::Command::NoOp).expected())),
            ReplyKind::QuietPacket(_) => Some((&binary::NO_OP, ReplyKind::Packet(binary::NO_OP[1]).expected())),
            _ => None,
        }
    }
}

/// A request whose head is complete.
struct Request {
    /// Bytes of the head.
    head: usize,
    /// Bytes of the data block or value that follows; `None` for the rest of a line of keys.
    body: Option<u64>,
    expect: AnyExpect,
}

/// A piece of a reply whose head is complete: a line with its data block, or a packet.
struct Piece {
    /// Bytes of the whole piece.
    len: u64,
    /// Whether it ends the reply.
    last: bool,
}

/// Frames what the client sends.
#[derive(Debug, Default)]
pub struct Requests {
    /// Bytes of the current request still to come.
    left: u64,
    /// Within a line of keys.
    within_line: bool,
    /// Whether the connection speaks the binary protocol. Its first byte decides, as in memcached; `None` before that.
    binary: Option<bool>,
}

impl Requests {
    /// The next step. Open calls make no difference.
    pub fn step(&mut self, bytes: &[u8], _open: bool) -> Step {
        let Some(&first) = bytes.first() else { return Step::More };
        if self.left > 0 {
            let len = skip(&mut self.left, bytes.len());
            return Step::Part { len, left: Some(self.left) };
        }
        if self.within_line {
            let (len, left) = self.rest_of_line(bytes);
            return Step::Part { len, left };
        }
        let binary = *self.binary.get_or_insert(first == binary::REQUEST);
        match if binary { binary::request(bytes) } else { command::request(bytes) } {
            Ok(Request { head, body: Some(body), expect }) => {
                self.left = body;
                let len = head + skip(&mut self.left, bytes.len() - head);
                Step::Call { len, head, left: Some(self.left), expect }
            }
            Ok(Request { head, body: None, expect }) => {
                let (rest, left) = self.rest_of_line(&bytes[head..]);
                Step::Call { len: head + rest, head, left, expect }
            }
            Err(step) => step,
        }
    }

    /// How many of `bytes` belong to the line of keys, and how many are still to come.
    fn rest_of_line(&mut self, bytes: &[u8]) -> (usize, Option<u64>) {
        let end = memchr(b'\n', bytes);
        self.within_line = end.is_none();
        end.map_or((bytes.len(), None), |end| (end + 1, Some(0)))
    }
}

/// Frames what the backend sends.
#[derive(Debug, Default)]
pub struct Replies {
    /// Bytes of the current piece still to come.
    left: u64,
    /// Whether the reply has more pieces after the current one.
    more: bool,
    text: reply::Pairing,
}

impl Replies {
    /// The next step; `expect` belongs to the oldest open call, `None` if no call is open.
    pub fn step(&mut self, bytes: &[u8], expect: Option<AnyExpect>) -> Step {
        if bytes.is_empty() {
            return Step::More;
        }
        let expect = match expect {
            Some(AnyExpect::Memcache(expect)) => expect,
            Some(AnyExpect::Nothing) => return Step::Unanswered,
            _ => return Step::Opaque("a reply while no command is open"),
        };
        let mut len = 0;
        loop {
            if self.left == 0 {
                match self.piece(&bytes[len..], expect) {
                    Ok(piece) => (self.left, self.more) = (piece.len, !piece.last),
                    Err(step) if len == 0 => return step,
                    Err(_) => return Step::Part { len, left: None },
                }
            }
            len += skip(&mut self.left, bytes.len() - len);
            if !self.more {
                return Step::Part { len, left: Some(self.left) };
            }
            if self.left > 0 {
                return Step::Part { len, left: None };
            }
        }
    }

    /// Whether the bytes passed on end inside a reply.
    pub(super) fn is_within(&self) -> bool {
        self.left > 0 || self.more
    }

    fn piece(&mut self, bytes: &[u8], expect: Expect) -> Result<Piece, Step> {
        match expect.kind {
            ReplyKind::Packet(opcode) => binary::reply(bytes, opcode, None),
            ReplyKind::QuietPacket(opcode) => binary::reply(bytes, opcode, Some(expect.echo)),
            _ => self.text.piece(bytes, expect),
        }
    }
}

/// The command and the key in a request's head; an absent one is empty. The command of a binary request is the name of
/// its opcode, in lower case.
#[must_use]
pub fn words(head: &[u8]) -> (&[u8], &[u8]) {
    if head.first() == Some(&binary::REQUEST) {
        return binary::words(head);
    }
    let mut words = line::words(line::content(head));
    let command = words.next().unwrap_or_default();
    // The key is the first argument, except in `gat <exptime> <key>*`.
    let key = words.nth(usize::from(matches!(command, b"gat" | b"gats")));
    (command, key.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expectation of the call that `request` begins.
    pub(super) fn expect(request: &[u8]) -> AnyExpect {
        match Requests::default().step(request, false) {
            Step::Call { expect, .. } => expect,
            step => panic!("expected a call, got {step:?}"),
        }
    }

    /// The steps of `replies`, paired with the calls of `requests`.
    pub(super) fn pair(requests: &[&[u8]], replies: &[u8]) -> Vec<Step> {
        let mut open = requests.iter().map(|request| expect(request));
        let mut oldest = open.next();
        let mut framer = Replies::default();
        let mut steps = Vec::new();
        let mut at = 0;
        while at < replies.len() {
            let step = framer.step(&replies[at..], oldest);
            steps.push(step);
            match step {
                Step::Part { len, left } => {
                    at += len;
                    if left == Some(0) {
                        oldest = open.next();
                    }
                }
                Step::Unanswered => oldest = open.next(),
                _ => break,
            }
        }
        steps
    }

    /// The step of a complete reply.
    pub(super) const fn whole(len: usize) -> Step {
        Step::Part { len, left: Some(0) }
    }

    #[test]
    fn a_data_block_streams() {
        let mut framer = Requests::default();
        let expect = ReplyKind::Line.expected();
        assert_eq!(framer.step(b"set k 0 0 5\r", false), Step::More);
        assert_eq!(framer.step(b"set k 0 0 5\r\nhe", true), Step::Call { len: 15, head: 13, left: Some(5), expect });
        assert_eq!(framer.step(b"llo", true), Step::Part { len: 3, left: Some(2) });
        assert_eq!(framer.step(b"\r\nget k\r\n", true), Step::Part { len: 2, left: Some(0) });
        let expect = ReplyKind::Values.expected();
        assert_eq!(framer.step(b"get k\r\n", true), Step::Call { len: 7, head: 7, left: Some(0), expect });
    }

    #[test]
    fn the_first_byte_decides_for_the_whole_connection() {
        let mut text = Requests::default();
        assert!(matches!(text.step(b"version\r\n", false), Step::Call { .. }));
        assert!(matches!(text.step(b"\x80\n", false), Step::Opaque(_)));
        let mut binary = Requests::default();
        let noop = [&[0x80, 0x0a][..], &[0; 22]].concat();
        assert!(matches!(binary.step(&noop, false), Step::Call { head: 24, .. }));
        assert!(matches!(binary.step(b"version\r\n", false), Step::Opaque(_)));
    }

    #[test]
    fn a_reply_needs_a_call() {
        assert!(matches!(Replies::default().step(b"ERROR Too many open connections\r\n", None), Step::Opaque(_)));
        assert_eq!(Replies::default().step(b"END\r\n", Some(AnyExpect::Nothing)), Step::Unanswered);
    }

    #[test]
    fn finds_command_and_key() {
        for (head, command, key) in [
            (&b"get a b\r\n"[..], &b"get"[..], &b"a"[..]),
            (b" gat 0 a b\r\n", b"gat", b"a"),
            (b"mg  a v\n", b"mg", b"a"),
            (b"version\r\n", b"version", b""),
            (b"\r\n", b"\r", b""),
            (b"", b"", b""),
            (b"\x80", b"", b""),
        ] {
            assert_eq!(words(head), (command, key));
        }
    }
}
