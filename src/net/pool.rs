//! Backend connections that are kept for the next client.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::stream::Stream;

/// Connections that no client uses.
#[derive(Debug)]
pub(super) struct Pool {
    size: usize,
    timeout: Duration,
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    /// Each with the time at which it is given up, the oldest first.
    streams: VecDeque<(Instant, Stream)>,
    /// A task gives them up in their time. One does for all: one for each would outlive the connection's next use.
    swept: bool,
}

impl Pool {
    pub(super) fn new(size: usize, timeout: Duration) -> Arc<Self> {
        Arc::new(Self { size, timeout, idle: Mutex::default() })
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(self: &Arc<Self>, stream: Stream) {
        let mut idle = self.idle();
        if idle.streams.len() < self.size {
            idle.streams.push_back((Instant::now() + self.timeout, stream));
            if !std::mem::replace(&mut idle.swept, true) {
                tokio::spawn(sweep(Arc::downgrade(self)));
            }
        }
    }

    /// The connection that was put back last, as the most likely to be of use still.
    pub(super) fn take(&self) -> Option<Stream> {
        let mut idle = self.idle();
        std::iter::from_fn(|| idle.streams.pop_back()).map(|(_, stream)| stream).find(Stream::is_silent)
    }

    /// Gives up the connections whose time has come, and answers when the next one's does.
    fn give_up(&self) -> Option<Instant> {
        let mut idle = self.idle();
        let now = Instant::now();
        let expired = idle.streams.iter().take_while(|(until, _)| *until <= now).count();
        idle.streams.drain(..expired);
        let next = idle.streams.front().map(|(until, _)| *until);
        idle.swept = next.is_some();
        next
    }
}

/// Gives connections up in their time, for as long as there are any.
async fn sweep(pool: Weak<Pool>) {
    while let Some(next) = pool.upgrade().and_then(|pool| pool.give_up()) {
        tokio::time::sleep_until(next).await;
    }
}
