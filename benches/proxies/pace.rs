//! Clients that call at fixed times: they measure how late replies are, not how fast clients can be.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::load::{Connection, exchange};
use crate::message::Talk;
use crate::tally::Tally;

/// Notifies one connection after the other, each once in `every`, until no connection listens.
///
/// It runs in a thread, since a runtime's timers have a resolution of a millisecond: calls in bunches would delay each
/// other.
pub(crate) fn start(connections: usize, every: Duration, tally: &Arc<Tally>) -> Arc<Vec<Notify>> {
    let turns: Arc<Vec<Notify>> = Arc::new((0..connections).map(|_| Notify::new()).collect());
    let (listening, tally) = (Arc::downgrade(&turns), tally.clone());
    let step = every.div_f64(connections as f64);
    thread::spawn(move || go_round(&listening, connections, step, &tally));
    turns
}

fn go_round(turns: &Weak<Vec<Notify>>, connections: usize, step: Duration, tally: &Tally) {
    let mut due = Instant::now();
    for at in (0..connections).cycle() {
        due += step;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let Some(turns) = turns.upgrade() else { return };
        tally.fell_due();
        turns[at].notify_one();
    }
}

/// Calls when notified. If the last reply is still missing, the call follows it.
pub(crate) async fn call(
    mut connection: Connection,
    at: usize,
    turns: Arc<Vec<Notify>>,
    talk: Arc<Talk>,
    tally: Arc<Tally>,
) -> io::Result<Infallible> {
    let mut buffer = talk.reply.buffer(1);
    loop {
        turns[at].notified().await;
        exchange(&mut connection, 1, &mut buffer, &talk, &tally).await?;
    }
}
