//! Faults one after the other.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use bytes::{Buf, Bytes};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use tokio::time::Instant;

use super::{ByteFault, End, Next, Output};

/// One direction's faults in order, and the bytes that wait in them.
///
/// Bytes are asked for from the back: a fault decides its next piece only once the one behind it has nothing left. So what
/// waits stays in chunks as large as they came, however small the pieces are to be. As faults reckon with the times at which
/// bytes were due, this makes none of them late.
#[derive(Debug)]
pub(crate) struct Chain {
    stages: Vec<Stage>,
    output: Output,
    /// How many bytes wait in the stages.
    waiting: usize,
    /// A fault has ended the stream: nothing gets in any more.
    closed: bool,
    ended: Option<End>,
}

/// A fault, and the bytes in front of it.
#[derive(Debug)]
struct Stage {
    fault: Box<dyn ByteFault>,
    /// Its own, so that it does not matter which of several faults is asked first.
    random: ChaCha8Rng,
    /// Each with its arrival.
    queue: VecDeque<(Bytes, Instant)>,
    /// What the fault has taken off the queue, until it is due.
    decided: Option<(Bytes, Instant)>,
    then: Then,
}

/// What follows on what is decided.
#[derive(Debug, Clone, Copy)]
enum Then {
    More,
    Nothing,
    End(End),
}

/// What the stages up to one have to give.
enum Pulled {
    Piece(Bytes, Instant),
    /// Something is due later.
    Later(Instant),
    Nothing,
    End(End),
}

impl Chain {
    /// The first fault draws from `random`, the others from other streams of the same key.
    pub(crate) fn new(faults: Vec<Box<dyn ByteFault>>, random: ChaCha8Rng) -> Self {
        let (key, first) = (random.get_seed(), random.get_stream());
        let others = (1..).map(|number| {
            let mut random = ChaCha8Rng::from_seed(key);
            random.set_stream(first.wrapping_add(number));
            random
        });
        let stage = |(random, fault)| Stage { fault, random, queue: VecDeque::new(), decided: None, then: Then::More };
        let stages = std::iter::once(random).chain(others).zip(faults).map(stage).collect();
        Self { stages, output: Output::default(), waiting: 0, closed: false, ended: None }
    }

    /// Bytes that arrive from now on go through `fault` first, which draws from `random`.
    pub(crate) fn put_first(&mut self, fault: Box<dyn ByteFault>, random: ChaCha8Rng) {
        self.stages.insert(0, Stage { fault, random, queue: VecDeque::new(), decided: None, then: Then::More });
    }

    /// Takes the first fault away. What waits in it goes on `now`.
    pub(crate) fn take_first(&mut self, now: Instant) {
        if self.stages.is_empty() {
            return;
        }
        let Stage { queue, decided, .. } = self.stages.remove(0);
        for (bytes, _) in decided.into_iter().chain(queue) {
            self.waiting -= bytes.len();
            self.push(bytes, now);
        }
    }

    /// Whether nothing waits in the first `count` faults, and where one of them has ended the stream, all that comes before that
    /// is written.
    pub(crate) fn are_done(&self, count: usize) -> bool {
        let is_done = |stage: &Stage| {
            let ends = matches!(stage.then, Then::End(_));
            stage.queue.is_empty() && stage.decided.is_none() && (!ends || self.ended().is_some())
        };
        self.stages.iter().take(count).all(is_done)
    }

    /// How many faults there are.
    pub(crate) fn faults(&self) -> usize {
        self.stages.len()
    }

    /// Bytes arrive. Behind the end of the stream they are dropped.
    pub(crate) fn push(&mut self, bytes: Bytes, now: Instant) {
        if self.closed || bytes.is_empty() {
            return;
        }
        match self.stages.first_mut() {
            Some(first) => {
                self.waiting += bytes.len();
                first.queue.push_back((bytes, now));
            }
            None => self.output.push(bytes),
        }
    }

    /// Moves what is due by `now` to the output. Returns when more is due: a time that has passed while the output is full, so
    /// write first and call it again; none while nothing waits, or nothing that will ever leave.
    pub(crate) fn advance(&mut self, now: Instant) -> Option<Instant> {
        while !self.output.is_full() {
            match self.pull(self.stages.len(), now) {
                Pulled::Piece(piece, _) => {
                    self.waiting -= piece.len();
                    self.output.push(piece);
                }
                Pulled::Later(due) => return Some(due),
                Pulled::Nothing => return None,
                Pulled::End(end) => {
                    self.ended = Some(end);
                    return None;
                }
            }
        }
        // What is left may be the end alone.
        (self.waiting > 0 || self.closed && self.ended.is_none()).then_some(now)
    }

    /// The next piece that leaves the first `count` stages.
    fn pull(&mut self, count: usize, now: Instant) -> Pulled {
        let Some(at) = count.checked_sub(1) else { return Pulled::Nothing };
        loop {
            let stage = &mut self.stages[at];
            if let Some((piece, due)) = stage.decided.take_if(|(_, due)| *due <= now) {
                return Pulled::Piece(piece, due);
            }
            match (&stage.decided, stage.then) {
                (Some((_, due)), _) => return Pulled::Later(*due),
                (None, Then::Nothing) => return Pulled::Nothing,
                (None, Then::End(end)) => return Pulled::End(end),
                (None, Then::More) => {}
            }
            if stage.queue.is_empty() {
                match self.pull(at, now) {
                    Pulled::Piece(piece, due) => self.stages[at].queue.push_back((piece, due)),
                    Pulled::End(end) => self.stages[at].then = Then::End(end),
                    nothing => return nothing,
                }
            } else if let Then::End(_) = stage.decide() {
                self.close(at);
            }
        }
    }

    /// The stream ends behind what stage `at` has decided: what waits in front of that is dropped.
    fn close(&mut self, at: usize) {
        self.closed = true;
        for stage in &mut self.stages[..at] {
            self.waiting -= stage.decided.take().map_or(0, |(bytes, _)| bytes.len());
        }
        for stage in &mut self.stages[..=at] {
            self.waiting -= std::mem::take(&mut stage.queue).iter().map(|(bytes, _)| bytes.len()).sum::<usize>();
        }
    }

    /// What can be written.
    pub(crate) fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// Whether a fault has ended the stream: nothing gets in any more, also once the fault is taken away.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// How the stream ends, once a fault has ended it and all bytes before that are written.
    pub(crate) fn ended(&self) -> Option<End> {
        self.ended.filter(|_| !self.output.has_remaining())
    }

    /// How many bytes it holds, the output included.
    pub(crate) fn len(&self) -> usize {
        self.waiting + self.output.remaining()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// In how many pieces it holds them.
    pub(crate) fn pieces(&self) -> usize {
        let of = |stage: &Stage| stage.queue.len() + usize::from(stage.decided.is_some());
        self.stages.iter().map(of).sum::<usize>() + self.output.pieces()
    }
}

impl Stage {
    /// Asks the fault for the next piece of the queue. Returns what follows on it.
    fn decide(&mut self) -> Then {
        let Some((bytes, arrived)) = self.queue.front_mut() else { return self.then };
        let next = self.fault.next(bytes, *arrived, &mut self.random);
        if bytes.is_empty() {
            self.queue.pop_front();
        }
        (self.decided, self.then) = match next {
            Next::Piece(piece, due) => (Some((piece, due)), Then::More),
            Next::Last(piece, due, end) => (Some((piece, due)), Then::End(end)),
            Next::Hold => (None, Then::Nothing),
            Next::End(end) => (None, Then::End(end)),
        };
        self.then
    }
}
