//! Random streams that a seed reproduces.
//!
//! Every choice draws from its own `ChaCha8` stream, keyed by seed, proxy, connection and call. So neither timing nor
//! the sizes of reads can change it.

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};

/// The streams of one proxy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProxyStreams {
    seed: u64,
    proxy: u64,
}

impl ProxyStreams {
    pub(crate) fn new(seed: u64, proxy: &str) -> Self {
        Self { seed, proxy: fnv1a(proxy.as_bytes()) }
    }

    pub(crate) fn connection(self, connection: u64) -> Streams {
        Streams { seed: self.seed, proxy: self.proxy, connection }
    }
}

/// The streams of one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Streams {
    seed: u64,
    proxy: u64,
    connection: u64,
}

impl Streams {
    pub(crate) fn new(seed: u64, proxy: &str, connection: u64) -> Self {
        ProxyStreams::new(seed, proxy).connection(connection)
    }

    pub(crate) fn connection(&self) -> u64 {
        self.connection
    }

    /// The stream of a handler for call number `call` (from 1).
    pub(crate) fn call(&self, call: u64) -> ChaCha8Rng {
        let mut key = [0; 32];
        for (part, value) in key.chunks_exact_mut(8).zip([self.seed, self.proxy, self.connection, call]) {
            part.copy_from_slice(&value.to_le_bytes());
        }
        ChaCha8Rng::from_seed(key)
    }

    /// The stream of a step of a sequence, from 1 for the second: the first has that of a handler alone.
    pub(crate) fn step(&self, call: u64, step: usize) -> ChaCha8Rng {
        let mut stream = self.call(call);
        stream.set_stream(step as u64);
        stream
    }

    /// The stream of a toxic, whose first number decides whether the connection has it. No call has this number.
    pub(crate) fn toxic(&self, name: &str) -> ChaCha8Rng {
        let mut stream = self.call(u64::MAX - 1);
        stream.set_stream(fnv1a(name.as_bytes()));
        stream
    }

    /// The numbers that select a handler for each call.
    pub(crate) fn draws(self) -> Draws {
        Draws { stream: Box::new(self.call(0)), next: 1 }
    }
}

/// One number for each call of a connection: call `n` gets the `n`th, in whatever order calls ask.
#[derive(Debug)]
pub(crate) struct Draws {
    // Boxed, to keep connections small whose plan needs no draws.
    stream: Box<ChaCha8Rng>,
    next: u64,
}

impl Draws {
    /// A number in `0.0..100.0` for call number `call` (from 1).
    pub(crate) fn percent(&mut self, call: u64) -> f64 {
        if self.next != call {
            self.stream.set_word_pos(u128::from(call - 1) * 2);
        }
        self.next = call + 1;
        unit(&mut *self.stream) * 100.0
    }
}

/// A number in `0.0..1.0`.
pub(crate) fn unit(random: &mut impl Rng) -> f64 {
    // An `f64` holds 53 bits exactly.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let unit = (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    unit
}

/// FNV-1a, 64 bits. The hash of a name must never change, or seeds would not reproduce; collisions do not matter.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_depends_on_its_call_alone() {
        let streams = Streams::new(42, "default", 7);
        let in_order: Vec<f64> = {
            let mut draws = streams.draws();
            (1..=100).map(|call| draws.percent(call)).collect()
        };
        let mut draws = streams.draws();
        for call in [50, 3, 100, 1, 2] {
            let at = usize::try_from(call - 1).unwrap();
            assert_eq!(draws.percent(call).to_bits(), in_order[at].to_bits(), "call {call}");
        }
    }

    #[test]
    fn streams_differ_by_seed_proxy_connection_and_call() {
        let first = |streams: Streams, call| streams.call(call).next_u64();
        let here = Streams::new(42, "default", 7);
        let all = [
            first(here, 1),
            first(here, 2),
            first(Streams::new(43, "default", 7), 1),
            first(Streams::new(42, "cache", 7), 1),
            first(Streams::new(42, "default", 8), 1),
        ];
        let distinct: std::collections::HashSet<u64> = all.into_iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    /// A seed from an old bug report must still reproduce.
    #[test]
    fn the_streams_never_change() {
        let streams = Streams::new(42, "default", 1);
        assert_eq!(streams.call(1).next_u64(), 0x97da_4cb4_1fe7_e90e);
        assert_eq!(streams.draws().percent(1).to_bits(), 0x4055_71a7_6e44_c55c);
    }
}
