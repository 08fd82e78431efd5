//! What the program under test called, where no fault touched a call: what there is to write rules for.

use std::fmt::{self, Display, Formatter};

use super::table::Grid;
use super::{Proxy, Run, text};
use crate::duration::Seconds;
use crate::program::command::typed;
use crate::recorder::CallShape;

/// How many shapes of a proxy are shown.
const SHOWN: usize = 10;

/// The most frequent calls of a run, and a rule for the first of them.
pub(super) struct Called<'a>(pub(super) &'a Run);

impl Display for Called<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(run) = self;
        let proxies: Vec<&Proxy> = run.proxies.iter().filter(|proxy| !proxy.has_faults()).collect();
        if proxies.iter().all(|proxy| proxy.shapes.is_empty()) {
            return Ok(());
        }
        write!(f, "{}", grid(&proxies, run.is_of_one_unnamed_proxy()))?;
        for proxy in &proxies {
            let more: u64 =
                proxy.shapes.iter().skip(SHOWN).map(|shape| shape.calls).sum::<u64>() + proxy.other_calls.unwrap_or(0);
            if more > 0 {
                let name = if proxies.len() > 1 { format!("{}: ", proxy.name) } else { String::new() };
                writeln!(f, "{name}{} of other kinds", text::counted(more, "call"))?;
            }
        }
        let is_of_the_program = |shape: &&CallShape| !shape.is_setup;
        let mut shapes = proxies.iter().flat_map(|proxy| &proxy.shapes).peekable();
        let is_first = shapes.peek().is_some_and(is_of_the_program);
        let Some(shape) = shapes.find(is_of_the_program) else { return Ok(()) };
        let which = if is_first { "the first" } else { &shape.shape };
        let rule = &shape.rule;
        let rule = if run.proxies.len() > 1 { rule.clone() } else { typed(&["--rule".to_owned(), rule.clone()]) };
        writeln!(f, "a rule for {which}: {rule}")
    }
}

fn grid(proxies: &[&Proxy], unnamed: bool) -> Grid {
    let mut header = vec!["proxy", "called", "calls", "backend: p50", "p99"];
    header.drain(..usize::from(unnamed));
    let row = |proxy: &Proxy, shape: &CallShape| {
        let mut row = if unnamed { Vec::new() } else { vec![proxy.name.clone()] };
        row.extend([shape.shape.clone(), shape.calls.to_string(), time(shape.p50), time(shape.p99)]);
        row
    };
    let rows = proxies.iter().flat_map(|proxy| proxy.shapes.iter().take(SHOWN).map(|shape| row(proxy, shape)));
    Grid { header, rows: rows.collect(), names: 2 - usize::from(unnamed) }
}

fn time(time: Option<Seconds>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| text::time(time.duration()))
}
