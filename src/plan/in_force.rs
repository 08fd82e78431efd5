//! A rule of a plan.

use std::ops::Range;
use std::sync::Arc;

use super::branch::Branch;
use super::draw::ConnectionDraws;
use super::facts::Facts;
use super::rule::Rule;
use super::rule::counts::{Counted, Counts, Per, RuleState};
use super::rule::matcher::Matcher;
use crate::handler::Scope;

/// A rule as one worker has it.
#[derive(Debug)]
pub(crate) struct RuleInForce {
    /// What it says, to compare it with the rules of another plan.
    pub(super) rule: Rule,
    pub(super) matcher: Matcher,
    /// The places of its quick tests.
    pub(super) tests: Range<usize>,
    pub(super) counts: Counts,
    pub(super) state: Arc<RuleState>,
    pub(super) branch: Arc<Branch>,
}

/// Whether a rule takes a call, as far as that can be told before it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    No,
    Yes,
    /// It depends on what the rule has counted, or on the time.
    Counts,
    /// It depends on the head, which is not here yet.
    Head,
}

impl RuleInForce {
    /// Whether its conditions fit.
    #[inline]
    pub(super) fn fit(&self, call: &Facts<'_>) -> Fit {
        if !self.matcher.fits_connection(call) {
            return Fit::No;
        }
        if call.head.is_none() && self.matcher.needs_head() {
            return Fit::Head;
        }
        if !self.matcher.fits_head(call) {
            return Fit::No;
        }
        if self.counts.are_none() { Fit::Yes } else { Fit::Counts }
    }

    /// Counts a call that its conditions fit outside its time.
    pub(super) fn exclude(&self) -> Counted {
        self.state.excluded.add(1);
        Counted::default()
    }

    /// Counts a call that its conditions fit in its time. `draws_fault`: its branch draws a handler that does something.
    pub(super) fn count(&self, draws: &mut ConnectionDraws, all: &[Self], draws_fault: bool) -> Counted {
        let tally = match self.counts.per() {
            Per::Proxy => &self.state.tally,
            Per::Connection => draws.tally(self.state.id, all),
        };
        let counted = self.counts.count(tally, draws_fault || self.branch.scope() == Scope::Nothing);
        if !counted.is_taken {
            self.state.excluded.add(1);
        }
        counted
    }

    /// Whether all that it does is to keep calls from later rules.
    pub(super) fn is_protective(&self) -> bool {
        self.branch.scope() == Scope::Nothing
    }

    pub(super) fn is_time(&self) -> bool {
        self.counts.is_time(self.state.since)
    }

    /// As if the call had never been counted.
    pub(super) fn give_back(&self, draws: &mut ConnectionDraws, all: &[Self], counted: Counted) {
        if !counted.is_taken {
            self.state.excluded.take_back(1);
        }
        match self.counts.per() {
            Per::Proxy => self.state.tally.give_back(counted),
            Per::Connection => draws.tally(self.state.id, all).give_back(counted),
        }
    }
}
