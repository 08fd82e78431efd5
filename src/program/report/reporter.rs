//! Tells what came of runs: on standard error, in files, to a CI server.

use std::io::{self, Write};

use anyhow::Context;
use nix::sys::signal::Signal;
use tracing::{error, info, warn};

use crate::call_log::Recorded;
use crate::program::command::End;
use crate::program::config::{Config, Format, Level};
use crate::program::exit_code;
use crate::program::report::file::{Target, Waiting};
use crate::program::report::table::Table;
use crate::program::report::{Report, Run, github};
use crate::program::run::services::Done;

/// The report, while there are runs to tell of.
pub(crate) struct Reporter {
    report: Report,
    files: Vec<Waiting>,
    /// The calls of the last run.
    recorded: Recorded,
    format: Format,
    /// Whether people want to read more than what is wrong.
    tells_all: bool,
    /// A signal that asked for the end of everything.
    asked: Option<Signal>,
}

impl Reporter {
    /// Makes sure that all files can be written.
    ///
    /// # Errors
    ///
    /// One cannot.
    pub(crate) fn open(config: &Config) -> anyhow::Result<Self> {
        let open = |target: &Target| Waiting::open(target).with_context(|| cannot_write(target));
        Ok(Self {
            report: Report::new((!config.run.command.is_empty()).then(|| config.run.words()), config.run.repeat),
            files: config.run.reports.iter().map(open).collect::<anyhow::Result<_>>()?,
            recorded: Recorded::default(),
            format: config.log.format,
            tells_all: !matches!(config.log.level, Level::Error | Level::Warn),
            asked: None,
        })
    }

    /// Adds a run. Whether there may be another, as it has not failed.
    pub(crate) fn add(&mut self, run: Run, done: Done) -> bool {
        let goes_on = !run.failed();
        if goes_on && self.report.repeat > 1 {
            let (number, of) = (self.report.runs.len() + 1, self.report.repeat);
            info!("run {number} of {of} passed, seed {}", run.seed);
        }
        self.tell(&run, &done);
        self.report.runs.push(run);
        self.recorded = done.recorded;
        goes_on
    }

    /// A signal asked for the end of everything: there will be no more runs.
    pub(crate) fn interrupted(&mut self, signal: Signal) {
        self.asked = Some(signal);
    }

    /// What a table would say, where there is to be none.
    fn tell(&self, run: &Run, done: &Done) {
        if self.format == Format::Text && self.tells_all {
            return;
        }
        for warning in &run.warnings {
            warn!("{warning}");
        }
        for (name, summary) in &done.summaries {
            let name = if done.summaries.len() > 1 { format!("{name}: ") } else { String::new() };
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

    /// Tells all of it, also that it `ended` with a failure of the program itself, and answers the exit code.
    ///
    /// # Errors
    ///
    /// That failure, or all went well and a file cannot be written.
    pub(crate) fn finish(mut self, ended: anyhow::Result<()>) -> anyhow::Result<u8> {
        let last = self.report.runs.last().map_or(0, Run::exit_code);
        let is_cut_short = last == 0 && (self.report.runs.len() as u64) < self.report.repeat;
        self.report.exit_code = match (&ended, self.asked.filter(|_| is_cut_short)) {
            (Err(error), _) => {
                self.report.error = Some(format!("{error:#}"));
                exit_code(error, self.report.command.is_some())
            }
            // The last run may have ended well, but others were to follow.
            (Ok(()), Some(signal)) => {
                let (signal, runs) = (End::Signalled { signal: signal as i32 }, self.report.runs.len());
                self.report.error = Some(format!("{signal} after {runs} of {} runs", self.report.repeat));
                signal.exit_code()
            }
            (Ok(()), None) => last,
        };
        if self.format == Format::Text && self.tells_all && !self.report.runs.is_empty() {
            let _ = write!(io::stderr(), "{}", Table(&self.report));
        }
        github::tell(&self.report, |name| std::env::var(name).ok(), io::stderr());
        let mut failed = None;
        for file in self.files {
            let what = cannot_write(&file.target);
            if let Err(error) = file.finish(&self.report, &self.recorded) {
                let error = anyhow::Error::new(error).context(what);
                // The last one may be what the program ends with.
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
}

fn cannot_write(report: &Target) -> String {
    format!("cannot write the report `{report}`")
}
