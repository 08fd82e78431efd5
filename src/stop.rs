//! The word to stop, from the one who gives it to all who work.

use std::time::Duration;

use tokio::sync::watch;
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
        let _ = self.0.clone().wait_for(Option::is_some).await;
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
