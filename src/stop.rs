//! The word to stop, from the one who gives it to all who work.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::coop::unconstrained;
use tokio::time::Instant;

/// What is under way when the daemon is told to stop has this long to finish.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// Gives the word; at the latest when it is dropped.
#[derive(Debug)]
pub(crate) struct Stopper(watch::Sender<Option<Instant>>);

/// Hears it.
#[derive(Debug, Clone)]
pub(crate) struct Stop(watch::Receiver<Option<Instant>>);

impl Stopper {
    pub(crate) fn new() -> (Self, Stop) {
        let (tell, told) = watch::channel(None);
        (Self(tell), Stop(told))
    }

    pub(crate) fn stop(&self) {
        self.0.send_if_modified(|end| {
            let is_first = end.is_none();
            end.get_or_insert_with(|| Instant::now() + GRACE);
            is_first
        });
    }
}

impl Drop for Stopper {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Stop {
    /// Whether the word was given.
    pub(crate) fn is_given(&self) -> bool {
        // A receiver that never marks a value as seen: all that was ever sent is a change.
        self.0.has_changed().unwrap_or(true)
    }

    /// Resolves when the word was given.
    pub(crate) async fn stopped(&self) {
        let mut told = self.0.clone();
        // Unconstrained, so that whoever polls it once is sure to be woken, also at the end of its turn.
        let _ = unconstrained(told.wait_for(Option::is_some)).await;
    }

    /// Resolves when the grace period is over, that begins with the word.
    pub(crate) async fn grace_is_over(&self) {
        self.stopped().await;
        let end = *self.0.borrow();
        if let Some(end) = end {
            tokio::time::sleep_until(end).await;
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
        let (stopper, stop) = Stopper::new();
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
