//! Faults one after the other.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Buf, Bytes};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use tokio::time::Instant;

use super::{ByteFault, LateEof, Next, Output, StreamEnd};

/// One direction's faults in order, and the bytes that wait in them.
///
/// Bytes are asked for from the back: a fault decides its next piece only once the one behind it has nothing left. So what
/// waits stays in chunks as large as they came, however small the pieces are to be. As faults reckon with the times at which
/// bytes were due, this makes none of them late.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    stages: Vec<Stage>,
    output: Output,
    /// How many bytes wait in the stages.
    waiting: usize,
    /// The end of the stream is on its way: nothing gets in any more.
    ending: bool,
    /// The fault that has cut the stream off.
    cut: Option<CutBy>,
    ended: Option<StreamEnd>,
    /// The output was full: the peer did not take what was due.
    was_full: bool,
    /// The marks of the faults that have acted, and that nobody has been told of.
    acted: Vec<u64>,
    /// The order that the marked faults get once nothing waits in them. Until then the stage in front of them is a gate, in which
    /// waits what arrives: so each byte passes each fault once.
    next_order: Option<Vec<u64>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CutBy {
    Marked,
    Unmarked,
}

/// A fault, and the bytes in front of it.
#[derive(Debug)]
struct Stage {
    fault: Box<dyn ByteFault>,
    /// Its own, so that it does not matter which of several faults is asked first.
    random: ChaCha8Rng,
    /// Whoever put it in knows it by this.
    mark: Option<u64>,
    has_acted: bool,
    /// Each with its arrival.
    queue: VecDeque<(Bytes, Instant)>,
    /// The arrival of the latest bytes that the fault has decided about.
    latest: Option<Instant>,
    /// How the stream ends behind the queue, and when that arrived.
    ending: Option<(Instant, StreamEnd)>,
    /// What the fault has taken off the queue, until it is due.
    decided: Option<Decided>,
    then: Then,
    /// The arrival of what the fault has cut the stream off at.
    cut_at: Option<Instant>,
}

#[derive(Debug)]
struct Decided {
    bytes: Bytes,
    due: Instant,
    arrived: Instant,
}

/// What follows on what is decided.
#[derive(Debug, Clone, Copy)]
enum Then {
    More,
    Nothing,
    Ends(Instant, StreamEnd),
}

/// What a fault has decided.
#[derive(Debug, Default)]
struct Decision {
    /// How many bytes are gone.
    dropped: usize,
    /// It has done something to what was in front of it.
    acts: bool,
}

/// What the stages up to one have to give.
enum Pulled {
    Piece(Bytes, Instant),
    /// Something is due later.
    Later(Instant),
    Nothing,
    Ends(Instant, StreamEnd),
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
        let stages = std::iter::once(random).chain(others).zip(faults);
        let stages = stages.map(|(random, fault)| Stage::new(fault, random, None)).collect();
        Self { stages, ..Self::default() }
    }

    /// Bytes that arrive from now on go through `fault` first, which draws from `random`.
    pub(crate) fn put_first(&mut self, fault: Box<dyn ByteFault>, random: ChaCha8Rng) {
        self.stages.insert(0, Stage::new(fault, random, None));
    }

    /// Puts `fault`, known by `mark`, behind the first `at` faults. Bytes that have left those do not go through it.
    pub(crate) fn insert(&mut self, at: usize, fault: Box<dyn ByteFault>, random: ChaCha8Rng, mark: u64) {
        self.stages.insert(at, Stage::new(fault, random, Some(mark)));
    }

    /// `fault` takes the place of another, and decides about what waits in that one.
    pub(crate) fn replace(&mut self, at: usize, fault: impl FnOnce(&dyn ByteFault) -> Box<dyn ByteFault>) {
        let Some(stage) = self.stages.get_mut(at) else { return };
        stage.fault = fault(&*stage.fault);
        if let Some(Decided { bytes, arrived, .. }) = stage.decided.take() {
            stage.queue.push_front((bytes, arrived));
        }
        match stage.then {
            // The stream stays cut off, perhaps at another time.
            Then::Ends(_, StreamEnd::Cut(_)) => {
                let again = stage.cut_at.or(stage.ending.map(|(arrived, _)| arrived)).map(|at| stage.fault.eof(at));
                if let Some((due, cut @ StreamEnd::Cut(_))) = again {
                    stage.then = Then::Ends(due, cut);
                }
            }
            _ if stage.is_over() => {}
            _ => stage.then = Then::More,
        }
    }

    /// Takes the first fault away. What waits in it goes on `now`.
    pub(crate) fn take_first(&mut self, now: Instant) {
        self.remove(0, now);
    }

    /// Takes a fault away. What waits in it goes on `now`.
    pub(crate) fn remove(&mut self, at: usize, now: Instant) {
        if at >= self.stages.len() {
            return;
        }
        let Stage { fault, queue, decided, ending, then, .. } = self.stages.remove(at);
        let mut ends = match then {
            Then::Ends(_, end) => Some(end),
            _ => ending.map(|(_, end)| end),
        };
        if let Some(end) = fault.removed() {
            ends = Some(StreamEnd::Cut(end));
            self.cut(at, false, CutBy::Marked);
        }
        let waiting = decided.map(|decided| decided.bytes).into_iter().chain(queue.into_iter().map(|(bytes, _)| bytes));
        for bytes in waiting {
            if let Some(next) = self.stages.get_mut(at) {
                next.queue.push_back((bytes, now));
            } else {
                self.waiting -= bytes.len();
                self.output.push(bytes);
            }
        }
        match (self.stages.get_mut(at), ends) {
            (Some(next), Some(end)) => next.ending = Some((now, end)),
            (None, Some(end)) => self.ended = Some(end),
            (_, None) => {}
        }
    }

    /// The faults that are known by these marks get their order. Bytes that are within them pass in the order that they had.
    pub(crate) fn reorder(&mut self, marks: Vec<u64>) {
        let at = self.unmarked();
        let is_new = !self.stages[at..].iter().filter_map(|stage| stage.mark).eq(marks.iter().copied());
        if self.next_order.is_none() {
            if !is_new || self.ending {
                return;
            }
            let gate = Box::new(LateEof::new(Duration::ZERO));
            self.stages.insert(at, Stage::new(gate, ChaCha8Rng::from_seed([0; 32]), None));
        }
        self.next_order = Some(marks);
        self.open_gate(!is_new);
    }

    /// Opens the gate if nothing waits behind it, or `at_once`. Returns whether it was opened.
    fn open_gate(&mut self, at_once: bool) -> bool {
        let Some(at) = self.gate() else { return false };
        if !at_once && !self.stages[at + 1..].iter().all(Stage::is_idle) {
            return false;
        }
        let order = self.next_order.take().unwrap_or_default();
        let place = |stage: &Stage| order.iter().position(|mark| stage.mark == Some(*mark));
        self.stages[at + 1..].sort_by_key(place);
        let Stage { queue, ending, .. } = self.stages.remove(at);
        if let Some(first) = self.stages.get_mut(at) {
            first.queue.extend(queue);
            first.ending = first.ending.or(ending);
        } else {
            for (bytes, _) in queue {
                self.waiting -= bytes.len();
                self.output.push(bytes);
            }
            self.ended = self.ended.or(ending.map(|(_, end)| end));
        }
        true
    }

    /// The place of the gate, behind the other faults without a mark.
    fn gate(&self) -> Option<usize> {
        self.next_order.as_ref().and_then(|_| self.unmarked().checked_sub(1))
    }

    /// How many faults have no mark.
    pub(crate) fn unmarked(&self) -> usize {
        self.stages.iter().take_while(|stage| stage.mark.is_none()).count()
    }

    /// The marks of the faults in their order; those that were put in without one come first.
    pub(crate) fn marks(&self) -> impl Iterator<Item = Option<u64>> {
        self.stages.iter().map(|stage| stage.mark)
    }

    /// The marks of the faults that have done something since somebody asked, each once.
    pub(crate) fn take_acted(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.acted)
    }

    /// Whether nothing waits in the first `count` faults, and where the stream is cut off, all that comes before that is written.
    pub(crate) fn are_done(&self, count: usize) -> bool {
        let is_done = |stage: &Stage| stage.queue.is_empty() && stage.decided.is_none();
        self.stages.iter().take(count).all(is_done) && (self.cut.is_none() || self.ended().is_some())
    }

    /// How many faults there are.
    pub(crate) fn faults(&self) -> usize {
        self.stages.len()
    }

    /// Bytes arrive. Behind the end of the stream they are dropped.
    pub(crate) fn push(&mut self, bytes: Bytes, now: Instant) {
        if self.ending || bytes.is_empty() {
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

    /// The end of the stream arrives, in order.
    pub(crate) fn push_eof(&mut self, now: Instant) {
        if std::mem::replace(&mut self.ending, true) {
            return;
        }
        match self.stages.first_mut() {
            Some(first) => first.ending = Some((now, StreamEnd::Eof)),
            None => self.ended = Some(StreamEnd::Eof),
        }
    }

    /// Bytes that go to the output at once.
    pub(crate) fn push_out(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.output.push(bytes);
        }
    }

    /// Moves what is due by `now` to the output. Returns when more is due: a time that has passed while the output is full, so
    /// write first and call it again; none while nothing waits, or nothing that will ever leave.
    pub(crate) fn advance(&mut self, now: Instant) -> Option<Instant> {
        if self.was_full && !self.output.is_full() {
            self.was_full = false;
            self.stages.iter_mut().for_each(|stage| stage.fault.resume(now));
        }
        while !self.output.is_full() {
            match self.pull(self.stages.len(), now) {
                Pulled::Piece(piece, _) => {
                    self.waiting -= piece.len();
                    self.output.push(piece);
                }
                Pulled::Later(_) | Pulled::Nothing if self.open_gate(false) => {}
                Pulled::Later(due) => return Some(due),
                Pulled::Nothing => return None,
                Pulled::Ends(_, end) => {
                    self.ended = Some(end);
                    return None;
                }
            }
        }
        self.was_full = true;
        // What is left may be the end alone.
        (self.waiting > 0 || self.ending && self.ended.is_none()).then_some(now)
    }

    /// The next piece that leaves the first `count` stages.
    fn pull(&mut self, count: usize, now: Instant) -> Pulled {
        let Some(at) = count.checked_sub(1) else { return Pulled::Nothing };
        if self.gate() == Some(at) {
            return Pulled::Nothing;
        }
        loop {
            let stage = &mut self.stages[at];
            if let Some(Decided { bytes, due, .. }) = stage.decided.take_if(|decided| decided.due <= now) {
                return Pulled::Piece(bytes, due);
            }
            match (&stage.decided, stage.then) {
                (Some(Decided { due, .. }), _) => return Pulled::Later(*due),
                (None, Then::Ends(due, _)) if due > now => return Pulled::Later(due),
                (None, Then::Ends(due, end)) => {
                    (stage.then, stage.ending) = (Then::Nothing, None);
                    return Pulled::Ends(due, end);
                }
                (None, Then::Nothing) => return Pulled::Nothing,
                (None, Then::More) => {}
            }
            if !stage.queue.is_empty() || stage.ending.is_some() {
                self.decide(at);
                continue;
            }
            let deadline = stage.fault.deadline();
            if let Some((due, end)) = deadline.filter(|(due, _)| *due <= now) {
                stage.then = Then::Ends(due, StreamEnd::Cut(end));
                self.acts(at);
                self.cut_by(at);
                continue;
            }
            let until = |due: Instant| deadline.map_or(due, |(deadline, _)| deadline.min(due));
            match self.pull(at, now) {
                Pulled::Piece(piece, due) => self.stages[at].queue.push_back((piece, due)),
                Pulled::Ends(due, end) => self.stages[at].ending = Some((due, end)),
                Pulled::Later(due) => return Pulled::Later(until(due)),
                Pulled::Nothing => return deadline.map_or(Pulled::Nothing, |(due, _)| Pulled::Later(due)),
            }
        }
    }

    /// Asks a fault about what is next in front of it.
    fn decide(&mut self, at: usize) {
        let Decision { dropped, acts } = self.stages[at].decide();
        self.waiting -= dropped;
        if acts {
            self.acts(at);
        }
        if matches!(self.stages[at].then, Then::Ends(_, StreamEnd::Cut(_))) {
            self.cut_by(at);
        }
    }

    /// Notes that a fault has done something.
    fn acts(&mut self, at: usize) {
        let stage = &mut self.stages[at];
        if !std::mem::replace(&mut stage.has_acted, true) {
            self.acted.extend(stage.mark);
        }
    }

    fn cut_by(&mut self, at: usize) {
        let by = if self.stages[at].mark.is_some() { CutBy::Marked } else { CutBy::Unmarked };
        self.cut(at, true, by);
    }

    /// The stream is cut off behind what stage `at` has decided, or in front of that stage: what waits before that is dropped.
    fn cut(&mut self, at: usize, with_its_queue: bool, by: CutBy) {
        self.ending = true;
        self.cut.get_or_insert(by);
        for stage in &mut self.stages[..at] {
            self.waiting -= stage.decided.take().map_or(0, |decided| decided.bytes.len());
            stage.ending = None;
            stage.then = Then::Nothing;
        }
        for stage in &mut self.stages[..at + usize::from(with_its_queue)] {
            self.waiting -= std::mem::take(&mut stage.queue).iter().map(|(bytes, _)| bytes.len()).sum::<usize>();
        }
    }

    /// What can be written.
    pub(crate) fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// Whether a fault without a mark has cut the stream off: nothing gets in any more, also once the fault is taken away.
    pub(crate) fn is_cut_unmarked(&self) -> bool {
        self.cut == Some(CutBy::Unmarked)
    }

    /// How the stream ends, once all bytes before that are written.
    pub(crate) fn ended(&self) -> Option<StreamEnd> {
        self.ended.filter(|_| !self.output.has_remaining())
    }

    /// How many bytes the faults hold.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many bytes it holds, the output included.
    pub(crate) fn len(&self) -> usize {
        self.waiting + self.output.remaining()
    }

    /// Whether there is nothing left for it to do: no fault, no bytes, no end.
    pub(crate) fn is_over(&self) -> bool {
        self.stages.is_empty() && self.is_empty() && !self.ending
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
    fn new(fault: Box<dyn ByteFault>, random: ChaCha8Rng, mark: Option<u64>) -> Self {
        let queue = VecDeque::new();
        Self {
            fault,
            random,
            mark,
            has_acted: false,
            queue,
            latest: None,
            ending: None,
            decided: None,
            then: Then::More,
            cut_at: None,
        }
    }

    /// Whether the end of the stream has left it.
    fn is_over(&self) -> bool {
        matches!(self.then, Then::Nothing) && self.queue.is_empty() && self.ending.is_none()
    }

    /// Whether nothing waits in it, and the stream goes on.
    fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.decided.is_none() && self.ending.is_none() && matches!(self.then, Then::More)
    }

    /// Asks the fault for the next piece of the queue, or else about the end of the stream, which is here.
    fn decide(&mut self) -> Decision {
        let Some((bytes, arrived)) = self.queue.front_mut() else { return self.decide_end() };
        let (arrived, before) = (*arrived, bytes.len());
        self.latest = Some(arrived);
        let next = self.fault.next(bytes, arrived, &mut self.random);
        let passes = matches!(&next, Next::Piece(piece, due) if *due == arrived && piece.len() == before);
        let mut decision = Decision { dropped: 0, acts: !passes || self.fault.has_altered() };
        let decided = |bytes, due| Some(Decided { bytes, due, arrived });
        (self.decided, self.then) = match next {
            Next::Piece(piece, due) => (decided(piece, due), Then::More),
            Next::Last(piece, due, end) => (decided(piece, due), Then::Ends(due, StreamEnd::Cut(end))),
            Next::Hold => (None, Then::Nothing),
            Next::Drop => {
                bytes.clear();
                decision.dropped = before;
                (None, Then::More)
            }
            Next::End(due, end) => {
                self.cut_at = Some(arrived);
                (None, Then::Ends(due, StreamEnd::Cut(end)))
            }
        };
        if bytes.is_empty() {
            self.queue.pop_front();
        }
        decision
    }

    fn decide_end(&mut self) -> Decision {
        let Some((arrived, end)) = self.ending else { return Decision::default() };
        // The end is behind the last bytes, which faults in front may have made late.
        let arrived = (self.latest.map_or(arrived, |latest| latest.max(arrived)), end);
        let (due, end) = if arrived.1 == StreamEnd::Eof { self.fault.eof(arrived.0) } else { arrived };
        self.then = Then::Ends(due, end);
        Decision { dropped: 0, acts: (due, end) != arrived }
    }
}
