//! `memcache`: the text protocol with its meta commands, and the binary protocol.
//!
//! References are to memcached's `doc/protocol.txt`, and to `protocol-binary.xml` (the binary protocol). Where a request is
//! malformed they are silent, and what memcached 1.6 does decides: whether the data block behind a broken command line is
//! swallowed or read as commands is what keeps later replies with their requests.

mod binary;
mod command;
mod line;
mod meta;
mod reply;

use super::{Expect as AnyExpect, Step, skip};

/// What a reply to this call looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expect {
    what: What,
    /// What the reply repeats of the request, 0 if nothing. It is 0 as well wherever pairing does not need it, so that like
    /// calls have equal expectations.
    mark: u32,
}

const _: () = assert!(size_of::<Expect>() <= 8);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// Text: one line.
    Line,
    /// Text: any number of `VALUE` lines with their data blocks, then `END` or an error.
    Values,
    /// Text: any number of lines that list something, then one that does not.
    List,
    /// A meta command.
    Meta(meta::Command),
    /// A meta command with the `q` flag: its reply may be missing.
    QuietMeta(meta::Command),
    /// Binary: a packet of this opcode; `STAT` has many, up to one without a key.
    Packet(u8),
    /// Binary: a packet of this opcode that may be missing.
    QuietPacket(u8),
}

impl What {
    const fn expected(self) -> AnyExpect {
        self.marked(0)
    }

    const fn marked(self, mark: u32) -> AnyExpect {
        AnyExpect::Memcache(Expect { what: self, mark })
    }
}

/// A request whose head is here.
struct Request {
    /// Bytes of the head.
    head: usize,
    /// Bytes of the data block or value behind it.
    body: u64,
    expect: AnyExpect,
}

/// A piece of a reply whose head is here: a line and its data block, a packet.
struct Piece {
    /// Bytes of all of it.
    len: u64,
    /// Whether the reply ends with it.
    last: bool,
}

/// What the client sends.
#[derive(Debug, Default)]
pub struct Requests {
    /// Bytes of the request under way that are still to come.
    left: u64,
    /// Whether the connection is binary: its first byte decides, as in memcached. `None` before that byte.
    binary: Option<bool>,
}

impl Requests {
    /// The next step. That a call still waits for its reply makes no difference.
    pub fn step(&mut self, bytes: &[u8], _open: bool) -> Step {
        let Some(&first) = bytes.first() else { return Step::More };
        if self.left > 0 {
            let len = skip(&mut self.left, bytes.len());
            return Step::Part { len, left: Some(self.left) };
        }
        let binary = *self.binary.get_or_insert(first == binary::REQUEST);
        match if binary { binary::request(bytes) } else { command::request(bytes) } {
            Ok(Request { head, body, expect }) => {
                self.left = body;
                let len = head + skip(&mut self.left, bytes.len() - head);
                Step::Call { len, head, left: Some(self.left), expect }
            }
            Err(step) => step,
        }
    }
}

/// What the backend sends.
#[derive(Debug, Default)]
pub struct Replies {
    /// Bytes of the piece under way that are still to come.
    left: u64,
    /// Whether that piece is not the last of its reply.
    more: bool,
    text: reply::Pairing,
}

impl Replies {
    /// The next step; `expect` is that of the oldest open call, if any is open.
    pub fn step(&mut self, bytes: &[u8], expect: Option<AnyExpect>) -> Step {
        if bytes.is_empty() {
            return Step::More;
        }
        let expect = match expect {
            Some(AnyExpect::Memcache(expect)) => expect,
            Some(AnyExpect::Nothing) => return Step::Unanswered,
            _ => return Step::Opaque("a reply that no command asked for"),
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

    /// Whether the bytes that were passed on end within a reply.
    pub(super) fn is_within(&self) -> bool {
        self.left > 0 || self.more
    }

    fn piece(&mut self, bytes: &[u8], expect: Expect) -> Result<Piece, Step> {
        match expect.what {
            What::Packet(opcode) => binary::reply(bytes, opcode, None),
            What::QuietPacket(opcode) => binary::reply(bytes, opcode, Some(expect.mark)),
            _ => self.text.piece(bytes, expect),
        }
    }
}

/// The command and the key in a request's head; either is empty where there is none. A binary opcode is given by its
/// name, in lower case.
#[must_use]
pub fn words(head: &[u8]) -> (&[u8], &[u8]) {
    if head.first() == Some(&binary::REQUEST) {
        return binary::words(head);
    }
    let mut words = line::words(line::content(head));
    let command = words.next().unwrap_or_default();
    // `gat <exptime> <key>*` is the one whose key is not its first argument.
    let key = words.nth(usize::from(matches!(command, b"gat" | b"gats")));
    (command, key.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expectation of the call that `request` is.
    pub(super) fn expect(request: &[u8]) -> AnyExpect {
        match Requests::default().step(request, false) {
            Step::Call { expect, .. } => expect,
            step => panic!("no call but {step:?}"),
        }
    }

    /// The steps that all of `replies` give for the calls that `requests` are, until the bytes end.
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

    /// A reply that is here as a whole.
    pub(super) const fn whole(len: usize) -> Step {
        Step::Part { len, left: Some(0) }
    }

    #[test]
    fn a_data_block_streams() {
        let mut framer = Requests::default();
        let expect = What::Line.expected();
        assert_eq!(framer.step(b"set k 0 0 5\r", false), Step::More);
        assert_eq!(framer.step(b"set k 0 0 5\r\nhe", true), Step::Call { len: 15, head: 13, left: Some(5), expect });
        assert_eq!(framer.step(b"llo", true), Step::Part { len: 3, left: Some(2) });
        assert_eq!(framer.step(b"\r\nget k\r\n", true), Step::Part { len: 2, left: Some(0) });
        let expect = What::Values.expected();
        assert_eq!(framer.step(b"get k\r\n", true), Step::Call { len: 7, head: 7, left: Some(0), expect });
    }

    #[test]
    fn the_first_byte_decides_for_the_whole_connection() {
        let mut text = Requests::default();
        assert!(matches!(text.step(b"version\r\n", false), Step::Call { .. }));
        assert!(matches!(text.step(b"\x80\n", false), Step::Call { head: 2, .. }));
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
