//! What workers emit, each into a queue of its own, and the ring into which readers merge it.

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crossbeam_queue::SegQueue;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::{BATCH, Batch, EVENTS, Event, EventKind, MAX_BYTES};
use crate::labels::CallLabel;
use crate::workers::PerWorker;

/// Workers read the clock one after the other but may emit in another order: a time is shown as the one before it if it is
/// less than this earlier. By more than this the clock has been set back.
const OUT_OF_ORDER: Duration = Duration::from_secs(1);

/// Keeps the latest [`EVENTS`] events with at most [`MAX_BYTES`], and up to as many for each worker that no reader has merged yet.
#[derive(Debug, Default)]
pub(super) struct Ring {
    queues: PerWorker<Queue>,
    closed: AtomicBool,
    /// Set by each reader that is about to wait, cleared by whoever wakes them: emitting takes the lock of `wake` only if it
    /// is set.
    waiting: AtomicBool,
    readers: Readers,
}

/// What a worker has emitted since readers last merged. It takes memory as it fills; it is never empty once it has lost an
/// event.
#[derive(Debug, Default)]
struct Queue {
    emitted: SegQueue<Emitted>,
    /// How much its events weigh.
    weight: AtomicUsize,
    /// How many events were dropped because the queue was full.
    lost: AtomicU64,
}

/// An event that has no id yet.
#[derive(Debug)]
struct Emitted {
    /// What orders the events of all workers.
    at: Instant,
    time: SystemTime,
    proxy: Arc<str>,
    label: Option<Arc<CallLabel>>,
    kind: EventKind,
    weight: usize,
}

/// What readers write, in cache lines that emitters do not read.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Readers {
    merged: Mutex<Merged>,
    wake: Notify,
}

/// The ring. Ids increase, but skip those of events that a queue has lost.
#[derive(Debug)]
pub(super) struct Merged {
    /// Each with its weight.
    events: VecDeque<(Arc<Event>, usize)>,
    weight: usize,
    /// The id of the latest event; 0 before the first.
    pub(super) last: u64,
    /// The time of the latest event.
    time: SystemTime,
    /// How many of the ids up to `last` are those of events that queues have lost.
    lost: u64,
    /// Taken off the queues, but too late to be merged with the others.
    rest: Vec<Emitted>,
}

impl Default for Merged {
    fn default() -> Self {
        Self { events: VecDeque::new(), weight: 0, last: 0, time: SystemTime::UNIX_EPOCH, lost: 0, rest: Vec::new() }
    }
}

impl Ring {
    pub(super) fn emit(&self, proxy: Arc<str>, label: Option<Arc<CallLabel>>, kind: EventKind) {
        if self.closed.load(Relaxed) {
            return;
        }
        let queue = self.queues.own();
        let weight = kind.weight() + label.as_ref().map_or(0, |label| label.text.len());
        let is_full = || queue.emitted.len() >= EVENTS || queue.weight.load(Relaxed) + weight > MAX_BYTES;
        // Before the push: whoever takes the event off the queue knows of the loss.
        while is_full() && queue.pop().is_some() {
            queue.lost.fetch_add(1, Relaxed);
        }
        queue.push(Emitted { at: Instant::now(), time: SystemTime::now(), proxy, label, kind, weight });
        self.wake();
    }

    /// Gives an id to everything that was emitted before this call. Takes a lock, which only readers do.
    pub(super) fn merged(&self) -> MutexGuard<'_, Merged> {
        let mut merged = self.readers.merged.lock().unwrap_or_else(PoisonError::into_inner);
        let mut emitted = mem::take(&mut merged.rest);
        self.drain(&mut emitted);
        let Some(end) = emitted.iter().map(|emitted| emitted.at).max() else { return merged };
        // An event gets a higher id than those that were emitted before it. One pass over the queues does not do: it may miss
        // one event in the first queue and find another that followed it in the last. A second pass finds everything that was
        // emitted before `end`, which is a time before that pass. So what is not later than `end` is complete; the rest waits
        // for the next merge.
        self.drain(&mut emitted);
        merged.skip(self.queues.all().map(|queue| queue.lost.load(Relaxed)).sum());
        merged.merge(emitted, end);
        merged
    }

    /// Takes what was emitted before this call off the queues, and of what is emitted meanwhile no endless amount.
    fn drain(&self, into: &mut Vec<Emitted>) {
        for queue in self.queues.all() {
            into.extend((0..queue.emitted.len()).map_while(|_| queue.pop()));
        }
    }

    /// Drops all later events.
    pub(super) fn close(&self) {
        self.closed.store(true, Release);
        self.wake();
    }

    /// Whether everything was emitted. Asked before [`merged`](Self::merged), which then has it all.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Acquire)
    }

    /// Resolves once there is something new: an event that the reader does not find after this call, or the end.
    pub(super) fn changed(&self) -> Notified<'_> {
        // Made before `waiting` is set, so that whoever clears it wakes this reader.
        let woken = self.readers.wake.notified();
        // Not a plain store: of several readers, each has to be seen by whoever clears it.
        self.waiting.swap(true, Release);
        fence(SeqCst);
        woken
    }

    /// Wakes the readers that wait.
    fn wake(&self) {
        // An emitter writes to its queue, then reads `waiting`; a reader sets `waiting`, then reads the queues. The fence
        // between the two, here and in `changed`, makes at least one see what the other wrote. With any weaker order both may
        // miss it, and the reader sleeps although its event is there.
        fence(SeqCst);
        if self.waiting.load(Relaxed) && self.waiting.swap(false, Acquire) {
            self.readers.wake.notify_waiters();
        }
    }
}

impl Queue {
    fn push(&self, emitted: Emitted) {
        // First, so that the weight is never less than that of what is there.
        self.weight.fetch_add(emitted.weight, Relaxed);
        self.emitted.push(emitted);
    }

    fn pop(&self) -> Option<Emitted> {
        let emitted = self.emitted.pop()?;
        self.weight.fetch_sub(emitted.weight, Relaxed);
        Some(emitted)
    }
}

impl Merged {
    /// The events after id `read`, at most [`BATCH`] of them; `None` if there are none.
    pub(super) fn after(&self, read: u64) -> Option<Batch> {
        let from = self.events.partition_point(|(event, _)| event.id <= read);
        let first = self.events.get(from)?.0.id;
        let consecutive = self.events.range(from..).zip(first..).take_while(|((event, _), id)| event.id == *id);
        let events = consecutive.take(BATCH).map(|((event, _), _)| event.clone()).collect();
        Some(Batch { lost: first - read - 1, events })
    }

    /// Queues have lost this many events in all.
    fn skip(&mut self, lost: u64) {
        self.last += lost - self.lost;
        self.lost = lost;
    }

    /// Merges what is not later than `end`, and keeps the rest.
    fn merge(&mut self, mut emitted: Vec<Emitted>, end: Instant) {
        // Stable: a worker's events keep their order even if the clock does not advance between them.
        emitted.sort_by_key(|emitted| emitted.at);
        self.rest = emitted.split_off(emitted.partition_point(|emitted| emitted.at <= end));
        for emitted in emitted {
            self.push(emitted);
        }
    }

    fn push(&mut self, Emitted { time, proxy, label, kind, weight, .. }: Emitted) {
        self.last += 1;
        if self.time.duration_since(time).map_or(true, |early| early >= OUT_OF_ORDER) {
            self.time = time;
        }
        while (self.events.len() == EVENTS || self.weight + weight > MAX_BYTES)
            && let Some((_, weight)) = self.events.pop_front()
        {
            self.weight -= weight;
        }
        self.weight += weight;
        self.events.push_back((Arc::new(Event { id: self.last, time: self.time, proxy, label, kind }), weight));
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;
    use crate::events::SharedTexts;

    impl Ring {
        /// With a queue for each of so many workers.
        pub(in crate::events) fn of_workers(workers: usize) -> Self {
            Self { queues: PerWorker::of_workers(workers, Queue::default), ..Self::default() }
        }
    }

    fn opaque(connection: u64) -> EventKind {
        EventKind::Opaque { connection, why: "no RESP".into() }
    }

    fn emit(ring: &Ring, count: usize) {
        (0..count).for_each(|_| ring.emit("cache".into(), None, opaque(1)));
    }

    /// An event that is emitted at `milliseconds` after `start`, when the clock shows `time`.
    fn emitted(start: Instant, milliseconds: u64, time: SystemTime) -> Emitted {
        let at = start + Duration::from_millis(milliseconds);
        Emitted { at, time, proxy: "cache".into(), label: None, kind: opaque(milliseconds), weight: 0 }
    }

    /// The worker in `place` emits it.
    fn emit_at(ring: &Ring, place: usize, start: Instant, milliseconds: u64, time: SystemTime) {
        ring.queues.of(place).emitted.push(emitted(start, milliseconds, time));
    }

    /// The ids of all events, and when they were emitted.
    fn seen(merged: &Merged) -> Vec<(u64, u64)> {
        let of = |(event, _): &(Arc<Event>, usize)| match event.kind {
            EventKind::Opaque { connection, .. } => (event.id, connection),
            _ => panic!("{event:?}"),
        };
        merged.events.iter().map(of).collect()
    }

    fn is_ready(future: impl Future) -> bool {
        pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn events_of_all_workers_are_in_the_order_of_their_times() {
        let (ring, start, time) = (Ring::of_workers(3), Instant::now(), SystemTime::now());
        for (place, milliseconds) in [(0, 2), (0, 5), (1, 1), (1, 5), (2, 3), (2, 4)] {
            emit_at(&ring, place, start, milliseconds, time);
        }
        assert_eq!(seen(&ring.merged()), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 5)]);
    }

    #[test]
    fn times_never_decrease_unless_the_clock_is_set_back() {
        let (ring, start, time) = (Ring::of_workers(2), Instant::now(), SystemTime::now());
        let (soon, earlier) = (time + Duration::from_millis(10), time - Duration::from_secs(3600));
        emit_at(&ring, 0, start, 0, time);
        emit_at(&ring, 1, start, 1, soon);
        emit_at(&ring, 0, start, 2, time);
        emit_at(&ring, 1, start, 3, earlier);
        let events = ring.merged().after(0).unwrap().events;
        assert!(events.iter().map(|event| event.time).eq([time, soon, soon, earlier]));
    }

    #[test]
    fn what_is_too_late_for_a_merge_is_in_the_next_in_its_order() {
        let (ring, start, time) = (Ring::of_workers(2), Instant::now(), SystemTime::now());
        let found = [3, 1, 2].map(|milliseconds| emitted(start, milliseconds, time));
        ring.readers.merged.lock().unwrap().merge(found.into(), start + Duration::from_millis(1));
        assert_eq!(seen(&ring.readers.merged.lock().unwrap()), [(1, 1)]);
        // The passes missed it, though they found one that followed it.
        emit_at(&ring, 0, start, 2, time);
        emit_at(&ring, 1, start, 4, time);
        let all = [(1, 1), (2, 2), (3, 2), (4, 3), (5, 4)];
        assert_eq!(seen(&ring.merged()), all);
        assert_eq!(seen(&ring.merged()), all, "each is merged once");
    }

    #[test]
    fn a_full_queue_loses_its_oldest_events_and_no_other_worker_s() {
        let ring = Ring::of_workers(2);
        ring.queues.of(1).lost.store(2, Relaxed);
        emit_at(&ring, 1, Instant::now(), 0, SystemTime::now());
        emit(&ring, EVENTS + 3);
        assert_eq!(ring.queues.of(0).emitted.len(), EVENTS);
        assert_eq!(ring.queues.of(1).emitted.len(), 1);
        let batch = ring.merged().after(0).unwrap();
        // Five by the queues, and the oldest of the others by the ring.
        assert_eq!((batch.lost, batch.events[0].id), (6, 7));
        assert_eq!(ring.merged().last, EVENTS as u64 + 6);
    }

    #[test]
    fn large_events_leave_room_for_fewer() {
        let none = SharedTexts::default();
        let plan = |size: usize| {
            let rules = (0..size).map(|rule| format!("GET {rule} => error").into()).collect();
            EventKind::Plan { handler: "dummy".into(), rules, toxics: none.clone(), enabled: true }
        };
        let ring = Ring::of_workers(1);
        let weight = plan(1000).weight();
        for _ in 0..MAX_BYTES / weight + 10 {
            ring.emit("cache".into(), None, plan(1000));
        }
        let queue = ring.queues.of(0);
        assert_eq!((queue.emitted.len(), queue.lost.load(Relaxed)), (MAX_BYTES / weight, 10));
        drop(ring.merged());
        assert_eq!(queue.weight.load(Relaxed), 0);
        for _ in 0..20 {
            ring.emit("cache".into(), None, plan(1000));
        }
        let merged = ring.merged();
        assert_eq!((merged.events.len(), merged.weight), (MAX_BYTES / weight, MAX_BYTES / weight * weight));
        assert_eq!(merged.last, (MAX_BYTES / weight + 30) as u64);
        // What several events share counts once.
        let shared = plan(1000);
        let EventKind::Plan { rules, .. } = &shared else { unreachable!() };
        let proxys = rules.clone();
        assert_eq!(shared.weight(), weight);
        let next = EventKind::Plan { handler: "dummy".into(), rules: proxys, toxics: none.clone(), enabled: true };
        let last = EventKind::Plan { handler: "dummy".into(), rules: rules.clone(), toxics: none, enabled: true };
        assert_eq!((next.weight(), last.weight()), (5, 5));
    }

    #[test]
    fn a_batch_ends_where_events_were_lost() {
        let ring = Ring::of_workers(1);
        emit(&ring, 2);
        drop(ring.merged());
        ring.queues.of(0).lost.store(3, Relaxed);
        emit(&ring, 1);
        let read = |after| {
            let batch = ring.merged().after(after)?;
            Some((batch.lost, batch.events.iter().map(|event| event.id).collect::<Vec<_>>()))
        };
        assert_eq!(read(0), Some((0, vec![1, 2])));
        assert_eq!(read(2), Some((3, vec![6])));
        assert_eq!(read(4), Some((1, vec![6])), "an id among the lost ones");
        assert_eq!(read(6), None);
    }

    #[test]
    fn emitting_takes_the_lock_only_for_a_reader_that_waits() {
        let ring = Ring::default();
        let unasked = ring.readers.wake.notified();
        emit(&ring, 1);
        assert!(!is_ready(unasked), "`notify_waiters` was called without need");
        let (first, second) = (ring.changed(), ring.changed());
        emit(&ring, 1);
        assert!(is_ready(first) && is_ready(second));
        let unasked = ring.readers.wake.notified();
        emit(&ring, 1);
        assert!(!is_ready(unasked), "`notify_waiters` was called again");
    }
}
