//! The report as one HTML page. It needs no network; without JavaScript only the timeline is missing.
//!
//! Commands, keys and names are arbitrary text. They get into the page only through `maud`, which escapes them, and through
//! [`columns`], which writes JSON without a `<`.

mod columns;
#[cfg(test)]
mod example;
mod handlers;
mod latency;
mod tables;
#[cfg(test)]
mod tests;
mod timeline;
mod toxics;
mod verdict;

use std::io;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::call_log::Recorded;
use crate::metrics::snapshot::HandlerSnapshot;
use crate::program::report::Report;
use crate::program::report::text::visible;
use crate::program::web;
use crate::protocol::Protocol;
use handlers::Handlers;

/// The page loads nothing, whatever its content.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; \
    base-uri 'none'; form-action 'none'";

/// In their order.
const STYLES: [&str; 2] = [web::BASE, include_str!("page.css")];

/// In the order of their dependencies; the last one starts.
const SCRIPTS: [&str; 5] = [
    include_str!("page.js"),
    web::MARKS,
    include_str!("calls.js"),
    include_str!("paint.js"),
    include_str!("timeline.js"),
];

/// Writes the page. `recorded` has the calls of the last run.
pub(crate) fn write(mut out: impl io::Write, report: &Report, recorded: &Recorded) -> io::Result<()> {
    let proxies = report.shown().map_or(&[][..], |run| &run.proxies);
    let labels: Vec<String> = proxies.iter().flat_map(|proxy| &proxy.handlers).map(HandlerSnapshot::label).collect();
    let handlers =
        Handlers::new(labels.iter().map(String::as_str).chain(recorded.calls.iter().map(|call| &*call.handler)));
    let names: Vec<_> = proxies.iter().map(|proxy| &*proxy.name).collect();
    let columns = columns::columns(&recorded.calls, &names, &handlers);
    let has_turns = proxies.iter().any(|proxy| proxy.protocol == Protocol::Tcp.name());
    let has_toxics = proxies.iter().any(|proxy| !proxy.toxics.is_empty());
    let seen = html! {
        (verdict::header(report))
        main {
            (verdict::sections(report))
            (tables::sections(proxies))
            (toxics::section(proxies))
            @if let Some(run) = report.shown().filter(|run| !run.labels.is_empty()) {
                (tables::labels(&run.labels, proxies))
            }
            (timeline::section(recorded, &handlers, columns.unnamed))
            @if !recorded.calls.is_empty() { (latency::section(&recorded.calls, &handlers, has_turns, has_toxics)) }
        }
    };
    let script = html! { script type="module" { @for script in SCRIPTS { (PreEscaped(script)) } } };
    write!(out, "{}<html lang=\"en\">{}<body>{}", DOCTYPE.0, visible(&head(report).0), visible(&seen.0))?;
    write!(out, r#"<script id="columns" type="application/json">{}</script>"#, columns.json()?)?;
    write!(out, "{}</body></html>", script.0)?;
    out.flush()
}

fn head(report: &Report) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta http-equiv="Content-Security-Policy" content=(POLICY);
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (verdict::title(report)) }
            // Without it a browser requests one from the server.
            link rel="icon" href="data:,";
            style { @for style in STYLES { (PreEscaped(style)) } }
        }
    }
}
