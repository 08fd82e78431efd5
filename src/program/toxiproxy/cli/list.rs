//! What there is, in columns.

use std::fmt::Write;

use serde_json::Value;

use super::Failure;
use super::http::{Server, path};
use crate::program::columns::columns;
use crate::program::report::text::visible_line;

/// A line for each proxy.
pub(super) fn all(server: &Server) -> Result<String, Failure> {
    let proxies = server.ask("GET", &path(&[]), None)?;
    let mut rows = vec![["Name", "Listen", "Upstream", "Enabled", "Toxics"].map(str::to_owned).to_vec()];
    rows.extend(proxies.as_object().into_iter().flatten().map(|(name, proxy)| {
        let toxics = proxy["toxics"].as_array().map_or(0, Vec::len).to_string();
        let state = state(proxy["enabled"] == true).to_owned();
        vec![visible_line(name), text(&proxy["listen"]), text(&proxy["upstream"]), state, toxics]
    }));
    Ok(if rows.len() == 1 { "no proxies\n".to_owned() } else { columns(&rows, |_| false) })
}

/// A proxy and its toxics.
pub(super) fn one(server: &Server, name: &str) -> Result<String, Failure> {
    let proxy = server.ask("GET", &path(&[name]), None)?;
    let mut lines = format!(
        "Name: {name}\nListen: {}\nUpstream: {}\nEnabled: {}\n",
        text(&proxy["listen"]),
        text(&proxy["upstream"]),
        state(proxy["enabled"] == true)
    );
    let toxics = proxy["toxics"].as_array().map_or(&[][..], Vec::as_slice);
    if toxics.is_empty() {
        lines += "Toxics: none\n";
    }
    for stream in ["upstream", "downstream"] {
        let of = |toxic: &&Value| text(&toxic["stream"]).eq_ignore_ascii_case(stream);
        let mut all = toxics.iter().filter(of).peekable();
        if all.peek().is_some() {
            let _ = writeln!(lines, "{stream} toxics:");
        }
        for toxic in all {
            let attributes = toxic["attributes"].as_object().into_iter().flatten();
            let attributes: Vec<_> = attributes.map(|(key, value)| visible_line(&format!("{key}={value}"))).collect();
            let (name, kind, attributes) = (text(&toxic["name"]), text(&toxic["type"]), attributes.join(" "));
            let _ = writeln!(
                lines,
                "  {name}: type={kind} stream={stream} toxicity={} attributes=[{attributes}]",
                visible_line(&toxic["toxicity"].to_string())
            );
        }
    }
    Ok(lines)
}

pub(super) fn state(is_enabled: bool) -> &'static str {
    if is_enabled { "enabled" } else { "disabled" }
}

fn text(value: &Value) -> String {
    visible_line(value.as_str().unwrap_or_default())
}
