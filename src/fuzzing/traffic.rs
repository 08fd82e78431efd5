//! Valid pipelines, and the truth about them: which reply belongs to which request.
//!
//! Each reply carries the number of its call where the protocol has room for it. So a reply in a wrong place shows, without
//! a framer having to find it.

use arbitrary::{Result, Unstructured};

use crate::protocol::Protocol;

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Tcp,
    Redis,
    MemcacheText,
    MemcacheBinary,
    Http,
}

impl Dialect {
    pub(crate) const ALL: [Self; 5] = [Self::Redis, Self::MemcacheText, Self::MemcacheBinary, Self::Http, Self::Tcp];

    pub(crate) fn protocol(self) -> Protocol {
        match self {
            Self::Tcp => Protocol::Tcp,
            Self::Redis => Protocol::Redis,
            Self::MemcacheText | Self::MemcacheBinary => Protocol::Memcache,
            Self::Http => Protocol::Http,
        }
    }

    /// The no-op that the proxy sends behind quiet commands, and its reply.
    pub(crate) fn own_no_op(self) -> Option<(Vec<u8>, Vec<u8>)> {
        match self {
            Self::MemcacheText => Some((b"mn\r\n".to_vec(), b"MN\r\n".to_vec())),
            Self::MemcacheBinary => Some((packet(0x80, 0x0a, 0, 0, "", b""), packet(0x81, 0x0a, 0, 0, "", b""))),
            _ => None,
        }
    }
}

/// Whether a request gets a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answered {
    Always,
    /// A quiet command: only if it has something to say.
    Sometimes,
    /// `noreply`.
    Never,
}

/// A request and its reply.
#[derive(Clone)]
pub(crate) struct Exchange {
    /// What precedes the request, and belongs to no call: a blank line.
    pub(crate) lead: Vec<u8>,
    pub(crate) request: Vec<u8>,
    pub(crate) answered: Answered,
    /// What the backend says before the reply, and what belongs to no call: a push, an interim response.
    pub(crate) aside: Vec<u8>,
    pub(crate) reply: Option<Vec<u8>>,
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let reply = self.reply.as_ref().map(|reply| reply.escape_ascii().to_string());
        write!(f, "{} -> {}{reply:?}", self.request.escape_ascii(), self.aside.escape_ascii())
    }
}

impl Exchange {
    fn new(request: impl Into<Vec<u8>>, reply: impl Into<Vec<u8>>) -> Self {
        Self {
            lead: Vec::new(),
            request: request.into(),
            answered: Answered::Always,
            aside: Vec::new(),
            reply: Some(reply.into()),
        }
    }

    fn never(request: impl Into<Vec<u8>>) -> Self {
        Self { lead: Vec::new(), request: request.into(), answered: Answered::Never, aside: Vec::new(), reply: None }
    }

    /// A quiet command, and its reply if `says`.
    fn quiet(request: impl Into<Vec<u8>>, reply: impl Into<Vec<u8>>, says: bool) -> Self {
        let reply = says.then(|| reply.into());
        Self { lead: Vec::new(), request: request.into(), answered: Answered::Sometimes, aside: Vec::new(), reply }
    }
}

/// A pipeline of at most `most` commands, and of runs of quiet ones of at most `longest_run`.
pub(crate) fn pipeline(
    u: &mut Unstructured<'_>,
    dialect: Dialect,
    most: u8,
    longest_run: u16,
) -> Result<Vec<Exchange>> {
    let mut exchanges = Vec::new();
    for _ in 0..u.int_in_range(1..=most)? {
        let number = exchanges.len();
        let is_run = matches!(dialect, Dialect::MemcacheText | Dialect::MemcacheBinary) && u.ratio(1, 40)?;
        if is_run {
            let by_key = u.arbitrary()?;
            for at in 0..u.int_in_range(2..=longest_run)? {
                exchanges.push(missed(dialect, number + usize::from(at), by_key));
            }
        } else {
            exchanges.push(exchange(u, dialect, number)?);
        }
    }
    // Shows which of the quiet commands before it have no reply.
    if exchanges.last().is_some_and(|last| last.answered == Answered::Sometimes) {
        exchanges.push(no_op(dialect, exchanges.len()));
    }
    Ok(exchanges)
}

fn exchange(u: &mut Unstructured<'_>, dialect: Dialect, number: usize) -> Result<Exchange> {
    match dialect {
        Dialect::Tcp => Ok(Exchange::new(turn(u, number)?, turn(u, number)?)),
        Dialect::Redis => redis(u, number),
        Dialect::MemcacheText => memcache_text(u, number),
        Dialect::MemcacheBinary => memcache_binary(u, number),
        Dialect::Http => http(u, number),
    }
}

/// Data that looks like a protocol.
fn data(u: &mut Unstructured<'_>, is_long: bool) -> Result<Vec<u8>> {
    const LIKE: [&[u8]; 6] =
        [b"", b"\r\nEND\r\n", b"+OK\r\n", b"$-1\r\n", b"MN\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"];
    let mut data = u.choose(&LIKE)?.to_vec();
    if is_long && u.ratio(1, 30)? {
        data.resize(data.len() + usize::from(u.arbitrary::<u16>()? % 10_000), b'.');
    }
    for _ in 0..u.int_in_range(0..=8)? {
        data.push(u.arbitrary()?);
    }
    Ok(data)
}

fn nonempty(u: &mut Unstructured<'_>, number: usize) -> Result<Vec<u8>> {
    Ok([format!("{number}").into_bytes(), data(u, true)?].concat())
}

/// A message of `tcp`, small enough to come in one read.
fn turn(u: &mut Unstructured<'_>, number: usize) -> Result<Vec<u8>> {
    Ok([format!("{number}").into_bytes(), data(u, false)?].concat())
}

fn blank_line(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    Ok(if u.ratio(1, 8)? { b"\r\n".to_vec() } else { Vec::new() })
}

fn bulk(kind: char, bytes: &[u8]) -> Vec<u8> {
    [format!("{kind}{}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

fn redis(u: &mut Unstructured<'_>, number: usize) -> Result<Exchange> {
    let command = |words: &[&[u8]]| {
        let head = format!("*{}\r\n", words.len()).into_bytes();
        [head, words.iter().flat_map(|word| bulk('$', word)).collect()].concat()
    };
    let key = format!("k{number}").into_bytes();
    let request = match u.int_in_range(0..=3)? {
        0 => command(&[b"GET", &key]),
        1 => format!("get k{number}\r\n").into_bytes(),
        2 => command(&[b"SET", &key, &data(u, true)?]),
        _ => command(&[b"MGET", &key, b"other"]),
    };
    let own = bulk('$', &nonempty(u, number)?);
    let reply = match u.int_in_range(0..=7)? {
        0 => format!("+{number}\r\n").into_bytes(),
        1 => own,
        2 => format!("-ERR {number}\r\n").into_bytes(),
        3 => format!(":{number}\r\n").into_bytes(),
        4 => b"$-1\r\n".to_vec(),
        5 => [b"*3\r\n*0\r\n$-1\r\n".to_vec(), own].concat(),
        6 => [b"%1\r\n+key\r\n*2\r\n#t\r\n,1.5\r\n".to_vec()].concat(),
        _ => [b"*2\r\n~1\r\n".to_vec(), bulk('=', b"txt:words"), own].concat(),
    };
    let mut exchange = Exchange::new(request, reply);
    exchange.lead = blank_line(u)?;
    if u.ratio(1, 8)? {
        exchange.aside = format!(">2\r\n+message\r\n:{number}\r\n").into_bytes();
    }
    Ok(exchange)
}

/// A quiet command that finds nothing.
fn missed(dialect: Dialect, number: usize, by_key: bool) -> Exchange {
    match dialect {
        Dialect::MemcacheBinary => Exchange::quiet(packet(0x80, 0x09, number, 0, "none", b""), "", false),
        _ if by_key => Exchange::quiet(format!("mg key{number} v k q\r\n"), "", false),
        _ => Exchange::quiet(format!("mg key v O{number} q\r\n"), "", false),
    }
}

fn no_op(dialect: Dialect, number: usize) -> Exchange {
    match dialect {
        Dialect::MemcacheBinary => {
            Exchange::new(packet(0x80, 0x0a, number, 0, "", b""), packet(0x81, 0x0a, number, 0, "", b""))
        }
        // Not as the proxy writes its own.
        _ => Exchange::new("mn\n", "MN\r\n"),
    }
}

fn memcache_text(u: &mut Unstructured<'_>, number: usize) -> Result<Exchange> {
    let block = |head: String, data: &[u8]| [head.as_bytes(), b"\r\n", data, b"\r\n"].concat();
    let value = nonempty(u, number)?;
    let len = value.len();
    // What a quiet command gets back shows whose reply it is.
    let (asked, given) = if u.arbitrary()? {
        ("k".to_owned(), format!("kkey{number}"))
    } else {
        (format!("O{number}"), format!("O{number}"))
    };
    let says = u.arbitrary()?;
    Ok(match u.int_in_range(0..=12)? {
        0 => Exchange::new(
            format!("get a key{number}\r\n"),
            [block(format!("VALUE key{number} 0 {len}"), &value), b"END\r\n".to_vec()].concat(),
        ),
        1 => Exchange::new(format!("gets key{number}\n"), "END\r\n"),
        2 => Exchange::new(block(format!("set key{number} 0 0 {len}"), &value), "STORED\r\n"),
        3 => Exchange::never(block(format!("set key{number} 0 0 {len} noreply"), &value)),
        4 => Exchange::never(format!("delete key{number} noreply\r\n")),
        5 => Exchange::new(format!("incr key{number} 1\r\n"), format!("{number}\r\n")),
        6 => Exchange::new("stats\r\n", format!("STAT number {number}\r\nSTAT pid 1\r\nEND\r\n")),
        7 => Exchange::new(format!("mg key{number} v\r\n"), block(format!("VA {len}"), &value)),
        8 => no_op(Dialect::MemcacheText, number),
        9 => {
            Exchange::quiet(format!("mg key{number} v q {asked}\r\n"), block(format!("VA {len} {given}"), &value), says)
        }
        10 => {
            Exchange::quiet(block(format!("ms key{number} {len} {asked} q"), &value), format!("NS {given}\r\n"), says)
        }
        11 => Exchange::quiet(format!("md key{number} {asked} q\r\n"), format!("EX {given}\r\n"), says),
        _ => missed(Dialect::MemcacheText, number, says),
    })
}

/// A packet with `extras` bytes of extras.
fn packet(magic: u8, opcode: u8, number: usize, extras: u8, key: &str, value: &[u8]) -> Vec<u8> {
    let key_len = u16::try_from(key.len()).unwrap().to_be_bytes();
    let body = u32::try_from(usize::from(extras) + key.len() + value.len()).unwrap().to_be_bytes();
    let opaque = u32::try_from(number).unwrap().to_be_bytes();
    let mut packet = vec![magic, opcode, key_len[0], key_len[1], extras, 0, 0, 0];
    packet.extend([body, opaque].concat());
    packet.extend([0; 8]);
    packet.resize(packet.len() + usize::from(extras), 7);
    packet.extend([key.as_bytes(), value].concat());
    packet
}

fn memcache_binary(u: &mut Unstructured<'_>, number: usize) -> Result<Exchange> {
    let value = nonempty(u, number)?;
    let says = u.arbitrary()?;
    let key = format!("key{number}");
    let (request, reply) = (
        |opcode, extras, value: &[u8]| packet(0x80, opcode, number, extras, &key, value),
        |opcode, extras, value: &[u8]| packet(0x81, opcode, number, extras, "", value),
    );
    Ok(match u.int_in_range(0..=6)? {
        0 => Exchange::new(request(0x00, 0, b""), reply(0x00, 4, &value)),
        1 => Exchange::new(request(0x01, 8, &value), reply(0x01, 0, b"")),
        2 => Exchange::quiet(request(0x09, 0, b""), reply(0x09, 4, &value), says),
        3 => Exchange::quiet(request(0x11, 8, &value), reply(0x11, 0, b"Not stored"), says),
        4 => {
            let entry = packet(0x81, 0x10, number, 0, "pid", &value);
            Exchange::new(packet(0x80, 0x10, number, 0, "", b""), [entry, reply(0x10, 0, b"")].concat())
        }
        5 => missed(Dialect::MemcacheBinary, number, says),
        _ => no_op(Dialect::MemcacheBinary, number),
    })
}

fn http(u: &mut Unstructured<'_>, number: usize) -> Result<Exchange> {
    let chunked = |data: &[u8]| {
        let chunk = |data: &[u8]| [format!("{:x};x=y\r\n", data.len()).as_bytes(), data, b"\r\n"].concat();
        let chunks: Vec<u8> = data.chunks(100).flat_map(chunk).collect();
        [&chunks[..], b"0\r\nTrailer: x\r\n\r\n"].concat()
    };
    let body = nonempty(u, number)?;
    let len = body.len();
    let host = "Host: a\r\n";
    let head_only = u.ratio(1, 8)?;
    let request = match (head_only, u.int_in_range(0..=3)?) {
        (true, _) => format!("HEAD /{number} HTTP/1.1\r\n{host}\r\n").into_bytes(),
        (_, 0) => format!("GET /{number} HTTP/1.1\r\n{host}\r\n").into_bytes(),
        (_, 1) => {
            [format!("POST /{number} HTTP/1.1\r\n{host}Content-Length: {len}\r\n\r\n").as_bytes(), &body].concat()
        }
        (_, 2) => {
            let head = format!("PUT /{number} HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n");
            [head.into_bytes(), chunked(&body)].concat()
        }
        _ => format!("GET /{number} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").into_bytes(),
    };
    let body = nonempty(u, number)?;
    let with_length = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    let reply = match u.int_in_range(0..=3)? {
        _ if head_only => with_length,
        0 => [with_length, body].concat(),
        1 => [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(), chunked(&body)].concat(),
        2 => format!("HTTP/1.1 204 {number}\r\n\r\n").into_bytes(),
        _ => format!("HTTP/1.1 304 {number}\r\nContent-Length: 99\r\n\r\n").into_bytes(),
    };
    let mut exchange = Exchange::new(request, reply);
    exchange.lead = blank_line(u)?;
    if u.ratio(1, 8)? {
        exchange.aside = format!("HTTP/1.1 103 {number}\r\nLink: x\r\n\r\n").into_bytes();
    }
    Ok(exchange)
}
