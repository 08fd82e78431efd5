//! A lock for each name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// Serialises the changes of one proxy. Changes of others do not wait: resolving a name may take long.
#[derive(Debug, Default)]
pub(super) struct KeyedLock(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

impl KeyedLock {
    pub(super) async fn lock(&self, name: &str) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Locks that nobody holds or waits for are dropped.
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            locks.entry(name.to_owned()).or_default().clone()
        };
        lock.lock_owned().await
    }
}
