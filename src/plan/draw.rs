//! The draw: which handler of a mix a call gets.

use std::sync::Arc;

use super::mix::Mix;
use super::{Plan, SelectedHandler};
use crate::rng::{Draws, Streams};

impl Plan {
    /// The handler for call number `call`. A plan of one handler draws nothing.
    pub(crate) fn draw(&self, streams: Streams, draws: &mut Option<Draws>, call: u64) -> &Arc<SelectedHandler> {
        &self.slots[self.place(streams, draws, call)].handler
    }

    /// The place in the mix of the handler for call number `call`.
    pub(crate) fn place(&self, streams: Streams, draws: &mut Option<Draws>, call: u64) -> usize {
        let last = self.slots.len() - 1;
        if last == 0 {
            return last;
        }
        let percent = draws.get_or_insert_with(|| streams.draws()).percent(call);
        // The last slot gets what rounding leaves over.
        self.slots.iter().position(|slot| percent < slot.below).unwrap_or(last)
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
        let (plan, streams, mut draws) =
            (Plan::new(self, |_| Arc::default()), Streams::new(seed, proxy, connection), None);
        (1..).map(move |call| self.shares()[plan.place(streams, &mut draws, call)].name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(mix: &str) -> Vec<(String, usize)> {
        let plan = Plan::new(&mix.parse().unwrap(), |_| Arc::default());
        let streams = Streams::new(42, "default", 1);
        let mut draws = None;
        let names: Vec<_> = (1..=100_000).map(|call| plan.draw(streams, &mut draws, call).name.clone()).collect();
        let share = |name: &str| (name.to_owned(), names.iter().filter(|drawn| &***drawn == name).count());
        plan.handlers().map(|drawn| share(&drawn.name)).collect()
    }

    #[test]
    fn each_handler_gets_its_share_and_dummy_the_rest() {
        let shares = shares("20:delay,0.5:error");
        let about = |(name, count): &(String, usize), expected: &str, calls: usize| {
            assert!(name == expected && count.abs_diff(calls) < 500, "{shares:?}");
        };
        about(&shares[0], "delay", 20_000);
        about(&shares[1], "error", 500);
        about(&shares[2], "dummy", 79_500);
    }

    #[test]
    fn one_handler_takes_all() {
        assert_eq!(shares("delay"), [("delay".to_owned(), 100_000)]);
        assert_eq!(shares("33.3:delay,33.3:error,33.4:hang").len(), 3);
    }
}
