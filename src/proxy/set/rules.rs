//! Changing one rule of a proxy. The others go on.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use super::change::{Lifetime, Target};
use super::temporary::{RETRY, TemporaryChange};
use super::{Change, ChangeError, Entry, ProxySet};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::plan::Renewal;
use crate::plan::rule::Rule;
use crate::plan::rule::list::{free_name, unreached};
use crate::plan::rule::patch::with_name;
use crate::proxy::Proxy;
use crate::proxy::config::ProxyConfig;

/// Makes a configuration with these rules, and all else as before. It does not check whether each rule can be reached.
pub(crate) type Rebuild = Arc<dyn Fn(&ProxyConfig, Vec<String>) -> Result<ProxyConfig, Diagnostics> + Send + Sync>;

/// Makes another text of the text of a rule.
pub(crate) type Rewrite = Box<dyn Fn(&str) -> Result<String, Diagnostics> + Send + Sync>;

/// A change of one rule.
pub(crate) struct RuleEdit {
    /// None: a new rule is named by its place.
    pub(crate) name: Option<String>,
    pub(crate) action: Action,
    /// Where the rule goes; none: last if it is new, else where it was.
    pub(crate) position: Option<Position>,
    pub(crate) rebuild: Rebuild,
}

/// What is done to a rule.
pub(crate) enum Action {
    /// Adds one with this text.
    Add(String),
    /// Replaces it with this text, or adds it.
    Put(String),
    /// Makes another text of it.
    Change(Rewrite),
    Remove,
}

/// A place among the rules.
pub(crate) enum Position {
    First,
    /// Before the rule of this name.
    Before(String),
}

/// What the change of a rule did.
#[derive(Debug)]
pub(crate) struct RuleChange {
    pub(crate) change: Change,
    /// The rule was added.
    pub(crate) created: bool,
    pub(crate) name: String,
    /// Its text; empty if it was removed.
    pub(crate) text: String,
}

/// A change of a rule that is taken back after a time.
#[derive(Clone)]
pub(super) struct TemporaryRule {
    /// Its text before; none if it was added.
    before: Option<String>,
    /// Its text now. If it has another by then, nothing is taken back.
    pub(super) now: String,
    pub(super) until: Instant,
    /// No other change has it.
    number: u64,
    rebuild: Rebuild,
    /// Ends with the last clone of this change.
    _timer: Arc<AbortOnDropHandle<()>>,
}

impl fmt::Debug for TemporaryRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TemporaryRule").field("before", &self.before).field("now", &self.now).finish_non_exhaustive()
    }
}

/// A rule in a list that is being changed.
#[derive(Clone)]
struct Item {
    name: String,
    text: String,
    is_named: bool,
}

/// The rules of a proxy while they are changed.
struct Items(Vec<Item>);

impl Items {
    fn of(config: &ProxyConfig) -> Self {
        let item =
            |rule: &Rule| Item { name: rule.name().to_owned(), text: rule.to_string(), is_named: rule.is_named() };
        Self(config.rules.iter().map(item).collect())
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|item| item.name == name)
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|item| item.name.clone()).collect()
    }

    /// The place that `position` means.
    fn find(&self, position: Option<&Position>) -> Result<usize, Diagnostic> {
        match position {
            None => Ok(self.0.len()),
            Some(Position::First) => Ok(0),
            Some(Position::Before(name)) => self.place(name).ok_or_else(|| {
                let names = self.0.iter().map(|item| format!("`{}`, ", item.name)).collect::<Vec<_>>().concat();
                let what = format!(
                    "there is no other rule `{name}`, write `first`, {names}or leave it out for the last place"
                );
                Diagnostic::new("before", what)
            }),
        }
    }

    /// The configuration with these rules in place of its own.
    fn build(self, config: &ProxyConfig, rebuild: &Rebuild) -> Result<ProxyConfig, Diagnostics> {
        let texts = self.0.iter().map(|item| item.text.clone()).collect();
        let mut config = rebuild(config, texts)?;
        config.rules.iter_mut().zip(&self.0).for_each(|(rule, item)| rule.keep_name(&item.name));
        Ok(config)
    }
}

impl RuleEdit {
    /// Changes the rule `name` of `proxy` among `items`, and moves it to `position`. Answers its text before.
    fn apply(
        &self,
        proxy: &str,
        name: &str,
        position: Option<&Position>,
        items: &mut Items,
    ) -> Result<Option<String>, ChangeError> {
        let known = items.place(name);
        let old = known.map(|place| items.0[place].clone());
        let text = match (&self.action, &old) {
            (Action::Add(_), Some(old)) => {
                let what = format!("`{}` has the name `{name}` already: give another, or remove it first", old.text);
                return Err(ChangeError::Taken(Diagnostic::new("name", what).into()));
            }
            (Action::Add(text) | Action::Put(text), _) => text.clone(),
            (Action::Change(_) | Action::Remove, None) => {
                let (proxy, rule) = (proxy.to_owned(), name.to_owned());
                return Err(ChangeError::UnknownRule { proxy, rule, known: items.names() });
            }
            (Action::Change(change), Some(old)) => change(&old.text)?,
            (Action::Remove, Some(_)) => {
                items.0.retain(|item| item.name != name);
                return Ok(old.map(|old| old.text));
            }
        };
        let is_named = old.as_ref().map_or(self.name.is_some(), |old| old.is_named);
        let text = if is_named { with_name(&text, name) } else { text };
        let item = Item { name: name.to_owned(), text, is_named };
        match known {
            Some(place) if position.is_none() => items.0[place] = item,
            known => {
                known.map(|place| items.0.remove(place));
                let place = items.find(position).map_err(Diagnostics::from)?;
                items.0.insert(place, item);
            }
        }
        Ok(old.map(|old| old.text))
    }

    /// The same in a configuration that comes back later, as far as it fits there.
    fn apply_later(&self, proxy: &str, name: &str, config: &ProxyConfig) -> Option<ProxyConfig> {
        let mut items = Items::of(config);
        let position = self.position.as_ref().filter(|position| items.find(Some(position)).is_ok());
        self.apply(proxy, name, position, &mut items).ok()?;
        items.build(config, &self.rebuild).ok()
    }
}

impl TemporaryRule {
    /// `config` with the rule `name` as it was before; none if it is no longer what this change made it.
    fn taken_back(&self, name: &str, config: &ProxyConfig) -> Option<Result<ProxyConfig, Diagnostics>> {
        let mut items = Items::of(config);
        let place = items.place(name).filter(|place| items.0[*place].text == self.now)?;
        match &self.before {
            Some(text) => items.0[place].text.clone_from(text),
            None => drop(items.0.remove(place)),
        }
        Some(items.build(config, &self.rebuild))
    }
}

impl ProxySet {
    /// Changes one rule. Temporary changes of the proxy and of other rules stay in force until their ends.
    pub(crate) async fn edit_rule(
        self: &Arc<Self>,
        name: &str,
        edit: RuleEdit,
        time: Option<Duration>,
    ) -> Result<RuleChange, ChangeError> {
        self.run_locked(name, async move |proxies, name| proxies.edit_one_rule(&name, &edit, time).await).await
    }

    /// The rules and the toxics as they are now are there to stay.
    pub(super) fn make_parts_permanent(&self, name: &str) {
        if let Some(entry) = self.entries().get_mut(name) {
            entry.temporary_rules.clear();
            entry.temporary_toxics.clear();
        }
    }

    async fn edit_one_rule(
        self: &Arc<Self>,
        name: &str,
        edit: &RuleEdit,
        time: Option<Duration>,
    ) -> Result<RuleChange, ChangeError> {
        let Entry { proxy, temporary, temporary_rules, .. } = self.entry(name)?;
        let later = temporary.and_then(|TemporaryChange { before, .. }| before);
        let config = proxy.config();
        let mut items = Items::of(&config);
        let rule = match &edit.name {
            Some(rule) => rule.clone(),
            None => self.name_for(&proxy, later.as_ref(), items.find(edit.position.as_ref()).unwrap_or_default() + 1),
        };
        let old = edit.apply(name, &rule, edit.position.as_ref(), &mut items)?;
        if old.is_some() && edit.position.is_some() && time.is_some() {
            let what = "a rule that is there cannot be moved for a time, leave out `before` or `for`";
            return Err(Diagnostics::from(Diagnostic::new("before", what)).into());
        }
        let config = items.build(&config, &edit.rebuild)?;
        // What is there for a time may well hide other rules, and a change that is to stay must not.
        if time.is_none() {
            let lasts = |known: &&Rule| known.name() == rule || !temporary_rules.contains_key(known.name());
            let lasting: Vec<_> = config.rules.iter().filter(lasts).collect();
            let wrong =
                unreached(&lasting, config.protocol, |first, hidden| first.name() == rule || hidden.name() == rule);
            wrong.into_iter().map(|(_, what)| Diagnostic::new("rules", what)).collect::<Diagnostics>().none_or(())?;
        }
        let text = config.rules.iter().find(|known| known.name() == rule).map(Rule::to_string).unwrap_or_default();
        let target = Target { config, renewal: Renewal::Changed, lifetime: Lifetime::Unchanged, others: &[] };
        let change = self.apply(name, target).await?;
        if let Some(later) = later.and_then(|later| edit.apply_later(name, &rule, &later)) {
            self.set_before(name, later);
        }
        let created = old.is_none();
        // What is taken back is always the last change that was made to stay.
        let earlier = temporary_rules.get(&rule).filter(|earlier| old.as_ref() == Some(&earlier.now));
        let lasting = earlier.map_or(old, |earlier| earlier.before.clone());
        let temporary = time.map(|time| {
            let number = self.changes.fetch_add(1, Ordering::Relaxed) + 1;
            let until = Instant::now() + time;
            TemporaryRule {
                before: lasting,
                now: text.clone(),
                until,
                number,
                rebuild: edit.rebuild.clone(),
                _timer: Arc::new(self.take_back_at(until, name, &rule, number)),
            }
        });
        if let Some(entry) = self.entries().get_mut(name) {
            match temporary {
                Some(temporary) => entry.temporary_rules.insert(rule.clone(), temporary),
                None => entry.temporary_rules.remove(&rule),
            };
        }
        Ok(RuleChange { change, created, name: rule, text })
    }

    /// A name for a new rule in this place, that no rule has had calls under.
    fn name_for(&self, proxy: &Proxy, later: Option<&ProxyConfig>, place: usize) -> String {
        let counters = proxy.context.counters.by_handler().into_iter();
        let mut taken: HashSet<String> =
            counters.filter(|(_, counters)| counters.calls.get() > 0).filter_map(|((rule, _), _)| rule).collect();
        let config = proxy.config();
        let rules = config.rules.iter().chain(later.into_iter().flat_map(|later| &later.rules));
        taken.extend(rules.map(|rule| rule.name().to_owned()));
        free_name(place, |name| taken.contains(name) || self.get(name).is_some())
    }

    /// Takes back change number `number` of this rule at a time.
    fn take_back_at(self: &Arc<Self>, until: Instant, name: &str, rule: &str, number: u64) -> AbortOnDropHandle<()> {
        let (proxies, name, rule) = (Arc::downgrade(self), name.to_owned(), rule.to_owned());
        AbortOnDropHandle::new(self.shared.runtime.spawn(async move {
            tokio::time::sleep_until(until).await;
            while let Some(proxies) = proxies.upgrade() {
                let (name, rule) = (name.clone(), rule.clone());
                // In a task of its own: taking back drops the change, and with it this task.
                let done = tokio::spawn(async move { proxies.take_back(&name, &rule, number).await });
                if done.await.is_ok_and(|is_done| is_done) {
                    return;
                }
                tokio::time::sleep(RETRY).await;
            }
        }))
    }

    /// The time of change number `number` of this rule is over. Returns false if that is to be tried again, as the proxy cannot
    /// listen.
    async fn take_back(self: &Arc<Self>, name: &str, rule: &str, number: u64) -> bool {
        let _lock = self.locks.lock(name).await;
        let Ok(Entry { proxy, temporary, temporary_rules, .. }) = self.entry(name) else { return true };
        let Some(change) = temporary_rules.get(rule).filter(|change| change.number == number) else { return true };
        let text = change.before.as_ref().map_or_else(|| "removed".to_owned(), |text| format!("now `{text}`"));
        match change.taken_back(rule, &proxy.config()) {
            None => {}
            Some(Err(wrong)) => warn!(proxy = name, rule, "its `for` is over, but it stays: {wrong}"),
            Some(Ok(config)) => {
                let target = Target { config, renewal: Renewal::Changed, lifetime: Lifetime::Unchanged, others: &[] };
                match self.apply(name, target).await {
                    Ok(_) => info!(proxy = name, rule, "its `for` is over: {text}"),
                    Err(ChangeError::CannotListen(_)) if !proxy.context.shutdown.has_begun() => return false,
                    Err(error) => warn!(proxy = name, rule, "its `for` is over, but it stays: {error}"),
                }
            }
        }
        let later = temporary.and_then(|TemporaryChange { before, .. }| before);
        if let Some(Ok(later)) = later.and_then(|later| change.taken_back(rule, &later)) {
            self.set_before(name, later);
        }
        if let Some(entry) = self.entries().get_mut(name) {
            entry.temporary_rules.remove(rule);
        }
        true
    }
}
