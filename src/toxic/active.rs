//! The toxics of a proxy, which change while connections are open.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};
use rand::rngs::ChaCha8Rng;
use tokio::time::Instant;

use super::Toxic;
use super::kinds::SharedState;
use crate::fault::{ByteFault, Chain, Direction};
use crate::metrics::counters::ToxicCounters;
use crate::rng::{Streams, unit};

/// The toxics of a proxy in their order: an immutable value, replaced as a whole.
pub(crate) type Toxics = Vec<Arc<ActiveToxic>>;

/// The toxics of a proxy, as they are now.
#[derive(Debug, Default)]
pub(crate) struct ActiveToxics {
    now: ArcSwap<Toxics>,
    /// How many changes there were. Connections compare it with what they have seen.
    version: AtomicU32,
    /// The proxy stops: no connection has one any more.
    released: AtomicBool,
    /// Locked by who changes them.
    ids: Mutex<u64>,
}

/// A toxic in force.
#[derive(Debug)]
pub(crate) struct ActiveToxic {
    /// Its own among those of the proxy, from its creation to its removal.
    pub(crate) id: u64,
    pub(crate) toxic: Toxic,
    pub(crate) counters: Arc<ToxicCounters>,
    shared: Arc<SharedState>,
}

impl ActiveToxics {
    /// The number of the latest change; 0 without any.
    #[inline]
    pub(crate) fn version(&self) -> u32 {
        self.version.load(Ordering::Acquire)
    }

    pub(crate) fn now(&self) -> Guard<Arc<Toxics>> {
        self.now.load()
    }

    /// Those that connections have.
    pub(crate) fn in_force(&self) -> Arc<Toxics> {
        if self.released.load(Ordering::Relaxed) { Arc::default() } else { self.now.load_full() }
    }

    /// Takes them off the connections, which let go on what they hold. What they have counted stays.
    pub(crate) fn release(&self) {
        self.released.store(true, Ordering::Relaxed);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// From now on there are these. Those that there were before keep what they have counted; one is the same by its name, its
    /// direction and its type.
    pub(crate) fn replace(&self, toxics: &[Toxic], counters: impl Fn(&str) -> Arc<ToxicCounters>) {
        let mut last_id = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.now();
        let mut activate = |toxic: &Toxic| {
            let is_same = |old: &&Arc<ActiveToxic>| {
                let (old, kind) = (&old.toxic, old.toxic.kind.name());
                old.name == toxic.name && old.direction == toxic.direction && kind == toxic.kind.name()
            };
            match before.iter().find(is_same) {
                Some(old) if old.toxic == *toxic => old.clone(),
                Some(old) => {
                    let ActiveToxic { id, counters, shared, .. } = &**old;
                    // Another toxicity leaves what connections share.
                    let is_kept = old.toxic.kind == toxic.kind;
                    let shared = if is_kept { shared.clone() } else { Arc::new(shared.changed(Instant::now())) };
                    Arc::new(ActiveToxic { id: *id, toxic: toxic.clone(), counters: counters.clone(), shared })
                }
                None => {
                    *last_id += 1;
                    let shared = Arc::new(SharedState::new(Instant::now()));
                    let counters = counters(&toxic.name);
                    Arc::new(ActiveToxic { id: *last_id, toxic: toxic.clone(), counters, shared })
                }
            }
        };
        let next: Toxics = toxics.iter().map(&mut activate).collect();
        self.now.store(Arc::new(next));
        self.version.fetch_add(1, Ordering::Release);
    }
}

/// What a direction of a connection has of the toxics of its proxy.
#[derive(Debug, Default)]
pub(crate) struct ConnectionToxics {
    /// Those that it has, as it knows them, in the order of the proxy.
    has: Vec<Arc<ActiveToxic>>,
}

impl ConnectionToxics {
    /// The toxics that this direction of a connection gets of `all`.
    fn drawn(
        all: &Toxics,
        direction: Direction,
        streams: Streams,
    ) -> impl Iterator<Item = (&Arc<ActiveToxic>, ChaCha8Rng)> {
        let here = all.iter().filter(move |active| active.toxic.direction == direction);
        here.filter_map(move |active| {
            let mut random = streams.toxic(&active.toxic.name);
            let drawn = unit(&mut random);
            (drawn < active.toxic.toxicity).then_some((active, random))
        })
    }

    /// Whether this direction of a connection gets one of `all`.
    pub(crate) fn are_any(all: &Toxics, direction: Direction, streams: Streams) -> bool {
        Self::drawn(all, direction, streams).next().is_some()
    }

    /// Makes the faults of `chain` those that the direction has of `all`. Those of a reply, which have no mark, come first and
    /// stay.
    pub(crate) fn apply(&mut self, all: &Toxics, direction: Direction, streams: Streams, chain: &mut Chain) {
        let now = Instant::now();
        let next: Vec<_> = Self::drawn(all, direction, streams).collect();
        let is_gone = |mark: u64| next.iter().all(|(active, _)| active.id != mark);
        let gone = |chain: &Chain| chain.marks().position(|mark| mark.is_some_and(is_gone));
        while let Some(at) = gone(chain) {
            chain.remove(at, now);
        }
        let mut place = chain.unmarked();
        let mut has = Vec::new();
        for (active, random) in next {
            let fault = |before: Option<&dyn ByteFault>| active.toxic.kind.fault(now, before, &active.shared);
            let known = self.has.iter().find(|known| known.id == active.id);
            let at = chain.marks().position(|mark| mark == Some(active.id));
            if let (Some(known), Some(at)) = (known, at) {
                if known.toxic.kind != active.toxic.kind {
                    chain.replace(at, |before| fault(Some(before)));
                }
                place = at + 1;
            } else {
                active.counters.connections.add(1);
                chain.insert(place, fault(None), random, active.id);
                place += 1;
            }
            has.push(active.clone());
        }
        chain.reorder(has.iter().map(|active| active.id).collect());
        self.has = has;
    }

    /// The toxic with this mark.
    pub(crate) fn get(&self, mark: u64) -> Option<&Arc<ActiveToxic>> {
        self.has.iter().find(|active| active.id == mark)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::fault::Next;

    fn all(texts: &[&str]) -> Arc<Toxics> {
        let toxics: Vec<Toxic> = texts.iter().flat_map(|text| Toxic::parse_all(text).unwrap()).collect();
        let active = ActiveToxics::default();
        active.replace(&toxics, |_| Arc::default());
        active.now().clone()
    }

    /// Which of so many connections have each of these toxics.
    fn drawn(texts: &[&str], connections: u64) -> Vec<Vec<String>> {
        let toxics = all(texts);
        let names = |connection| {
            let streams = Streams::new(42, "default", connection);
            let drawn = ConnectionToxics::drawn(&toxics, Direction::ToClient, streams);
            drawn.map(|(active, _)| active.toxic.name.clone()).collect()
        };
        (1..=connections).map(names).collect()
    }

    #[test]
    fn toxicity_is_the_part_of_the_connections_that_have_a_toxic() {
        for (toxicity, expected) in [("0", 0), ("0.3", 3000), ("1", 10_000)] {
            let drawn = drawn(&[&format!("noop(toxicity={toxicity})")], 10_000);
            let count = drawn.iter().filter(|names| !names.is_empty()).count();
            assert!(count.abs_diff(expected) < 150, "{toxicity}: {count}");
        }
        // Each toxic has a draw of its own.
        let both = drawn(&["a=noop(toxicity=0.5)", "b=noop(toxicity=0.5)"], 10_000);
        let count = both.iter().filter(|names| names.len() == 2).count();
        assert!(count.abs_diff(2500) < 150, "{count}");
    }

    #[test]
    fn a_change_keeps_what_was_drawn_and_what_is_counted() {
        let active = ActiveToxics::default();
        let set = |text: &str| active.replace(&Toxic::parse_all(text).unwrap(), |_| Arc::default());
        set("latency(latency=1s)");
        let first = active.now().clone();
        set("latency(latency=2s)");
        let second = active.now().clone();
        assert_eq!((first[0].id, second[0].id), (1, 1));
        assert!(Arc::ptr_eq(&first[0].counters, &second[0].counters) && first[0].toxic != second[0].toxic);
        set("latency(latency=2s)");
        assert!(Arc::ptr_eq(&second[0], &active.now()[0]), "the same value is no change");
        // Another type under the same name is another toxic.
        set("latency_downstream=noop");
        assert_eq!(active.now()[0].id, 2);
    }

    const STREAMS: fn() -> Streams = || Streams::new(42, "default", 1);

    /// A direction of a connection that has these toxics, which may be set to others.
    struct Connection {
        active: ActiveToxics,
        has: ConnectionToxics,
        chain: Chain,
    }

    impl Connection {
        fn with(texts: &[&str]) -> Self {
            let (active, has, chain) = Default::default();
            let mut connection = Self { active, has, chain };
            connection.set(texts);
            connection
        }

        fn set(&mut self, texts: &[&str]) {
            let toxics: Vec<Toxic> = texts.iter().flat_map(|text| Toxic::parse_all(text).unwrap()).collect();
            self.active.replace(&toxics, |_| Arc::default());
            self.has.apply(&self.active.now(), Direction::ToClient, STREAMS(), &mut self.chain);
        }

        fn order(&self) -> Vec<&str> {
            let marks = self.chain.marks().flatten();
            marks.map(|mark| self.has.get(mark).unwrap().toxic.name.as_str()).collect()
        }
    }

    #[test]
    fn an_open_connection_gets_the_order_of_the_list() {
        let (a, b, c) = ("a=latency(latency=1ms)", "b=bandwidth(rate=1KB/s)", "c=noop");
        let mut connection = Connection::with(&[a, b, c]);
        assert_eq!(connection.order(), ["a", "b", "c"]);
        for (texts, order) in [
            (vec![c, a, b], vec!["c", "a", "b"]),
            (vec![b, "a=latency(latency=2ms)"], vec!["b", "a"]),
            (vec!["d=noop", "a=latency(latency=2ms)", "e=noop", b], vec!["d", "a", "e", "b"]),
            (vec![], vec![]),
        ] {
            connection.set(&texts);
            assert_eq!(connection.order(), order);
        }
    }

    #[test]
    fn a_countdown_whose_time_is_changed_goes_on() {
        type Arrive = fn(&mut Chain, Instant);
        const HOUR: Duration = Duration::from_secs(3600);
        let now = Instant::now();
        let byte: Arrive = |chain, now| chain.push(Bytes::from_static(b"a"), now);
        let arrives: [(&str, Arrive); 3] = [
            ("reset_peer(timeout=", byte),
            ("reset_peer(timeout=", Chain::push_eof),
            ("slow_close(delay=", Chain::push_eof),
        ];
        for (toxic, arrive) in arrives {
            let mut connection = Connection::with(&[&format!("{toxic}1h)")]);
            arrive(&mut connection.chain, now);
            assert_eq!(connection.chain.advance(now), Some(now + HOUR), "{toxic}");
            for (time, due) in [("3h", 3 * HOUR), ("2h", 2 * HOUR)] {
                connection.set(&[&format!("{toxic}{time})")]);
                assert_eq!(connection.chain.advance(now), Some(now + due), "{toxic}");
            }
            connection.set(&[&format!("{toxic}0)")]);
            assert_eq!(connection.chain.advance(now), None);
            assert!(connection.chain.ended().is_some());
        }
        // A silence begins with the change.
        let mut connection = Connection::with(&["timeout(timeout=1h)"]);
        let begun = Instant::now();
        connection.set(&["timeout(timeout=2h)"]);
        let (due, changed) = (connection.chain.advance(now).unwrap(), Instant::now());
        assert!(due >= begun + 2 * HOUR && due <= changed + 2 * HOUR);
        connection.set(&["timeout"]);
        assert_eq!(connection.chain.advance(now), None);
    }

    /// What becomes of so many bytes that arrive now in another connection, which shares the only toxic.
    fn shared(active: &ActiveToxics, len: usize) -> Next {
        let (now, mut bytes) = (Instant::now(), Bytes::from(vec![0; len]));
        let only = active.now()[0].clone();
        only.toxic.kind.fault(now, None, &only.shared).next(&mut bytes, now, &mut STREAMS().toxic("a"))
    }

    #[test]
    fn a_shared_limit_goes_on_counting_whatever_is_changed() {
        let active = ActiveToxics::default();
        let passed = |text: &str, len: usize| {
            active.replace(&Toxic::parse_all(text).unwrap(), |_| Arc::default());
            match shared(&active, len) {
                Next::Piece(piece, _) => (piece.len(), false),
                Next::Last(piece, ..) => (piece.len(), true),
                _ => (0, true),
            }
        };
        assert_eq!(passed("limit_data(bytes=10,shared=true)", 4), (4, false));
        assert_eq!(passed("limit_data(bytes=10,shared=true,toxicity=0.5)", 4), (4, false));
        assert_eq!(passed("limit_data(bytes=9,shared=true,toxicity=0.5)", 4), (1, true));
        assert_eq!(passed("limit_data(bytes=5,shared=true)", 1), (0, true));
        assert_eq!(passed("limit_data(bytes=12,shared=true)", 4), (3, true));
        // Another toxic of that name begins afresh.
        active.replace(&[], |_| Arc::default());
        assert_eq!(passed("limit_data(bytes=5,shared=true)", 4), (4, false));
    }

    #[test]
    fn a_shared_rate_begins_afresh_when_it_is_changed() {
        let active = ActiveToxics::default();
        // How many minutes the link is busy once 60 more bytes have arrived.
        let busy = |text: &str| {
            active.replace(&Toxic::parse_all(text).unwrap(), |_| Arc::default());
            let now = Instant::now();
            let dues = (0..60).map(|_| match shared(&active, 1) {
                Next::Piece(_, due) => due,
                other => panic!("{other:?}"),
            });
            (dues.max().unwrap() - now).as_secs_f64() / 60.0
        };
        for (text, minutes) in [
            ("bandwidth(rate=1B/s,shared=true)", 1.0),
            ("bandwidth(rate=1B/s,shared=true)", 2.0),
            // Another toxicity leaves what is booked.
            ("bandwidth(rate=1B/s,shared=true,toxicity=0.5)", 3.0),
            ("bandwidth(rate=2B/s,shared=true,toxicity=0.5)", 0.5),
        ] {
            let busy = busy(text);
            assert!((busy - minutes).abs() < 0.4, "{text}: {busy}");
        }
    }
}
