//! What toxics did.

use maud::{Markup, html};

use super::tables::rolling;
use crate::metrics::snapshot::ToxicSnapshot;
use crate::program::report::Proxy;
use crate::program::report::text::grouped;

/// One row for each toxic of each proxy; nothing without toxics.
pub(super) fn section(proxies: &[Proxy]) -> Markup {
    let with_toxics: Vec<_> = proxies.iter().filter(|proxy| !proxy.toxics.is_empty()).collect();
    html! {
        @if !with_toxics.is_empty() {
            section aria-labelledby="toxics" {
                h2 #toxics { "Toxics" }
                p { "A toxic acts on the bytes of a connection, whatever calls they belong to. Its fault is counted once for a connection that has it." }
                (rolling("Toxics", &rows(&with_toxics)))
            }
        }
    }
}

fn rows(proxies: &[&Proxy]) -> Markup {
    html! {
        thead { tr {
            @for head in ["Proxy", "Toxic", "What it does"] { th scope="col" { (head) } }
            @for head in ["Connections", "Faults"] { th.number scope="col" { (head) } }
        } }
        @for proxy in proxies {
            tbody {
                @for (place, ToxicSnapshot { name, toxic, connections, faults }) in proxy.toxics.iter().enumerate() {
                    tr {
                        @if place == 0 { th scope="rowgroup" rowspan=(proxy.toxics.len()) { (proxy.name) } }
                        th scope="row" { (name) }
                        td { @match toxic { Some(text) => code { (text) }, None => "removed" } }
                        td.number { (grouped(*connections)) }
                        td.number.fault[*faults > 0] { (grouped(*faults)) }
                    }
                }
            }
        }
    }
}
