//! The binary protocol: packets of a 24-byte header, extras, key and value.
//!
//! Quiet commands (protocol-binary.xml, "Command Opcodes") get a reply only when there is something to report. A reply
//! is matched by opcode and opaque: matched by opcode alone, a `getq` that misses would take the reply of a later
//! `getq` that hits, as in every multi-get. Commands with equal opcodes and opaques are matched in order. This cannot
//! shift the reply of another command, which has another opcode.

use super::super::{Expect as AnyExpect, MAX_HEAD, Step};
use super::{Piece, ReplyKind, Request};

/// The first byte of a request.
pub(super) const REQUEST: u8 = 0x80;
/// The first byte of a reply.
const REPLY: u8 = 0x81;
const HEADER: usize = 24;

/// The request that does nothing and is always answered.
pub(super) const NO_OP: [u8; HEADER] =
    [REQUEST, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

const STAT: u8 = 0x10;
const QUITQ: u8 = 0x17;

/// The names of the opcodes, in lower case. Reserved opcodes have none.
const NAMES: [&str; 0x25] = [
    "get",
    "set",
    "add",
    "replace",
    "delete",
    "increment",
    "decrement",
    "quit",
    "flush",
    "getq",
    "noop",
    "version",
    "getk",
    "getkq",
    "append",
    "prepend",
    "stat",
    "setq",
    "addq",
    "replaceq",
    "deleteq",
    "incrementq",
    "decrementq",
    "quitq",
    "flushq",
    "appendq",
    "prependq",
    "",
    "touch",
    "gat",
    "gatq",
    "",
    "sasl_list_mechs",
    "sasl_auth",
    "sasl_step",
    "gatk",
    "gatkq",
];

/// The header fields that framing needs.
struct Header {
    opcode: u8,
    key: u16,
    extras: u8,
    /// Bytes of extras, key and value together.
    body: u32,
    opaque: u32,
}

impl Header {
    fn read(bytes: &[u8], magic: u8) -> Result<Self, Step> {
        if bytes.first().is_some_and(|&byte| byte != magic) {
            return Err(Step::Opaque("not a binary protocol packet"));
        }
        let header: &[u8; HEADER] = bytes.first_chunk().ok_or(Step::More)?;
        let &[_, opcode, k0, k1, extras, _, _, _, b0, b1, b2, b3, o0, o1, o2, o3, ..] = header;
        let key = u16::from_be_bytes([k0, k1]);
        let body = u32::from_be_bytes([b0, b1, b2, b3]);
        if u32::from(key) + u32::from(extras) > body {
            return Err(Step::Opaque("a packet shorter than its key and extras"));
        }
        Ok(Self { opcode, key, extras, body, opaque: u32::from_be_bytes([o0, o1, o2, o3]) })
    }
}

/// The request at the start of `bytes`. Its head consists of header, extras and key.
pub(super) fn request(bytes: &[u8]) -> Result<Request, Step> {
    let header = Header::read(bytes, REQUEST)?;
    let extras_and_key = usize::from(header.extras) + usize::from(header.key);
    let head = HEADER + extras_and_key;
    if head > MAX_HEAD {
        return Err(Step::Opaque("a packet head longer than 64 KiB"));
    }
    if bytes.len() < head {
        return Err(Step::More);
    }
    let expect = match header.opcode {
        QUITQ => AnyExpect::Nothing,
        0x09 | 0x0d | 0x11..=0x16 | 0x18..=0x1a | 0x1e | 0x24 => {
            ReplyKind::QuietPacket(header.opcode).with_echo(header.opaque)
        }
        opcode => ReplyKind::Packet(opcode).expected(),
    };
    Ok(Request { head, body: Some(u64::from(header.body) - extras_and_key as u64), expect })
}

/// The packet at the start of `bytes`, in reply to a request with `opcode`. `quiet` is the opaque of a quiet request,
/// whose reply may be missing.
pub(super) fn reply(bytes: &[u8], opcode: u8, quiet: Option<u32>) -> Result<Piece, Step> {
    let header = Header::read(bytes, REPLY)?;
    match quiet {
        Some(opaque) if (header.opcode, header.opaque) != (opcode, opaque) => return Err(Step::Unanswered),
        None if header.opcode != opcode => return Err(Step::Opaque("a reply with another command's opcode")),
        _ => {}
    }
    Ok(Piece { len: HEADER as u64 + u64::from(header.body), last: opcode != STAT || header.key == 0 })
}

/// A packet in reply to the request with this head: its opcode and opaque, a status and a text.
pub(super) fn answer(head: &[u8], status: u8, text: &[u8]) -> Vec<u8> {
    let header: [u8; HEADER] = head.first_chunk().copied().unwrap_or(NO_OP);
    let len = u32::try_from(text.len()).unwrap_or(0).to_be_bytes();
    let [_, opcode, .., o0, o1, o2, o3, _, _, _, _, _, _, _, _] = header;
    let mut packet = vec![REPLY, opcode, 0, 0, 0, 0, 0, status];
    packet.extend(len);
    packet.extend([o0, o1, o2, o3]);
    packet.extend([0; 8]);
    packet.extend_from_slice(text);
    packet
}

/// The packet that says that there is no such key; empty for a quiet get, which gets none; `None` where there may be one.
pub(super) fn miss(head: &[u8]) -> Option<Vec<u8>> {
    /// protocol-binary.xml, "Response Status".
    const NOT_FOUND: u8 = 0x01;
    let header = Header::read(head, REQUEST).ok()?;
    Some(match NAMES.get(usize::from(header.opcode)).copied()? {
        "getq" | "getkq" | "gatq" | "gatkq" => Vec::new(),
        "getk" | "gatk" => {
            // The key comes back in place of a text.
            let key = words(head).1;
            let mut packet = answer(head, NOT_FOUND, key);
            packet[2..4].copy_from_slice(&header.key.to_be_bytes());
            packet
        }
        "get" | "gat" | "touch" | "delete" | "deleteq" | "increment" | "incrementq" | "decrement" | "decrementq" => {
            answer(head, NOT_FOUND, b"Not found")
        }
        _ => return None,
    })
}

/// The command's name and the key in a request's head.
pub(super) fn words(head: &[u8]) -> (&[u8], &[u8]) {
    let Ok(header) = Header::read(head, REQUEST) else { return (&[], &[]) };
    let name = NAMES.get(usize::from(header.opcode)).copied().unwrap_or_default();
    let key = HEADER + usize::from(header.extras);
    (name.as_bytes(), head.get(key..key + usize::from(header.key)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{pair, whole};
    use super::super::{Requests, words};
    use super::*;

    fn packet(magic: u8, opcode: u8, opaque: u8, extras: &[u8], key: &[u8], value: &[u8]) -> Vec<u8> {
        let body = u32::try_from(extras.len() + key.len() + value.len()).expect("a short packet");
        let mut packet = vec![magic, opcode];
        packet.extend(u16::try_from(key.len()).expect("a short packet").to_be_bytes());
        packet.extend([u8::try_from(extras.len()).expect("a short packet"), 0, 0, 0]);
        packet.extend(body.to_be_bytes());
        packet.extend([0, 0, 0, opaque]);
        packet.extend([0; 8]);
        packet.extend([extras, key, value].concat());
        packet
    }

    fn ask(opcode: u8, opaque: u8, key: &[u8]) -> Vec<u8> {
        packet(REQUEST, opcode, opaque, &[], key, &[])
    }

    fn answer(opcode: u8, opaque: u8, value: &[u8]) -> Vec<u8> {
        packet(REPLY, opcode, opaque, &[], &[], value)
    }

    #[test]
    fn a_value_streams() {
        let set = packet(REQUEST, 0x01, 0, &[0; 8], b"key", b"value");
        assert_eq!(words(&set[..35]), (&b"set"[..], &b"key"[..]));
        let expect = ReplyKind::Packet(0x01).expected();
        let mut framer = Requests::default();
        assert_eq!(framer.step(&set[..34], false), Step::More);
        assert_eq!(framer.step(&set[..36], false), Step::Call { len: 36, head: 35, left: Some(4), expect });
        assert_eq!(framer.step(&set[36..], true), Step::Part { len: 4, left: Some(0) });
        assert_eq!(framer.step(&set, true), Step::Call { len: 40, head: 35, left: Some(0), expect });
    }

    #[test]
    fn impossible_packets_are_opaque() {
        let mut short = ask(0x00, 0, b"key");
        short[11] = 2;
        assert!(matches!(request(&short), Err(Step::Opaque(_))));
        assert_eq!(words(&short), (&b""[..], &b""[..]));
        let long = packet(REQUEST, 0x00, 0, &[0; 255], &vec![b'k'; 0xffff], &[]);
        assert!(matches!(request(&long), Err(Step::Opaque(_))));
        assert!(matches!(request(&answer(0x00, 0, b"")), Err(Step::Opaque(_))));
        assert!(matches!(reply(&ask(0x00, 0, b""), 0x00, None), Err(Step::Opaque(_))));
        assert!(matches!(reply(&answer(0x01, 0, b""), 0x00, None), Err(Step::Opaque(_))));
    }

    #[test]
    fn quiet_replies_find_their_calls() {
        let calls = [ask(0x0d, 1, b"a"), ask(0x0d, 2, b"b"), ask(0x11, 2, b"c"), ask(0x17, 3, b""), ask(0x0a, 2, b"")];
        let calls: Vec<_> = calls.iter().map(Vec::as_slice).collect();
        let replies = [answer(0x0d, 2, b"hit"), answer(0x0a, 2, b"")].concat();
        assert_eq!(
            pair(&calls, &replies),
            [Step::Unanswered, whole(27), Step::Unanswered, Step::Unanswered, whole(24)]
        );
        let replies = [answer(0x0d, 1, b"hit"), answer(0x11, 2, b"no"), answer(0x0a, 2, b"")].concat();
        assert_eq!(pair(&calls, &replies), [whole(27), Step::Unanswered, whole(26), Step::Unanswered, whole(24)]);
    }

    #[test]
    fn our_own_replies_are_packets() {
        let not_found = |opcode| [answer(opcode, 7, b"Not found")].concat();
        let with_status = |mut packet: Vec<u8>, status| {
            packet[7] = status;
            packet
        };
        assert_eq!(super::miss(&ask(0x00, 7, b"key")), Some(with_status(not_found(0x00), 1)));
        assert_eq!(super::miss(&ask(0x09, 7, b"key")), Some(vec![]));
        assert_eq!(super::miss(&ask(0x01, 7, b"key")), None);
        let key = with_status(packet(REPLY, 0x0c, 7, &[], b"key", &[]), 1);
        assert_eq!(super::miss(&ask(0x0c, 7, b"key")), Some(key));
        assert_eq!(super::answer(&ask(0x01, 9, b"key"), 0x85, b"Busy"), with_status(answer(0x01, 9, b"Busy"), 0x85));
    }

    #[test]
    fn statistics_end_without_a_key() {
        let call = ask(STAT, 0, b"");
        let replies = [packet(REPLY, STAT, 0, &[], b"pid", b"1"), answer(STAT, 0, b"")].concat();
        assert_eq!(pair(&[&call], &replies), [whole(52)]);
        assert_eq!(pair(&[&call], &replies[..30])[0], Step::Part { len: 28, left: None });
        let error = answer(STAT, 0, b"Not found");
        assert_eq!(pair(&[&call], &error), [whole(33)]);
    }

    #[test]
    fn quiet_opcodes_have_names_that_end_in_q() {
        for (opcode, name) in (0_u8..).zip(NAMES) {
            let expect = request(&ask(opcode, 7, b"")).unwrap_or_else(|step| panic!("{step:?}")).expect;
            let quiet = match expect {
                AnyExpect::Nothing => opcode == QUITQ,
                expect => expect == ReplyKind::QuietPacket(opcode).with_echo(7),
            };
            assert_eq!(quiet, name.ends_with('q'), "{name}");
        }
    }
}
