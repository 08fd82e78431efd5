//! So many bytes a second.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::ChaCha8Rng;
use tokio::time::Instant;

use super::{ByteFault, Next, after};

/// How many pieces a second has. At a high rate they are larger, see [`MAX_PIECE`].
const PIECES_A_SECOND: u64 = 100;

/// The largest piece, in bytes.
const MAX_PIECE: u64 = 64 * 1024;

const NANOS_A_SECOND: u128 = 1_000_000_000;

/// A link that carries so many bytes a second. A piece leaves once all of it is through.
#[derive(Debug)]
pub(crate) struct RateLimit {
    rate: NonZeroU64,
    /// How many of the stream's first bytes are yet to pass at once.
    first: u64,
    /// Since when the link has been busy without a pause. Times are counted from here, so that no rounding adds up.
    busy_since: Option<Instant>,
    /// How many bytes it has carried since.
    carried: u64,
}

impl RateLimit {
    /// `first` bytes of the stream pass at once.
    pub(crate) fn new(bytes_per_second: NonZeroU64, first: u64) -> Self {
        Self { rate: bytes_per_second, first, busy_since: None, carried: 0 }
    }

    /// The same for a link that carries nothing before this time, whatever has arrived earlier.
    pub(crate) fn since(self, begin: Instant) -> Self {
        Self { busy_since: Some(begin), ..self }
    }

    /// When all that it has carried is through.
    fn busy_until(&self, since: Instant) -> Instant {
        let rate = u128::from(self.rate.get());
        let fraction = (u128::from(self.carried % self.rate) * NANOS_A_SECOND).div_ceil(rate);
        let seconds = Duration::from_secs(self.carried / self.rate);
        let time = seconds.saturating_add(Duration::from_nanos(u64::try_from(fraction).unwrap_or(u64::MAX)));
        after(since, time)
    }
}

impl ByteFault for RateLimit {
    fn next(&mut self, bytes: &mut Bytes, arrived: Instant, _: &mut ChaCha8Rng) -> Next {
        let len = |most: u64| usize::try_from(most).map_or(bytes.len(), |most| bytes.len().min(most));
        if self.first > 0 {
            let piece = bytes.split_to(len(self.first));
            self.first = self.first.saturating_sub(piece.len() as u64);
            return Next::Piece(piece, arrived);
        }
        let since = match self.busy_since {
            Some(since) if arrived <= self.busy_until(since) => since,
            _ => {
                self.carried = 0;
                *self.busy_since.insert(arrived)
            }
        };
        let piece = bytes.split_to(len((self.rate.get() / PIECES_A_SECOND).clamp(1, MAX_PIECE)));
        self.carried = self.carried.saturating_add(piece.len() as u64);
        Next::Piece(piece, self.busy_until(since))
    }

    fn resume(&mut self, now: Instant) {
        if self.busy_since.is_some_and(|since| after(self.busy_until(since), PAUSE) < now) {
            (self.busy_since, self.carried) = (Some(now), 0);
        }
    }
}

/// A link that was held up for longer than this does not catch up.
const PAUSE: Duration = Duration::from_millis(100);

/// A link that several streams share.
#[derive(Debug)]
pub(crate) struct SharedRate {
    rate: NonZeroU64,
    link: Arc<Link>,
    /// Nothing passes before.
    begin: Instant,
}

/// Until when a shared link is busy.
#[derive(Debug)]
pub(crate) struct Link {
    begin: Instant,
    /// In nanoseconds from the beginning.
    busy_until: AtomicU64,
}

impl Link {
    pub(crate) fn new(begin: Instant) -> Self {
        Self { begin, busy_until: AtomicU64::new(0) }
    }

    /// When something that takes `time` and arrives now is through.
    fn carry(&self, arrived: Instant, time: Duration) -> Instant {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let arrived = nanos(arrived.saturating_duration_since(self.begin));
        let through = |busy_until: u64| busy_until.max(arrived).saturating_add(nanos(time));
        let before = self.busy_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |busy| Some(through(busy)));
        let (Ok(before) | Err(before)) = before;
        after(self.begin, Duration::from_nanos(through(before)))
    }
}

impl SharedRate {
    pub(crate) fn new(bytes_per_second: NonZeroU64, link: Arc<Link>, begin: Instant) -> Self {
        Self { rate: bytes_per_second, link, begin }
    }
}

impl ByteFault for SharedRate {
    fn next(&mut self, bytes: &mut Bytes, arrived: Instant, _: &mut ChaCha8Rng) -> Next {
        let most = usize::try_from((self.rate.get() / PIECES_A_SECOND).clamp(1, MAX_PIECE)).unwrap_or(usize::MAX);
        let piece = bytes.split_to(bytes.len().min(most));
        let nanos = (piece.len() as u128 * NANOS_A_SECOND).div_ceil(u128::from(self.rate.get()));
        let time = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        Next::Piece(piece, self.link.carry(arrived.max(self.begin), time))
    }

    fn resume(&mut self, now: Instant) {
        self.begin = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::tests::{pieces, random};

    fn rate(bytes: u64, first: u64) -> RateLimit {
        RateLimit::new(NonZeroU64::new(bytes).unwrap(), first)
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_low_rate_trickles() {
        let slow = pieces(&mut rate(1000, 0), &[(millis(0), 25), (millis(20), 10), (millis(100), 1)]);
        // The second chunk waits for the first, the third for nothing.
        assert_eq!(slow, [(millis(10), 10), (millis(20), 10), (millis(25), 5), (millis(35), 10), (millis(101), 1)]);
        assert_eq!(pieces(&mut rate(1, 0), &[(millis(5), 2)]), [(millis(1005), 1), (millis(2005), 1)]);
    }

    #[test]
    fn a_high_rate_has_large_pieces() {
        let slow = pieces(&mut rate(10_000_000, 0), &[(millis(0), 1_000_000)]);
        assert_eq!(slow.len(), 16);
        assert_eq!(slow[15].0, millis(100));
    }

    #[test]
    fn the_first_bytes_pass_at_once() {
        let slow = pieces(&mut rate(1000, 30), &[(millis(7), 20), (millis(8), 20)]);
        assert_eq!(slow, [(millis(7), 20), (millis(8), 10), (millis(18), 10)]);
    }

    #[test]
    fn no_rounding_adds_up() {
        let seconds = 10;
        for bytes in [3, 7, 999, 1001, 77_777] {
            let slow = pieces(&mut rate(bytes, 0), &[(millis(0), usize::try_from(bytes * seconds).unwrap())]);
            assert_eq!(slow.last().unwrap().0, Duration::from_secs(seconds), "{bytes}");
        }
    }

    /// The clock begins 1 s before the fault does.
    fn changed(bytes: u64) -> (RateLimit, Instant) {
        let begun = Instant::now();
        (rate(bytes, 0).since(begun + Duration::from_secs(1)), begun)
    }

    fn next(fault: &mut dyn ByteFault, len: usize, arrived: Instant) -> Instant {
        let (mut bytes, mut last) = (Bytes::from(vec![0; len]), arrived);
        while !bytes.is_empty() {
            let Next::Piece(_, due) = fault.next(&mut bytes, arrived, &mut random(1)) else { panic!("it passes all") };
            last = due;
        }
        last
    }

    #[test]
    fn a_changed_rate_counts_from_the_change_on() {
        // What arrived long before has not used the time until the change, and is no burst.
        let (mut slow, begun) = changed(1000);
        assert_eq!(next(&mut slow, 100, begun), begun + millis(1100));
        assert_eq!(next(&mut slow, 100, begun + millis(500)), begun + millis(1200));
        // What arrives once the link is idle waits for nothing.
        assert_eq!(next(&mut slow, 10, begun + millis(3000)), begun + millis(3010));
    }

    #[test]
    fn a_link_does_not_catch_up_after_a_pause_of_the_reader() {
        for (pause, due) in [(PAUSE + millis(1), 1301), (PAUSE, 1200)] {
            let (mut slow, begun) = changed(1000);
            assert_eq!(next(&mut slow, 100, begun), begun + millis(1100));
            // It was through at 1100, and the peer takes more at the end of the pause.
            let resumed = begun + millis(1100) + pause;
            slow.resume(resumed);
            assert_eq!(next(&mut slow, 100, begun), begun + millis(due), "{pause:?}");
        }
        // Nothing was held up: the link has carried nothing.
        let (mut slow, begun) = (rate(1000, 0), Instant::now());
        slow.resume(begun + Duration::from_secs(9));
        assert_eq!(next(&mut slow, 100, begun), begun + millis(100));
    }

    #[test]
    fn a_shared_link_counts_for_all_and_from_the_beginning_of_each() {
        let begun = Instant::now();
        let link = Arc::new(Link::new(begun));
        let shared = |begin| SharedRate::new(NonZeroU64::new(1000).unwrap(), link.clone(), begin);
        let (mut one, mut other) = (shared(begun), shared(begun + millis(500)));
        assert_eq!(next(&mut one, 100, begun), begun + millis(100));
        assert_eq!(next(&mut one, 100, begun), begun + millis(200));
        // This one is there since 500, whatever arrived before.
        assert_eq!(next(&mut other, 100, begun), begun + millis(600));
        assert_eq!(next(&mut one, 100, begun), begun + millis(700));
        one.resume(begun + millis(1000));
        assert_eq!(next(&mut one, 100, begun), begun + millis(1100));
    }
}
