//! What proxies did that their users may want to know of: injected faults, new plans, failed dials, opaque connections.
//!
//! The latest [`EVENTS`] are kept. Whoever tells of an event waits for no reader: one that is too slow for that many loses
//! the oldest, and is told how many.

mod event;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::Notify;

pub(crate) use event::{Action, RequestHead};
pub(crate) use event::{Event, EventKind};

/// How many events are kept for readers.
pub(crate) const EVENTS: usize = 16_384;

/// As many events are handed over at once at most: so long does a reader keep the others out.
const BATCH: usize = 256;

/// Where events are told and read. Clones are the same journal.
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
    /// The last event's `id`; 0 before the first.
    last: u64,
    closed: bool,
}

impl Events {
    /// A journal that keeps nothing.
    pub(crate) fn off() -> Self {
        Self(None)
    }

    /// An empty journal.
    pub(crate) fn on() -> Self {
        Self(Some(Arc::default()))
    }

    /// Tells what a proxy did. `what` is asked only where events are kept.
    pub(crate) fn emit(&self, proxy: &Arc<str>, kind: impl FnOnce() -> EventKind) {
        let Some(ring) = &self.0 else { return };
        let (proxy, kind) = (proxy.clone(), kind());
        let mut kept = ring.kept();
        if kept.closed {
            return;
        }
        kept.last += 1;
        // The time is read here so that later events have no earlier times.
        let event = Arc::new(Event { id: kept.last, time: SystemTime::now(), proxy, kind });
        let oldest = if kept.events.len() == EVENTS { kept.events.pop_front() } else { None };
        kept.events.push_back(event);
        drop(kept);
        drop(oldest);
        ring.readers.notify_waiters();
    }

    /// Reads the events after number `since`, and without one those that are still to come. A number that was not given yet
    /// is of another run: it is read from the first event on.
    pub(crate) fn reader(&self, since: Option<u64>) -> Reader {
        let last = self.last();
        let read = match since {
            None => last,
            Some(since) if since > last => 0,
            Some(since) => since,
        };
        Reader { ring: self.0.clone(), read }
    }

    /// The number of the latest event; 0 before the first.
    pub(crate) fn last(&self) -> u64 {
        self.0.as_ref().map_or(0, |ring| ring.kept().last)
    }

    /// Takes no more events. Readers get those that are left, and then the end.
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

/// Reads a journal at its own pace.
#[derive(Debug)]
pub(crate) struct Reader {
    ring: Option<Arc<Ring>>,
    /// The number of the last event that was read or lost.
    read: u64,
}

/// Events that follow each other.
#[derive(Debug)]
pub(crate) struct Batch {
    /// How many before these were gone before they were read.
    pub(crate) lost: u64,
    pub(crate) events: Vec<Arc<Event>>,
}

/// What there is for a reader now.
#[derive(Debug)]
pub(crate) enum Next {
    Batch(Batch),
    /// Nothing yet.
    Pending,
    /// Nothing any more: the journal is closed, or off.
    Closed,
}

impl Reader {
    /// The number of the last event that it has read or lost.
    pub(crate) fn position(&self) -> u64 {
        self.read
    }

    /// The next events, at most a few hundred, as soon as there are any. `None` at the journal's end. A call that is given
    /// up loses nothing.
    pub(crate) async fn next(&mut self) -> Option<Batch> {
        loop {
            let ring = self.ring.clone()?;
            // It listens from here on, so that nothing is told between the two.
            let told = ring.readers.notified();
            match self.try_next() {
                Next::Batch(batch) => return Some(batch),
                Next::Pending => told.await,
                Next::Closed => return None,
            }
        }
    }

    /// The same without waiting.
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

    /// What there is by now: how many were lost, and the numbers of the others.
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
    fn readers_begin_where_they_want_to() {
        let events = Events::on();
        emit(&events, 1..=5);
        let (mut all, mut later, mut new) = (events.reader(Some(0)), events.reader(Some(3)), events.reader(None));
        emit(&events, [6]);
        assert_eq!(read(&mut all), (0, vec![1, 2, 3, 4, 5, 6]));
        assert_eq!(read(&mut later), (0, vec![4, 5, 6]));
        assert_eq!(read(&mut new), (0, vec![6]));
        assert_eq!(read(&mut new), (0, vec![]));
        assert_eq!(read(&mut events.reader(Some(6))), (0, vec![]));
        assert_eq!(read(&mut events.reader(Some(7))), (0, vec![1, 2, 3, 4, 5, 6]), "7 is of another run");
    }

    #[test]
    fn a_reader_that_is_overtaken_is_told_how_many_it_lost() {
        let events = Events::on();
        let kept = EVENTS as u64;
        let (mut slow, mut slower) = (events.reader(Some(0)), events.reader(Some(0)));
        emit(&events, 1..=kept);
        assert!(matches!(slow.try_next(), Next::Batch(batch) if batch.lost == 0 && batch.events.len() == BATCH));
        emit(&events, 1..=1000);
        assert_eq!(read(&mut slow), (1000 - BATCH as u64, (1001..=kept + 1000).collect()));
        emit(&events, 1..=kept);
        assert_eq!(read(&mut slow), (0, (kept + 1001..=2 * kept + 1000).collect()), "as slow as one may be");
        assert_eq!(read(&mut slower), (kept + 1000, (kept + 1001..=2 * kept + 1000).collect()));
    }

    #[test]
    fn a_waiting_reader_is_woken() {
        let events = Events::on();
        let mut reader = events.reader(None);
        assert!(poll(reader.next()).is_pending());
        let mut next = pin!(reader.next());
        let context = &mut Context::from_waker(Waker::noop());
        assert!(next.as_mut().poll(context).is_pending());
        emit(&events, [1]);
        let Poll::Ready(Some(batch)) = next.as_mut().poll(context) else { panic!("it sleeps on") };
        assert_eq!(batch.events.len(), 1);
    }

    #[test]
    fn numbers_have_no_gaps_however_many_tell() {
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
    fn off_it_asks_for_nothing() {
        let (events, asked) = (Events::off(), Cell::new(false));
        events.emit(&"cache".into(), || {
            asked.set(true);
            opaque(1)
        });
        assert!(!asked.get());
        assert!(matches!(poll(events.reader(Some(0)).next()), Poll::Ready(None)));
        events.close();
    }

    #[test]
    fn closed_it_gives_what_is_left_and_then_the_end() {
        let events = Events::on();
        let mut reader = events.reader(None);
        emit(&events, 1..=3);
        events.close();
        emit(&events, [4]);
        let Poll::Ready(Some(batch)) = poll(reader.next()) else { panic!("there are three") };
        assert_eq!(batch.events.iter().map(|event| event.id).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(matches!(poll(reader.next()), Poll::Ready(None)));
    }

    #[test]
    fn closing_wakes_readers() {
        let events = Events::on();
        let mut reader = events.reader(None);
        let mut next = pin!(reader.next());
        let context = &mut Context::from_waker(Waker::noop());
        assert!(next.as_mut().poll(context).is_pending());
        events.close();
        assert!(matches!(next.as_mut().poll(context), Poll::Ready(None)));
    }
}
