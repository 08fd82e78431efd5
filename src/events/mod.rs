//! The events of proxies: injected faults, new plans, failed dials, opaque connections.
//!
//! A ring keeps the latest [`EVENTS`] events, or fewer of more than [`MAX_BYTES`]. Emitting never waits for a reader, and takes a
//! lock only to wake one that waits: each worker has a queue of its own, and readers merge the queues. A reader that falls further
//! behind loses the oldest events, and learns how many. Ids have no gaps but those, and an event has a higher id than those emitted
//! before it.

mod event;
mod ring;

use std::sync::Arc;

use crate::labels::CallLabel;
pub(crate) use event::{Action, RequestHead, SharedTexts};
pub(crate) use event::{Event, EventKind};
use ring::Ring;

/// How many events are kept for readers.
pub(crate) const EVENTS: usize = 16_384;

/// How much the texts of kept events take at most, in bytes.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// How many events a reader gets at once, at most. It holds the lock while they are copied.
const BATCH: usize = 256;

/// Keeps events for readers. Clones share the same ring.
#[derive(Debug, Clone)]
pub(crate) struct Events(Option<Arc<Ring>>);

impl Events {
    /// Keeps no events. Its readers end at once.
    pub(crate) fn off() -> Self {
        Self(None)
    }

    /// Keeps events; none yet. Has a queue for each worker that has started.
    pub(crate) fn on() -> Self {
        Self(Some(Arc::default()))
    }

    /// Adds an event of `proxy`. `label` and `kind` are called only if events are kept.
    pub(crate) fn emit(
        &self,
        proxy: &Arc<str>,
        label: impl FnOnce() -> Option<Arc<CallLabel>>,
        kind: impl FnOnce() -> EventKind,
    ) {
        if let Some(ring) = &self.0 {
            ring.emit(proxy.clone(), label(), kind());
        }
    }

    /// A reader of the events after id `since`, or without `since` of those still to come. An id beyond the latest
    /// comes from another run of the program: then the reader begins with the first event.
    pub(crate) fn reader(&self, since: Option<u64>) -> Reader {
        let last = self.last();
        let read = match since {
            None => last,
            Some(since) if since > last => 0,
            Some(since) => since,
        };
        Reader { ring: self.0.clone(), read }
    }

    /// The id of the latest event; 0 before the first.
    pub(crate) fn last(&self) -> u64 {
        self.0.as_ref().map_or(0, |ring| ring.merged().last)
    }

    /// Accepts no more events. Readers get the remaining ones and then end.
    pub(crate) fn close(&self) {
        if let Some(ring) = &self.0 {
            ring.close();
        }
    }
}

/// Reads events at its own pace.
#[derive(Debug)]
pub(crate) struct Reader {
    ring: Option<Arc<Ring>>,
    /// The id of the last event that was read or lost.
    read: u64,
}

/// Consecutive events.
#[derive(Debug)]
pub(crate) struct Batch {
    /// How many events before these were lost, because the reader was too slow.
    pub(crate) lost: u64,
    pub(crate) events: Vec<Arc<Event>>,
}

/// The result of [`Reader::try_next`].
#[derive(Debug)]
pub(crate) enum Next {
    Batch(Batch),
    /// There are no events yet.
    Pending,
    /// There will be no more events.
    Closed,
}

impl Reader {
    /// The id of the last event that it has read or lost.
    pub(crate) fn position(&self) -> u64 {
        self.read
    }

    /// Waits for the next events and returns at most [`BATCH`] of them; `None` once there will be no more. Cancel-safe:
    /// no event is lost if the future is dropped.
    pub(crate) async fn next(&mut self) -> Option<Batch> {
        let ring = self.ring.clone()?;
        let mut changed = None;
        loop {
            match self.try_next() {
                Next::Batch(batch) => return Some(batch),
                Next::Closed => return None,
                // It looks once more before it waits, so that no event between the look and `changed` is missed.
                Next::Pending => match changed.take() {
                    None => changed = Some(ring.changed()),
                    Some(changed) => changed.await,
                },
            }
        }
    }

    /// The next events, without waiting.
    pub(crate) fn try_next(&mut self) -> Next {
        let Some(ring) = &self.ring else { return Next::Closed };
        let closed = ring.is_closed();
        match ring.merged().after(self.read) {
            Some(batch) => {
                self.read += batch.lost + batch.events.len() as u64;
                Next::Batch(batch)
            }
            None if closed => Next::Closed,
            None => Next::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::hint;
    use std::pin::pin;
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
    use std::task::{Context, Poll, Waker};
    use std::thread;
    use std::time::{Duration, SystemTime};

    use tokio::runtime::Builder;
    use tokio::time::timeout;

    use super::*;
    use crate::workers;

    fn of_workers(workers: usize) -> Events {
        Events(Some(Arc::new(Ring::of_workers(workers))))
    }

    /// Runs on a thread that is the worker in `place`.
    fn as_worker(place: usize, run: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
        thread::spawn(move || {
            workers::enter(place);
            run();
        })
    }

    fn opaque(connection: u64) -> EventKind {
        EventKind::Opaque { connection, why: "no RESP".into() }
    }

    fn emit(events: &Events, connections: impl IntoIterator<Item = u64>) {
        let proxy = "cache".into();
        connections.into_iter().for_each(|connection| events.emit(&proxy, || None, || opaque(connection)));
    }

    /// Reads all events so far: how many were lost, and the ids of the others.
    fn read(reader: &mut Reader) -> (u64, Vec<u64>) {
        let (mut lost, mut ids) = (0, Vec::new());
        while let Next::Batch(batch) = reader.try_next() {
            lost += batch.lost;
            ids.extend(batch.events.iter().map(|event| event.id));
        }
        (lost, ids)
    }

    fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
        pin!(future).as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_reader_begins_after_the_given_id() {
        let events = Events::on();
        emit(&events, 1..=5);
        let (mut all, mut later, mut new) = (events.reader(Some(0)), events.reader(Some(3)), events.reader(None));
        emit(&events, [6]);
        assert_eq!(read(&mut all), (0, vec![1, 2, 3, 4, 5, 6]));
        assert_eq!(read(&mut later), (0, vec![4, 5, 6]));
        assert_eq!(read(&mut new), (0, vec![6]));
        assert_eq!(read(&mut new), (0, vec![]));
        assert_eq!(read(&mut events.reader(Some(6))), (0, vec![]));
        assert_eq!(read(&mut events.reader(Some(7))), (0, vec![1, 2, 3, 4, 5, 6]), "id 7 comes from another run");
    }

    #[test]
    fn a_slow_reader_learns_how_many_events_it_lost() {
        let events = Events::on();
        let kept = EVENTS as u64;
        let (mut slow, mut slower) = (events.reader(Some(0)), events.reader(Some(0)));
        emit(&events, 1..=kept);
        assert!(matches!(slow.try_next(), Next::Batch(batch) if batch.lost == 0 && batch.events.len() == BATCH));
        emit(&events, 1..=1000);
        assert_eq!(read(&mut slow), (1000 - BATCH as u64, (1001..=kept + 1000).collect()));
        emit(&events, 1..=kept);
        assert_eq!(read(&mut slow), (0, (kept + 1001..=2 * kept + 1000).collect()), "a full ring without a loss");
        assert_eq!(read(&mut slower), (kept + 1000, (kept + 1001..=2 * kept + 1000).collect()));
    }

    #[test]
    fn a_waiting_reader_is_woken_by_events_and_by_the_end() {
        let events = Events::on();
        let mut reader = events.reader(None);
        let context = &mut Context::from_waker(Waker::noop());
        assert!(poll(reader.next()).is_pending());
        let mut next = pin!(reader.next());
        assert!(next.as_mut().poll(context).is_pending());
        emit(&events, [1]);
        let Poll::Ready(Some(batch)) = next.as_mut().poll(context) else { panic!("the reader was not woken") };
        assert_eq!(batch.events.len(), 1);
        let mut reader = events.reader(None);
        let mut next = pin!(reader.next());
        assert!(next.as_mut().poll(context).is_pending());
        events.close();
        assert!(matches!(next.as_mut().poll(context), Poll::Ready(None)));
    }

    #[test]
    fn ids_have_no_gaps_however_many_threads_emit_and_read() {
        const EACH: u64 = 1000;
        // The last two threads share a queue with the first.
        let events = of_workers(6);
        let emitting = (0..8).map(|thread| {
            let events = events.clone();
            as_worker(thread, move || emit(&events, thread as u64 * EACH..(thread as u64 + 1) * EACH))
        });
        let emitting: Vec<_> = emitting.collect();
        let read = || {
            let mut reader = events.reader(Some(0));
            let (mut ids, mut time) = (Vec::new(), SystemTime::UNIX_EPOCH);
            let mut connections = Vec::new();
            while ids.len() < 8000 {
                let Next::Batch(batch) = reader.try_next() else {
                    thread::yield_now();
                    continue;
                };
                assert_eq!(batch.lost, 0);
                for event in batch.events {
                    assert!(event.time >= time, "{event:?}");
                    time = event.time;
                    ids.push(event.id);
                    let EventKind::Opaque { connection, .. } = event.kind else { panic!("{event:?}") };
                    connections.push(connection);
                }
            }
            assert!(ids.into_iter().eq(1..=8000));
            connections
        };
        let (connections, same) = thread::scope(|scope| {
            let other = scope.spawn(read);
            (read(), other.join().unwrap())
        });
        for thread in emitting {
            thread.join().unwrap();
        }
        assert_eq!(connections, same, "each event has one id");
        for thread in 0..8 {
            let own = connections.iter().filter(|connection| **connection / EACH == thread);
            assert!(own.copied().eq(thread * EACH..(thread + 1) * EACH), "in their order, each once");
        }
        assert_eq!(events.last(), 8000);
    }

    #[test]
    fn an_event_has_a_higher_id_than_those_emitted_before_it_by_other_workers() {
        const ROUNDS: u64 = 5_000;
        for workers in [2, 3] {
            let (events, turn) = (of_workers(workers), Arc::new(AtomicU64::new(0)));
            let mut reader = events.reader(Some(0));
            let emitting = (0..workers).map(|place| {
                let (events, turn) = (events.clone(), turn.clone());
                as_worker(place, move || {
                    for mine in (place as u64..ROUNDS).step_by(workers) {
                        while turn.load(Acquire) != mine {
                            thread::yield_now();
                        }
                        emit(&events, [mine]);
                        turn.store(mine + 1, Release);
                    }
                })
            });
            let emitting: Vec<_> = emitting.collect();
            let mut connections = Vec::new();
            while reader.position() < ROUNDS {
                let Next::Batch(batch) = reader.try_next() else {
                    thread::yield_now();
                    continue;
                };
                connections.extend(batch.events.iter().map(|event| match event.kind {
                    EventKind::Opaque { connection, .. } => connection,
                    _ => panic!("{event:?}"),
                }));
            }
            for thread in emitting {
                thread.join().unwrap();
            }
            assert!(connections.into_iter().eq(0..ROUNDS));
        }
    }

    /// Waits for the next events. Fails if it is not woken.
    async fn next(reader: &mut Reader) -> Option<Batch> {
        timeout(Duration::from_secs(60), reader.next()).await.expect("the reader was not woken")
    }

    #[tokio::test]
    async fn a_reader_that_waits_gets_or_loses_all_that_many_threads_emit() {
        const EACH: u64 = 2 * EVENTS as u64;
        let events = of_workers(4);
        let mut reader = events.reader(None);
        let emitting = (0..4).map(|place| {
            let events = events.clone();
            as_worker(place, move || emit(&events, 0..EACH))
        });
        let emitting: Vec<_> = emitting.collect();
        let (mut read, mut lost) = (0, 0);
        // The last event has to wake it: nothing comes after it until all are read.
        while reader.position() < 4 * EACH {
            let batch = next(&mut reader).await.unwrap();
            lost += batch.lost;
            for event in batch.events {
                read += 1;
                assert_eq!(event.id, read + lost);
            }
        }
        assert_eq!(read + lost, 4 * EACH);
        for thread in emitting {
            thread.join().unwrap();
        }
        events.close();
        assert!(next(&mut reader).await.is_none());
    }

    #[test]
    fn an_event_that_meets_a_reader_about_to_wait_wakes_it() {
        const ROUNDS: u64 = 50_000;
        let (events, read) = (Events::on(), AtomicU64::new(0));
        let mut reader = events.reader(None);
        thread::scope(|scope| {
            let reading = scope.spawn(|| {
                let runtime = Builder::new_current_thread().enable_time().build().unwrap();
                runtime.block_on(async {
                    while let Some(batch) = next(&mut reader).await {
                        read.fetch_add(batch.events.len() as u64, Relaxed);
                    }
                });
            });
            for id in 1..=ROUNDS {
                emit(&events, [id]);
                while read.load(Relaxed) < id && !reading.is_finished() {
                    thread::yield_now();
                }
                // The next event comes a little later each time: before, while and after the reader begins to wait.
                (0..id % 100).for_each(|_| hint::spin_loop());
            }
            events.close();
        });
        assert_eq!(read.into_inner(), ROUNDS);
    }

    #[test]
    fn a_new_reader_begins_after_what_all_workers_have_emitted() {
        let events = of_workers(2);
        let emitted = events.clone();
        as_worker(1, move || emit(&emitted, 1..=3)).join().unwrap();
        emit(&events, [4]);
        let mut reader = events.reader(None);
        assert_eq!(reader.position(), 4);
        emit(&events, [5]);
        assert_eq!(read(&mut reader), (0, vec![5]));
    }

    #[test]
    fn switched_off_it_builds_no_event() {
        let (events, called) = (Events::off(), Cell::new(false));
        events.emit(
            &"cache".into(),
            || unreachable!("nobody asks"),
            || {
                called.set(true);
                opaque(1)
            },
        );
        assert!(!called.get());
        assert!(matches!(poll(events.reader(Some(0)).next()), Poll::Ready(None)));
        events.close();
    }

    #[test]
    fn closed_it_returns_the_remaining_events_and_then_ends() {
        let events = Events::on();
        let mut reader = events.reader(None);
        emit(&events, 1..=3);
        events.close();
        emit(&events, [4]);
        let Poll::Ready(Some(batch)) = poll(reader.next()) else { panic!("expected three events") };
        assert_eq!(batch.events.iter().map(|event| event.id).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(matches!(poll(reader.next()), Poll::Ready(None)));
    }
}
