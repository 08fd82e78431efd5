//! Bytes from hostile peers.

use crate::world::noise;

/// The length of a line without an end, in bytes.
pub(crate) const LONG_LINE: usize = 200 * 1000;

/// How deep a value is nested.
const DEEP: usize = 1_000_000;

/// How many pipelined requests get one reply. With many more, the next requests would wait for further replies.
const PIPELINE: usize = 500;

/// How many truncated and damaged variants of each ordinary message there are.
const CUTS: usize = 4;

/// The bytes to send in one protocol.
pub(crate) struct Cases {
    pub(crate) protocol: &'static str,
    /// An ordinary request and its reply.
    pub(crate) ask: Vec<u8>,
    pub(crate) reply: Vec<u8>,
    /// Requests of a hostile client, and replies of a hostile backend to the ordinary request.
    pub(crate) requests: Vec<Vec<u8>>,
    pub(crate) replies: Vec<Vec<u8>>,
}

impl Cases {
    fn new(protocol: &'static str, ordinary: (&[u8], &[u8]), requests: &[&[u8]], replies: &[&[u8]]) -> Self {
        let (ask, reply) = ordinary;
        Self {
            protocol,
            ask: ask.to_vec(),
            reply: reply.to_vec(),
            requests: worsen(ask, requests),
            replies: worsen(reply, replies),
        }
    }

    pub(crate) fn tcp() -> Self {
        Self::new("tcp", (b"ask", b"reply"), &[b"", &noise(9, 1 << 20)], &[b"", &noise(8, 1 << 20)])
    }

    pub(crate) fn redis() -> Self {
        let deep = b"*1\r\n".repeat(DEEP);
        let streamed = b"*?\r\n".repeat(1000);
        let attributes = b"|1\r\n+a\r\n".repeat(1000);
        Self::new(
            "redis",
            (b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n", b"*2\r\n$5\r\nhello\r\n:1\r\n"),
            &[
                &deep,
                b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$9223372036854775807\r\nabc",
                b"*9223372036854775807\r\n$1\r\na\r\n",
                b"*2147483647\r\n$1\r\na\r\n",
                b"*2\r\n$-1\r\n$-9223372036854775808\r\n",
                b"*-1\r\n*-2\r\n*-9223372036854775808\r\n",
                b"*18446744073709551616\r\n",
                b"*1\r\n$99999999999999999999999999\r\n",
                b"GET a\r\n*x\r\nGET b\r\n",
                b"\"unmatched\r\n",
                b"*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$3\r\nOFF\r\nGET a\r\n",
                b"HELLO 3\r\nSUBSCRIBE a b c\r\nHELLO 2\r\nMONITOR\r\n",
                &b"GET a\r\n".repeat(PIPELINE),
            ],
            &[
                &deep,
                &streamed,
                &attributes,
                b"$9223372036854775807\r\nabc",
                b"*9223372036854775807\r\n%9223372036854775807\r\n:1\r\n",
                b"$-2\r\n",
                b"*-9223372036854775808\r\n",
                b"%-1\r\n",
                b"$99999999999999999999999999\r\n",
                b"$?\r\n;9223372036854775807\r\nabc",
                b"$?\r\n;-1\r\n",
                b">9223372036854775807\r\n",
                b">2\r\n+a\r\n",
                b"*2\r\n>1\r\n+a\r\n+b\r\n",
                b".\r\n",
                &b"+one reply too many\r\n".repeat(1000),
            ],
        )
    }

    pub(crate) fn memcache() -> Self {
        // A binary header: magic, opcode, key length, extras length, 4 bytes, total body length, 12 bytes.
        let binary = |magic: u8, opcode: u8, key: u16, extras: u8, body: u32| {
            let [key, body] = [key.to_be_bytes().to_vec(), body.to_be_bytes().to_vec()];
            [&[magic, opcode][..], &key, &[extras, 0, 0, 0], &body, &[0; 12]].concat()
        };
        Self::new(
            "memcache",
            (b"get a b\r\n", b"VALUE a 0 5\r\nhello\r\nVALUE b 0 1\r\nx\r\nEND\r\n"),
            &[
                b"set a 0 0 18446744073709551615\r\nabc",
                b"set a 0 0 9223372036854775807\r\nabc",
                b"set a 0 0 -1\r\nabc\r\n",
                b"set a 0 0 99999999999999999999999\r\nabc\r\n",
                b"set a 0 0\r\nset\r\n\r\n",
                b"ms a 18446744073709551615\r\nabc",
                b"ms a S-1\r\nms a -1\r\n",
                b"mg a q k O1\r\nmg a q\r\nmn\r\nmn\r\n",
                &b"mg a v q\r\n".repeat(PIPELINE),
                &b"get a\r\n".repeat(PIPELINE),
                &binary(0x80, 0x01, u16::MAX, u8::MAX, u32::MAX),
                &binary(0x80, 0x01, u16::MAX, u8::MAX, 0),
                &binary(0x80, 0xff, 0, 0, 0).repeat(100),
                &binary(0x81, 0x00, 0, 0, 0),
            ],
            &[
                b"VALUE a 0 18446744073709551615\r\nabc",
                b"VALUE a 0 9223372036854775807\r\nabc",
                b"VALUE a 0 18446744073709551600\r\nabc",
                b"VALUE a 0 -1\r\nabc\r\nEND\r\n",
                b"VALUE a 0 99999999999999999999999\r\n",
                b"VALUE a\r\nEND\r\n",
                b"VA 5 \r\nhello\r\n",
                &b"VALUE a 0 0\r\n\r\n".repeat(20_000),
                &b"END\r\n".repeat(1000),
                &binary(0x81, 0x00, u16::MAX, u8::MAX, u32::MAX),
            ],
        )
    }

    pub(crate) fn http() -> Self {
        let post =
            |fields: &str, body: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{body}").into_bytes();
        let response = |fields: &str, body: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}").into_bytes();
        let many = "X: y\r\n".repeat(10_000);
        let (both, both_chunked) = ("Content-Length: 3\r\nTransfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n");
        let (huge, chunked) = ("Content-Length: 18446744073709551615", "Transfer-Encoding: chunked");
        let bodies = [
            (huge, "abc"),
            ("Content-Length: 18446744073709551616", "abc"),
            ("Content-Length: -1", "abc"),
            ("Content-Length: 3\r\nContent-Length: 4", "abcd"),
            (both, both_chunked),
            (both, "abc"),
            (chunked, "ffffffffffffffff\r\nabc"),
            (chunked, "10000000000000000\r\nabc"),
            (chunked, "-1\r\nabc"),
            (chunked, "5\r\nhello!\r\n0\r\n\r\n"),
            (chunked, "0\r\nX: y"),
            ("Transfer-Encoding: gzip, identity", "abc"),
            (many.trim_end(), ""),
            ("X : y", ""),
            ("X: a\0b", ""),
            (": y", ""),
        ];
        let endless = |line: String| [line.as_bytes(), &b"x".repeat(LONG_LINE)].concat();
        let long_chunk = "x".repeat(LONG_LINE);
        let more_requests = [
            post(chunked, &format!("5;{long_chunk}")),
            post(chunked, &format!("0\r\n{}\r\n", many.repeat(4))),
            post("Expect: 100-continue\r\nContent-Length: 5", "x"),
            b"CONNECT a:1 HTTP/1.1\r\n\r\n".to_vec(),
            b"GET / HTTP/1.1\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n".to_vec(),
            // Almost what HTTP/2 begins with.
            b"PRI * HTTP/2.0\r\n\r\nXM\r\n\r\n".to_vec(),
            endless("GET /".to_owned()),
            endless("GET / HTTP/1.1\r\nX: ".to_owned()),
            b"\r\n".repeat(100_000),
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(PIPELINE),
        ];
        let more_replies = [
            response(chunked, &format!("5;{long_chunk}")),
            response(chunked, &format!("0\r\n{}\r\n", many.repeat(4))),
            b"HTTP/1.1 101 Switching Protocols\r\n\r\n\0\0\0".to_vec(),
            b"HTTP/1.1 100 Continue\r\n\r\n".repeat(5000),
            endless("HTTP/1.1 200 ".to_owned()),
            endless("HTTP/1.1 200 OK\r\nX: ".to_owned()),
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".repeat(1000),
        ];
        let requests = bodies.map(|(fields, body)| post(fields, body)).into_iter().chain(more_requests);
        let replies = bodies.map(|(fields, body)| response(fields, body)).into_iter().chain(more_replies);
        let (requests, replies): (Vec<_>, Vec<_>) = (requests.collect(), replies.collect());
        Self::new(
            "http",
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
            &requests.iter().map(Vec::as_slice).collect::<Vec<_>>(),
            &replies.iter().map(Vec::as_slice).collect::<Vec<_>>(),
        )
    }
}

/// These messages, their truncated and damaged variants, random bytes alone and after the `ordinary` one, and a line
/// without an end.
fn worsen(ordinary: &[u8], messages: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = messages.iter().map(|message| message.to_vec()).collect();
    let small = messages.iter().copied().filter(|message| (1..1000).contains(&message.len()));
    for (number, message) in small.chain([ordinary]).enumerate() {
        for part in 1..=CUTS {
            all.push(message[..message.len() * part / (CUTS + 1)].to_vec());
            let mut damaged = message.to_vec();
            let [at, to, ..] = noise((number * CUTS + part) as u64, 8)[..] else { unreachable!() };
            damaged[usize::from(at) % message.len()] = to;
            all.push(damaged);
        }
    }
    for seed in 1..10 {
        all.push(noise(seed, 50_000));
        all.push([ordinary, &noise(seed, 100)].concat());
        all.push([&ordinary[..1], &noise(seed, 100)].concat());
    }
    all.push(b"x".repeat(LONG_LINE));
    all.push(b"\0".repeat(LONG_LINE));
    all
}
