//! Backend connections that are kept for the next client.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::stream::Stream;
use super::tls::Alpn;

/// Backend connections that no client uses.
#[derive(Debug)]
pub(super) struct Pool {
    size: usize,
    timeout: Duration,
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    /// Each with the time at which it is closed, the oldest first.
    streams: VecDeque<(Instant, Stream)>,
    /// A task closes them in their time. One task for all: a task for each would outlive the next use of its connection.
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

    /// The connection that was put back last, of those that speak one of the protocols `alpn` where those are known: it is the most
    /// likely to be still open.
    pub(super) fn take(&self, alpn: &[Alpn]) -> Option<Stream> {
        let mut idle = self.idle();
        loop {
            let last = idle.streams.iter().rposition(|(_, stream)| stream.speaks(alpn))?;
            let (_, stream) = idle.streams.remove(last)?;
            if stream.is_silent() {
                return Some(stream);
            }
        }
    }

    /// Closes expired connections, and returns when the next one expires.
    fn close_expired(&self) -> Option<Instant> {
        let mut idle = self.idle();
        let now = Instant::now();
        let expired = idle.streams.iter().take_while(|(until, _)| *until <= now).count();
        idle.streams.drain(..expired);
        let next = idle.streams.front().map(|(until, _)| *until);
        idle.swept = next.is_some();
        next
    }
}

/// Closes connections in their time, while there are any.
async fn sweep(pool: Weak<Pool>) {
    while let Some(next) = pool.upgrade().and_then(|pool| pool.close_expired()) {
        tokio::time::sleep_until(next).await;
    }
}
