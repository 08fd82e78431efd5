//! What one peer says to the other: random bytes, which whoever hears them can tell from any others.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};

/// A part of a script.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    Text(String),
    /// So many random bytes.
    Noise(usize),
    /// Whether the rest follows is asked here. The answer may be waited for.
    Turn,
}

/// All that one peer says to the other. Whoever hears it makes the same bytes from the same seed and compares each of them,
/// which is stricter than a hash and tells the place.
pub(crate) struct Script {
    /// Those that are still to be made, the next one last.
    parts: Vec<Part>,
    turn: Box<dyn FnMut() -> bool + Send>,
    random: ChaCha8Rng,
    /// What was made, and how much of it has passed.
    block: Vec<u8>,
    at: usize,
    passed: usize,
    slowly: usize,
}

impl Script {
    const BLOCK: usize = 256 * 1024;

    pub(crate) fn new(seed: u64, mut parts: Vec<Part>, turn: impl FnMut() -> bool + Send + 'static) -> Self {
        parts.reverse();
        let random = ChaCha8Rng::seed_from_u64(seed);
        Self { parts, turn: Box::new(turn), random, block: Vec::new(), at: 0, passed: 0, slowly: 0 }
    }

    /// How many bytes were said, or heard.
    pub(crate) fn passed(&self) -> usize {
        self.passed
    }

    /// The first `len` bytes will be heard in sips.
    pub(crate) fn hear_slowly(&mut self, len: usize) {
        self.slowly = len;
    }

    /// What comes next, as far as it is made; nothing at the end.
    fn peek(&mut self, most: usize) -> &[u8] {
        if self.at == self.block.len() {
            self.block.clear();
            self.at = 0;
            self.make();
        }
        let made = &self.block[self.at..];
        &made[..made.len().min(most)]
    }

    fn make(&mut self) {
        while self.block.len() < Self::BLOCK {
            match self.parts.pop() {
                None => return,
                Some(Part::Turn) if self.block.is_empty() => {
                    if !(self.turn)() {
                        self.parts.clear();
                    }
                }
                // What comes before it is to pass first.
                Some(Part::Turn) => return self.parts.push(Part::Turn),
                Some(Part::Text(text)) => self.block.extend(text.bytes()),
                Some(Part::Noise(len)) => {
                    // However full the block is, so that all make the same.
                    let (begin, made) = (self.block.len(), len.min(Self::BLOCK));
                    self.block.resize(begin + made, 0);
                    self.random.fill_bytes(&mut self.block[begin..]);
                    if len > made {
                        self.parts.push(Part::Noise(len - made));
                    }
                }
            }
        }
    }

    fn pass(&mut self, len: usize) {
        self.at += len;
        self.passed += len;
    }

    /// Says `most` bytes more, or all that is left, in pieces of odd sizes.
    pub(crate) fn say(&mut self, mut to: &TcpStream, most: usize) -> io::Result<()> {
        let end = self.passed.saturating_add(most);
        for size in [1, 7, 1000, 65_537, usize::MAX, usize::MAX].into_iter().cycle() {
            let piece = self.peek(size.min(end - self.passed));
            if piece.is_empty() {
                break;
            }
            let taken = to.write(piece)?;
            self.pass(taken);
        }
        Ok(())
    }

    /// Says all that is left, and the end.
    pub(crate) fn say_all(&mut self, to: &TcpStream) {
        self.say(to, usize::MAX).unwrap();
        to.shutdown(Shutdown::Write).unwrap();
    }

    /// Says more and more until nobody takes any of it.
    pub(crate) fn fill(&mut self, mut to: &TcpStream) {
        to.set_nonblocking(true).unwrap();
        let mut refusals = 0;
        // What was refused once may be taken a moment later.
        while refusals < 1000 {
            let piece = self.peek(usize::MAX);
            assert!(!piece.is_empty(), "all was taken of what nobody reads");
            match to.write(piece) {
                Ok(taken) => {
                    refusals = 0;
                    self.pass(taken);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => refusals += 1,
                Err(error) => panic!("{error}"),
            }
            thread::yield_now();
        }
        to.set_nonblocking(false).unwrap();
    }

    /// Hears `most` bytes more, or all until the end.
    pub(crate) fn hear(&mut self, mut from: &TcpStream, most: usize) -> io::Result<()> {
        let end = self.passed.saturating_add(most);
        let mut buffer = vec![0; Self::BLOCK];
        for sip in [1, 7, 100, 1000, 4000].into_iter().cycle() {
            let mut size = buffer.len();
            if self.passed < self.slowly {
                thread::yield_now();
                size = sip;
            }
            let len = from.read(&mut buffer[..size.min(end - self.passed)])?;
            if len == 0 {
                break;
            }
            self.compare(&buffer[..len]);
        }
        Ok(())
    }

    /// Hears all that is left, and the end.
    pub(crate) fn hear_all(&mut self, from: &TcpStream) {
        self.hear(from, usize::MAX).unwrap();
        assert!(self.peek(1).is_empty(), "it ends behind byte {}", self.passed);
    }

    fn compare(&mut self, mut heard: &[u8]) {
        while !heard.is_empty() {
            let said = self.peek(heard.len());
            let len = said.len();
            assert!(len > 0 && said == &heard[..len], "altered behind byte {}", self.passed);
            self.pass(len);
            heard = &heard[len..];
            // A turn that comes next comes now, not with the next byte.
            self.peek(0);
        }
    }
}
