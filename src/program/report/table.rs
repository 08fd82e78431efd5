//! The report for a terminal.

use std::fmt::{self, Display, Formatter};

use super::called::Called;
use super::{Report, Run, text};
use crate::metrics::counters::Waited;
use crate::metrics::snapshot::HandlerSnapshot;
use crate::program::columns::columns;

/// The result of all runs, and one run in detail: the first that failed, else the last one.
pub(crate) struct Table<'a>(pub(crate) &'a Report);

/// One run, with the exit code of the program.
pub(super) struct RunTable<'a>(pub(super) &'a Run, pub(super) u8);

impl Display for Table<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(report) = self;
        if let Some(repeated) = report.repeated() {
            writeln!(f, "{repeated}")?;
        }
        report.totals().try_for_each(|line| writeln!(f, "{line}"))?;
        match report.shown() {
            Some(run) => RunTable(run, report.exit_code).fmt(f)?,
            None => writeln!(f, "exit code {}, nothing was run", report.exit_code)?,
        }
        report.failing_seeds().into_iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl Display for RunTable<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(run, exit_code) = self;
        write!(f, "{}", Grid::of(run))?;
        run.connections().try_for_each(|line| writeln!(f, "{line}"))?;
        write!(f, "{}", Called(run))?;
        run.expectations.iter().try_for_each(|expected| writeln!(f, "{expected}"))?;
        run.warnings.iter().try_for_each(|warning| writeln!(f, "warning: {warning}"))?;
        writeln!(f, "{}", run.outcome(*exit_code))?;
        writeln!(f, "again: {}", run.again)
    }
}

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
            row.extend([handler.label(), handler.calls.to_string(), handler.faults.to_string()]);
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
        Some(Waited { p50, p99, max }) => [p50, p99, max].map(text::time),
        None => ["-"; 3].map(str::to_owned),
    }
}

/// In columns: names aligned to the left, figures to the right.
impl Display for Grid {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let header = self.header.iter().map(ToString::to_string).collect();
        let lines: Vec<_> = [header].into_iter().chain(self.rows.iter().cloned()).collect();
        f.write_str(&columns(&lines, |column| column >= self.names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::summary::Summary;
    use crate::program::command::End;
    use crate::program::report::example::{self, again};

    #[test]
    fn a_run_is_a_table_and_a_few_lines() {
        let expected = "\
proxy    handler  calls  faults  waited: p50     p99     max
default  delay       24      24       250 ms  251 ms  252 ms
default  dummy       77       0            -       -       -
cache    error        5       5            -       -       -
default: 1 connections, 2627 bytes from clients, 172790 bytes from backends, 0 opaque, 0 dial failures
cache: 12 connections, 80 bytes from clients, 0 bytes from backends, 1 opaque, 2 dial failures, 3 handshake failures
cache: 1 opaque: HTTP/2
cache: 3 handshake failures: the client sent HTTP without TLS
expected error>=1: met, 5
expected cache.delay>=10: NOT met, 3
warning: handler `hang` of cache took no call
exit code 3 (the command's was 0) after 21.4 s, seed 42
again: vaurien --backend localhost:6379 --handler 20:delay --seed 42 -- pytest -x
";
        assert_eq!(Table(&example::report()).to_string(), expected);
    }

    #[test]
    fn one_proxy_without_a_name_is_not_named() {
        let expected = "\
handler  calls  faults
error        5       5
12 connections, 80 bytes from clients, 0 bytes from backends, 1 opaque, 2 dial failures, 3 handshake failures
1 opaque: HTTP/2
3 handshake failures: the client sent HTTP without TLS
exit code 0 after 21.4 s, seed 42
again: vaurien --backend localhost:6379 --handler 20:delay --seed 42 -- pytest -x
";
        let mut report = example::passed(1, 1);
        let proxies = &mut report.runs[0].proxies;
        proxies.remove(0);
        "default".clone_into(&mut proxies[0].name);
        assert_eq!(Table(&report).to_string(), expected);
        "cache".clone_into(&mut report.runs[0].proxies[0].name);
        let named = Table(&report).to_string();
        assert!(
            named.starts_with("proxy  handler  calls  faults\ncache  error        5       5\ncache: 12"),
            "{named}"
        );
    }

    #[test]
    fn wide_names_widen_their_column() {
        let mut report = example::passed(1, 1);
        let handlers = &mut report.runs[0].proxies[0].handlers;
        handlers[0].name = "é".repeat(70);
        handlers[1].calls = u64::MAX;
        let table = Table(&report).to_string();
        let ends: Vec<usize> = table.lines().take(4).map(|line| line.chars().count()).collect();
        assert!(ends[0] > 120 && ends.iter().all(|end| *end == ends[0]), "{table}");
        let ends_of_calls: Vec<_> = ["calls", " 24", " 18446744073709551615", " 5"]
            .iter()
            .zip(table.lines())
            .map(|(calls, line)| line.find(calls).map(|start| line[..start + calls.len()].chars().count()))
            .collect();
        assert!(ends_of_calls.iter().all(|end| end.is_some() && *end == ends_of_calls[0]), "{table}");
    }

    #[test]
    fn each_end_is_said() {
        for (end, exit_code, said) in [
            (End::Stopped, 0, "stopped"),
            (End::Stopped, 3, "exit code 3 (stopped)"),
            (End::Exited { code: 0 }, 0, "exit code 0"),
            (End::Exited { code: 7 }, 7, "exit code 7"),
            (End::Exited { code: 0 }, 3, "exit code 3 (the command's was 0)"),
            (End::Signalled { signal: 9 }, 137, "exit code 137 (ended by SIGKILL)"),
            (End::Signalled { signal: 40 }, 168, "exit code 168 (ended by signal 40)"),
            (End::TimedOut, 124, "exit code 124 (timed out)"),
        ] {
            let mut report = example::passed(1, 1);
            (report.runs[0].end, report.exit_code) = (end, exit_code);
            let table = Table(&report).to_string();
            let line = table.lines().find(|line| line.ends_with(", seed 42"));
            assert_eq!(line, Some(&*format!("{said} after 21.4 s, seed 42")));
        }
    }

    #[test]
    fn several_runs_are_counted_first() {
        let first = |report: &Report| Table(report).to_string().lines().next().map(str::to_owned);
        assert_eq!(first(&example::passed(20, 20)).as_deref(), Some("20 of 20 runs passed, seeds 42 to 61"));
        assert_eq!(first(&example::passed(1, 20)).as_deref(), Some("1 of 20 runs passed, seed 42"));
        let mut report = example::passed(7, 20);
        report.runs[6].end = End::TimedOut;
        report.exit_code = 124;
        let table = Table(&report).to_string();
        assert!(table.starts_with("run 7 of 20 failed\nproxy "), "{table}");
        assert!(table.contains("\nexit code 124 (timed out) after 21.4 s, seed 48\n"), "{table}");
        assert!(table.ends_with(&format!("again: {}\n", again(48))), "{table}");
    }

    #[test]
    fn where_nothing_was_run_it_says_so() {
        let mut report = Report::new(None, 1);
        report.exit_code = 127;
        assert_eq!(Table(&report).to_string(), "exit code 127, nothing was run\n");
    }

    #[test]
    fn connections_are_told_as_a_summary_tells_them() {
        let summary = Summary {
            connections: 12,
            to_backend: 80,
            to_client: 0,
            opaque: 1,
            opaque_reasons: vec![("HTTP/2".to_owned(), 1)],
            backend_failures: 2,
            handshake_failures: 3,
            handshake_reasons: vec![("the client sent HTTP without TLS".to_owned(), 3)],
            ..Summary::default()
        };
        let table = Table(&example::report()).to_string();
        let lines = summary.lines();
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| table.contains(&format!("cache: {line}\n"))), "{table}");
    }
}
