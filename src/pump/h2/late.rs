//! Frames of streams that a client has begun when it had not read yet that it is to begin no more.
//!
//! Such streams are not served, and the client makes their calls anew on another connection. The library passes over their frames but
//! for `WINDOW_UPDATE`, which it takes for an error of the whole connection.

use bytes::Bytes;

/// The length of the head of a frame (RFC 9113, section 4.1), and of what a client begins with.
const HEAD: usize = 9;
const PREFACE: usize = 24;

const HEADERS: u8 = 1;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;

/// A type of frames that nobody knows, and that is passed over (RFC 9113, section 5.5).
const UNKNOWN: u8 = 0xfa;

/// Where in its frames a client is.
#[derive(Debug)]
pub(super) struct Frames {
    /// What is here of the head of a frame.
    head: [u8; HEAD],
    len: usize,
    /// How much of its payload is still to come.
    left: usize,
    /// The latest stream that is served.
    last: u32,
    /// The client has acknowledged the one PING that the library sends, behind which it says which stream was the last.
    is_over: bool,
}

impl Frames {
    /// From the client's first bytes on, of which these were read.
    pub(super) fn begin(read: &Bytes) -> Self {
        let mut frames = Self { head: [0; HEAD], len: 0, left: PREFACE, last: 0, is_over: false };
        frames.find(&mut read.to_vec());
        frames
    }

    /// Whether something may have to be taken out of what follows.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Makes of frames that are to be passed over such that are. How many of the bytes may go on: the others are the beginning of a
    /// head, and have to be seen with the rest of it.
    pub(super) fn find(&mut self, bytes: &mut [u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            if self.left > 0 {
                let skipped = self.left.min(bytes.len() - at);
                self.left -= skipped;
                at += skipped;
                continue;
            }
            let more = (HEAD - self.len).min(bytes.len() - at);
            self.head[self.len..self.len + more].copy_from_slice(&bytes[at..at + more]);
            if self.len + more < HEAD {
                if self.is_over {
                    return at;
                }
                self.len += more;
                return bytes.len();
            }
            self.len = 0;
            at += more;
            let [long, middle, short, kind, flags, stream @ ..] = self.head;
            self.left = u32::from_be_bytes([0, long, middle, short]) as usize;
            let stream = u32::from_be_bytes(stream) & (u32::MAX >> 1);
            match kind {
                HEADERS if !self.is_over => self.last = self.last.max(stream),
                PING if flags & ACK != 0 => self.is_over = true,
                WINDOW_UPDATE if self.is_over && stream > self.last => bytes[at - HEAD + 3] = UNKNOWN,
                _ => {}
            }
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let len = u8::try_from(payload.len()).unwrap();
        [&[0, 0, len, kind, flags, 0, 0, 0, stream], payload].concat()
    }

    #[test]
    fn windows_of_late_streams_are_passed_over_wherever_reads_end() {
        let begin =
            [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, &[]), &frame(HEADERS, 4, 3, b"head")].concat();
        let late = |kind| {
            let window = |kind, stream| frame(kind, 0, stream, &[0, 0, 0, 5]);
            [
                window(WINDOW_UPDATE, 5),
                frame(PING, ACK, 0, &[8; 8]),
                window(WINDOW_UPDATE, 3),
                frame(HEADERS, 4, 5, b"head"),
                window(kind, 5),
                window(WINDOW_UPDATE, 0),
                frame(0, 1, 5, &[WINDOW_UPDATE; 20]),
            ]
            .concat()
        };
        let (sent, expected) = ([begin.clone(), late(WINDOW_UPDATE)].concat(), [begin, late(UNKNOWN)].concat());
        for size in 1..sent.len() {
            let mut frames = Frames::begin(&Bytes::copy_from_slice(&sent[..size]));
            let (mut seen, mut held) = (sent[..size].to_vec(), Vec::new());
            for piece in sent[size..].chunks(size) {
                held.extend_from_slice(piece);
                let len = frames.find(&mut held);
                seen.extend(held.drain(..len));
            }
            if !Frames::begin(&Bytes::copy_from_slice(&sent[..size])).is_over() {
                assert_eq!(seen, expected, "{size}");
            }
        }
    }
}
