//! Whether the runs passed, what was run, and how to repeat it.

use std::time::SystemTime;

use maud::{Markup, html};

use super::tables::rolling;
use crate::program::command::End;
use crate::program::report::text::{self, counted, grouped};
use crate::program::report::{Expected, Report, Run};

/// A list of more runs is folded.
const LISTED: usize = 25;

pub(super) fn title(report: &Report) -> String {
    let of = report.command_line().map_or_else(|| "vaurien".to_owned(), |command| format!("{command} – vaurien"));
    format!("{}: {of}", verdict(report))
}

/// In one or two words.
fn verdict(report: &Report) -> &'static str {
    match report.exit_code {
        0 if report.command.is_none() && expected(report).is_empty() => "Stopped",
        0 => "Passed",
        _ => "Failed",
    }
}

fn expected(report: &Report) -> &[Expected] {
    report.shown().map_or(&[], |run| &run.expectations)
}

/// The top of the page.
pub(super) fn header(report: &Report) -> Markup {
    let last = report.shown();
    let passed = report.exit_code == 0;
    html! {
        header.verdict.(if passed { "passed" } else { "failed" }) {
            p.word {
                svg viewBox="0 0 16 16" width="16" height="16" fill="none" stroke="currentColor" stroke-width="2"
                    aria-hidden="true" {
                    path d=(if passed { "M3 8.5 6.5 12 13 4.5" } else { "M4 4 12 12M12 4 4 12" }) {}
                }
                (verdict(report))
            }
            h1 { code { (report.command_line().unwrap_or_else(|| "vaurien".to_owned())) } }
            p { (sentence(report)) }
            @if let Some(error) = &report.error { p { (error) } }
            dl.facts {
                (fact("Exit code", &html! { (report.exit_code) }))
                @if let Some(run) = last {
                    (fact("Took", &html! { (text::time(run.took)) }))
                    (fact("Seed", &html! { (run.seed) }))
                    (fact("Begun", &begun(run.begun)))
                }
                (fact("vaurien", &html! { (report.vaurien) }))
            }
            @if let Some(run) = last {
                div.again {
                    h2 #again-title { "Run it again" }
                    code #again aria-labelledby="again-title" { (run.again) }
                    button #copy type="button" hidden { "Copy" }
                }
            }
        }
    }
}

fn fact(name: &str, value: &Markup) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

fn begun(begun: SystemTime) -> Markup {
    let time = humantime::format_rfc3339_seconds(begun.max(SystemTime::UNIX_EPOCH)).to_string();
    html! { time datetime=(time) { (time.replace('T', " ").replace('Z', " UTC")) } }
}

/// How the run that is shown ended.
fn sentence(report: &Report) -> String {
    let Some(run) = report.shown() else { return "Nothing was run.".to_owned() };
    let unmet = run.unmet().count();
    let unmet = (unmet > 0).then(|| format!("{unmet} of {} expectations unmet.", run.expectations.len()));
    let repeated = report.repeated().map(|text| format!("{}.", capital(&text)));
    let totals = report.totals.iter().filter(|expected| !expected.met).count();
    let totals = (totals > 0).then(|| format!("{totals} of {} expectations of all runs unmet.", report.totals.len()));
    [Some(ending(run.end)), unmet, repeated, totals].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// With a capital letter.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().into_iter().map(|first| first.to_ascii_uppercase()).chain(letters).collect()
}

fn ending(end: End) -> String {
    match end {
        End::Stopped => "It was stopped.".to_owned(),
        End::Exited { code: 0 } => "The command succeeded.".to_owned(),
        End::Exited { code } => format!("The command failed with exit code {code}."),
        End::Signalled { .. } => format!("The command was {end}."),
        End::TimedOut => "The command timed out and was stopped.".to_owned(),
    }
}

/// What the words of the page mean, for readers who have not seen one before.
const TERMS: [(&str, &str); 6] = [
    (
        "Chaos run",
        "vaurien stood between the program under test and its backend, and injected faults on purpose. A test that fails shows a fault \
         that the program does not survive; with the seed, the same calls meet the same faults again.",
    ),
    ("Call", "One request and the reply that belongs to it."),
    ("Handler", "What happens to a call. A rule or a percentage decides which one it gets."),
    ("dummy", "The handler of all other calls: they pass unchanged."),
    ("Fault", "A handler, or a toxic, that did something. Its call or connection differs from one without vaurien."),
    (
        "Opaque",
        "A connection whose calls vaurien could no longer tell apart: its bytes pass, and handlers no longer act on it.",
    ),
];

fn terms() -> Markup {
    html! {
        details {
            summary { "What the words mean" }
            dl.terms { @for (term, meaning) in TERMS { dt { (term) } dd { (meaning) } } }
        }
    }
}

/// The meaning of the words, expectations, warnings, and the runs if there are several.
pub(super) fn sections(report: &Report) -> Markup {
    let last = report.shown();
    html! {
        section { (terms()) }
        @if let Some(run) = last.filter(|run| !run.expectations.is_empty()) {
            (expectations("Expectations", "expectations", &run.expectations))
        }
        @if !report.totals.is_empty() { (expectations("Expectations of all runs together", "totals", &report.totals)) }
        @if let Some(run) = last.filter(|run| !run.warnings.is_empty()) {
            section aria-labelledby="warnings" {
                h2 #warnings { "Warnings" }
                ul.warnings { @for warning in &run.warnings { li { (warning) } } }
            }
        }
        @if report.runs.len() > 1 { (runs(report)) }
    }
}

fn expectations(title: &str, id: &str, expectations: &[Expected]) -> Markup {
    html! {
        section aria-labelledby=(id) {
            h2 id=(id) { (title) }
            (rolling(title, &html! {
                thead { tr { th scope="col" { "Expected" } th.number scope="col" { "Counted" } th scope="col" { "Outcome" } } }
                tbody {
                    @for expected in expectations {
                        tr {
                            th scope="row" { code { (expected.expectation) } }
                            td.number { (grouped(expected.count)) }
                            td.(if expected.met { "met" } else { "unmet" }) {
                                (if expected.met { "met" } else { "not met" })
                                @if let Some(why) = &expected.why { ": " (why) }
                            }
                        }
                    }
                }
            }))
        }
    }
}

fn runs(report: &Report) -> Markup {
    let of = u64::try_from(report.runs.len()).unwrap_or(u64::MAX);
    html! {
        section aria-labelledby="runs" {
            h2 #runs { "Runs" }
            details open[report.runs.len() <= LISTED] {
                summary { (counted(of, "run")) " of " (grouped(report.repeat)) (if report.exit_code != 0 && report.keep_going { "; everything below is about the first that failed" } else { "; everything below is about the last one" }) }
                (rolling("Runs", &html! {
                    thead { tr {
                        th.number scope="col" { "Run" } th.number scope="col" { "Seed" } th.number scope="col" { "Took" }
                        th scope="col" { "Ended" }
                    } }
                    tbody { @for (number, run) in (1_u64..).zip(&report.runs) { (row(number, run)) } }
                }))
            }
        }
    }
}

fn row(number: u64, run: &Run) -> Markup {
    html! {
        tr {
            th.number scope="row" { (grouped(number)) }
            td.number { (run.seed) }
            td.number { (text::time(run.took)) }
            td.unmet[run.failed()] {
                (run.end)
                @for expected in run.unmet() { ", " code { (expected.expectation) } " not met" }
            }
        }
    }
}
