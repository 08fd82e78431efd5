//! The recorder of one connection, told by its pumps.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use atomic_refcell::AtomicRefCell;

use super::fold::Folded;
use super::overflow::EntryId;
use super::table::{Place, Table};
use crate::protocol::{Expect, Protocol};

/// No call.
const NONE: u64 = 0;

/// Counts the calls of one connection, and times some: of each shape, one call at a time. So every call is timed where a client
/// waits for each reply, and in a pipeline the first call of each shape.
///
/// Both pumps of a connection are one task: what they share here is never changed by two threads at once.
#[derive(Debug)]
pub(crate) struct ConnectionRecorder<'a> {
    table: &'a Table,
    protocol: Protocol,
    /// The number of the last call whose head was here.
    last: AtomicU64,
    /// How many calls with a reply there were, and how many of them have ended: they end in their order.
    opened: AtomicU64,
    ended: AtomicU64,
    /// Which of the calls with a reply is the oldest that is timed.
    next: AtomicU64,
    /// A bit for each shape of which a call is timed; two shapes may share one.
    in_hand: AtomicU64,
    /// The latest call is timed, and its request was not passed on.
    is_unsent: AtomicBool,
    timed: AtomicRefCell<Timed>,
}

/// The calls that are timed: 64 at most, as each has a bit of its own.
#[derive(Debug, Default)]
struct Timed {
    calls: VecDeque<TimedCall>,
    /// When the backend's latest bytes were read.
    read: Option<Instant>,
    /// When the first bytes of a reply were read of which more is to come, and whose reply that is.
    begun: Option<(u64, Instant)>,
}

#[derive(Debug)]
struct TimedCall {
    /// Which of the calls with a reply it is.
    number: u64,
    /// Where its shape is counted.
    place: Place,
    /// When the last byte of its request was passed on.
    sent: Option<Instant>,
}

/// Reads the clock once for everything that is done together, and only if somebody asks.
#[derive(Debug, Default)]
pub(crate) struct Clock(Option<Instant>);

impl Clock {
    fn now(&mut self) -> Instant {
        *self.0.get_or_insert_with(Instant::now)
    }
}

impl<'a> ConnectionRecorder<'a> {
    pub(super) fn new(table: &'a Table, protocol: Protocol) -> Self {
        Self {
            table,
            protocol,
            last: AtomicU64::new(0),
            opened: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            next: AtomicU64::new(NONE),
            in_hand: AtomicU64::new(0),
            is_unsent: AtomicBool::new(false),
            timed: AtomicRefCell::default(),
        }
    }

    /// Call `number` begins, with this command and this key. A call may be told twice.
    pub(crate) fn begins(&self, number: u64, (command, key): (&[u8], &[u8]), expect: Expect) {
        if number <= self.last.load(Ordering::Relaxed) {
            return;
        }
        self.last.store(number, Ordering::Relaxed);
        let place = self.table.count(&Folded::of(self.protocol, command, key));
        if expect == Expect::Nothing {
            return;
        }
        let opened = self.opened.load(Ordering::Relaxed) + 1;
        self.opened.store(opened, Ordering::Relaxed);
        let in_hand = self.in_hand.load(Ordering::Relaxed);
        let Some(place) = place.filter(|place| in_hand & place.bit() == 0) else { return };
        self.in_hand.store(in_hand | place.bit(), Ordering::Relaxed);
        self.is_unsent.store(true, Ordering::Relaxed);
        let calls = &mut self.timed.borrow_mut().calls;
        calls.push_back(TimedCall { number: opened, place, sent: None });
        self.next.store(calls[0].number, Ordering::Relaxed);
    }

    /// A call begins whose reply need not come in order, and so is timed by itself: where its shape is counted.
    pub(crate) fn begins_alone(&self, (command, key): (&[u8], &[u8])) -> Option<Place> {
        self.table.count(&Folded::of(self.protocol, command, key))
    }

    /// The backend took so long for a call of this shape.
    pub(crate) fn took(&self, place: Place, time: Duration) {
        self.table.took(place, time);
    }

    /// The last byte of the latest request was passed on.
    #[inline]
    pub(crate) fn passed_on(&self, clock: &mut Clock) {
        if self.is_unsent.load(Ordering::Relaxed) {
            self.is_unsent.store(false, Ordering::Relaxed);
            if let Some(latest) = self.timed.borrow_mut().calls.back_mut() {
                latest.sent = Some(clock.now());
            }
        }
    }

    /// The backend's next bytes were read.
    #[inline]
    pub(crate) fn read(&self) {
        if self.next.load(Ordering::Relaxed) != NONE {
            self.timed.borrow_mut().read = Some(Instant::now());
        }
    }

    /// The reply to the oldest open call has begun, and is not complete.
    #[inline]
    pub(crate) fn reply_begins(&self) {
        let oldest = self.ended.load(Ordering::Relaxed) + 1;
        if self.next.load(Ordering::Relaxed) == oldest {
            let timed = &mut *self.timed.borrow_mut();
            if timed.begun.is_none_or(|(number, _)| number != oldest) {
                timed.begun = timed.read.map(|read| (oldest, read));
            }
        }
    }

    /// The oldest open call has ended; with a reply of the backend or without one.
    #[inline]
    pub(crate) fn ended(&self, by_backend: bool) {
        let ended = self.ended.load(Ordering::Relaxed) + 1;
        // More can only end where messages are no calls.
        if ended > self.opened.load(Ordering::Relaxed) {
            return;
        }
        self.ended.store(ended, Ordering::Relaxed);
        if self.next.load(Ordering::Relaxed) == ended {
            self.timed_ended(by_backend);
        }
    }

    fn timed_ended(&self, by_backend: bool) {
        let timed = &mut *self.timed.borrow_mut();
        let Some(TimedCall { number, place, sent }) = timed.calls.pop_front() else { return };
        let begun = timed.begun.take_if(|(reply, _)| *reply == number).map(|(_, begun)| begun).or(timed.read);
        if let (true, Some(sent), Some(begun)) = (by_backend, sent, begun) {
            self.table.took(place, begun.saturating_duration_since(sent));
        }
        if timed.calls.is_empty() {
            self.is_unsent.store(false, Ordering::Relaxed);
        }
        self.in_hand.store(self.in_hand.load(Ordering::Relaxed) & !place.bit(), Ordering::Relaxed);
        self.next.store(timed.calls.front().map_or(NONE, |call| call.number), Ordering::Relaxed);
    }

    /// Replies can no longer be told apart: nothing is timed any more.
    pub(crate) fn replies_end(&self) {
        self.timed.borrow_mut().calls.clear();
        self.next.store(NONE, Ordering::Relaxed);
        self.is_unsent.store(false, Ordering::Relaxed);
        self.in_hand.store(u64::MAX, Ordering::Relaxed);
    }
}

impl Place {
    fn bit(self) -> u64 {
        let (Self::Own(place) | Self::Overflow(EntryId { place, .. })) = self;
        1 << (place % 64)
    }
}
