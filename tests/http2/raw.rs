//! HTTP/2 frame by frame (RFC 9113, section 4), for what no library would send.

use std::net::{SocketAddr, TcpListener, TcpStream};

use super::world::{self, Client, Program};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// `SETTINGS_MAX_CONCURRENT_STREAMS`, `SETTINGS_INITIAL_WINDOW_SIZE`, and `SETTINGS_ENABLE_CONNECT_PROTOCOL`.
pub(crate) const MAX_STREAMS: u16 = 3;
pub(crate) const WINDOW: u16 = 4;
pub(crate) const CONNECT_PROTOCOL: u16 = 8;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let len = u32::try_from(self.payload.len()).unwrap().to_be_bytes();
        let mut bytes = vec![len[1], len[2], len[3], self.kind, self.flags];
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }

    pub(crate) fn ends_stream(&self) -> bool {
        self.flags & END_STREAM != 0
    }

    /// Whether it says something of a stream, or is GOAWAY. Data without a byte says nothing but that the stream ends.
    pub(crate) fn is_of_stream(&self) -> bool {
        let says_nothing = self.kind == DATA && self.payload.is_empty() && !self.ends_stream();
        ![SETTINGS, PING, WINDOW_UPDATE].contains(&self.kind) && !says_nothing
    }

    /// The code of `RST_STREAM` or of GOAWAY.
    pub(crate) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        number(&self.payload[at..])
    }

    /// The values of SETTINGS.
    pub(crate) fn setting(&self, id: u16) -> Option<u32> {
        let id = id.to_be_bytes();
        self.payload.chunks_exact(6).find(|setting| setting[..2] == id).map(|setting| number(&setting[2..]))
    }
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().unwrap())
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Frame {
    Frame { kind, flags, stream, payload: payload.into() }
}

pub(crate) fn rst(stream: u32, code: u32) -> Frame {
    frame(RST_STREAM, 0, stream, code.to_be_bytes())
}

pub(crate) fn data(stream: u32, payload: impl Into<Vec<u8>>, is_last: bool) -> Frame {
    frame(DATA, u8::from(is_last), stream, payload)
}

pub(crate) fn goaway(last: u32, code: u32) -> Frame {
    frame(GOAWAY, 0, 0, [last.to_be_bytes(), code.to_be_bytes()].concat())
}

pub(crate) fn window(stream: u32, by: u32) -> Frame {
    frame(WINDOW_UPDATE, 0, stream, by.to_be_bytes())
}

pub(crate) fn settings(values: &[(u16, u32)]) -> Frame {
    let payload = values.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
    frame(SETTINGS, 0, 0, payload.collect::<Vec<u8>>())
}

/// A field that HPACK neither compresses nor remembers (RFC 7541, section 6.2.2).
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0], text(name), text(value)].concat()
}

/// The fields of a request.
pub(crate) fn head(method: &str, path: &str) -> Vec<u8> {
    [field(":method", method), field(":scheme", "http"), field(":path", path), field(":authority", "here.example")]
        .concat()
}

/// A request for this path, with a body to come or without one.
pub(crate) fn get(stream: u32, path: &str) -> Frame {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, head("GET", path))
}

pub(crate) fn post(stream: u32, path: &str) -> Frame {
    frame(HEADERS, END_HEADERS, stream, head("POST", path))
}

/// A response of status 200, the index 8 of HPACK's table.
pub(crate) fn ok(stream: u32, is_over: bool) -> Frame {
    frame(HEADERS, END_HEADERS | u8::from(is_over), stream, [0x88])
}

/// One side of a connection.
pub(crate) struct Raw(pub(crate) Client);

impl Raw {
    /// A client that has begun HTTP/2, and has read the other side's settings.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &[]).0
    }

    /// The same with settings of its own. Returns those of the other side, too.
    pub(crate) fn connect_with(address: SocketAddr, values: &[(u16, u32)]) -> (Self, Frame) {
        let mut raw = Self(Client::connect(address));
        raw.0.send([PREFACE, &settings(values).bytes()].concat());
        let theirs = raw.until(|frame| frame.kind == SETTINGS && frame.flags == 0);
        raw.send(&frame(SETTINGS, ACK, 0, []));
        (raw, theirs)
    }

    /// A backend's side of a connection that it has accepted.
    pub(crate) fn accept(stream: TcpStream, values: &[(u16, u32)]) -> Self {
        let mut raw = Self(Client::from(stream));
        raw.0.expect(PREFACE);
        raw.send(&settings(values)).send(&frame(SETTINGS, ACK, 0, []));
        raw
    }

    pub(crate) fn send(&mut self, frame: &Frame) -> &mut Self {
        self.0.send(frame.bytes());
        self
    }

    /// The next frame of whatever kind; none at the end of the connection. A PING is answered.
    pub(crate) fn any(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        std::io::Read::read_exact(&mut self.0.stream(), &mut head).ok()?;
        let len = number(&[0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(len).unwrap()];
        std::io::Read::read_exact(&mut self.0.stream(), &mut payload).ok()?;
        let frame = Frame { kind: head[3], flags: head[4], stream: number(&head[5..]) & (u32::MAX >> 1), payload };
        if frame.kind == PING && frame.flags == 0 {
            self.0.try_send(&Frame { flags: ACK, ..frame.clone() }.bytes());
        }
        Some(frame)
    }

    /// The next frame for which this is true. Those before it are dropped.
    #[track_caller]
    pub(crate) fn until(&mut self, mut so: impl FnMut(&Frame) -> bool) -> Frame {
        loop {
            let frame = self.any().expect("the connection has ended");
            if so(&frame) {
                return frame;
            }
        }
    }

    /// The next frame of a stream, or GOAWAY.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Frame {
        self.until(Frame::is_of_stream)
    }

    /// The next frame of a stream, or GOAWAY; none at the end.
    pub(crate) fn next_or_end(&mut self) -> Option<Frame> {
        loop {
            let frame = self.any()?;
            if frame.is_of_stream() {
                return Some(frame);
            }
        }
    }

    /// Sees that the other side goes on, which answers a PING behind all that was sent before. The frames of streams before the
    /// answer are returned.
    #[track_caller]
    pub(crate) fn ping(&mut self) -> Vec<Frame> {
        self.send(&frame(PING, 0, 0, *b"are you?"));
        let mut before = Vec::new();
        self.until(|frame| {
            if frame.is_of_stream() {
                before.push(frame.clone());
            }
            frame.kind == PING && frame.flags == ACK && frame.payload == b"are you?"
        });
        before
    }
}

/// A backend that `serve` has each connection of.
pub(crate) fn backend(serve: impl Fn(Raw) + Send + Sync + 'static) -> world::Backend {
    backend_with(&[], serve)
}

/// The same with these settings.
pub(crate) fn backend_with(values: &[(u16, u32)], serve: impl Fn(Raw) + Send + Sync + 'static) -> world::Backend {
    let values = values.to_vec();
    world::Backend::new(move |stream| serve(Raw::accept(stream, &values)))
}

/// A proxy, and both sides of a connection through it.
pub(crate) struct World {
    pub(crate) client: Raw,
    pub(crate) backend: Raw,
    /// The settings that the client has got.
    pub(crate) settings: Frame,
    pub(crate) listener: TcpListener,
    pub(crate) vaurien: Program,
}

impl World {
    /// Starts a proxy with these options. The backend has these settings.
    pub(crate) fn new(options: &str, values: &[(u16, u32)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let backend = listener.local_addr().unwrap().to_string();
        let vaurien = Program::start_at(&backend, &format!("--protocol http {options}"));
        let (client, backend, settings) = connect(&vaurien, &listener, values);
        Self { client, backend, settings, listener, vaurien }
    }

    /// Begins a stream of the client with this frame; the frame of the backend.
    #[track_caller]
    pub(crate) fn begin(&mut self, frame: &Frame) -> Frame {
        self.client.send(frame);
        let begun = self.backend.next();
        assert_eq!(begun.kind, HEADERS, "{begun:?}");
        begun
    }

    /// Sees that another stream, which has this number, is served.
    #[track_caller]
    pub(crate) fn serves(&mut self, stream: u32) {
        let asked = self.begin(&get(stream, "/other"));
        assert!(asked.ends_stream());
        self.backend.send(&ok(asked.stream, true));
        assert_eq!(self.client.next(), ok(stream, true));
    }

    /// Another connection.
    pub(crate) fn connect(&self) -> (Raw, Raw) {
        let (client, backend, _) = connect(&self.vaurien, &self.listener, &[]);
        (client, backend)
    }
}

fn connect(vaurien: &Program, listener: &TcpListener, values: &[(u16, u32)]) -> (Raw, Raw, Frame) {
    let mut client = Raw(vaurien.connect());
    client.0.send([PREFACE, &settings(&[]).bytes()].concat());
    let backend = Raw::accept(listener.accept().unwrap().0, values);
    let settings = client.until(|frame| frame.kind == SETTINGS && frame.flags == 0);
    client.send(&frame(SETTINGS, ACK, 0, []));
    (client, backend, settings)
}
