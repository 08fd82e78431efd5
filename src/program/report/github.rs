//! The report in GitHub Actions: job summary and annotations.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;

use tracing::warn;

use super::markdown::Markdown;
use super::{End, Report, Run};

/// In a job of GitHub Actions, as the environment tells, adds the report to the job summary and writes annotations to
/// `out`, which the runner reads: standard error.
///
/// If the summary cannot be written, a warning is logged. Failures to write to `out` are ignored.
pub(crate) fn publish(report: &Report, env: impl Fn(&str) -> Option<String>, mut out: impl Write) {
    if env("GITHUB_ACTIONS").as_deref() != Some("true") {
        return;
    }
    if let Some(path) = env("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) {
        // Separated from what another step has written, even if that did not end its line.
        let text = format!("\n\n{}\n", Markdown(report));
        let file = File::options().append(true).create(true).open(&path);
        if let Err(error) = file.and_then(|mut file| file.write_all(text.as_bytes())) {
            warn!("cannot write the job summary `{path}`: {error}");
        }
    }
    // One write, so that no other line gets between.
    let _ = out.write_all(annotations(report).as_bytes());
}

/// One line for each error of the runs that failed and for each warning of any run.
fn annotations(report: &Report) -> String {
    let errors = report.runs.iter().filter(|run| run.failed()).flat_map(|run| errors(report, run));
    let errors = errors.map(|error| annotation("error", &error));
    let warnings: BTreeSet<&String> = report.runs.iter().flat_map(|run| &run.warnings).collect();
    let warnings = warnings.into_iter().map(|warning| annotation("warning", warning));
    let totals: Vec<_> = report.unmet_totals().map(|error| annotation("error", &error)).collect();
    let errors = errors.chain(totals);
    let broken = report.error.iter().map(|error| annotation("error", error));
    broken.chain(errors).chain(warnings).collect()
}

fn errors(report: &Report, run: &Run) -> Vec<String> {
    let mut errors = Vec::new();
    if !matches!(run.end, End::Stopped | End::Exited { code: 0 }) {
        errors.push(format!("{}: {}", report.command_line().unwrap_or_default(), run.end));
    }
    errors.extend(run.unmet().map(super::Expected::failure));
    errors.extend(report.repeated());
    if let Some(last) = errors.pop() {
        errors.push(format!("{last}\nagain: {}", run.again));
    }
    errors
}

/// A workflow command, escaped as the runner requires.
fn annotation(level: &str, message: &str) -> String {
    let message = message.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    format!("::{level} title=vaurien::{message}\n")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::program::report::example;

    /// What is written to standard error and to the summary.
    fn published(report: &Report, actions: Option<&str>, before: Option<&str>) -> (String, Option<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("summary");
        if let Some(before) = before {
            fs::write(&path, before).unwrap();
        }
        let env = |name: &str| match name {
            "GITHUB_ACTIONS" => actions.map(str::to_owned),
            "GITHUB_STEP_SUMMARY" => path.to_str().map(str::to_owned),
            _ => None,
        };
        let mut out = Vec::new();
        publish(report, env, &mut out);
        (String::from_utf8(out).unwrap(), fs::read_to_string(&path).ok())
    }

    #[test]
    fn elsewhere_nothing_is_written() {
        for actions in [None, Some(""), Some("false")] {
            assert_eq!(published(&example::report(), actions, None), (String::new(), None));
        }
    }

    #[test]
    fn the_summary_has_the_report_after_what_was_there() {
        let report = example::report();
        let markdown = Markdown(&report).to_string();
        let (_, summary) = published(&report, Some("true"), None);
        assert_eq!(summary, Some(format!("\n\n{markdown}\n")));
        let (_, summary) = published(&report, Some("true"), Some("- built"));
        assert_eq!(summary, Some(format!("- built\n\n{markdown}\n")));
    }

    #[test]
    fn what_is_unmet_is_an_error_and_what_may_be_wrong_a_warning() {
        let (annotations, _) = published(&example::report(), Some("true"), None);
        let expected = format!(
            "\
::error title=vaurien::expected cache.delay>=10, counted 3%0Aagain: {}
::warning title=vaurien::handler `hang` of cache took no call
",
            example::again(42)
        );
        assert_eq!(annotations, expected);
        assert_eq!(published(&example::passed(20, 20), Some("true"), None).0, "");
    }

    #[test]
    fn a_run_that_failed_says_how_and_how_to_repeat_it() {
        let mut report = example::passed(7, 20);
        report.command = Some(vec!["sh".to_owned(), "-c".to_owned(), "exit\r\n100%".to_owned()]);
        for run in &mut report.runs {
            run.warnings = vec!["the same each time".to_owned()];
        }
        report.runs[6].end = End::Signalled { signal: 9 };
        let expected = format!(
            "\
::error title=vaurien::sh -c 'exit%0D%0A100%25': ended by SIGKILL
::error title=vaurien::run 7 of 20 failed%0Aagain: {}
::warning title=vaurien::the same each time
",
            example::again(48)
        );
        assert_eq!(published(&report, Some("true"), None).0, expected);
    }

    #[test]
    fn annotations_are_written_even_if_the_summary_cannot_be() {
        for path in ["/nowhere/at/all", ""] {
            let env = |name: &str| Some(if name == "GITHUB_ACTIONS" { "true" } else { path }.to_owned());
            let mut out = Vec::new();
            publish(&example::report(), env, &mut out);
            assert!(String::from_utf8(out).unwrap().starts_with("::error title=vaurien::expected"));
        }
    }
}
