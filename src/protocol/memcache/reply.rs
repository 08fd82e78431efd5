//! Text replies: lines, some with a data block.

use super::super::{Step, decimal};
use super::meta::{self, Codes};
use super::{Expect, Piece, ReplyKind, line};

/// How list lines begin: `stats`, `stats cachedump`, `stats detail dump`, `lru_crawler metadump` and `mgdump`.
const LISTED: [&[u8]; 5] = [b"STAT ", b"ITEM ", b"PREFIX ", b"key=", b"mg "];

/// Pairs replies with calls where quiet commands may have no reply.
///
/// A reply is assigned to the oldest quiet command that can get it, judged by its code and by what it repeats of the
/// request. A wrong guess within a run of quiet commands does not shift later replies. The command that ends the run
/// certainly gets a reply. If a reply assigned before could have been that one, later replies cannot be paired and the
/// connection turns opaque. After `mn`, whose code is unique, this cannot happen.
#[derive(Debug, Default)]
pub(super) struct Pairing {
    /// The codes of the replies in this run of quiet commands that repeated nothing.
    guessed: Codes,
    /// The code of the last reply that repeated something, and what it repeated.
    echoed: Codes,
    echo: u32,
}

impl Pairing {
    /// The next line, with its data block.
    pub(super) fn piece(&mut self, bytes: &[u8], expect: Expect) -> Result<Piece, Step> {
        let begins = |first: &u8| {
            first.is_ascii_alphanumeric() || expect.kind == ReplyKind::Config && matches!(first, b'\r' | b'\n')
        };
        if !bytes.first().is_none_or(begins) {
            return Err(Step::Opaque("not a text reply"));
        }
        let head = line::length(bytes)?;
        let line = &bytes[..head];
        let line = line.strip_suffix(b"\r\n").unwrap_or(&line[..head - 1]);
        let piece = |body: u64, last: bool| match body.checked_add(head as u64) {
            Some(len) => Ok(Piece { len, last }),
            None => Err(Step::Opaque("a data block length over 64 bits")),
        };
        match expect.kind {
            ReplyKind::Values | ReplyKind::Config => {
                let (body, last) = value(line, expect.kind)?;
                self.settle(Codes(meta::OTHER.0 | meta::ERROR.0), 0)?;
                piece(body, last)
            }
            ReplyKind::QuietMeta(command) => {
                let code = Codes::of(line);
                let flags = line.split(|&byte| byte == b' ').skip(1);
                if !code.intersects(command.quiet_codes())
                    || (code != meta::ERROR && meta::echo(flags, None) != expect.echo)
                {
                    return Err(Step::Unanswered);
                }
                let body = data(line, code)?;
                *self = if code == meta::ERROR || expect.echo == 0 {
                    Self { guessed: self.guessed.with(code), ..*self }
                } else {
                    // Replies guessed before belong to earlier commands.
                    Self { guessed: Codes(0), echoed: code, echo: expect.echo }
                };
                piece(body, true)
            }
            ReplyKind::Meta(command) => {
                let code = Codes::of(line);
                // A server without meta commands answers `mn` with an error.
                if !code.intersects(command.codes().with(meta::ERROR)) {
                    return Err(Step::Opaque("a reply that its meta command cannot get"));
                }
                let body = data(line, code)?;
                self.settle(command.codes(), expect.echo)?;
                piece(body, true)
            }
            kind => {
                let possible = match kind {
                    ReplyKind::Unknown => meta::ERROR,
                    ReplyKind::List => Codes(meta::OTHER.0 | meta::ERROR.0 | meta::EN.0),
                    _ => Codes(meta::OTHER.0 | meta::ERROR.0),
                };
                if !Codes::of(line).intersects(possible) {
                    if kind == ReplyKind::Unknown {
                        return Err(Step::Opaque("a reply to an unknown command, whose end is unknown as well"));
                    }
                    return Err(Step::Opaque("a meta reply to a command that is not a meta command"));
                }
                self.settle(possible, 0)?;
                let more = if kind == ReplyKind::List {
                    LISTED.iter().any(|start| line.starts_with(start))
                } else {
                    // After this line, `stats sizes_enable` gives the reason on a second one.
                    line == b"STAT sizes_status error"
                };
                piece(0, !more)
            }
        }
    }

    /// Ends a run of quiet commands: a command that is not quiet got its reply. `possible` are the codes that it can
    /// get, `echo` is what its reply repeats.
    fn settle(&mut self, possible: Codes, echo: u32) -> Result<(), Step> {
        let is_echoed = echo != 0 && echo == self.echo && self.echoed.intersects(possible);
        if is_echoed || self.guessed.intersects(possible) {
            return Err(Step::Opaque("an earlier reply that may belong to this command or to a quiet one"));
        }
        *self = Self::default();
        Ok(())
    }
}

/// The length of the data block after a line of the reply to `get`, and whether the line is the last:
/// `VALUE <key> <flags> <bytes> [<cas unique>]`, `END` or an error (protocol.txt, "Retrieval command"). The reply to
/// `config get` has `CONFIG` for `VALUE`, and sometimes a length without the line end in its data: a blank line is left.
fn value(line: &[u8], kind: ReplyKind) -> Result<(u64, bool), Step> {
    let item = match kind {
        ReplyKind::Config => line.strip_prefix(b"CONFIG "),
        _ => line.strip_prefix(b"VALUE "),
    };
    if let Some(item) = item {
        return size(item.splitn(4, |&byte| byte == b' ').nth(2)).map(|body| (body, false));
    }
    if line == b"END" || Codes::of(line) == meta::ERROR {
        return Ok((0, true));
    }
    if line.is_empty() {
        return Ok((0, false));
    }
    Err(Step::Opaque("a reply to get that is not VALUE, END or an error"))
}

/// The length of the data block after a meta reply line. Only `VA <size> <flags>*` has one.
fn data(line: &[u8], code: Codes) -> Result<u64, Step> {
    if code == meta::VA { size(line.splitn(3, |&byte| byte == b' ').nth(1)) } else { Ok(0) }
}

/// The length of a data block in bytes, line end included.
fn size(word: Option<&[u8]>) -> Result<u64, Step> {
    word.and_then(decimal)
        .and_then(|size| size.checked_add(2))
        .ok_or(Step::Opaque("a reply without a valid data block length"))
}

#[cfg(test)]
mod tests {
    use super::super::super::{Expect as AnyExpect, MAX_HEAD};
    use super::super::Replies;
    use super::super::tests::{expect, pair, whole};
    use super::*;

    const OPAQUE: &str = "opaque";

    /// The steps, with one reason in place of all opaque reasons.
    fn steps(requests: &[&str], replies: &str) -> Vec<Step> {
        let requests: Vec<_> = requests.iter().map(|request| request.as_bytes()).collect();
        let mut steps = pair(&requests, replies.as_bytes());
        for step in &mut steps {
            if let Step::Opaque(why) = step {
                *why = OPAQUE;
            }
        }
        steps
    }

    #[test]
    fn a_small_reply_is_one_part() {
        for (request, reply) in [
            ("get a b\r\n", "VALUE a 0 5\r\nEND\r\n\r\nVALUE b 1 0 77\r\n\r\nEND\r\n"),
            ("get a\r\n", "END\r\n"),
            ("get\r\n", "ERROR\r\n"),
            ("stats\r\n", "STAT pid 1\r\nSTAT uptime 2\r\nEND\r\n"),
            ("stats reset\r\n", "RESET\r\n"),
            ("stats detail dump\r\n", "PREFIX a get 1 hit 0 set 0 del 0\r\nEND\r\n"),
            ("stats sizes_enable\r\n", "STAT sizes_status enabled\r\n"),
            ("stats sizes_enable\r\n", "STAT sizes_status error\r\nSTAT sizes_error cas_support_disabled\r\n"),
            ("lru_crawler metadump all\r\n", "key=a exp=-1 la=1 cas=1 fetch=no cls=1 size=63\r\nEND\r\n"),
            ("lru_crawler mgdump all\r\n", "mg a\r\nEN\r\n"),
            ("lru_crawler metadump 1\r\n", "BUSY currently processing crawler request\r\n"),
            ("incr a 1\r\n", "6\r\n"),
            ("mg a v\r\n", "VA 2 s2\r\nHD\r\n"),
            ("mg a\r\n", "EN\r\n"),
            ("ms a 2\r\nab\r\n", "HD\r\n"),
            ("me a\r\n", "ME a exp=-1\r\n"),
            ("mn\r\n", "ERROR\r\n"),
        ] {
            assert_eq!(steps(&[request], reply), [whole(reply.len())], "{request}");
        }
    }

    #[test]
    fn a_data_block_streams() {
        let mut framer = Replies::default();
        let get = Some(expect(b"get a\r\n"));
        assert_eq!(framer.step(b"VALUE a 0 5", get), Step::More);
        assert_eq!(framer.step(b"VALUE a 0 5\r\nhe", get), Step::Part { len: 15, left: None });
        assert_eq!(framer.step(b"llo\r\nEN", get), Step::Part { len: 5, left: None });
        assert_eq!(framer.step(b"END\r\n", get), whole(5));
        let get = Some(expect(b"mg a v\r\n"));
        assert_eq!(framer.step(b"VA 5\r\nhe", get), Step::Part { len: 8, left: Some(5) });
        assert_eq!(framer.step(b"llo\r\nEN", get), whole(5));
    }

    #[test]
    fn invalid_replies_are_opaque() {
        for (request, reply) in [
            ("get a\r\n", "STORED\r\n"),
            ("get a\r\n", "VALUE a 0 -1\r\n"),
            ("get a\r\n", "VALUE a 0\r\n"),
            ("get a\r\n", "VALUE a 0 18446744073709551615\r\n"),
            ("mg a v\r\n", "VA\r\n"),
            ("mg a v\r\n", "VA 18446744073709551613\r\n"),
            ("mg a v\r\n", "NF\r\n"),
            ("set a 0 0 1\r\na\r\n", "HD\r\n"),
        ] {
            assert_eq!(steps(&[request], reply), [Step::Opaque(OPAQUE)], "{reply}");
        }
        let long = vec![b'a'; MAX_HEAD];
        assert!(matches!(Replies::default().step(&long, Some(ReplyKind::Line.expected())), Step::Opaque(_)));
    }

    #[test]
    fn a_cluster_configuration_has_a_data_block() {
        for reply in [
            "CONFIG cluster 0 7\r\n12\na|b\n\r\nEND\r\n",
            // A length that leaves out the line end of the data.
            "CONFIG cluster 0 6\r\n12\na|b\n\r\nEND\r\n",
            "CONFIG cluster 0 5\r\nEND\r\n\r\nEND\r\n",
            "END\r\n",
            "ERROR\r\n",
        ] {
            let requests = ["config get cluster\r\n", "get a\r\n"];
            assert_eq!(steps(&requests, &format!("{reply}END\r\n")), [whole(reply.len()), whole(5)], "{reply:?}");
        }
        assert_eq!(steps(&["config get cluster\r\n"], "VALUE a 0 0\r\n"), [Step::Opaque(OPAQUE)]);
        assert_eq!(steps(&["get a\r\n"], "CONFIG a 0 0\r\n"), [Step::Opaque(OPAQUE)]);
        assert_eq!(steps(&["get a\r\n"], "\r\n"), [Step::Opaque(OPAQUE)]);
    }

    #[test]
    fn an_unknown_command_gets_an_error_or_ends_the_pairing() {
        for request in ["gete a 1\r\n", "lease-get a\r\n", "mx a\r\n", "\r\n", "config set a 0 1\r\n"] {
            for error in ["ERROR\r\n", "CLIENT_ERROR no\r\n", "SERVER_ERROR no\r\n"] {
                let replies = format!("{error}STORED\r\n");
                assert_eq!(steps(&[request, "set a 0 0 0\r\n\r\n"], &replies), [whole(error.len()), whole(8)]);
            }
            for reply in ["VALUE a 0 1\r\na\r\nEND\r\n", "LVALUE a 7 0 0\r\n\r\n", "STORED\r\n", "HD\r\n", "5\r\n"] {
                assert_eq!(steps(&[request, "get a\r\n"], reply), [Step::Opaque(OPAQUE)], "{request} {reply}");
            }
        }
    }

    #[test]
    fn what_cannot_begin_a_reply_is_opaque_at_once() {
        for request in
            ["get a\r\n", "stats\r\n", "version\r\n", "mg a v\r\n", "mg a v q\r\n", "mn\r\n", "config get a\r\n"]
        {
            for bytes in [&b"\x15\x03\x01\x00\x02"[..], b"^", b"\x08", b"\x81", b"\0", b" ", b"\xff\r\n"] {
                let step = Replies::default().step(bytes, Some(expect(request.as_bytes())));
                assert!(matches!(step, Step::Opaque(_)), "{request} {} {step:?}", bytes.escape_ascii());
            }
        }
    }

    #[test]
    fn a_marked_reply_finds_its_quiet_call() {
        let requests = ["mg a v q O1\r\n", "mg b v q O2\r\n", "mg c k q\r\n", "mg d v\r\n", "get e\r\n"];
        assert_eq!(
            steps(&requests, "VA 1 O2\r\nb\r\nHD kc\r\nVA 1\r\nd\r\nEND\r\n"),
            [Step::Unanswered, whole(12), whole(7), whole(9), whole(5)]
        );
        assert_eq!(
            steps(&requests, "EN\r\nEND\r\n"),
            [Step::Unanswered, Step::Unanswered, Step::Unanswered, whole(4), whole(5)]
        );
    }

    #[test]
    fn a_guess_lasts_until_the_run_ends() {
        let quiet = "ms a 1 q ME\r\na\r\n";
        assert_eq!(
            steps(&[quiet, quiet, quiet, "mn\r\n", "ms b 1\r\nb\r\n"], "NS\r\nNS\r\nMN\r\nHD\r\n"),
            [whole(4), whole(4), Step::Unanswered, whole(4), whole(4)]
        );
        // The first reply cannot have been the get's.
        assert_eq!(steps(&[quiet, "get a\r\n"], "NS\r\nEND\r\n"), [whole(4), whole(5)]);
        // The first reply may have been the last command's.
        assert_eq!(steps(&[quiet, "ms b 1 ME\r\nb\r\n"], "NS\r\nNS\r\n"), [whole(4), Step::Opaque(OPAQUE)]);
        assert_eq!(steps(&[quiet, "get a\r\n"], "SERVER_ERROR\r\nEND\r\n"), [whole(14), Step::Opaque(OPAQUE)]);
        assert_eq!(steps(&[quiet, "mn\r\n"], "SERVER_ERROR\r\nMN\r\n"), [whole(14), whole(4)]);
        // The first reply may have been the last command's, which asked for the same key.
        let again = ["mg a v k q\r\n", "ms a 1 q\r\na\r\n", "mg a v k\r\n", "mg b v k\r\n"];
        assert_eq!(
            steps(&again, "VA 0 ka\r\n\r\nVA 0 kb\r\n\r\n"),
            [whole(11), Step::Unanswered, Step::Opaque(OPAQUE)]
        );
        assert_eq!(
            steps(&["mg a v k q\r\n", "mg b v k\r\n"], "VA 0 ka\r\n\r\nVA 0 kb\r\n\r\n"),
            [whole(11), whole(11)]
        );
        // A reply with an echo settles the guesses before it.
        assert_eq!(
            steps(&[quiet, "ms b 1 q ME k\r\nb\r\n", "ms c 1\r\nc\r\n"], "NS\r\nNS kb\r\nNS\r\n"),
            [whole(4), whole(7), whole(4)]
        );
    }

    #[test]
    fn the_q_flag_suppresses_the_usual_reply() {
        for (request, answered) in [
            ("mg a q\r\n", &["HD\r\n", "VA 1\r\na\r\n"][..]),
            ("ms a 1 q\r\na\r\n", &["NS\r\n", "EX\r\n", "NF\r\n", "CLIENT_ERROR bad data chunk\r\n"]),
            ("md a q\r\n", &["EX\r\n", "NF\r\n"]),
            ("ma a q\r\n", &["HD\r\n", "VA 1\r\n1\r\n", "NF\r\n", "NS\r\n", "EX\r\n"]),
        ] {
            for reply in ["HD\r\n", "EN\r\n", "NS\r\n", "EX\r\n", "NF\r\n", "MN\r\n", "END\r\n"] {
                let quiet = Replies::default().step(reply.as_bytes(), Some(expect(request.as_bytes())));
                let own = answered.contains(&reply);
                assert_eq!(quiet, if own { whole(reply.len()) } else { Step::Unanswered }, "{request} {reply}");
            }
            for reply in answered {
                assert_eq!(steps(&[request], reply), [whole(reply.len())], "{request} {reply}");
            }
        }
        assert_eq!(steps(&["quit\r\n"], "END\r\n"), [Step::Unanswered, Step::Opaque(OPAQUE)]);
        assert_eq!(expect(b"quit\r\n"), AnyExpect::Nothing);
    }
}
