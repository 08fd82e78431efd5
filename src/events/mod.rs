//! The events of proxies: injected faults, new plans, failed dials, opaque connections.
//!
//! A ring keeps the latest [`EVENTS`] events. Emitting never waits for a reader: a reader that falls further behind
//! loses the oldest events, and learns how many.

mod event;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::Notify;

pub(crate) use event::{Action, RequestHead};
pub(crate) use event::{Event, EventKind};

/// How many events are kept for readers.
pub(crate) const EVENTS: usize = 16_384;

/// How many events a reader gets at once, at most. It holds the lock while they are copied.
const BATCH: usize = 256;

/// Keeps events for readers. Clones share the same ring.
#[derive(Debug, Clone)]
pub(crate) struct Events(Option<Arc<Ring>>);

#[derive(Debug, Default)]
struct Ring {
    kept: Mutex<Kept>,
    readers: Notify,
}

#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<Arc<Event>>,
    /// The id of the latest event; 0 before the first.
    last: u64,
    closed: bool,
}

impl Events {
    /// Keeps no events. Its readers end at once.
    pub(crate) fn off() -> Self {
        Self(None)
    }

    /// Keeps events; none yet.
    pub(crate) fn on() -> Self {
        Self(Some(Arc::default()))
    }

    /// Adds an event of `proxy`. `kind` is called only if events are kept.
    pub(crate) fn emit(&self, proxy: &Arc<str>, kind: impl FnOnce() -> EventKind) {
        let Some(ring) = &self.0 else { return };
        let (proxy, kind) = (proxy.clone(), kind());
        let mut kept = ring.kept();
        if kept.closed {
            return;
        }
        kept.last += 1;
        // Read under the lock, so that times never decrease from one event to the next.
        let event = Arc::new(Event { id: kept.last, time: SystemTime::now(), proxy, kind });
        let oldest = if kept.events.len() == EVENTS { kept.events.pop_front() } else { None };
        kept.events.push_back(event);
        drop(kept);
        drop(oldest);
        ring.readers.notify_waiters();
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
        self.0.as_ref().map_or(0, |ring| ring.kept().last)
    }

    /// Accepts no more events. Readers get the remaining ones and then end.
    pub(crate) fn close(&self) {
        if let Some(ring) = &self.0 {
            ring.kept().closed = true;
            ring.readers.notify_waiters();
        }
    }
}

impl Ring {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
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
        loop {
            let ring = self.ring.clone()?;
            // Registered before the check, so that no event between the check and the wait is missed.
            let emitted = ring.readers.notified();
            match self.try_next() {
                Next::Batch(batch) => return Some(batch),
                Next::Pending => emitted.await,
                Next::Closed => return None,
            }
        }
    }

    /// The next events, without waiting.
    pub(crate) fn try_next(&mut self) -> Next {
        let Some(ring) = &self.ring else { return Next::Closed };
        let kept = ring.kept();
        if self.read == kept.last {
            return if kept.closed { Next::Closed } else { Next::Pending };
        }
        let before_oldest = kept.last - kept.events.len() as u64;
        let lost = before_oldest.saturating_sub(self.read);
        let from = usize::try_from(self.read + lost - before_oldest).unwrap_or(usize::MAX);
        let events: Vec<_> = kept.events.iter().skip(from).take(BATCH).cloned().collect();
        drop(kept);
        self.read += lost + events.len() as u64;
        Next::Batch(Batch { lost, events })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};
    use std::thread;

    use super::*;

    fn opaque(connection: u64) -> EventKind {
        EventKind::Opaque { connection, why: "no RESP".into() }
    }

    fn emit(events: &Events, connections: impl IntoIterator<Item = u64>) {
        let proxy = "cache".into();
        connections.into_iter().for_each(|connection| events.emit(&proxy, || opaque(connection)));
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
    fn ids_have_no_gaps_however_many_threads_emit() {
        let events = Events::on();
        thread::scope(|scope| {
            for thread in 0..8 {
                let events = &events;
                scope.spawn(move || emit(events, thread * 1000..(thread + 1) * 1000));
            }
            let mut reader = events.reader(Some(0));
            let (mut ids, mut time) = (Vec::new(), SystemTime::UNIX_EPOCH);
            let mut connections = Vec::new();
            while ids.len() < 8000 {
                let Next::Batch(batch) = reader.try_next() else { continue };
                assert_eq!(batch.lost, 0);
                for event in batch.events {
                    assert!(event.time >= time, "{event:?}");
                    time = event.time;
                    ids.push(event.id);
                    let EventKind::Opaque { connection, .. } = event.kind else { panic!("{event:?}") };
                    connections.push(connection);
                }
            }
            connections.sort_unstable();
            assert!(ids.into_iter().eq(1..=8000));
            assert!(connections.into_iter().eq(0..8000));
        });
    }

    #[test]
    fn switched_off_it_builds_no_event() {
        let (events, called) = (Events::off(), Cell::new(false));
        events.emit(&"cache".into(), || {
            called.set(true);
            opaque(1)
        });
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
