//! Pipelines of commands and their replies, as a client and memcached would write them.

use proptest::prelude::*;
use proptest::sample::select;

/// A request and its reply; `None` if it gets none.
#[derive(Clone)]
pub(crate) struct Exchange {
    pub(crate) request: Vec<u8>,
    pub(crate) reply: Option<Vec<u8>>,
    /// Whether the request alone determines that there is no reply.
    pub(crate) noreply: bool,
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let reply = self.reply.as_ref().map(|reply| reply.escape_ascii().to_string());
        write!(f, "{} -> {reply:?}", self.request.escape_ascii())
    }
}

impl Exchange {
    fn answered(request: impl Into<Vec<u8>>, reply: impl Into<Vec<u8>>) -> Self {
        Self { request: request.into(), reply: Some(reply.into()), noreply: false }
    }

    fn maybe(request: impl Into<Vec<u8>>, reply: Option<Vec<u8>>) -> Self {
        Self { request: request.into(), reply, noreply: false }
    }

    fn noreply(request: impl Into<Vec<u8>>) -> Self {
        Self { request: request.into(), reply: None, noreply: true }
    }
}

/// A quiet command before it gets its place in the pipeline, which makes its key or opaque unique.
#[derive(Debug, Clone)]
struct Quiet {
    command: &'static str,
    /// Whether the reply is identified by its key, not by an opaque.
    by_key: bool,
    code: Option<&'static str>,
    data: Vec<u8>,
}

#[derive(Debug, Clone)]
enum Text {
    Plain(Exchange),
    Quiet(Quiet),
}

fn key() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::char::range('a', 'z'), 1..5).prop_map(String::from_iter)
}

/// Data that looks like the protocol.
fn data() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![select(&b"\r\n\0END VALUE12"[..]), any::<u8>()];
    prop_oneof![
        prop::collection::vec(byte, 0..12),
        select(vec!["\r\nEND\r\n", "END\r\n", "VALUE a 0 5\r\n", "\r\nMN\r\n"])
            .prop_map(|data| data.as_bytes().to_vec()),
    ]
}

pub(crate) fn block(head: &str, data: &[u8]) -> Vec<u8> {
    [head.as_bytes(), b"\r\n", data, b"\r\n"].concat()
}

fn error() -> impl Strategy<Value = &'static str> {
    select(&["ERROR\r\n", "CLIENT_ERROR bad data chunk\r\n", "SERVER_ERROR out of memory storing object\r\n"][..])
}

fn get() -> impl Strategy<Value = Exchange> {
    let item = (key(), any::<u32>(), prop::option::of(data()));
    let items = prop::collection::vec(item, 1..4);
    (select(&["get", "gets", "gat 0", "gats -1"][..]), items, prop::option::weighted(0.1, error()), any::<bool>())
        .prop_map(|(command, items, error, crlf)| {
            let mut request = vec![command];
            let mut reply = Vec::new();
            for (key, flags, data) in &items {
                request.push(key);
                if let Some(data) = data {
                    let cas = if command.ends_with('s') { " 18446744073709551615" } else { "" };
                    reply.extend(block(&format!("VALUE {key} {flags} {}{cas}", data.len()), data));
                }
            }
            reply.extend(error.unwrap_or("END\r\n").as_bytes());
            Exchange::answered(request.join(" ") + if crlf { "\r\n" } else { "\n" }, reply)
        })
}

fn store() -> impl Strategy<Value = Exchange> {
    let command = select(&["set", "add", "replace", "append", "prepend", "cas"][..]);
    let reply = prop_oneof![select(&["STORED\r\n", "NOT_STORED\r\n", "EXISTS\r\n", "NOT_FOUND\r\n"][..]), error()];
    (command, key(), any::<u32>(), any::<i32>(), data(), any::<bool>(), reply).prop_map(
        |(command, key, flags, exptime, data, noreply, reply)| {
            let cas = if command == "cas" { " 7" } else { "" };
            let head = format!("{command} {key} {flags} {exptime} {}{cas}", data.len());
            if noreply {
                Exchange::noreply(block(&(head + " noreply"), &data))
            } else {
                Exchange::answered(block(&head, &data), reply)
            }
        },
    )
}

fn line() -> impl Strategy<Value = Exchange> {
    let answered = [
        ("incr k 1\r\n", "6\r\n"),
        ("decr k 1\r\n", "NOT_FOUND\r\n"),
        ("touch k 0\r\n", "TOUCHED\r\n"),
        ("delete k\r\n", "DELETED\r\n"),
        ("flush_all\r\n", "OK\r\n"),
        ("verbosity 1\r\n", "OK\r\n"),
        ("version\r\n", "VERSION 1.6.18\r\n"),
        ("shutdown\r\n", "ERROR: shutdown not enabled\r\n"),
        ("slabs reassign 1 2\r\n", "NOSPARE source class has no spare pages\r\n"),
        ("slabs automove 1\r\n", "OK\r\n"),
        ("lru mode flat\r\n", "OK\r\n"),
        ("lru_crawler crawl all\r\n", "OK\r\n"),
        ("lru_crawler metadump all\r\n", "key=a exp=-1\r\nkey=b exp=-1\r\nEND\r\n"),
        ("lru_crawler metadump all\r\n", "BUSY currently processing crawler request\r\n"),
        ("cache_memlimit 64\r\n", "OK\r\n"),
        ("misbehave\r\n", "ERROR\r\n"),
        ("stats\r\n", "STAT pid 1\r\nSTAT uptime 2\r\nEND\r\n"),
        ("stats items\r\n", "END\r\n"),
        ("stats reset\r\n", "RESET\r\n"),
        ("stats cachedump 1 0\r\n", "ITEM b [2 b; 0 s]\r\nEND\r\n"),
        ("stats sizes_enable\r\n", "STAT sizes_status enabled\r\n"),
        ("hello there\r\n", "ERROR\r\n"),
        ("gete k 1\r\n", "CLIENT_ERROR no\r\n"),
        ("config get cluster\r\n", "CONFIG cluster 0 7\r\n12\na|b\n\r\nEND\r\n"),
        ("config get cluster\r\n", "ERROR\r\n"),
        ("\r\n", "ERROR\r\n"),
        ("\n", "ERROR\r\n"),
        ("get\r\n", "ERROR\r\n"),
        ("set k 0 0\r\n", "ERROR\r\n"),
        ("set k 0 0 -1\r\n", "CLIENT_ERROR bad command line format\r\n"),
        ("set k 0 0 99999999999999999999\r\n", "CLIENT_ERROR bad command line format\r\n"),
        ("set k 0 0 1 2 noreply\r\n", "ERROR\r\n"),
        ("mg k v\r\n", "EN\r\n"),
        ("mg k v f O123 k !\n", "CLIENT_ERROR invalid flag\r\n"),
        ("ms k S1\r\n", "CLIENT_ERROR bad command line format\r\n"),
        ("md k\r\n", "NF\r\n"),
        ("ma k N0 v\r\n", "VA 1\r\n1\r\n"),
        ("me k\r\n", "ME k exp=-1 la=0 cas=13 fetch=yes cls=1 size=62\r\n"),
        ("mn\r\n", "MN\r\n"),
        ("mx\r\n", "ERROR\r\n"),
    ];
    let silent = [
        "incr k 1 noreply\r\n",
        "decr k 1 noreply\r\n",
        "touch k 0 noreply\r\n",
        "delete k noreply\r\n",
        "delete k 0 noreply\r\n",
        "flush_all noreply\r\n",
        "flush_all 0 noreply\n",
        "verbosity 1 noreply\r\n",
        "lru mode flat noreply\r\n",
        "set k 0 0 -1 noreply\r\n",
        "quit\r\n",
    ];
    prop_oneof![
        3 => select(answered.to_vec()).prop_map(|(request, reply)| Exchange::answered(request, reply)),
        1 => select(silent.to_vec()).prop_map(Exchange::noreply),
    ]
}

fn meta() -> impl Strategy<Value = Exchange> {
    let set =
        (key(), data(), select(&["HD\r\n", "NS\r\n", "EX\r\n", "NF k1\r\n", "CLIENT_ERROR invalid flag\r\n"][..]))
            .prop_map(|(key, data, reply)| {
                Exchange::answered(block(&format!("ms {key} {} T0 c", data.len()), &data), reply)
            });
    let get = (key(), data()).prop_map(|(key, data)| {
        Exchange::answered(format!("mg {key} v t\r\n"), block(&format!("VA {} t-1", data.len()), &data))
    });
    prop_oneof![set, get]
}

fn quiet() -> impl Strategy<Value = Quiet> {
    let kinds = [
        ("mg", None),
        ("mg", Some("HD")),
        ("mg", Some("VA")),
        ("ms", None),
        ("ms", Some("NS")),
        ("ms", Some("EX")),
        ("md", None),
        ("md", Some("NF")),
        ("ma", None),
        ("ma", Some("NF")),
        ("ma", Some("VA")),
    ];
    (select(kinds.to_vec()), any::<bool>(), data()).prop_map(|((command, code), by_key, data)| Quiet {
        command,
        by_key,
        code,
        data,
    })
}

impl Quiet {
    fn at(self, place: usize) -> Exchange {
        let Quiet { command, by_key, code, data } = self;
        let key = format!("key{place}");
        let (asked, given) =
            if by_key { ("k".into(), format!("k{key}")) } else { (format!("O{place}"), format!("O{place}")) };
        let request = match command {
            "ms" => block(&format!("ms {key} {} {asked} q", data.len()), &data),
            command => format!("{command} {key} q {asked} v\r\n").into_bytes(),
        };
        let reply = code.map(|code| match code {
            "VA" => block(&format!("VA {} t-1 {given}", data.len()), &data),
            code => format!("{code} {given}\r\n").into_bytes(),
        });
        Exchange::maybe(request, reply)
    }
}

/// A pipeline of text commands. It ends with a command whose reply shows which quiet commands before it had none. Such
/// a command also precedes every error that a quiet command could have got as well.
pub(crate) fn text() -> impl Strategy<Value = Vec<Exchange>> {
    let one = prop_oneof![
        get().prop_map(Text::Plain),
        store().prop_map(Text::Plain),
        line().prop_map(Text::Plain),
        meta().prop_map(Text::Plain),
        quiet().prop_map(Text::Quiet),
    ];
    prop::collection::vec(one, 0..6).prop_map(|calls| {
        let end = || Exchange::answered("mn\r\n", "MN\r\n");
        let mut exchanges = Vec::new();
        let mut silent = false;
        for (place, call) in calls.into_iter().enumerate() {
            let exchange = match call {
                Text::Plain(exchange) => {
                    let is_error = |reply: &Vec<u8>| {
                        [&b"ERROR"[..], b"CLIENT_ERROR", b"SERVER_ERROR"].iter().any(|error| reply.starts_with(error))
                    };
                    if silent && exchange.reply.as_ref().is_some_and(is_error) {
                        exchanges.push(end());
                    }
                    exchange
                }
                Text::Quiet(quiet) => quiet.at(place),
            };
            silent = exchange.reply.is_none() && (silent || !exchange.noreply);
            exchanges.push(exchange);
        }
        exchanges.push(end());
        exchanges
    })
}

fn packet(magic: u8, opcode: u8, opaque: usize, extras: &[u8], key: &str, value: &[u8]) -> Vec<u8> {
    let body = u32::try_from(extras.len() + key.len() + value.len()).expect("a short packet").to_be_bytes();
    let key_length = u16::try_from(key.len()).expect("a short packet").to_be_bytes();
    let opaque = u32::try_from(opaque).expect("a short packet").to_be_bytes();
    [
        &[magic, opcode],
        &key_length[..],
        &[u8::try_from(extras.len()).expect("a short packet"), 0, 0, 0],
        &body,
        &opaque,
        &[0; 8],
        extras,
        key.as_bytes(),
        value,
    ]
    .concat()
}

/// A pipeline of binary commands, with an end like that of [`text`].
pub(crate) fn binary() -> impl Strategy<Value = Vec<Exchange>> {
    const STAT: u8 = 0x10;
    const QUITQ: u8 = 0x17;
    let loud = [0x00, 0x01, 0x04, 0x07, 0x0a, 0x0b, 0x0c, 0x0e, STAT, 0x1c, 0x20, 0x21, 0x22, 0x23, 0x7f];
    let quiet = [0x09, 0x0d, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, QUITQ, 0x18, 0x19, 0x1a, 0x1e, 0x24];
    let opcode = prop_oneof![
        select(loud.to_vec()).prop_map(|opcode| (opcode, false)),
        select(quiet.to_vec()).prop_map(|opcode| (opcode, true)),
    ];
    let one = (opcode, 0..21_usize, key(), data(), any::<bool>());
    prop::collection::vec(one, 0..6).prop_map(|calls| {
        let calls = calls.into_iter().enumerate().map(|(place, ((opcode, quiet), extras, key, value, hit))| {
            let request = packet(0x80, opcode, place, &[7; 21][..extras], &key, &value);
            let reply = packet(0x81, opcode, place, &[0; 4], "", &value);
            match opcode {
                QUITQ => Exchange::noreply(request),
                STAT => {
                    let entry = packet(0x81, opcode, place, &[], &key, &value);
                    Exchange::answered(request, [entry.clone(), entry, reply].concat())
                }
                _ => Exchange::maybe(request, (hit || !quiet).then_some(reply)),
            }
        });
        let end = Exchange::answered(packet(0x80, 0x0a, 0, &[], "", b""), packet(0x81, 0x0a, 0, &[], "", b""));
        calls.chain([end]).collect()
    })
}
