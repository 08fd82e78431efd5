//! Plain examples.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use super::*;
use crate::fault::tests::{latency, millis, random, read};
use crate::fault::{Corrupt, CutOff, End, LateEof, Limit, RateLimit, Silence, Slice, Stall};

const RESET: StreamEnd = StreamEnd::Cut(End::Reset);

const CHUNK: Bytes = Bytes::from_static(b"0123456789");

fn limit(bytes: u64) -> Box<dyn ByteFault> {
    Box::new(Limit::new(bytes, End::Reset))
}

fn chain(faults: Vec<Box<dyn ByteFault>>) -> Chain {
    Chain::new(faults, random(1))
}

#[test]
fn an_empty_chain_passes_at_once() {
    let (mut chain, now) = (chain(vec![]), Instant::now());
    chain.push(CHUNK, now);
    assert_eq!(chain.advance(now), None);
    assert_eq!((read(&mut chain), chain.is_empty()), (CHUNK.to_vec(), true));
}

#[test]
fn bytes_leave_when_they_are_due() {
    let (mut chain, now) = (chain(vec![latency(100), latency(50)]), Instant::now());
    chain.push(CHUNK, now);
    chain.push(CHUNK, now + millis(10));
    assert_eq!(chain.advance(now + millis(10)), Some(now + millis(100)));
    // Somebody came late: the second fault counts from when it should have been.
    assert_eq!(chain.advance(now + millis(120)), Some(now + millis(150)));
    assert_eq!((chain.len(), read(&mut chain)), (20, vec![]));
    assert_eq!(chain.advance(now + millis(150)), Some(now + millis(160)));
    assert_eq!(read(&mut chain), CHUNK);
    assert_eq!(chain.advance(now + millis(160)), None);
    assert_eq!((read(&mut chain), chain.len()), (CHUNK.to_vec(), 0));
}

#[test]
fn the_end_comes_behind_the_bytes_before_it() {
    let (mut chain, now) = (chain(vec![limit(15), latency(100)]), Instant::now());
    for _ in 0..3 {
        chain.push(CHUNK, now);
    }
    // The first chunk is on its way, so the limit has not been asked for the second.
    assert_eq!((chain.advance(now), chain.ended()), (Some(now + millis(100)), None));
    assert_eq!((chain.advance(now + millis(100)), chain.ended()), (None, None));
    assert_eq!(read(&mut chain), b"012345678901234");
    assert_eq!((chain.ended(), chain.len()), (Some(RESET), 0));
    chain.push(CHUNK, now);
    assert_eq!(chain.len(), 0);
}

#[test]
fn an_end_waits_for_the_last_bytes_and_their_write() {
    let (mut chain, now) = (chain(vec![limit(10), latency(100)]), Instant::now());
    chain.push(CHUNK, now);
    assert_eq!((chain.advance(now), chain.ended()), (Some(now + millis(100)), None));
    assert_eq!((chain.advance(now + millis(100)), chain.ended()), (None, None));
    chain.output().advance(9);
    assert_eq!(chain.ended(), None);
    chain.output().advance(1);
    assert_eq!(chain.ended(), Some(RESET));
}

#[test]
fn an_end_behind_a_latency_drops_what_is_on_its_way() {
    let (mut chain, now) = (chain(vec![latency(100), limit(10)]), Instant::now());
    chain.push(CHUNK, now);
    chain.push(CHUNK, now + millis(50));
    assert_eq!((chain.advance(now + millis(99)), chain.ended()), (Some(now + millis(100)), None));
    assert_eq!(chain.advance(now + millis(100)), None);
    assert_eq!((read(&mut chain), chain.ended(), chain.len()), (CHUNK.to_vec(), Some(RESET), 0));
}

#[test]
fn no_bytes_at_all_end_with_the_first() {
    let (mut chain, now) = (chain(vec![limit(0)]), Instant::now());
    assert_eq!((chain.advance(now), chain.ended()), (None, None));
    chain.push(CHUNK, now);
    assert_eq!((chain.advance(now), chain.ended(), chain.len()), (None, Some(RESET), 0));
}

#[test]
fn what_is_held_never_leaves() {
    let (mut chain, now) = (chain(vec![latency(100), Box::new(Stall::for_ever())]), Instant::now());
    chain.push(CHUNK, now);
    assert_eq!(chain.advance(now), Some(now + millis(100)));
    assert_eq!(chain.advance(now + millis(100)), None);
    chain.push(CHUNK, now + millis(100));
    assert_eq!(chain.advance(now + Duration::from_secs(1000)), None);
    assert_eq!((read(&mut chain), chain.len(), chain.ended()), (vec![], 20, None));
}

#[test]
fn faults_draw_from_streams_of_their_own() {
    let corrupt = || Box::new(Corrupt::with(1.0)) as Box<dyn ByteFault>;
    let (mut chain, now) = (chain(vec![corrupt(), corrupt()]), Instant::now());
    chain.push(vec![0; 1000].into(), now);
    chain.advance(now);
    // From the same stream, the second would undo all of the first.
    let changed = read(&mut chain).into_iter().filter(|byte| *byte != 0).count();
    assert!((800..950).contains(&changed), "{changed}");
}

#[test]
fn a_large_chunk_that_trickles_is_one_chunk() {
    let slice = Slice::new(NonZeroUsize::MIN, 0, Duration::ZERO);
    let rate = RateLimit::new(NonZeroU64::new(1000).unwrap(), 0);
    let (mut chain, now) = (chain(vec![Box::new(slice), Box::new(rate)]), Instant::now());
    chain.push(vec![0; 64 * 1024 * 1024].into(), now);
    chain.advance(now + Duration::from_secs(10));
    assert_eq!(read(&mut chain).len(), 10_000);
    assert!(chain.stages.iter().all(|stage| stage.queue.len() <= 1));
}

#[test]
fn a_full_output_asks_for_a_write_first() {
    let (mut chain, now) = (chain(vec![latency(0)]), Instant::now());
    for _ in 0..5 {
        chain.push(vec![0; 100_000].into(), now);
    }
    assert_eq!((chain.advance(now), chain.output().remaining()), (Some(now), 300_000));
    assert_eq!((chain.advance(now), read(&mut chain).len()), (Some(now), 300_000));
    assert_eq!((chain.advance(now), read(&mut chain).len(), chain.len()), (None, 200_000, 0));
}

#[test]
fn an_end_behind_a_full_output_is_not_forgotten() {
    let (mut chain, now) = (chain(vec![limit(300_000)]), Instant::now());
    for _ in 0..5 {
        chain.push(vec![0; 100_000].into(), now);
    }
    assert_eq!((chain.advance(now), read(&mut chain).len()), (Some(now), 300_000));
    assert_eq!((chain.ended(), chain.advance(now)), (None, None));
    assert_eq!(chain.ended(), Some(RESET));
}

const EOF: StreamEnd = StreamEnd::Eof;

#[test]
fn the_end_of_the_stream_follows_the_last_bytes() {
    let (mut chain, now) = (chain(vec![latency(100)]), Instant::now());
    chain.push(CHUNK, now);
    chain.push_eof(now + millis(10));
    assert_eq!((chain.advance(now + millis(10)), chain.ended()), (Some(now + millis(100)), None));
    assert_eq!((chain.advance(now + millis(100)), read(&mut chain)), (None, CHUNK.to_vec()));
    assert_eq!(chain.ended(), Some(EOF));
    let mut chain = Chain::default();
    chain.push_eof(now);
    assert_eq!(chain.ended(), Some(EOF));
}

#[test]
fn only_the_end_is_late() {
    let (mut chain, now) = (chain(vec![Box::new(LateEof::new(millis(50)))]), Instant::now());
    chain.push(CHUNK, now);
    chain.push_eof(now + millis(10));
    assert_eq!((chain.advance(now + millis(10)), read(&mut chain)), (Some(now + millis(60)), CHUNK.to_vec()));
    assert_eq!((chain.advance(now + millis(59)), chain.ended()), (Some(now + millis(60)), None));
    assert_eq!((chain.advance(now + millis(60)), chain.ended()), (None, Some(EOF)));
}

#[test]
fn the_end_is_late_from_the_last_bytes_on() {
    let (mut chain, now) = (chain(vec![latency(100), Box::new(LateEof::new(millis(50)))]), Instant::now());
    chain.push(CHUNK, now);
    chain.push_eof(now);
    assert_eq!(chain.advance(now + millis(99)), Some(now + millis(100)));
    assert_eq!((chain.advance(now + millis(100)), read(&mut chain)), (Some(now + millis(150)), CHUNK.to_vec()));
    assert_eq!((chain.ended(), chain.advance(now + millis(150)), chain.ended()), (None, None, Some(EOF)));
}

#[test]
fn a_silence_ends_the_stream_after_a_time_without_bytes() {
    let now = Instant::now();
    let mut chain = chain(vec![Box::new(Silence::new(Some(millis(100)), now)), latency(0)]);
    assert_eq!(chain.advance(now), Some(now + millis(100)));
    chain.push(CHUNK, now + millis(60));
    assert_eq!((chain.advance(now + millis(60)), chain.len()), (Some(now + millis(160)), 0));
    assert_eq!((chain.advance(now + millis(159)), chain.ended()), (Some(now + millis(160)), None));
    assert_eq!((chain.advance(now + millis(160)), chain.ended()), (None, Some(StreamEnd::Cut(End::Close))));
    chain.push(CHUNK, now);
    assert!(chain.is_empty());
}

#[test]
fn a_stream_that_lost_bytes_ends_with_the_fault_that_lost_them() {
    let now = Instant::now();
    for (lost, ended) in [(true, Some(StreamEnd::Cut(End::Close))), (false, None)] {
        let mut chain = chain(vec![Box::new(Silence::new(None, now)), latency(100)]);
        if lost {
            chain.push(CHUNK, now);
        }
        assert_eq!(chain.advance(now), None);
        chain.remove(0, now);
        chain.push(CHUNK, now);
        chain.advance(now);
        chain.advance(now + millis(100));
        assert_eq!((chain.ended(), read(&mut chain).is_empty()), (ended, lost));
    }
}

#[test]
fn a_stream_is_cut_off_a_time_after_its_first_bytes_or_its_end() {
    for is_end in [false, true] {
        let (mut chain, now) = (chain(vec![Box::new(CutOff::new(millis(50)))]), Instant::now());
        assert_eq!(chain.advance(now), None);
        if is_end {
            chain.push_eof(now);
        } else {
            chain.push(CHUNK, now);
        }
        assert_eq!((chain.advance(now), chain.len()), (Some(now + millis(50)), 0));
        // Whatever becomes of the fault.
        chain.replace(0, |_| latency(1000));
        assert_eq!((chain.advance(now + millis(50)), chain.ended()), (None, Some(RESET)));
    }
}

#[test]
fn what_waits_goes_on_in_order_when_a_fault_is_taken_away() {
    let (mut chain, now) = (chain(vec![latency(1000), latency(100)]), Instant::now());
    chain.push(CHUNK, now);
    chain.push(CHUNK, now + millis(1));
    chain.push_eof(now + millis(2));
    assert_eq!(chain.advance(now + millis(2)), Some(now + millis(1000)));
    chain.remove(0, now + millis(10));
    assert_eq!(chain.advance(now + millis(10)), Some(now + millis(110)));
    assert_eq!((chain.advance(now + millis(110)), read(&mut chain).len(), chain.ended()), (None, 20, Some(EOF)));
}

#[test]
fn a_fault_that_takes_the_place_of_another_decides_about_what_waits() {
    let (mut chain, now) = (chain(vec![latency(1000)]), Instant::now());
    chain.push(CHUNK, now);
    chain.push(CHUNK, now + millis(20));
    chain.push_eof(now + millis(20));
    assert_eq!(chain.advance(now + millis(20)), Some(now + millis(1000)));
    chain.replace(0, |_| latency(50));
    assert_eq!((chain.advance(now + millis(50)), read(&mut chain)), (Some(now + millis(70)), CHUNK.to_vec()));
    chain.replace(0, |_| Box::new(Stall::for_ever()));
    assert_eq!((chain.advance(now + millis(500)), chain.ended()), (None, None));
    chain.replace(0, |_| latency(0));
    assert_eq!((chain.advance(now + millis(500)), read(&mut chain)), (None, CHUNK.to_vec()));
    assert_eq!(chain.ended(), Some(EOF));
    // What the stream has left does not come again.
    chain.replace(0, |_| latency(0));
    assert_eq!(chain.advance(now + millis(500)), None);
}

#[test]
fn a_limit_goes_on_counting_in_the_place_of_another() {
    let (mut chain, now) = (chain(vec![limit(15)]), Instant::now());
    chain.push(CHUNK, now);
    chain.advance(now);
    chain.replace(0, |before| Box::new(Limit::new(12, End::Reset).after(before.passed())));
    chain.push(CHUNK, now);
    chain.advance(now);
    assert_eq!((read(&mut chain).len(), chain.ended()), (12, Some(RESET)));
}

#[test]
fn a_fault_is_told_of_once_it_has_done_something() {
    let (mut chain, now) = (Chain::default(), Instant::now());
    chain.insert(0, limit(15), random(1), 7);
    chain.insert(1, latency(0), random(1), 8);
    chain.insert(2, latency(10), random(1), 9);
    chain.insert(3, Box::new(LateEof::new(millis(5))), random(1), 10);
    assert_eq!(chain.marks().collect::<Vec<_>>(), [7, 8, 9, 10].map(Some));
    chain.push(CHUNK, now);
    chain.advance(now);
    assert_eq!(chain.take_acted(), [9]);
    chain.advance(now + millis(10));
    chain.push(CHUNK, now + millis(10));
    chain.advance(now + millis(10));
    chain.advance(now + millis(20));
    assert_eq!(chain.take_acted(), [7]);
    assert!(chain.take_acted().is_empty());
}

/// A chain of these faults, which are known by 1, 2, …
fn marked(faults: Vec<Box<dyn ByteFault>>) -> Chain {
    let mut chain = Chain::default();
    for (at, fault) in faults.into_iter().enumerate() {
        chain.insert(at, fault, random(1), at as u64 + 1);
    }
    chain
}

fn marks(chain: &Chain) -> Vec<u64> {
    chain.marks().flatten().collect()
}

#[test]
fn another_order_is_in_force_for_what_arrives_then() {
    let (mut chain, now) = (marked(vec![limit(25), latency(100)]), Instant::now());
    chain.push(CHUNK, now);
    chain.advance(now);
    chain.reorder(vec![2, 1]);
    // What is within has passed the limit, and is not counted by it again.
    chain.push(CHUNK, now + millis(10));
    chain.push(CHUNK, now + millis(20));
    assert_eq!((chain.advance(now + millis(20)), chain.len()), (Some(now + millis(100)), 30));
    assert_eq!(marks(&chain), [1, 2]);
    // It is not late for having waited for the others.
    assert_eq!(chain.advance(now + millis(100)), Some(now + millis(110)));
    assert_eq!((marks(&chain), read(&mut chain)), (vec![2, 1], CHUNK.to_vec()));
    chain.advance(now + millis(110));
    assert_eq!((chain.advance(now + millis(120)), read(&mut chain)), (None, b"012345678901234".to_vec()));
    assert_eq!((chain.ended(), chain.len()), (Some(RESET), 0));
}

#[test]
fn another_order_is_in_force_at_once_where_nothing_waits() {
    let (mut chain, now) = (marked(vec![limit(5), latency(100)]), Instant::now());
    chain.reorder(vec![2, 1]);
    assert_eq!(marks(&chain), [2, 1]);
    chain.push(CHUNK, now);
    // The limit behind the latency would cut it off at once in front of it.
    assert_eq!((chain.advance(now), chain.len()), (Some(now + millis(100)), 10));
}

#[test]
fn what_waits_for_another_order_ends_in_order() {
    let now = Instant::now();
    for is_taken_back in [false, true] {
        let mut chain = marked(vec![latency(100), Box::new(LateEof::new(millis(50)))]);
        chain.put_first(latency(1), random(1));
        chain.push(CHUNK, now);
        chain.advance(now + millis(1));
        chain.reorder(vec![2, 1]);
        chain.push(CHUNK, now + millis(2));
        chain.push_eof(now + millis(2));
        assert_eq!(chain.advance(now + millis(3)), Some(now + millis(101)));
        if is_taken_back {
            chain.reorder(vec![1, 2]);
            assert_eq!(marks(&chain), [1, 2]);
        }
        chain.advance(now + millis(101));
        assert_eq!((read(&mut chain), chain.faults()), (CHUNK.to_vec(), 3));
        chain.advance(now + millis(103));
        assert_eq!(read(&mut chain), CHUNK);
        // The end is late behind the latency, and with the last bytes where it is late in front of it.
        if is_taken_back {
            assert_eq!((chain.advance(now + millis(103)), chain.ended()), (Some(now + millis(153)), None));
            assert_eq!(chain.advance(now + millis(153)), None);
        }
        assert_eq!(chain.ended(), Some(EOF));
    }
}

#[test]
fn what_waits_for_another_order_goes_on_when_all_faults_are_taken_away() {
    let (mut chain, now) = (marked(vec![latency(100), Box::new(Stall::for_ever())]), Instant::now());
    chain.push(CHUNK, now);
    chain.advance(now + millis(100));
    chain.reorder(vec![2, 1]);
    chain.push(CHUNK, now + millis(200));
    assert_eq!((chain.advance(now + millis(900)), chain.len()), (None, 20));
    chain.remove(2, now + millis(900));
    chain.remove(1, now + millis(900));
    chain.reorder(Vec::new());
    assert_eq!((chain.advance(now + millis(900)), read(&mut chain).len(), chain.is_over()), (None, 20, true));
}

/// What a fault that counts down does when another time takes its place.
#[test]
fn a_countdown_that_is_changed_counts_from_its_beginning() {
    let now = Instant::now();
    let begun = |fault: Box<dyn ByteFault>, is_end: bool| {
        let mut chain = chain(vec![fault]);
        if is_end {
            chain.push_eof(now + millis(10));
        } else {
            chain.push(CHUNK, now + millis(10));
        }
        chain.advance(now + millis(10));
        // More bytes begin nothing anew.
        chain.push(CHUNK, now + millis(20));
        chain
    };
    let cut_off = |time| Box::new(CutOff::new(millis(time))) as Box<dyn ByteFault>;
    let late_eof = |time| Box::new(LateEof::new(millis(time))) as Box<dyn ByteFault>;
    for (fault, is_end, ends) in [
        (&cut_off as &dyn Fn(u64) -> Box<dyn ByteFault>, false, RESET),
        (&cut_off, true, RESET),
        (&late_eof, true, EOF),
    ] {
        for time in [60, 2000] {
            let mut chain = begun(fault(1000), is_end);
            assert_eq!(chain.advance(now + millis(30)), Some(now + millis(1010)), "{is_end}");
            chain.replace(0, |_| fault(time));
            let due = now + millis(10 + time);
            assert_eq!((chain.advance(now + millis(30)), chain.ended()), (Some(due), None), "{time} {is_end}");
            assert_eq!((chain.advance(due), chain.ended(), chain.len()), (None, Some(ends), 0), "{time} {is_end}");
        }
        // Its time is over already.
        let mut chain = begun(fault(1000), is_end);
        chain.replace(0, |_| fault(5));
        assert_eq!((chain.advance(now + millis(30)), chain.ended()), (None, Some(ends)));
    }
}
