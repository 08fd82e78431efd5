//! Finds the end of a head, and reads the header fields that delimit the body.

use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Request, Response, Status};

use crate::protocol::{MAX_HEAD, decimal};

/// How many header fields a head has at most.
const MAX_FIELDS: usize = 512;

/// A head's length and what was read from it; `None` while it is incomplete; an error if it is invalid.
pub(super) type Parsed<T> = Result<Option<(usize, T)>, &'static str>;

/// Parses the head of a request and passes it to `read`.
pub(super) fn request<T>(bytes: &[u8], read: impl Fn(&Request) -> Result<T, &'static str>) -> Parsed<T> {
    let parse = |bytes: &[u8]| {
        let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut request = Request::new(&mut []);
        let status = request.parse_with_uninit_headers(bytes, &mut fields)?;
        Ok(finish(status, || read(&request)))
    };
    match parse(bytes) {
        Ok(parsed) => parsed,
        // A target may be in any encoding, and does not affect framing.
        Err(httparse::Error::Token) => parse(&ascii_line(bytes)).map_err(reason)?,
        Err(error) => Err(reason(error)),
    }
}

/// Parses the head of a response and passes it to `read`.
pub(super) fn response<T>(bytes: &[u8], read: impl Fn(&Response) -> Result<T, &'static str>) -> Parsed<T> {
    let parse = |config: &ParserConfig| {
        let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut response = Response::new(&mut []);
        let status = config.parse_response_with_uninit_headers(&mut response, bytes, &mut fields)?;
        Ok(finish(status, || read(&response)))
    };
    match parse(&ParserConfig::default()) {
        Ok(parsed) => parsed,
        // Old servers fold fields, or put blanks before a colon. Every reader sees the same end, unless a field is meant that
        // delimits the body (RFC 9112, sections 5.1 and 5.2).
        Err(httparse::Error::HeaderName | httparse::Error::HeaderValue) if !delimits_oddly(bytes) => {
            let mut config = ParserConfig::default();
            config.allow_obsolete_multiline_headers_in_responses(true);
            config.allow_spaces_after_header_name_in_responses(true);
            parse(&config).map_err(reason)?
        }
        Err(error) => Err(reason(error)),
    }
}

/// The bytes with those above ASCII in their first line replaced, but for its first word.
fn ascii_line(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let behind_method = bytes.iter_mut().take_while(|byte| **byte != b'\n').skip_while(|byte| **byte != b' ');
    behind_method.filter(|byte| !byte.is_ascii()).for_each(|byte| *byte = b'x');
    bytes
}

/// Whether a field that delimits the body is folded, or has a blank before its colon, or a folded line looks like one.
fn delimits_oddly(head: &[u8]) -> bool {
    let mut is_delimiter = false;
    head.split(|byte| *byte == b'\n').any(|line| {
        let start = line.trim_ascii_start();
        let is_folded = matches!(line, [b' ' | b'\t', ..]);
        let colon = memchr::memchr(b':', start).unwrap_or(0);
        let name = start[..colon].trim_ascii_end();
        let names = ["content-length", "transfer-encoding"];
        let is_odd = is_folded && is_delimiter;
        is_delimiter = names.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
        is_odd || is_delimiter && (is_folded || name.len() < colon)
    })
}

fn finish<T>(status: Status<usize>, read: impl FnOnce() -> Result<T, &'static str>) -> Parsed<T> {
    match status {
        Status::Complete(len) => Ok(Some((len, read()?))),
        Status::Partial => Ok(None),
    }
}

fn reason(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::TooManyHeaders => "too many header fields",
        httparse::Error::HeaderName | httparse::Error::HeaderValue => "a malformed header field",
        _ => "not HTTP/1.0 or HTTP/1.1",
    }
}

/// Searches for the end of a head without rescanning its bytes, however small the pieces in which they arrive.
#[derive(Debug)]
pub(super) struct Search {
    /// How many bytes of the current head have been searched without finding its end.
    searched: usize,
    /// The longest head, in bytes.
    max_head: usize,
}

impl Default for Search {
    fn default() -> Self {
        Self::new(MAX_HEAD)
    }
}

impl Search {
    pub(super) fn new(max_head: usize) -> Self {
        Self { searched: 0, max_head }
    }

    /// The head at the start of `bytes`, read by `parse`. An incomplete head must be shown again from its first byte.
    ///
    /// Whether a head is refused depends on its bytes alone, not on how they were split: an incomplete one is parsed up
    /// to its last line end. That is at most one parse for each line, and [`MAX_FIELDS`] limits the lines.
    pub(super) fn find<T>(&mut self, bytes: &[u8], parse: impl Fn(&[u8]) -> Parsed<T>) -> Parsed<T> {
        let window = &bytes[..bytes.len().min(self.max_head)];
        // Nearly every head arrives in one piece.
        if self.searched == 0
            && let Ok(Some(found)) = parse(window)
        {
            return Ok(Some(found));
        }
        let searched = std::mem::take(&mut self.searched).min(window.len());
        let mut line_end = None;
        for at in memchr::memchr_iter(b'\n', &window[searched..]) {
            let before = &window[..searched + at];
            let end = before.len() + 1;
            if before.ends_with(b"\n") || before.ends_with(b"\n\r") {
                return parse(&window[..end]);
            }
            line_end = Some(end);
        }
        if let Some(end) = line_end {
            parse(&window[..end])?;
        }
        // Binary data may never contain a line end at which it would be parsed.
        if window[searched..].iter().any(|byte| *byte < b' ' && !matches!(byte, b'\t' | b'\r' | b'\n')) {
            return Err("control characters in a head");
        }
        if bytes.len() > self.max_head {
            return Err("a head longer than max_head");
        }
        self.searched = window.len();
        Ok(None)
    }
}

/// The last transfer coding, which decides how the body ends (RFC 9112, section 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// There is no Transfer-Encoding.
    None,
    /// The chunks show where the body ends.
    Chunked,
    /// A registered coding other than chunked: the body ends with the connection.
    Compressed,
    /// A coding that is not registered.
    Unknown,
}

/// What the header fields say about the body and about what follows it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fields {
    /// Content-Length, in bytes.
    pub(super) length: Option<u64>,
    /// The last transfer coding. It overrides the length (RFC 9112, section 6.3).
    pub(super) coding: Coding,
    /// Whether the message asks for another protocol (RFC 9110, section 7.8).
    pub(super) upgrade: bool,
}

impl Fields {
    /// Reads the header fields of an HTTP/1.`version` message. The error is the reason why they are ambiguous.
    pub(super) fn read(version: Option<u8>, headers: &[Header]) -> Result<Self, &'static str> {
        let mut fields = Self { length: None, coding: Coding::None, upgrade: false };
        for Header { name, value } in headers {
            if name.eq_ignore_ascii_case("content-length") {
                fields.add_lengths(value)?;
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                fields.add_codings(value)?;
            } else if name.eq_ignore_ascii_case("upgrade") {
                fields.upgrade = true;
            }
        }
        if fields.coding != Coding::None && version != Some(1) {
            return Err("transfer-encoding in HTTP/1.0"); // RFC 9112, section 6.1: faulty framing
        }
        Ok(fields)
    }

    /// A length may be repeated, even within one field, if all are equal (RFC 9110, section 8.6).
    fn add_lengths(&mut self, value: &[u8]) -> Result<(), &'static str> {
        for digits in value.split(|byte| *byte == b',') {
            let length = decimal(digits.trim_ascii()).ok_or("an invalid content-length")?;
            if self.length.is_some_and(|before| before != length) {
                return Err("conflicting content-lengths");
            }
            self.length = Some(length);
        }
        Ok(())
    }

    fn add_codings(&mut self, value: &[u8]) -> Result<(), &'static str> {
        if self.coding == Coding::None {
            self.coding = Coding::Unknown; // an empty field counts as an unknown coding
        }
        for token in tokens(value) {
            if self.coding == Coding::Chunked {
                return Err("a transfer coding after chunked");
            }
            let is = |names: &[&str]| names.iter().any(|name| token.eq_ignore_ascii_case(name.as_bytes()));
            self.coding = if is(&["chunked"]) {
                Coding::Chunked
            } else if is(&["gzip", "x-gzip", "deflate", "compress", "x-compress"]) {
                Coding::Compressed
            } else {
                Coding::Unknown
            };
        }
        Ok(())
    }
}

/// The elements of a comma-separated list, without empty ones (RFC 9110, section 5.6.1).
pub(super) fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}
