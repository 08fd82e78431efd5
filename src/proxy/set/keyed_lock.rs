//! Whose turn it is to change a proxy.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// Changes of one proxy are made one after the other. Changes of others do not wait for them: a change may have to resolve a
/// name, which takes its time.
#[derive(Debug, Default)]
pub(super) struct KeyedLock(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

impl KeyedLock {
    /// Waits for a turn to change the proxy of this name. It lasts until the answer is dropped.
    pub(super) async fn take(&self, name: &str) -> OwnedMutexGuard<()> {
        let turns = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that nobody has or waits for are forgotten.
            all.retain(|_, turns| Arc::strong_count(turns) > 1);
            all.entry(name.to_owned()).or_default().clone()
        };
        turns.lock_owned().await
    }
}
