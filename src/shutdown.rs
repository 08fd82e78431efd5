//! A shutdown: begun once, awaited by many, limited by a grace period.

use std::future::poll_fn;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::workers::PerWorker;

/// What is under way when the daemon is told to stop has this long to finish.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// Begins the shutdown, at the latest when it is dropped.
#[derive(Debug)]
pub(crate) struct ShutdownTrigger(Arc<State>);

/// Waits for the shutdown.
#[derive(Debug, Clone)]
pub(crate) struct Shutdown(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// When the grace period is over; unset until the shutdown begins.
    end: OnceLock<Instant>,
    /// What each worker has waiting.
    waiting: PerWorker<Notify>,
}

impl ShutdownTrigger {
    pub(crate) fn new() -> (Self, Shutdown) {
        let state = Arc::new(State::default());
        (Self(state.clone()), Shutdown(state))
    }

    /// Whether the shutdown has begun.
    pub(crate) fn has_begun(&self) -> bool {
        self.0.end.get().is_some()
    }

    pub(crate) fn begin(&self) {
        self.0.end.get_or_init(|| Instant::now() + GRACE);
        self.0.waiting.all().for_each(Notify::notify_waiters);
    }
}

impl Drop for ShutdownTrigger {
    fn drop(&mut self) {
        self.begin();
    }
}

impl Shutdown {
    pub(crate) fn has_begun(&self) -> bool {
        self.0.end.get().is_some()
    }

    /// Resolves when the shutdown begins.
    pub(crate) async fn begun(&self) {
        // Registered before the check, so that a shutdown between the two is not missed.
        let notified = self.0.waiting.own().notified();
        if !self.has_begun() {
            notified.await;
        }
    }

    /// Resolves when the grace period is over, in a task that is woken when the shutdown begins: as all connections are, none
    /// has to register for it.
    pub(crate) async fn grace_over(&self) {
        let end = poll_fn(|_| self.0.end.get().map_or(Poll::Pending, |end| Poll::Ready(*end))).await;
        tokio::time::sleep_until(end).await;
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context, Poll, Wake, Waker};

    use tokio::task::coop::consume_budget;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn a_shutdown_wakes_a_task_that_began_to_wait_at_the_end_of_its_turn() {
        let (trigger, shutdown) = ShutdownTrigger::new();
        let mut begun = pin!(shutdown.begun());
        let woken = Arc::new(Woken::default());
        poll_fn(|cx| {
            while pin!(consume_budget()).poll(cx).is_ready() {}
            assert!(begun.as_mut().poll(&mut Context::from_waker(&Waker::from(woken.clone()))).is_pending());
            Poll::Ready(())
        })
        .await;
        woken.0.store(false, Ordering::Relaxed);
        trigger.begin();
        assert!(woken.0.load(Ordering::Relaxed));
    }
}
