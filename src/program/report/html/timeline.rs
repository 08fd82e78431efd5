//! The timeline, which a script draws: its controls, its legend, and the text without JavaScript.

use maud::{Markup, html};

use super::columns::HEADS;
use super::handlers::{Handlers, named};
use crate::call_log::Recorded;
use crate::program::report::text::{counted, grouped};

/// The marks of faults, as paths in a square of 12, and their meanings.
const MARKS: [(&str, &str); 3] = [
    ("M1 2H11L6 10Z", "fault: delayed (sleep, wait, hold, slow)"),
    ("M6 1 11 6 6 11 1 6Z", "fault: another reply (answer, inject, corrupt)"),
    ("M2 2 10 10M10 2 2 10", "fault: ended (close, reset, cut, handshake)"),
];

/// What is shown of the selected call.
const DETAILS: [(&str, &str); 8] = [
    ("detail-call", "Call"),
    ("detail-handler", "Handler"),
    ("detail-head", "Request"),
    ("detail-begun", "Begun"),
    ("detail-took", "Took"),
    ("detail-end", "Ended by"),
    ("detail-paused", "No call for"),
    ("detail-label", "Label"),
];

/// The requests of `unnamed` calls are not in the page.
pub(super) fn section(recorded: &Recorded, handlers: &Handlers, unnamed: u64) -> Markup {
    html! {
        section aria-labelledby="timeline" {
            h2 #timeline { "Timeline" }
            p {
                (summary(recorded))
                @if unnamed > 0 {
                    " The page has room for " (grouped(HEADS.into())) " different requests, those of faults first: "
                    (counted(unnamed, "call")) " are shown without theirs."
                }
            }
            @if !recorded.calls.is_empty() {
                noscript { p { "The timeline needs JavaScript, which is off. Everything else is complete." } }
                div #drawing hidden {
                    (controls(recorded, handlers))
                    div #plot.plot tabindex="0" role="application" aria-describedby="keys"
                        aria-label="Timeline of calls, a row for each connection" {
                        div #rows { canvas #canvas {} }
                    }
                    p #cut.note hidden { "Only the rows in view are printed." }
                    dl.facts.details aria-live="polite" aria-label="The selected call" {
                        @for (id, name) in DETAILS { div { dt { (name) } dd id=(id) { "–" } } }
                    }
                    (legend())
                    (keys())
                }
            }
        }
    }
}

/// How many calls the page has, and how many are missing.
fn summary(recorded: &Recorded) -> String {
    let calls = u64::try_from(recorded.calls.len()).unwrap_or(u64::MAX);
    match (calls, recorded.left_out) {
        (0, 0) => "There were no calls.".to_owned(),
        (0, left_out) => format!("No calls were recorded, {} were left out.", grouped(left_out)),
        (calls, 0) => format!("All {} of the run.", counted(calls, "call")).replace("All 1 call ", "The one call "),
        (calls, left_out) => format!(
            "{} of the run. {} more were left out here and in the latency below, but not in the figures above.",
            counted(calls, "call"),
            grouped(left_out)
        ),
    }
}

fn controls(recorded: &Recorded, handlers: &Handlers) -> Markup {
    let called = |name: &str| recorded.calls.iter().any(|call| *call.handler == *name);
    html! {
        div.controls {
            fieldset {
                legend { "Handlers" }
                @for (place, name) in handlers.all().filter(|(_, name)| called(name)) {
                    label { input type="checkbox" data-handler=(place) checked; (named(name)) }
                }
            }
            fieldset {
                legend { "Calls" }
                label { input #faults-only type="checkbox"; "Faults only" }
                label #of-proxy hidden { "Proxy " select #proxy { option value="" { "all" } } }
            }
            fieldset {
                legend { "Time" }
                button #closer type="button" aria-label="Zoom in" { "+" }
                button #farther type="button" aria-label="Zoom out" { "−" }
                button #earlier type="button" aria-label="Earlier" { "←" }
                button #later type="button" aria-label="Later" { "→" }
                button #whole type="button" { "Whole run" }
            }
        }
    }
}

fn legend() -> Markup {
    html! {
        ul.legend aria-label="Legend" {
            @for (path, meaning) in MARKS {
                li {
                    svg.mark viewBox="0 0 12 12" width="12" height="12" fill="none" stroke="currentColor" aria-hidden="true" {
                        path d=(path) {}
                    }
                    (meaning)
                }
            }
            li { span.swatch.hollow {} "no reply" }
        }
    }
}

fn keys() -> Markup {
    html! {
        p #keys.note {
            "Drag across to zoom in, double-click for the whole run. Ctrl and wheel zooms, Shift and wheel or drag moves. Keys: "
            kbd { "+" } " " kbd { "−" } " zoom, " kbd { "0" } " whole run, " kbd { "Shift" } " and " kbd { "←" } " " kbd { "→" } " move, "
            kbd { "←" } " " kbd { "→" } " next call, " kbd { "↑" } " " kbd { "↓" } " next connection, "
            kbd { "f" } " " kbd { "F" } " next and previous fault, "
            kbd { "Esc" } " cancels a drag."
        }
    }
}
