//! The handlers of a run, in rows and columns.

use super::{Run, time};
use crate::metrics::counters::Waited;
use crate::metrics::snapshot::HandlerSnapshot;

/// One row for each handler of each proxy.
pub(super) struct Grid {
    pub(super) header: Vec<&'static str>,
    pub(super) rows: Vec<Vec<String>>,
    /// How many columns, from the left, contain names; the others contain figures.
    pub(super) names: usize,
}

impl Grid {
    /// Leaves out the proxies' names if the only proxy has none, and the waited times if nothing waited.
    pub(super) fn of(run: &Run) -> Self {
        let unnamed = run.is_of_one_unnamed_proxy();
        let waited = run.proxies.iter().flat_map(|proxy| &proxy.handlers).any(|handler| handler.waited.is_some());
        let mut header = vec!["proxy", "handler", "calls", "faults"];
        if waited {
            header.extend(["waited: p50", "p99", "max"]);
        }
        header.drain(..usize::from(unnamed));
        let row = |proxy: &str, handler: &HandlerSnapshot| {
            let mut row = if unnamed { Vec::new() } else { vec![proxy.to_owned()] };
            row.extend([handler.name.clone(), handler.calls.to_string(), handler.faults.to_string()]);
            if waited {
                row.extend(times(handler.waited));
            }
            row
        };
        let rows = run.proxies.iter().flat_map(|proxy| proxy.handlers.iter().map(|handler| row(&proxy.name, handler)));
        let rows = rows.collect();
        Self { header, rows, names: 2 - usize::from(unnamed) }
    }
}

fn times(waited: Option<Waited>) -> [String; 3] {
    match waited {
        Some(Waited { p50, p99, max }) => [p50, p99, max].map(time::text),
        None => ["-"; 3].map(str::to_owned),
    }
}
