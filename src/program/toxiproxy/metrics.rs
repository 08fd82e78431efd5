//! `GET /metrics`: what Toxiproxy counts, and the figures of the program.

use std::fmt::Write;

use axum::http::StatusCode;
use axum::response::Response;

use super::Server;
use super::answer::with_type;
use crate::program::export::openmetrics::{self, Format};

/// What is counted, with its help. Bytes count when they are read: what a toxic keeps or drops is among them.
const COUNTERS: [(&str, &str); 2] = [
    ("toxiproxy_proxy_received_bytes_total", "The total number of bytes received on a given proxy."),
    ("toxiproxy_proxy_sent_bytes_total", "The total number of bytes sent on a given proxy."),
];

pub(super) fn answer(server: &Server) -> Response {
    let mut text = String::new();
    if server.config.proxy_metrics {
        for (name, help) in COUNTERS {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} counter\n");
            for proxy in server.proxies.all() {
                let (shown, totals) = (server.shown(&proxy), proxy.snapshot().connections);
                let [listener, upstream, proxy] = [&shown.listen, &shown.upstream, proxy.name()].map(escaped);
                let directions = [("downstream", totals.to_client), ("upstream", totals.to_backend)];
                for (direction, traffic) in directions.into_iter().filter(|(_, traffic)| traffic.bytes > 0) {
                    let bytes = traffic.bytes;
                    let _ = writeln!(
                        text,
                        "{name}{{direction=\"{direction}\",listener=\"{listener}\",proxy=\"{proxy}\",upstream=\"{upstream}\"}} {bytes}"
                    );
                }
            }
        }
    }
    if server.config.runtime_metrics {
        text += &openmetrics::all(&server.proxies, Format::Text).unwrap_or_default();
    }
    with_type(StatusCode::OK, Format::Text.content_type(), text)
}

/// The value of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
