//! Changing the toxics of a proxy. Its rules and its mix go on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::info;

use super::change::{Lifetime, Target};
use super::temporary::TemporaryChange;
use super::{Change, ChangeError, ProxySet};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::plan::Renewal;
use crate::proxy::config::ProxyConfig;
use crate::toxic::Toxic;

/// Makes another toxic of one.
pub(crate) type Rewrite = Box<dyn Fn(&Toxic) -> Result<Toxic, Diagnostics> + Send + Sync>;

/// A change of one toxic.
pub(crate) struct ToxicEdit {
    pub(crate) name: String,
    pub(crate) action: ToxicAction,
}

/// What is done to a toxic.
pub(crate) enum ToxicAction {
    /// Adds it as the last one.
    Add(Toxic),
    /// Replaces it in its place, or adds it.
    Put(Toxic),
    /// Makes another of it.
    Change(Rewrite),
    Remove,
}

/// What the change of a toxic did.
#[derive(Debug)]
pub(crate) struct ToxicChange {
    pub(crate) change: Change,
    /// It was added.
    pub(crate) created: bool,
    /// As it is now, or was before it was removed.
    pub(crate) toxic: Toxic,
}

/// A change of a toxic that is taken back after a time.
#[derive(Debug, Clone)]
pub(super) struct TemporaryToxic {
    /// As it was before; none if it was added.
    before: Option<Toxic>,
    /// As it is now. If it is another by then, nothing is taken back.
    pub(super) now: Toxic,
    pub(super) until: Instant,
    /// No other change has it.
    number: u64,
    /// Ends with the last clone of this change.
    _timer: Arc<AbortOnDropHandle<()>>,
}

/// By the name of the toxic.
pub(super) type TemporaryToxics = BTreeMap<String, TemporaryToxic>;

impl ToxicEdit {
    /// Makes the change in `toxics`. Answers the toxic before and after it.
    fn apply(&self, proxy: &str, toxics: &mut Vec<Toxic>) -> Result<(Option<Toxic>, Option<Toxic>), ChangeError> {
        let place = toxics.iter().position(|toxic| toxic.name() == self.name);
        let before = place.map(|place| toxics[place].clone());
        let next = match (&self.action, &before) {
            (ToxicAction::Add(_), Some(before)) => {
                let what = format!("`{before}` has the name `{}` already: give another, or remove it first", self.name);
                return Err(ChangeError::Taken(Diagnostic::new("name", what).into()));
            }
            (ToxicAction::Add(toxic) | ToxicAction::Put(toxic), _) => Some(toxic.clone()),
            (ToxicAction::Change(_) | ToxicAction::Remove, None) => {
                let known = toxics.iter().map(|toxic| toxic.name().to_owned()).collect();
                return Err(ChangeError::UnknownToxic { proxy: proxy.to_owned(), toxic: self.name.clone(), known });
            }
            (ToxicAction::Change(change), Some(before)) => Some(change(before)?),
            (ToxicAction::Remove, Some(_)) => None,
        };
        put(toxics, place, next.clone());
        Ok((before, next))
    }
}

/// Puts a toxic in a place, or behind the others; or takes away what is there.
fn put(toxics: &mut Vec<Toxic>, place: Option<usize>, toxic: Option<Toxic>) {
    match (place, toxic) {
        (Some(place), Some(toxic)) => toxics[place] = toxic,
        (None, Some(toxic)) => toxics.push(toxic),
        (Some(place), None) => drop(toxics.remove(place)),
        (None, None) => {}
    }
}

impl TemporaryToxic {
    /// `toxics` as they were before; none if the toxic is no longer what this change made it.
    fn taken_back(&self, toxics: &[Toxic]) -> Option<Vec<Toxic>> {
        let mut toxics = toxics.to_vec();
        let place = toxics.iter().position(|toxic| *toxic == self.now)?;
        put(&mut toxics, Some(place), self.before.clone());
        Some(toxics)
    }
}

impl ProxySet {
    /// Changes one toxic. Temporary changes of the proxy and of others stay in force until their ends.
    pub(crate) async fn edit_toxic(
        self: &Arc<Self>,
        name: &str,
        edit: ToxicEdit,
        time: Option<Duration>,
    ) -> Result<ToxicChange, ChangeError> {
        self.run_locked(name, async move |proxies, name| proxies.edit_one_toxic(&name, &edit, time).await).await
    }

    /// Removes all toxics of a proxy.
    pub(crate) async fn remove_toxics(self: &Arc<Self>, name: &str) -> Result<Change, ChangeError> {
        self.run_locked(name, async move |proxies, name| proxies.set_toxics(&name, Vec::new()).await).await
    }

    async fn edit_one_toxic(
        self: &Arc<Self>,
        name: &str,
        edit: &ToxicEdit,
        time: Option<Duration>,
    ) -> Result<ToxicChange, ChangeError> {
        let entry = self.entry(name)?;
        let mut toxics = entry.proxy.config().toxics;
        let (before, next) = edit.apply(name, &mut toxics)?;
        let change = self.set_toxics(name, toxics).await?;
        if let Some(mut later) = entry.temporary.and_then(|TemporaryChange { before, .. }| before)
            && edit.apply(name, &mut later.toxics).is_ok()
        {
            let toxics = std::mem::take(&mut later.toxics);
            self.set_before(name, with_toxics(later, toxics));
        }
        // What is taken back is always the last change that was made to stay.
        let earlier = entry.temporary_toxics.get(&edit.name).filter(|earlier| before.as_ref() == Some(&earlier.now));
        let lasting = earlier.map_or_else(|| before.clone(), |earlier| earlier.before.clone());
        let temporary = time.zip(next.clone()).map(|(time, now)| {
            let number = self.changes.fetch_add(1, Ordering::Relaxed) + 1;
            let until = Instant::now() + time;
            let timer = Arc::new(self.take_back_toxic_at(until, name, &edit.name, number));
            TemporaryToxic { before: lasting, now, until, number, _timer: timer }
        });
        if let Some(entry) = self.entries().get_mut(name) {
            match temporary {
                Some(temporary) => entry.temporary_toxics.insert(edit.name.clone(), temporary),
                None => entry.temporary_toxics.remove(&edit.name),
            };
        }
        let created = before.is_none();
        let toxic = next.or(before).ok_or_else(|| ChangeError::Unknown(name.to_owned()))?;
        Ok(ToxicChange { change, created, toxic })
    }

    /// Gives the proxy these toxics. The caller holds the lock of its name.
    async fn set_toxics(self: &Arc<Self>, name: &str, toxics: Vec<Toxic>) -> Result<Change, ChangeError> {
        let config = with_toxics(self.entry(name)?.proxy.config(), toxics);
        let target = Target { config, renewal: Renewal::Changed, lifetime: Lifetime::Unchanged, others: &[] };
        self.apply(name, target).await
    }

    /// Takes back change number `number` of this toxic at a time.
    fn take_back_toxic_at(
        self: &Arc<Self>,
        until: Instant,
        name: &str,
        toxic: &str,
        number: u64,
    ) -> AbortOnDropHandle<()> {
        let (proxies, name, toxic) = (Arc::downgrade(self), name.to_owned(), toxic.to_owned());
        AbortOnDropHandle::new(self.shared.runtime.spawn(async move {
            tokio::time::sleep_until(until).await;
            if let Some(proxies) = proxies.upgrade() {
                // In a task of its own: taking back drops the change, and with it this task.
                let _ = tokio::spawn(async move { proxies.take_back_toxic(&name, &toxic, number).await }).await;
            }
        }))
    }

    async fn take_back_toxic(self: &Arc<Self>, name: &str, toxic: &str, number: u64) {
        let _lock = self.locks.lock(name).await;
        let Ok(entry) = self.entry(name) else { return };
        let Some(change) = entry.temporary_toxics.get(toxic).filter(|change| change.number == number) else { return };
        if let Some(toxics) = change.taken_back(&entry.proxy.config().toxics) {
            let now = change.before.as_ref().map_or_else(|| "removed".to_owned(), |toxic| format!("now `{toxic}`"));
            match self.set_toxics(name, toxics).await {
                Ok(_) => info!(proxy = name, toxic, "its `for` is over: {now}"),
                Err(error) => info!(proxy = name, toxic, "its `for` is over, but it stays: {error}"),
            }
        }
        if let Some(later) = entry.temporary.and_then(|TemporaryChange { before, .. }| before)
            && let Some(toxics) = change.taken_back(&later.toxics)
        {
            self.set_before(name, with_toxics(later, toxics));
        }
        if let Some(entry) = self.entries().get_mut(name) {
            entry.temporary_toxics.remove(toxic);
        }
    }
}

/// A configuration with these toxics, and all else as before.
fn with_toxics(mut config: ProxyConfig, toxics: Vec<Toxic>) -> ProxyConfig {
    config.set_toxics(toxics);
    config
}
