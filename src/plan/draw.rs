//! The draw: which handler a call gets.

use std::sync::Arc;

use super::Plan;
use super::branch::{Branch, SelectedHandler};
use super::facts::Facts;
use super::in_force::{Fit, RuleInForce};
use super::mix::Mix;
use super::quick::Edges;
use super::rule::counts::{Counted, Tally};
use crate::handler::Scope;
use crate::rng::{Draws, Streams};

/// What a plan keeps for a connection: where its draws are, and what rules have counted of it.
#[derive(Debug, Default)]
pub(crate) struct ConnectionDraws {
    draws: Option<Draws>,
    /// By the rule's number.
    #[expect(clippy::box_collection, reason = "most connections have none")]
    tallies: Option<Box<Vec<(u64, Tally)>>>,
}

impl ConnectionDraws {
    fn percent(&mut self, streams: Streams, call: u64) -> f64 {
        self.draws.get_or_insert_with(|| streams.draws()).percent(call)
    }

    /// What the rule with this number has counted of the connection. Rules that are not among `all` are forgotten.
    pub(super) fn tally(&mut self, id: u64, all: &[RuleInForce]) -> &Tally {
        let tallies = self.tallies.get_or_insert_default();
        let place = tallies.iter().position(|(known, _)| *known == id).unwrap_or_else(|| {
            tallies.retain(|(known, _)| all.iter().any(|rule| rule.state.id == *known));
            tallies.push((id, Tally::default()));
            tallies.len() - 1
        });
        &tallies[place].1
    }
}

/// The handler of a call, as far as it is certain before the call is counted.
#[derive(Debug)]
pub(crate) enum Foreseen<'p> {
    Certain(&'p Arc<SelectedHandler>),
    /// It depends on what a rule has counted, or on the time.
    Counts,
    /// A rule has to see the head, which is not here yet.
    Head,
}

/// A draw that may be taken back.
#[derive(Debug)]
pub(crate) struct Reserved {
    pub(crate) handler: Arc<SelectedHandler>,
    /// The rules that have counted the call, by their places.
    counted: Vec<(usize, Counted)>,
}

impl Plan {
    /// The handler for a call whose head is here. Rules count the call. A plan of one handler draws nothing.
    pub(crate) fn draw(&self, call: &Facts<'_>, draws: &mut ConnectionDraws) -> &Arc<SelectedHandler> {
        let decided = if self.may_touch(call) { self.decide(call, draws, |_, _| {}) } else { None };
        decided.unwrap_or_else(|| self.draw_rest(call, draws))
    }

    /// The same if no rule matches.
    pub(crate) fn draw_rest(&self, call: &Facts<'_>, draws: &mut ConnectionDraws) -> &Arc<SelectedHandler> {
        self.rest.draw(|| draws.percent(call.streams, call.call))
    }

    /// Whether a rule may be about a call whose head is here.
    #[inline]
    pub(crate) fn may_touch(&self, call: &Facts<'_>) -> bool {
        if self.rules.is_empty() || self.commands.as_ref().is_some_and(|commands| !commands.may_have(call.command())) {
            return false;
        }
        let edges = Edges::of(call);
        self.quick.iter().any(|test| test.may_fit(&edges))
    }

    /// The handler of a call that is not counted yet.
    pub(crate) fn foresee(&self, call: &Facts<'_>, draws: &mut ConnectionDraws) -> Foreseen<'_> {
        for rule in &self.rules {
            match rule.fit(call) {
                Fit::No => {}
                Fit::Yes => return Foreseen::Certain(rule.branch.draw(|| draws.percent(call.streams, call.call))),
                Fit::Counts => return Foreseen::Counts,
                Fit::Head => return Foreseen::Head,
            }
        }
        Foreseen::Certain(self.draw_rest(call, draws))
    }

    /// Counts a call and draws its handler, unless a rule has to see the head first.
    pub(crate) fn reserve(&self, call: &Facts<'_>, draws: &mut ConnectionDraws) -> Option<Reserved> {
        let mut counted = Vec::new();
        let decided = self.decide(call, draws, |place, by| counted.push((place, by))).cloned();
        let waits = decided.is_none() && self.rules.iter().any(|rule| rule.fit(call) == Fit::Head);
        let handler = decided.unwrap_or_else(|| self.draw_rest(call, draws).clone());
        let reserved = Reserved { handler, counted };
        if waits {
            self.give_back(reserved, draws);
            return None;
        }
        Some(reserved)
    }

    /// As if the call had never been drawn.
    pub(crate) fn give_back(&self, reserved: Reserved, draws: &mut ConnectionDraws) {
        for (place, counted) in reserved.counted {
            self.rules[place].give_back(draws, &self.rules, counted);
        }
    }

    /// What the first rule that takes the call draws for it; none if none does, or if one has to see the head first.
    fn decide(
        &self,
        call: &Facts<'_>,
        draws: &mut ConnectionDraws,
        mut counted: impl FnMut(usize, Counted),
    ) -> Option<&Arc<SelectedHandler>> {
        let edges = call.head.map(|_| Edges::of(call));
        for (place, rule) in self.rules.iter().enumerate() {
            let may_fit = |edges: &Edges<'_>| self.quick[rule.tests.clone()].iter().any(|test| test.may_fit(edges));
            if edges.as_ref().is_some_and(|edges| !may_fit(edges)) {
                continue;
            }
            match rule.fit(call) {
                Fit::No => continue,
                Fit::Head => return None,
                Fit::Counts if !rule.is_time() => {
                    counted(place, rule.exclude());
                    continue;
                }
                Fit::Yes | Fit::Counts => {}
            }
            let handler = rule.branch.draw(|| draws.percent(call.streams, call.call));
            let by = rule.count(draws, &self.rules, handler.scope != Scope::Nothing);
            counted(place, by);
            if by.is_taken {
                return Some(handler);
            }
        }
        None
    }
}

impl Mix {
    /// The names of the handlers that `seed` draws for the calls of a connection, one after the other without end.
    ///
    /// `connection` counts from 1 in the order in which clients were accepted, `proxy` is [`crate::ProxyConfig::name`]. With
    /// `tcp`, if no handler of the mix needs to see calls, all calls of a connection get the handler of the first.
    ///
    /// ```
    /// let mix: vaurien::Mix = "20:delay,5:error".parse()?;
    /// let drawn: Vec<&str> = mix.drawn(42, "default", 1).take(7).collect();
    /// assert_eq!(drawn, ["dummy", "dummy", "error", "dummy", "dummy", "dummy", "delay"]);
    /// # Ok::<(), vaurien::Diagnostics>(())
    /// ```
    pub fn drawn(&self, seed: u64, proxy: &str, connection: u64) -> impl Iterator<Item = &str> + use<'_> {
        let branch = Branch::new(self, None, |_| Arc::default());
        let (streams, mut draws) = (Streams::new(seed, proxy, connection), ConnectionDraws::default());
        (1..).map(move |call| self.shares()[branch.place(|| draws.percent(streams, call))].name())
    }
}

#[cfg(test)]
mod tests;
