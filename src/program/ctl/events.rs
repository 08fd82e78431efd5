//! `vaurien ctl events`: a line for each event.

use std::io::{self, Write};

use clap::ArgMatches;
use serde_json::Value;

use super::show::{as_it_is, cell};
use super::target::path;
use super::{foreign, granted};
use crate::program::http_client::{Failure, Server};
use crate::program::report::text::visible_line;

/// The longest line of a stream, in bytes.
const LINE: usize = 1024 * 1024;

pub(super) fn run(server: &Server, matches: &ArgMatches, is_json: bool) -> Result<(), Failure> {
    let since = matches.get_one::<u64>("since").map(|id| format!("since={id}"));
    let follows = matches.get_flag("follow");
    let no_follow = (!follows).then(|| "follow=false".to_owned());
    let query: Vec<_> = since.into_iter().chain(no_follow).collect();
    let path = format!("{}?{}", path(&["events"]), query.join("&"));
    let mut lines = Lines::default();
    let mut out = io::stdout().lock();
    let answer = server.stream(path.trim_end_matches('?'), follows, |piece| {
        let mut is_read = true;
        lines.add(piece, |line| {
            let Some(data) = line.strip_prefix("data:") else { return };
            let data = data.strip_prefix(' ').unwrap_or(data);
            let text = if is_json { as_it_is(data) } else { line_of(data) };
            // A reader that stops early, such as `head`, is no failure.
            is_read &= writeln!(out, "{text}").and_then(|()| out.flush()).is_ok();
        })?;
        Ok(is_read)
    })?;
    match answer {
        None => Ok(()),
        Some(other) => granted(other).and_then(|_| Err(foreign())),
    }
}

/// The lines in pieces of a stream.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    /// Hands each line that is complete to `take`.
    fn add(&mut self, piece: &[u8], mut take: impl FnMut(&str)) -> Result<(), String> {
        let Self(held) = self;
        let mut begun = held.len();
        held.extend_from_slice(piece);
        while let Some(end) = held[begun..].iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = held.drain(..=begun + end).collect();
            take(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']));
            begun = 0;
        }
        if held.len() > LINE { Err(format!("a line is longer than {} MiB", LINE / 1024 / 1024)) } else { Ok(()) }
    }
}

/// An event on one line, for people.
fn line_of(data: &str) -> String {
    let Ok(event) = serde_json::from_str::<Value>(data) else { return cell(&data.into()) };
    let text = |key: &str| cell(&event[key]);
    if let Some(count) = event["count"].as_u64() {
        return format!("{count} events were lost: they came faster than they were read");
    }
    // To the millisecond.
    let time = event["time"].as_str().map_or_else(String::new, |time| match time.split_once('.') {
        Some((seconds, rest)) => visible_line(&format!("{seconds}.{}Z", rest.chars().take(3).collect::<String>())),
        None => visible_line(time),
    });
    let connection = || format!("connection {}", text("connection"));
    let what = match event["event"].as_str() {
        Some("fault") if !event["toxic"].is_null() => {
            let (toxic, kind, stream) = (text("toxic"), text("type"), text("stream"));
            format!("toxic {toxic} ({kind}, {stream}), {}", connection())
        }
        Some("fault") => {
            let rule = event["rule"].as_str().map(|_| format!("{}.", text("rule"))).unwrap_or_default();
            let step = event["step"].as_str().map(|_| format!(" ({})", text("step"))).unwrap_or_default();
            let (handler, verdict) = (text("handler"), text("verdict"));
            let words = ["command", "method", "key", "path"].map(|key| &event["head"][key]);
            let words: Vec<_> = words.into_iter().filter(|word| !word.is_null()).map(cell).collect();
            let head = if words.is_empty() { String::new() } else { format!(": {}", words.join(" ")) };
            format!("{rule}{handler}{step} {verdict}, {}, call {}{head}", connection(), text("call"))
        }
        Some("plan") => {
            let [rules, toxics] = ["rules", "toxics"].map(|key| {
                let texts: Vec<_> = event[key].as_array().into_iter().flatten().map(cell).collect();
                if texts.is_empty() { String::new() } else { format!(", {key} {}", texts.join("; ")) }
            });
            let disabled = if event["enabled"] == false { ", disabled" } else { "" };
            format!("plan {}{rules}{toxics}{disabled}", text("handler"))
        }
        Some("dial_failure") => format!("backend not reached, {}: {}", connection(), text("error")),
        Some("handshake_failure") => format!("no TLS with the client, {}: {}", connection(), text("why")),
        Some("opaque") => format!("opaque, {}: {}", connection(), text("why")),
        _ => return cell(&data.into()),
    };
    let label = event["label"].as_str().map(|_| format!(" [{}]", text("label"))).unwrap_or_default();
    format!("{time} {}: {what}{label}", text("proxy"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_may_be_cut_anywhere() {
        let stream = "event: fault\r\ndata: é\n\n: \ndata: b\n";
        for at in 0..=stream.len() {
            let (mut lines, mut seen) = (Lines::default(), Vec::new());
            for piece in [&stream.as_bytes()[..at], &stream.as_bytes()[at..]] {
                lines.add(piece, |line| seen.push(line.to_owned())).unwrap();
            }
            assert_eq!(seen, ["event: fault", "data: é", "", ": ", "data: b"], "{at}");
        }
    }

    #[test]
    fn a_line_has_a_limit() {
        let mut lines = Lines::default();
        let piece = vec![b'a'; LINE];
        lines.add(&piece, |_| ()).unwrap();
        assert_eq!(lines.add(b"a", |_| ()).unwrap_err(), "a line is longer than 1 MiB");
    }

    #[test]
    fn every_kind_of_event_is_a_line() {
        let common = r#""id":1,"time":"2026-11-25T17:46:41.044844Z","proxy":"cache","#;
        for (event, line) in [
            (
                r#""event":"fault","connection":3,"call":2,"handler":"delay","verdict":"sleep","head":{"command":"GET","key":"a\u001b"}"#,
                "delay sleep, connection 3, call 2: GET a\\u{1b}",
            ),
            (
                r#""label":"test é","event":"fault","connection":3,"call":2,"handler":"slow","rule":"pay","step":"error","verdict":"answer""#,
                "pay.slow (error) answer, connection 3, call 2 [test é]",
            ),
            (
                r#""event":"fault","connection":3,"toxic":"far","type":"latency","stream":"upstream""#,
                "toxic far (latency, upstream), connection 3",
            ),
            (r#""event":"plan","handler":"20:delay","enabled":true"#, "plan 20:delay"),
            (
                r#""event":"plan","handler":"dummy","rules":["a => reset"],"toxics":["noop"],"enabled":false"#,
                "plan dummy, rules a => reset, toxics noop, disabled",
            ),
            (
                r#""event":"dial_failure","connection":3,"error":"refused""#,
                "backend not reached, connection 3: refused",
            ),
            (
                r#""event":"handshake_failure","connection":3,"why":"it left""#,
                "no TLS with the client, connection 3: it left",
            ),
            (r#""event":"opaque","connection":3,"why":"MONITOR""#, "opaque, connection 3: MONITOR"),
        ] {
            let said = line_of(&format!("{{{common}{event}}}"));
            assert_eq!(said, format!("2026-11-25T17:46:41.044Z cache: {line}"));
        }
        let hostile = r#"{"time":"1.\u001béé","event":"opaque","proxy":"a\nb","connection":3,"why":"x"}"#;
        assert_eq!(line_of(hostile), "1.\\u{1b}ééZ a\\nb: opaque, connection 3: x");
        assert_eq!(line_of(r#"{"count":3}"#), "3 events were lost: they came faster than they were read");
        assert_eq!(line_of(r#"{"event":"new kind"}"#), r#"{"event":"new kind"}"#);
    }
}
