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
        let Some(first) = proxies.iter().find_map(|proxy| proxy.shapes.first()) else { return Ok(()) };
        write!(f, "{}", grid(&proxies, run.is_of_one_unnamed_proxy()))?;
        for proxy in &proxies {
            let more: u64 =
                proxy.shapes.iter().skip(SHOWN).map(|shape| shape.calls).sum::<u64>() + proxy.other_calls.unwrap_or(0);
            if more > 0 {
                let name = if proxies.len() > 1 { format!("{}: ", proxy.name) } else { String::new() };
                writeln!(f, "{name}{} of other kinds", text::counted(more, "call"))?;
            }
        }
        if run.proxies.len() > 1 {
            return writeln!(f, "a rule for the first: {}", first.rule);
        }
        writeln!(f, "a rule for the first: {}", typed(&["--rule".to_owned(), first.rule.clone()]))
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
