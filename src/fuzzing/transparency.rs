//! Any bytes from both sides, with handlers that alter none: everything arrives, whatever the protocol makes of it.

use std::time::Duration;

use arbitrary::{Result, Unstructured};

use super::connection::{Options, Talk, talk};
use super::framers::any_of;
use super::scenario::{Ending, Pace};
use super::traffic::Dialect;
use crate::duration::Seconds;
use crate::handler::Delay;
use crate::plan::mix::Mix;

/// Runs one connection.
///
/// # Panics
///
/// A byte is lost, altered or stuck.
pub(super) fn check(u: &mut Unstructured<'_>) -> Result<()> {
    let dialect = *u.choose(&Dialect::ALL)?;
    let mix = match u.int_in_range(0..=4)? {
        before @ 1..=3 => {
            let delay = Delay { sleep: Seconds::from_millis(700).into(), before: before == 1 };
            Mix::default().with(if u.arbitrary()? { 100.0 } else { 50.0 }, "delay", delay).unwrap()
        }
        _ => Mix::default(),
    };
    let number = u.int_in_range(0..=255)?;
    let capacity = |u: &mut Unstructured<'_>| Ok(*u.choose(&[65536, 1, 7, 500])?);
    let capacities = [capacity(u)?, capacity(u)?];
    let buffer = *u.choose(&[None, Some(1), Some(7)])?;
    let (writes, reads) = ([Pace::read(u)?, Pace::read(u)?], [Pace::read(u)?, Pace::read(u)?]);
    // How much each side waits to get before it sends.
    let patience = [u.int_in_range(0..=100)?, u.int_in_range(0..=100)?];
    let half = u.arbitrary()?;
    let len = if half { u.len() / 2 } else { u.len() };
    let requests = any_of(&mut Unstructured::new(u.bytes(len)?), dialect, false)?;
    let replies = any_of(u, dialect, true)?;

    let ending = Ending::ClientIsDone;
    let [_, backend_waits] = patience;
    let words = Talk {
        expected: replies.len(),
        requests: vec![(0, requests.clone())],
        replies: vec![(requests.len() * backend_waits / 100, replies.clone())],
        ending,
        no_op: None,
    };
    let head_timeout = Duration::from_secs(5);
    let options = Options { protocol: dialect.protocol(), buffer, head_timeout };
    let seen = talk(&words, options, capacities, &writes, &reads, (number, &mix));
    let told = || {
        let (requests, replies) = (requests.escape_ascii(), replies.escape_ascii());
        format!("{dialect:?} {mix} {capacities:?} {buffer:?}\nrequests: {requests}\nreplies: {replies}\n{seen:#?}")
    };
    assert!(seen.by_backend == requests, "the backend saw something else: {}", told());
    assert!(seen.by_client == replies, "the client saw something else: {}", told());
    Ok(())
}
