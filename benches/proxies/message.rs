//! Requests and replies of fixed length, from a few bytes to more than fits into memory.

use std::io;

use tokio::io::{AsyncWrite, AsyncWriteExt};

/// The size of one read or write of a long message.
pub(crate) const CHUNK: usize = 256 * 1024;

static FILL: [u8; CHUNK] = [b'x'; CHUNK];

#[derive(Debug)]
pub(crate) enum Message {
    Short {
        len: usize,
        /// As many copies as fit into a chunk, so that a pipeline is one write.
        copies: Vec<u8>,
    },
    /// A body that is never in memory as a whole.
    Long { head: String, body: u64, tail: &'static str },
}

impl Message {
    pub(crate) fn short(bytes: &[u8]) -> Self {
        Self::Short { len: bytes.len(), copies: bytes.repeat((CHUNK / bytes.len()).max(1)) }
    }

    /// This many bytes of no protocol.
    pub(crate) fn opaque(len: usize) -> Self {
        Self::short(&vec![b'x'; len])
    }

    /// More than can be sent during a measurement.
    pub(crate) fn endless() -> Self {
        Self::Long { head: String::new(), body: 1 << 60, tail: "" }
    }

    /// A Redis value of this many bytes.
    pub(crate) fn redis_value(len: u64) -> Self {
        Self::Long { head: format!("${len}\r\n"), body: len, tail: "\r\n" }.shortened()
    }

    /// Turns a message of at most a chunk into one write.
    fn shortened(self) -> Self {
        match self {
            Self::Long { head, body, tail } if body <= CHUNK as u64 => {
                let body = "x".repeat(usize::try_from(body).unwrap_or(CHUNK));
                Self::short([head, body, tail.to_owned()].concat().as_bytes())
            }
            message => message,
        }
    }

    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Short { len, .. } => *len as u64,
            Self::Long { head, body, tail } => (head.len() + tail.len()) as u64 + body,
        }
    }

    /// Sends the message this many times.
    pub(crate) async fn send(&self, to: &mut (impl AsyncWrite + Unpin), mut times: u64) -> io::Result<()> {
        match self {
            Self::Short { len, copies } => {
                while times > 0 {
                    let now = times.min((copies.len() / len) as u64);
                    to.write_all(&copies[..prefix(now) * len]).await?;
                    times -= now;
                }
            }
            Self::Long { head, body, tail } => {
                for _ in 0..times {
                    to.write_all(head.as_bytes()).await?;
                    let mut left = *body;
                    while left > 0 {
                        let part = prefix(left).min(CHUNK);
                        to.write_all(&FILL[..part]).await?;
                        left -= part as u64;
                    }
                    to.write_all(tail.as_bytes()).await?;
                }
            }
        }
        // TLS may hold the last bytes back; a socket holds none.
        to.flush().await
    }

    /// A buffer for this many copies. It is larger than they are, so that a read that does not fill it is known to have
    /// returned everything, and no second read is needed.
    pub(crate) fn buffer(&self, times: u64) -> Vec<u8> {
        vec![0; prefix(self.len().saturating_mul(times)).saturating_add(1).clamp(4096, CHUNK)]
    }
}

/// The part of `left` bytes that fits into memory.
fn prefix(left: u64) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX)
}

/// A request and its reply.
#[derive(Debug)]
pub(crate) struct Talk {
    pub(crate) request: Message,
    pub(crate) reply: Message,
}

impl Talk {
    /// The same number of bytes in both directions.
    pub(crate) fn echo(len: usize) -> Self {
        Self { request: Message::opaque(len), reply: Message::opaque(len) }
    }

    pub(crate) fn download() -> Self {
        Self { request: Message::opaque(64), reply: Message::endless() }
    }

    pub(crate) fn upload() -> Self {
        Self { request: Message::endless(), reply: Message::opaque(64) }
    }

    /// GET of a value of this many bytes.
    pub(crate) fn redis(value: u64) -> Self {
        Self { request: Message::short(b"*2\r\n$3\r\nGET\r\n$8\r\nkey:0042\r\n"), reply: Message::redis_value(value) }
    }

    pub(crate) fn memcache() -> Self {
        Self {
            request: Message::short(b"get key:0042\r\n"),
            reply: Message::short(b"VALUE key:0042 0 3\r\nxxx\r\nEND\r\n"),
        }
    }

    /// A page as small servers send it.
    pub(crate) fn http() -> Self {
        let request = "GET /index.html HTTP/1.1\r\nHost: localhost:8000\r\nUser-Agent: proxies\r\nAccept: */*\r\n\
                       Accept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n\r\n";
        let head = "HTTP/1.1 200 OK\r\nServer: proxies\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
                    Content-Type: text/html\r\nContent-Length: 612\r\nConnection: keep-alive\r\n\
                    ETag: \"1234-264\"\r\nAccept-Ranges: bytes\r\n\r\n";
        Self {
            request: Message::short(request.as_bytes()),
            reply: Message::short([head, &"x".repeat(612)].concat().as_bytes()),
        }
    }
}
