//! Frames commands: `*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n`, or the line `GET key`.

use memchr::memchr2;

use super::command::{LONGEST_NAME, MAX_WORDS, Pairing};
use super::inline;
use super::keys::{self, Found, Search, is_keyless};
use super::number::{Number, Size, whole};
use crate::protocol::failure::Mode;
use crate::protocol::{MAX_HEAD, Step, foreign, skip};

/// The longest word in a head, in bytes. From the first longer word on, a command is body.
const MAX_WORD: usize = 4 * 1024;

const _: () = assert!(keys::MAX_WORDS * (MAX_WORD + 16) < MAX_HEAD, "the longest head must fit in MAX_HEAD");

/// How many words a command has at most; Redis refuses more.
const MAX_COUNT: u32 = i32::MAX.unsigned_abs();

/// Frames what the client sends.
#[derive(Debug, Default)]
pub struct Requests {
    pairing: Pairing,
    body: Body,
    failure: Option<&'static str>,
    /// Where the name and the key of the latest command are in its head, if it is an array.
    words: Option<[Place; 2]>,
}

/// Where a word is: its first byte and its length.
type Place = (u16, u16);

impl Requests {
    /// Which command asked for the addresses of other nodes; once.
    pub(in crate::protocol) fn take_detour(&mut self) -> Option<&'static str> {
        self.pairing.detour.take()
    }

    /// As [`words`], of the latest command, which begins with this head; none if it would have to be read again.
    #[inline]
    pub(in crate::protocol) fn words<'h>(&self, head: &'h [u8]) -> Option<(&'h [u8], &'h [u8])> {
        let [command, key] = self.words?;
        let word = |(start, len): Place| head.get(usize::from(start)..)?.get(..usize::from(len));
        Some((word(command)?, word(key)?))
    }

    /// Whether EXEC, the latest command or one to come, has to fail.
    pub(in crate::protocol) fn has_refused(&self) -> bool {
        self.pairing.has_refused()
    }

    /// The latest command, which begins with this head, gets an error of our own.
    pub(in crate::protocol) fn refuse(&mut self, head: &[u8]) {
        self.pairing.refuse(words(head).0);
    }

    /// What holds for the latest command, which begins with this head.
    pub(in crate::protocol) fn mode(&self, head: &[u8]) -> Mode {
        self.pairing.mode(words(head).0)
    }

    /// The next step. Open calls make no difference.
    pub fn step(&mut self, bytes: &[u8], _open: bool) -> Step {
        if self.left() != Some(0) {
            return match self.read_body(bytes) {
                0 => self.failure.map_or(Step::More, Step::Opaque),
                len => Step::Part { len, left: self.left() },
            };
        }
        match bytes {
            [] => Ok(Step::More),
            [b'*', ..] => self.array(bytes),
            _ => self.line(bytes),
        }
        .unwrap_or_else(Step::Opaque)
    }

    /// A command that is an array of bulk strings.
    fn array(&mut self, bytes: &[u8]) -> Result<Step, &'static str> {
        let mut head = 1;
        let count = match Number::default().read(bytes, &mut head)? {
            None => return Ok(Step::More),
            // Redis ignores an empty array.
            Some(Size::Known(..=0)) => return Ok(Step::Pass(head)),
            Some(Size::Known(count)) => u32::try_from(count).ok().filter(|count| *count <= MAX_COUNT),
            Some(Size::Streamed) => None,
        };
        let count = count.ok_or("a command with an invalid number of words")?;

        let mut words: [&[u8]; MAX_WORDS] = [&[]; MAX_WORDS];
        let mut places = [Place::default(); 2];
        let (mut unread, mut is_long) = (count, false);
        for at in 0..places.len() {
            if unread == 0 {
                break;
            }
            match whole_word(bytes, head).map_or_else(|| word(bytes, head), Ok)? {
                Word::Cut => return Ok(Step::More),
                Word::Long => {
                    is_long = true;
                    break;
                }
                Word::Whole { word, end } => (words[at], head) = (word, end),
            }
            places[at] = place_of(words[at], head);
            unread -= 1;
        }
        if unread > 0
            && !is_long
            && let Some(search) = Search::of(words[0])
        {
            match read_to_key(bytes, search, words[1], head, unread)? {
                None => return Ok(Step::More),
                Some(read) => {
                    (head, unread, words[2]) = (read.head, read.unread, read.second);
                    if search != Search::First {
                        places[1] = read.key;
                    }
                }
            }
        }

        let expect = self.pairing.expect(words, count)?;
        self.words = Some(places);
        self.body.unread = unread;
        let len = head + self.read_body(&bytes[head..]);
        Ok(Step::Call { len, head, left: self.left(), expect })
    }

    /// An inline command.
    fn line(&mut self, bytes: &[u8]) -> Result<Step, &'static str> {
        let limit = bytes.len().min(MAX_HEAD);
        let len = match memchr2(b'\n', 0, &bytes[..limit]) {
            Some(end) if bytes[end] == b'\n' => end + 1,
            // Redis does not look for a line end behind a NUL.
            Some(_) => return Err("a NUL byte in an inline command"),
            None if limit < MAX_HEAD => return Ok(Step::More),
            None => return Err("an inline command longer than 64 KiB"),
        };

        // One byte more than the longest name, so that a longer word cannot be mistaken for it.
        let mut words = [([0; LONGEST_NAME + 1], 0); MAX_WORDS];
        let mut count: u32 = 0;
        for word in inline::split(without_line_end(&bytes[..len])) {
            let word = word?;
            if let Some((text, text_len)) = words.get_mut(count as usize) {
                for (place, byte) in text.iter_mut().zip(inline::unquoted(word)) {
                    *place = byte;
                    *text_len += 1;
                }
            }
            count += 1;
        }
        if foreign::is_http_request(&bytes[..len]) {
            return Err(foreign::HTTP_REQUEST);
        }
        if foreign::is_ssh_banner(bytes) {
            return Err(foreign::SSH_BANNER);
        }
        if count == 0 {
            return Ok(Step::Pass(len)); // Redis ignores a blank line.
        }
        self.words = None;
        let expect = self.pairing.expect(words.each_ref().map(|(text, len)| &text[..*len]), count)?;
        Ok(Step::Call { len, head: len, left: Some(0), expect })
    }

    /// How many of `bytes` are valid body. A failure is kept for the next step, which begins at the invalid byte.
    fn read_body(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        if self.failure.is_none() {
            self.failure = self.body.read(bytes, &mut at).err();
        }
        at
    }

    /// Bytes of the current command still to come; `None` if unknown.
    fn left(&self) -> Option<u64> {
        if self.failure.is_some() { None } else { self.body.left() }
    }
}

/// The words of a command still to come.
#[derive(Debug, Default)]
struct Body {
    /// Words whose size has not been read completely.
    unread: u32,
    /// The `$` before the current size has been read.
    dollar: bool,
    size: Number,
    /// Bytes of the current word still to come, line end included.
    skip: u64,
}

impl Body {
    /// Continues at `bytes[*at..]`, at most to the end of the command. After an error `at` is the index of the invalid
    /// byte.
    fn read(&mut self, bytes: &[u8], at: &mut usize) -> Result<(), &'static str> {
        // Fast path: most words are short and arrive complete.
        while self.unread > 0
            && self.is_between_words()
            && let Some(Word::Whole { end, .. }) = whole_word(bytes, *at)
        {
            *at = end;
            self.unread -= 1;
        }
        loop {
            *at += skip(&mut self.skip, bytes.len() - *at);
            if self.unread == 0 || *at == bytes.len() {
                return Ok(());
            }
            if !self.dollar {
                dollar(bytes[*at])?;
                self.dollar = true;
                *at += 1;
            }
            let Some(size) = self.size.read(bytes, at)? else { return Ok(()) };
            self.dollar = false;
            self.unread -= 1;
            self.skip = word_size(size)?.saturating_add(2);
        }
    }

    /// Whether the next byte begins a word.
    fn is_between_words(&self) -> bool {
        self.skip == 0 && !self.dollar
    }

    /// Bytes still to come; known only in the last word.
    fn left(&self) -> Option<u64> {
        (self.unread == 0).then_some(self.skip)
    }
}

/// What was read of a command whose key is not its first argument.
struct ReadToKey<'b> {
    head: usize,
    /// Its second argument.
    second: &'b [u8],
    unread: u32,
    /// Where the key is; nowhere if it has none.
    key: Place,
}

/// Reads on behind the first argument of a command, up to its key. None if the bytes end before.
#[inline(never)]
fn read_to_key<'b>(
    bytes: &'b [u8],
    mut search: Search,
    first: &[u8],
    mut head: usize,
    mut unread: u32,
) -> Result<Option<ReadToKey<'b>>, &'static str> {
    let (mut key, mut second) = (Place::default(), &bytes[..0]);
    let mut found = search.next(1, first);
    for at in 2..keys::MAX_WORDS {
        if unread == 0 || found != Found::More {
            break;
        }
        let read = match word(bytes, head)? {
            Word::Cut => return Ok(None),
            Word::Long => break,
            Word::Whole { word, end } => {
                head = end;
                word
            }
        };
        unread -= 1;
        if at == 2 {
            second = read;
        }
        found = search.next(at, read);
        if found == Found::Key {
            key = place_of(read, head);
        }
    }
    Ok(Some(ReadToKey { head, second, unread, key }))
}

/// One word of a head.
enum Word<'a> {
    /// The bytes end before the word does.
    Cut,
    /// Longer than [`MAX_WORD`].
    Long,
    /// The word, and the index behind its line end.
    Whole { word: &'a [u8], end: usize },
}

/// Fast path for a short, complete bulk string at `bytes[at..]`. `None` leaves the decision to [`word`].
#[inline(always)]
#[expect(clippy::inline_always, reason = "a SET is framed in 0.76 of the time")]
fn whole_word(bytes: &[u8], at: usize) -> Option<Word<'_>> {
    let [b'$', size @ ..] = bytes.get(at..)? else { return None };
    let (size, len) = whole(size)?;
    let size = usize::try_from(size).ok().filter(|size| *size <= MAX_WORD)?;
    let start = at + 1 + len;
    let end = start + size + 2;
    if end <= bytes.len() { Some(Word::Whole { word: bytes.get(start..start + size)?, end }) } else { None }
}

/// The bulk string at `bytes[at..]`.
fn word(bytes: &[u8], mut at: usize) -> Result<Word<'_>, &'static str> {
    let Some(first) = bytes.get(at) else { return Ok(Word::Cut) };
    dollar(*first)?;
    at += 1;
    let Some(size) = Number::default().read(bytes, &mut at)? else { return Ok(Word::Cut) };
    let Some(size) = usize::try_from(word_size(size)?).ok().filter(|size| *size <= MAX_WORD) else {
        return Ok(Word::Long);
    };
    let end = at + size + 2;
    Ok(if end <= bytes.len() { Word::Whole { word: &bytes[at..at + size], end } } else { Word::Cut })
}

/// Where a word of a head is that ends here, line end included.
#[expect(clippy::cast_possible_truncation, reason = "MAX_HEAD is 64 KiB, and a word does not begin a head")]
fn place_of(word: &[u8], end: usize) -> Place {
    ((end - 2 - word.len()) as u16, word.len() as u16)
}

fn dollar(byte: u8) -> Result<(), &'static str> {
    if byte == b'$' { Ok(()) } else { Err("a command argument that is not a bulk string") }
}

/// The length of a word, in bytes. It has no limit here: the limit of Redis is configurable.
fn word_size(size: Size) -> Result<u64, &'static str> {
    match size {
        Size::Known(size) => u64::try_from(size).map_err(|_| "a command argument of negative size"),
        Size::Streamed => Err("a streamed command argument"),
    }
}

/// The command and its first key, or without one its first argument, in a request's head. One that is not in the head is empty.
/// Words of an inline command are returned as typed, quotes included.
#[must_use]
pub fn words(head: &[u8]) -> (&[u8], &[u8]) {
    if !head.starts_with(b"*") {
        let mut words = inline::split(without_line_end(head)).map_while(Result::ok);
        let (command, first) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut rest = words.peekable();
        let search = Search::of(command).filter(|_| rest.peek().is_some());
        return (command, search.map_or(first, |search| search.find(first, rest)));
    }
    let mut at = 1;
    let Ok(Some(count)) = Number::default().read(head, &mut at) else { return (&[], &[]) };
    let mut next = || match whole_word(head, at).map_or_else(|| word(head, at), Ok) {
        Ok(Word::Whole { word, end }) => {
            at = end;
            Some(word)
        }
        _ => None,
    };
    let Some(command) = next() else { return (&[], &[]) };
    let Some(first) = next() else { return (command, &[]) };
    let search = Search::of(command).filter(|_| matches!(count, Size::Known(3..)));
    (command, search.map_or(first, |search| search.find(first, std::iter::from_fn(next))))
}

/// The first key in a request's head, if it has one there.
pub(in crate::protocol) fn key(head: &[u8]) -> Option<&[u8]> {
    let (command, key) = words(head);
    // Of two words, the second is a subcommand: `MEMORY STATS`.
    let lacks_key = || Search::of(command).is_some() && word_count(head) <= 2;
    (!key.is_empty() && !is_keyless(command) && !lacks_key()).then_some(key)
}

/// How many words the command with this head has.
pub(super) fn word_count(head: &[u8]) -> usize {
    let Some(array) = head.strip_prefix(b"*") else { return inline::split(head).flatten().count() };
    let digits = array.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0_usize, |count, digit| count.saturating_mul(10).saturating_add(usize::from(digit - b'0')))
}

fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Expect;

    fn first(bytes: &[u8]) -> Step {
        Requests::default().step(bytes, false)
    }

    fn call(len: usize, head: usize, left: Option<u64>) -> Step {
        Step::Call { len, head, left, expect: Expect::Reply }
    }

    fn opaque(bytes: &[u8]) -> bool {
        matches!(first(bytes), Step::Opaque(_))
    }

    #[test]
    fn a_small_command_is_one_step() {
        assert_eq!(first(b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n"), call(22, 22, Some(0)));
        assert_eq!(first(b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$1\r\nv\r\n*1\r\n$4"), call(29, 22, Some(0)));
        assert_eq!(first(b"*1\r\n$4\r\nPING\r\n"), call(14, 14, Some(0)));
        assert_eq!(first(b"PING\r\nPING\r\n"), call(6, 6, Some(0)));
        assert_eq!(first(b"PING\n"), call(5, 5, Some(0)));
    }

    #[test]
    fn an_unfinished_head_needs_more() {
        let get = b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n";
        for end in 0..get.len() {
            assert_eq!(first(&get[..end]), Step::More);
        }
        assert_eq!(first(b"PING\r"), Step::More);
    }

    #[test]
    fn a_body_streams_and_says_what_is_left() {
        let mut requests = Requests::default();
        let set = b"*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$2";
        assert_eq!(requests.step(set, false), call(22, 20, None));
        assert_eq!(requests.step(b"0", false), Step::Part { len: 1, left: None });
        assert_eq!(requests.step(b"\r\n01234567890123456789\r\n$1000000", false), Step::Part { len: 32, left: None });
        assert_eq!(requests.step(b"\r\n*1\r\n", false), Step::Part { len: 6, left: Some(999_998) });
        assert_eq!(requests.step(&vec![b'*'; 2_000_000], false), Step::Part { len: 999_998, left: Some(0) });
        assert_eq!(requests.step(b"PING\r\n", false), call(6, 6, Some(0)));
    }

    #[test]
    fn a_huge_word_is_body() {
        assert_eq!(first(b"*2\r\n$4\r\nECHO\r\n$1073741824\r\nab"), call(29, 14, Some(1_073_741_824)));
        assert_eq!(
            first(b"*2\r\n$4\r\nECHO\r\n$9223372036854775807\r\n"),
            call(36, 14, Some(9_223_372_036_854_775_809))
        );
        assert_eq!(first(b"*1\r\n$1073741824\r\nab"), call(19, 4, Some(1_073_741_824)));
        // The longest word in a head, and one byte more.
        assert_eq!(first(b"*2\r\n$4\r\nECHO\r\n$4096\r\n"), Step::More);
        assert_eq!(first(b"*2\r\n$4\r\nECHO\r\n$4097\r\n"), call(21, 14, Some(4099)));
    }

    #[test]
    fn blank_lines_and_empty_arrays_are_no_calls() {
        for blank in ["\r\n", "\n", " \t \r\n", "*0\r\n", "*-1\r\n", "*-7\r\n"] {
            assert_eq!(first(blank.as_bytes()), Step::Pass(blank.len()), "{blank:?}");
        }
    }

    #[test]
    fn malformed_commands_are_opaque() {
        for bytes in
            ["*abc", "*2147483648\r\n", "*9223372036854775808", "*?\r\n", "*1\r\n+", "*1\r\n$-5\r\n", "*1\r\n$x", "*01"]
        {
            assert!(opaque(bytes.as_bytes()), "{bytes:?}");
        }
        assert!(opaque(b"GET \"a\r\n"));
        assert!(opaque(b"GE\0T"));
    }

    #[test]
    fn a_broken_body_keeps_what_came_before() {
        for (body, at) in [("$-5\r\nPING\r\n", 5), ("+PING\r\n", 0), ("$1x\r\n", 2), ("$?\r\n", 4)] {
            let mut requests = Requests::default();
            let bytes = format!("*3\r\n$1\r\na\r\n$1\r\nb\r\n{body}");
            assert_eq!(requests.step(bytes.as_bytes(), false), call(18 + at, 18, None), "{body}");
            assert!(matches!(requests.step(b"PING\r\n", false), Step::Opaque(_)), "{body}");
            assert!(matches!(requests.step(b"PING\r\n", false), Step::Opaque(_)), "{body}");
        }
    }

    #[test]
    fn the_longest_inline_command() {
        let mut line = vec![b'a'; MAX_HEAD - 1];
        assert_eq!(first(&line), Step::More);
        line.push(b'\n');
        assert_eq!(first(&line), call(MAX_HEAD, MAX_HEAD, Some(0)));
        line.insert(0, b'a');
        assert!(opaque(&line));
        assert!(opaque(&line[..MAX_HEAD]));
    }

    #[test]
    fn words_are_found_where_they_were_read() {
        let long = format!("*3\r\n$4\r\nECHO\r\n$4097\r\n{}\r\n$1\r\na\r\n", "x".repeat(4097));
        for bytes in
            ["*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n", "*1\r\n$4\r\nPING\r\n", "*3\r\n$0\r\n\r\n$3\r\nkey\r\n$1\r\n", &long]
        {
            let mut requests = Requests::default();
            let Step::Call { head, .. } = requests.step(bytes.as_bytes(), false) else { panic!("no call: {bytes}") };
            let head = &bytes.as_bytes()[..head];
            assert_eq!(requests.words(head), Some(words(head)), "{bytes}");
        }
        let mut requests = Requests::default();
        requests.step(b"*1\r\n$4\r\nPING\r\n", false);
        requests.step(b"PING\r\n", false);
        assert_eq!(requests.words(b"PING\r\n"), None);
    }

    #[test]
    fn words_of_heads() {
        let pair = |command: &'static str, key: &'static str| (command.as_bytes(), key.as_bytes());
        assert_eq!(words(b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n"), pair("GET", "key"));
        assert_eq!(words(b"*2\r\n$4\r\nECHO\r\n"), pair("ECHO", ""));
        assert_eq!(words(b"*2\r\n"), pair("", ""));
        assert_eq!(words(b"get \"a b\" c\r\n"), pair("get", "\"a b\""));
        assert_eq!(words(b"PING\r\n"), pair("PING", ""));
        assert_eq!(words(b""), pair("", ""));
    }
}
