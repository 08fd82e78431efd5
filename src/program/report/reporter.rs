//! Collects the runs of a report and writes it: to standard error, to files, to the CI server.

use std::io::Write;

use anyhow::Context;
use nix::sys::signal::Signal;
use tracing::{error, info, warn};

use crate::call_log::Recorded;
use crate::handler::Registry;
use crate::metrics::summary::Summary;
use crate::program::command::End;
use crate::program::exit_code;
use crate::program::expectation::Expectation;
use crate::program::logging::{Format, Level, Log};
use crate::program::report::file::{PendingFile, Target};
use crate::program::report::table::Table;
use crate::program::report::{Expected, Report, Run, github};
use crate::program::stderr::Stderr;

/// A report that is not complete yet.
pub(crate) struct Reporter {
    report: Report,
    files: Vec<PendingFile>,
    /// The calls of the run that is shown.
    calls: Recorded,
    /// The figures of all runs, by proxy.
    summaries: Vec<(String, Summary)>,
    /// Whether the result is shown as a table; otherwise it is logged.
    shows_table: bool,
    /// The signal that stopped the program, if one did.
    stopped_by: Option<Signal>,
}

impl Reporter {
    /// For the runs of `report`, which go on after a failure if `keep_going`. The report goes to `files`, and to standard error
    /// as `log` says.
    pub(crate) fn open(mut report: Report, keep_going: bool, files: &[Target], log: Log) -> anyhow::Result<Self> {
        let open = |target: &Target| PendingFile::open(target).with_context(|| cannot_write(target));
        report.keep_going = keep_going;
        Ok(Self {
            report,
            files: files.iter().map(open).collect::<anyhow::Result<_>>()?,
            calls: Recorded::default(),
            summaries: Vec::new(),
            shows_table: log.format == Format::Text && !matches!(log.level, Level::Error | Level::Warn),
            stopped_by: None,
        })
    }

    /// Adds a run, with the figures of each proxy by name and with its calls. Whether it passed.
    pub(crate) fn add(&mut self, run: Run, summaries: &[(String, Summary)], calls: Recorded) -> bool {
        let passed = !run.failed();
        let (number, of) = (self.report.runs.len() + 1, self.report.repeat);
        if passed && of > 1 {
            info!("run {number} of {of} passed, seed {}", run.seed);
        } else if of > 1 && self.report.keep_going {
            warn!("run {number} of {of} failed: {}", run.outcome(run.exit_code()));
        }
        if !self.shows_table {
            log_run(&run, summaries);
        }
        if self.report.failed().next().is_none() {
            self.calls = calls;
        }
        self.report.runs.push(run);
        for (name, summary) in summaries {
            match self.summaries.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => *sum = std::mem::take(sum).with(summary.clone()),
                None => self.summaries.push((name.clone(), summary.clone())),
            }
        }
        passed
    }

    /// All runs have ended: compares their figures, summed, with these.
    pub(crate) fn add_totals(&mut self, expectations: &[Expectation], registry: &Registry) {
        let summaries = || self.summaries.iter().map(|(name, summary)| (name.as_str(), summary));
        let totals = expectations.iter().map(|expectation| {
            let count = expectation.count(summaries(), registry);
            Expected::new(expectation, count)
        });
        self.report.totals = totals.collect();
        if !self.shows_table {
            self.report.unmet_totals().for_each(|line| error!("{line}"));
        }
    }

    /// A signal stopped the program: there are no more runs.
    pub(crate) fn interrupted(&mut self, signal: Signal) {
        self.stopped_by = Some(signal);
    }

    /// Writes the report, which ends with a failure of the program itself if `ended` is one. Answers the exit code.
    /// Fails with that failure, or if everything else went well and a file cannot be written.
    pub(crate) fn finish(mut self, ended: anyhow::Result<()>) -> anyhow::Result<u8> {
        self.report.exit_code = self.exit_code(&ended);
        if self.shows_table && !self.report.runs.is_empty() {
            let _ = Stderr.write_all(Table(&self.report).to_string().as_bytes());
        }
        github::publish(&self.report, |name| std::env::var(name).ok(), Stderr);
        let mut failed = None;
        for file in self.files {
            let what = cannot_write(&file.target);
            if let Err(error) = file.finish(&self.report, &self.calls) {
                let error = anyhow::Error::new(error).context(what);
                // Only one error can be returned.
                if let Some(earlier) = failed.replace(error) {
                    error!("{earlier:#}");
                }
            }
        }
        ended?;
        match failed {
            Some(error) if self.report.exit_code == 0 => return Err(error),
            Some(error) => error!("{error:#}"),
            None => {}
        }
        Ok(self.report.exit_code)
    }

    /// The exit code, with the error that belongs to it in the report.
    fn exit_code(&mut self, ended: &anyhow::Result<()>) -> u8 {
        let code = self.report.exit_code_of_runs();
        let is_cut_short = code == 0 && (self.report.runs.len() as u64) < self.report.repeat;
        match (ended, self.stopped_by.filter(|_| is_cut_short)) {
            (Err(error), _) => {
                self.report.error = Some(format!("{error:#}"));
                exit_code::of_failure(error, self.report.command.is_some())
            }
            // The last run passed, but others were to follow.
            (Ok(()), Some(signal)) => {
                let (signal, runs) = (End::Signalled { signal: signal as i32 }, self.report.runs.len());
                self.report.error = Some(format!("{signal} after {runs} of {} runs", self.report.repeat));
                exit_code::of_end(signal)
            }
            (Ok(()), None) => code,
        }
    }
}

/// Logs what a table would show.
fn log_run(run: &Run, summaries: &[(String, Summary)]) {
    for warning in &run.warnings {
        warn!("{warning}");
    }
    for (name, summary) in summaries {
        let name = if summaries.len() > 1 { format!("{name}: ") } else { String::new() };
        for line in summary.lines() {
            info!("{name}{line}");
        }
    }
    for expected in run.unmet() {
        error!("{expected}");
    }
    let outcome = format!("{}, again: {}", run.outcome(run.exit_code()), run.again);
    if run.failed() { error!("{outcome}") } else { info!("{outcome}") }
}

fn cannot_write(report: &Target) -> String {
    format!("cannot write the report `{report}`")
}
