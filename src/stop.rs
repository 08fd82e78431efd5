//! The word to stop, from the one who gives it to all who work.

use tokio::sync::watch;

/// Gives the word.
#[derive(Debug)]
pub(crate) struct Stopper(watch::Sender<bool>);

/// Hears it.
#[derive(Debug, Clone)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stopper {
    pub(crate) fn new() -> (Self, Stop) {
        let (tell, told) = watch::channel(false);
        (Self(tell), Stop(told))
    }

    pub(crate) fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Resolves when the word was given, or can no longer be.
    pub(crate) async fn stopped(&self) {
        let _ = self.0.clone().wait_for(|stopped| *stopped).await;
    }
}
