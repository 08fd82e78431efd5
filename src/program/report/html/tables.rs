//! The figures of proxies and handlers.

use std::time::Duration;

use maud::{Markup, html};

use super::handlers::named;
use crate::metrics::reasons::Reason;
use crate::program::report::Proxy;
use crate::program::report::labels::{self, LabelName, LabelReport};
use crate::program::report::text::{self, grouped};

/// A table that scrolls sideways if it is too wide, also with the keyboard.
pub(super) fn rolling(label: &str, rows: &Markup) -> Markup {
    html! { div.rolling role="region" aria-label=(label) tabindex="0" { table { (rows) } } }
}

/// A time, if there is one.
pub(super) fn span(time: Option<Duration>) -> Markup {
    html! { @match time { Some(time) => (text::time(time)), None => "–" } }
}

pub(super) fn sections(proxies: &[Proxy]) -> Markup {
    html! {
        section aria-labelledby="faults" {
            h2 #faults { "Calls and faults" }
            (rolling("Calls and faults", &calls(proxies)))
        }
        section aria-labelledby="connections" {
            h2 #connections { "Connections" }
            (rolling("Connections", &connections(proxies)))
        }
    }
}

/// One row for each handler of each proxy.
fn calls(proxies: &[Proxy]) -> Markup {
    html! {
        thead { tr {
            th scope="col" { "Proxy" }
            th scope="col" { "Handler" }
            @for head in ["Calls", "Faults", "Waited p50", "p99", "max"] { th.number scope="col" { (head) } }
        } }
        @for proxy in proxies {
            tbody {
                @for (place, handler) in proxy.handlers.iter().enumerate() {
                    tr {
                        @if place == 0 { th scope="rowgroup" rowspan=(proxy.handlers.len()) { (proxy.name) } }
                        th scope="row" { (named(&handler.label())) }
                        td.number { (grouped(handler.calls)) }
                        td.number.fault[handler.faults > 0] { (grouped(handler.faults)) }
                        @for time in [handler.waited.map(|w| w.p50), handler.waited.map(|w| w.p99), handler.waited.map(|w| w.max)] {
                            td.number { (span(time)) }
                        }
                    }
                }
            }
        }
    }
}

/// One row for each label. If there are several proxies, they are named.
pub(super) fn labels(labels: &LabelReport, proxies: &[Proxy]) -> Markup {
    let rows = html! {
        thead { tr {
            th scope="col" { "Label" }
            @for head in ["Calls", "Faults"] { th.number scope="col" { (head) } }
            th scope="col" { "Faults by handler" }
        } }
        tbody {
            @for (name, figures) in labels.rows() {
                tr {
                    th scope="row" {
                        @match name {
                            LabelName::Label(label) => (label),
                            LabelName::Others => em { (labels::others()) },
                            LabelName::None => em { "without a label" },
                        }
                    }
                    td.number { (grouped(figures.calls)) }
                    td.number.fault[figures.faults > 0] { (grouped(figures.faults)) }
                    td {
                        @for (place, (proxy, name, faults)) in figures.faults_by_name().enumerate() {
                            @if place > 0 { ", " }
                            @if proxies.len() > 1 { (proxy) ": " }
                            (named(&name)) " " (grouped(faults))
                        }
                    }
                }
            }
        }
    };
    html! {
        section aria-labelledby="labels" {
            h2 #labels { "Labels" }
            (rolling("Labels", &rows))
        }
    }
}

/// One row for each proxy. Columns about handshakes are there if some failed.
fn connections(proxies: &[Proxy]) -> Markup {
    let with_handshakes = proxies.iter().any(|proxy| proxy.handshake_failures > 0);
    html! {
        thead { tr {
            @for head in ["Proxy", "Backend", "Protocol", "Mix"] { th scope="col" { (head) } }
            @for head in ["Connections", "Bytes from clients", "Bytes from backends", "Dial failures", "Opaque"] {
                th.number scope="col" { (head) }
            }
            th scope="col" { "Why opaque" }
            @if with_handshakes {
                th.number scope="col" { "Handshake failures" }
                th scope="col" { "Why no TLS" }
            }
        } }
        tbody {
            @for proxy in proxies {
                tr {
                    th scope="row" { (proxy.name) }
                    td { (proxy.backend) }
                    td { (proxy.protocol) }
                    td { @for share in proxy.mix.split_inclusive(',') { (share) wbr; } }
                    td.number { (grouped(proxy.connections)) }
                    td.number { (grouped(proxy.to_backend)) }
                    td.number { (grouped(proxy.to_client)) }
                    td.number.fault[proxy.dial_failures > 0] { (grouped(proxy.dial_failures)) }
                    td.number { (grouped(proxy.opaque)) }
                    td { (why(&proxy.opaque_reasons)) }
                    @if with_handshakes {
                        td.number.fault[proxy.handshake_failures > 0] { (grouped(proxy.handshake_failures)) }
                        td { (why(&proxy.handshake_reasons)) }
                    }
                }
            }
        }
    }
}

fn why(reasons: &[Reason]) -> Markup {
    html! {
        @for (place, reason) in reasons.iter().enumerate() {
            @if place > 0 { "; " }
            (reason.why)
        }
    }
}
