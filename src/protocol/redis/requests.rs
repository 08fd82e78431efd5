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
mod tests;
