//! The word to stop, from the one who gives it to all who work.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// What is under way when the daemon is told to stop has this long to finish.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// Gives the word; at the latest when it is dropped.
#[derive(Debug)]
pub(crate) struct ShutdownTrigger(Arc<Word>);

/// Hears it.
#[derive(Debug, Clone)]
pub(crate) struct Shutdown(Arc<Word>);

#[derive(Debug, Default)]
struct Word {
    /// When the grace period is over; unset until the word is given.
    end: OnceLock<Instant>,
    listeners: Notify,
}

impl ShutdownTrigger {
    pub(crate) fn new() -> (Self, Shutdown) {
        let word = Arc::new(Word::default());
        (Self(word.clone()), Shutdown(word))
    }

    /// Whether it has given the word.
    pub(crate) fn is_given(&self) -> bool {
        self.0.end.get().is_some()
    }

    pub(crate) fn stop(&self) {
        self.0.end.get_or_init(|| Instant::now() + GRACE);
        self.0.listeners.notify_waiters();
    }
}

impl Drop for ShutdownTrigger {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shutdown {
    /// Whether the word was given.
    pub(crate) fn is_given(&self) -> bool {
        self.0.end.get().is_some()
    }

    /// Resolves when the word was given.
    pub(crate) async fn stopped(&self) {
        // It listens from here on, so that the word cannot be given between the two.
        let told = self.0.listeners.notified();
        if !self.is_given() {
            told.await;
        }
    }

    /// Resolves when the grace period is over, that begins with the word.
    pub(crate) async fn grace_is_over(&self) {
        self.stopped().await;
        if let Some(end) = self.0.end.get() {
            tokio::time::sleep_until(*end).await;
        }
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
    async fn the_word_reaches_a_task_that_first_listened_at_the_end_of_its_turn() {
        let (stopper, stop) = ShutdownTrigger::new();
        let mut told = pin!(stop.stopped());
        let woken = Arc::new(Woken::default());
        poll_fn(|cx| {
            while pin!(consume_budget()).poll(cx).is_ready() {}
            assert!(told.as_mut().poll(&mut Context::from_waker(&Waker::from(woken.clone()))).is_pending());
            Poll::Ready(())
        })
        .await;
        woken.0.store(false, Ordering::Relaxed);
        stopper.stop();
        assert!(woken.0.load(Ordering::Relaxed));
    }
}
