//! The plan of a proxy, and the draw that selects a handler for each call.

mod branch; // handlers of which one is drawn
pub(crate) mod current; // the plan in force
mod draw; // which handler a call gets
pub(crate) mod facts; // what is known of a call
mod in_force; // a rule of a plan
pub(crate) mod mix; // handlers with percentages
pub(crate) mod parse; // a mix as text
mod quick; // tests for calls that no rule is about
pub(crate) mod rule; // which calls get which mix
mod tally; // counting the calls of a pipeline
pub(crate) mod text; // parentheses and quotes

use std::sync::Arc;

use crate::handler::Scope;
use crate::metrics::counters::HandlerCounters;
use crate::plan::in_force::RuleInForce;
use crate::plan::mix::Mix;
use crate::plan::quick::{Commands, QuickTest};
use crate::plan::rule::Rule;
use crate::plan::rule::counts::RuleState;
use crate::protocol::Protocol;
use crate::shutdown::{Shutdown, ShutdownTrigger};

use branch::Branch;
pub(crate) use branch::SelectedHandler;
pub(crate) use draw::{ConnectionDraws, Foreseen};
pub(crate) use tally::Tally;

/// Decides which handler a call of a proxy gets. Immutable: a change replaces it as a whole.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The first one that takes a call decides.
    rules: Vec<RuleInForce>,
    /// What calls get that no rule takes: the mix.
    rest: Arc<Branch>,
    /// The commands that rules are about; none if they may be about any.
    commands: Option<Commands>,
    /// Tests for each rule, one for each of its alternatives.
    quick: Vec<QuickTest>,
    scope: Scope,
    replaced: ShutdownTrigger,
    is_replaced: Shutdown,
}

/// What a rule of a plan has counted beside its calls.
#[derive(Debug)]
pub(crate) struct RuleCounts<'p> {
    pub(crate) name: &'p str,
    /// Calls that its conditions fit, and that its counts left to the next rule.
    pub(crate) excluded: u64,
    /// How many more calls `times` has room for, if it counts over the whole proxy.
    pub(crate) times_left: Option<u64>,
    /// It has no handler that does something.
    pub(crate) is_protective: bool,
}

/// What a plan is made of.
#[derive(Debug)]
pub(crate) struct Parts<'m> {
    mix: &'m Mix,
    /// That of the calls.
    protocol: Protocol,
    /// Each rule with what it has counted.
    rules: Vec<(Rule, Arc<RuleState>)>,
    /// The handlers of the mix stay those of the plan before.
    keeps_mix: bool,
}

/// What of the plan before stays in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// Everything starts afresh.
    All,
    /// The mix starts afresh; rules that say the same as before go on.
    Mix,
    /// The mix goes on, and so do rules that say the same as before.
    Changed,
}

impl<'m> Parts<'m> {
    /// `before` is the plan that they follow.
    pub(crate) fn new(
        mix: &'m Mix,
        rules: &[Rule],
        protocol: Protocol,
        before: Option<&Plan>,
        renewal: Renewal,
    ) -> Self {
        let before = before.filter(|_| renewal != Renewal::All).map_or(&[][..], |before| &before.rules);
        let is_named = |name: &str| rules.iter().any(|rule| rule.name() == name);
        let state = |rule: &Rule| {
            let same_name = before.iter().find(|old| old.rule.name() == rule.name());
            let others = || before.iter().find(|old| !is_named(old.rule.name()) && old.rule.says_the_same(rule));
            let kept = same_name.map_or_else(others, |old| Some(old).filter(|old| old.rule.says_the_same(rule)));
            kept.map_or_else(|| Arc::new(RuleState::new()), |old| old.state.clone())
        };
        let rules = rules.iter().map(|rule| (rule.clone(), state(rule))).collect();
        Self { mix, protocol, rules, keeps_mix: renewal == Renewal::Changed }
    }
}

impl Plan {
    /// A plan without rules, for tests. `counters` returns the counters of a handler by its name.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn new(mix: &Mix, counters: impl Fn(&str) -> Arc<HandlerCounters>) -> Self {
        let parts = Parts { mix, protocol: Protocol::Tcp, rules: Vec::new(), keeps_mix: false };
        Self::of(&parts, None, |_, handler| counters(handler))
    }

    /// The plan of a worker, which follows the one `before`. `counters` returns the counters of a rule's handler.
    pub(crate) fn of(
        parts: &Parts<'_>,
        before: Option<&Self>,
        counters: impl Fn(Option<&str>, &str) -> Arc<HandlerCounters>,
    ) -> Self {
        let mut quick = Vec::new();
        let mut rule = |(rule, state): &(Rule, Arc<RuleState>)| {
            let is_same = |old: &&RuleInForce| {
                Arc::ptr_eq(&old.state, state) && old.rule.name() == rule.name() && old.rule.has_the_same_handlers(rule)
            };
            let kept = before.and_then(|before| before.rules.iter().find(is_same));
            let name = rule.shared_name();
            let new = || Arc::new(Branch::new(rule.mix(), Some(&name), |handler| counters(Some(&name), handler)));
            let begin = quick.len();
            let matcher = rule.matcher().with(parts.protocol);
            quick.extend(QuickTest::all(&matcher));
            RuleInForce {
                matcher,
                tests: begin..quick.len(),
                counts: *rule.counts(),
                state: state.clone(),
                branch: kept.map_or_else(new, |old| old.branch.clone()),
                rule: rule.clone(),
            }
        };
        let rules: Vec<_> = parts.rules.iter().map(&mut rule).collect();
        let rest = match before.filter(|_| parts.keeps_mix) {
            Some(before) => before.rest.clone(),
            None => Arc::new(Branch::new(parts.mix, None, |handler| counters(None, handler))),
        };
        let scope = rules.iter().map(|rule| rule.branch.scope()).fold(rest.scope(), Scope::max);
        let commands = Commands::of(rules.iter().map(|rule| &rule.matcher));
        let (replaced, is_replaced) = ShutdownTrigger::new();
        Self { rules, rest, commands, quick, scope, replaced, is_replaced }
    }

    /// The handler of all calls that no rule touches, if there is only one and it sees none.
    pub(crate) fn only(&self) -> Option<&SelectedHandler> {
        self.rest.only().filter(|only| only.scope == Scope::Nothing)
    }

    pub(crate) fn has_rules(&self) -> bool {
        !self.rules.is_empty()
    }

    /// What the rules have counted beside their calls.
    pub(crate) fn rule_counts(&self) -> impl Iterator<Item = RuleCounts<'_>> {
        self.rules.iter().map(|rule| RuleCounts {
            name: rule.rule.name(),
            excluded: rule.state.excluded.get(),
            times_left: rule.counts.times_left(&rule.state.tally),
            is_protective: rule.is_protective(),
        })
    }

    /// Whether calls need not be told apart: there are no rules, and no handler sees a call.
    pub(crate) fn sees_nothing(&self) -> bool {
        self.rules.is_empty() && self.scope == Scope::Nothing
    }

    /// The handlers of the rules and of the mix, in their order.
    pub(crate) fn handlers(&self) -> impl Iterator<Item = &SelectedHandler> {
        self.branches().flat_map(|branch| branch.handlers())
    }

    fn branches(&self) -> impl Iterator<Item = &Arc<Branch>> {
        self.rules.iter().map(|rule| &rule.branch).chain([&self.rest])
    }

    /// Whether another plan has replaced it.
    pub(crate) fn is_replaced(&self) -> bool {
        self.replaced.has_begun()
    }

    /// Begins when another plan replaces it, or the daemon stops.
    pub(crate) fn replaced(&self) -> Shutdown {
        self.is_replaced.clone()
    }

    /// The daemon stops: releases the calls that its handlers hold.
    pub(crate) fn release(&self) {
        self.replaced.begin();
        self.branches().for_each(|branch| branch.release());
    }

    /// Releases the calls that its handlers hold, but those of handlers that `next` has as well.
    fn give_way(&self, next: &Self) {
        self.replaced.begin();
        let goes_on = |branch: &Arc<Branch>| next.branches().any(|other| Arc::ptr_eq(branch, other));
        self.branches().filter(|branch| !goes_on(branch)).for_each(|branch| branch.release());
    }
}
