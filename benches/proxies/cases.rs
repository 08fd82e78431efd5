//! The measured cases.

use std::sync::Arc;
use std::time::Duration;

use crate::contenders::{Contender, connections};
use crate::figures::{self, Figure};
use crate::http2;
use crate::load::Load;
use crate::message::Talk;
use crate::tls::Tls;

pub(crate) struct Case {
    /// Without commas, which separate names on the command line.
    pub(crate) name: String,
    /// Arguments for vaurien.
    pub(crate) arguments: Vec<String>,
    /// Between clients and proxy.
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) talk: Arc<Talk>,
    pub(crate) load: Load,
    pub(crate) figures: &'static [Figure],
}

impl Case {
    pub(crate) fn new(name: &str, talk: Talk, load: Load, figures: &'static [Figure]) -> Self {
        Self { name: name.to_owned(), arguments: Vec::new(), tls: None, talk: Arc::new(talk), load, figures }
    }

    /// The same with these arguments, split at blanks.
    pub(crate) fn with(mut self, arguments: &str) -> Self {
        self.arguments.extend(arguments.split_ascii_whitespace().map(str::to_owned));
        self
    }

    /// The same with these rules.
    pub(crate) fn with_rules(mut self, rules: impl IntoIterator<Item = String>) -> Self {
        self.arguments.extend(rules.into_iter().flat_map(|rule| ["--rule".to_owned(), rule]));
        self
    }

    /// The same with TLS.
    fn over(self, tls: &Arc<Tls>) -> Self {
        Self { name: format!("tls {}", self.name), tls: Some(tls.clone()), ..self }
    }

    /// Whether the case applies to `contender`: without a proxy there is no TLS and no memory to measure, and only
    /// vaurien delays.
    pub(crate) fn takes(&self, contender: &Contender) -> bool {
        match self.load {
            Load::Paced { .. } => matches!(contender, Contender::Vaurien),
            Load::Streams { .. } => true,
            Load::Calls { at_once: 0, .. } => !matches!(contender, Contender::Direct),
            _ => self.tls.is_none() || !matches!(contender, Contender::Direct),
        }
    }
}

const BULK: &[Figure] = &[figures::GB, figures::PROCESSOR_PER_GB];
const CALLS: &[Figure] = &[figures::CALLS, figures::MEDIAN, figures::TAIL, figures::PROCESSOR_PER_CALL];
const HANDSHAKES: &[Figure] = &[figures::HANDSHAKES, figures::PROCESSOR_PER_HANDSHAKE];
const PIPELINES: &[Figure] = &[figures::CALLS, figures::PROCESSOR_PER_CALL];

pub(crate) const REDIS: &str = "--protocol redis --handler dummy";
pub(crate) const HTTP: &str = "--protocol http --handler dummy";

pub(crate) fn all() -> Vec<Case> {
    let mut cases = vec![
        Case::new("download on 1 connection", Talk::download(), Load::calls(1), BULK),
        Case::new("download on 8 connections", Talk::download(), Load::calls(8), BULK),
        Case::new("upload on 1 connection", Talk::upload(), Load::calls(1), BULK),
        Case::new("upload on 8 connections", Talk::upload(), Load::calls(8), BULK),
        Case::new("ping-pong 64 B on 1 connection", Talk::echo(64), Load::calls(1), CALLS),
        Case::new("ping-pong 64 B on 16 connections", Talk::echo(64), Load::calls(16), CALLS),
        Case::new("ping-pong 64 B on 128 connections", Talk::echo(64), Load::calls(128), CALLS),
        Case::new("ping-pong 4 KiB on 128 connections", Talk::echo(4096), Load::calls(128), CALLS),
        Case::new(
            "connect and close 16 at a time",
            Talk::echo(64),
            Load::Connect { at_once: 16 },
            &[figures::CONNECTIONS],
        ),
        idle(9000),
        Case::new("redis on 50 connections", Talk::redis(3), Load::calls(50), PIPELINES).with(REDIS),
        Case::new("redis pipelines of 64 on 50", Talk::redis(3), Load::pipelines(50, 64), PIPELINES).with(REDIS),
        Case::new("http on 64 connections", Talk::http(), Load::calls(64), PIPELINES).with(HTTP),
        Case::new("memcache pipelines of 64 on 50", Talk::memcache(), Load::pipelines(50, 64), PIPELINES)
            .with("--protocol memcache"),
        Case::new("redis 64 MiB values on 8", Talk::redis(64 << 20), Load::calls(8), BULK).with(REDIS),
        delay(),
    ];
    cases.extend(tls());
    cases.extend(http2());
    cases
}

fn tls() -> impl Iterator<Item = Case> {
    let tls = Arc::new(Tls::new().expect("a new certificate is valid"));
    let cases = [
        Case::new("download on 1 connection", Talk::download(), Load::calls(1), BULK),
        Case::new("download on 8 connections", Talk::download(), Load::calls(8), BULK),
        Case::new("upload on 1 connection", Talk::upload(), Load::calls(1), BULK),
        Case::new("upload on 8 connections", Talk::upload(), Load::calls(8), BULK),
        Case::new("ping-pong 64 B on 16 connections", Talk::echo(64), Load::calls(16), CALLS),
        Case::new("handshakes 16 at a time", Talk::echo(64), Load::Connect { at_once: 16 }, HANDSHAKES),
        idle(3000),
    ];
    cases.into_iter().map(move |case| case.over(&tls))
}

/// None where their client or their backend is not installed.
fn http2() -> impl Iterator<Item = Case> {
    let streams = if http2::is_possible() { &[1, 10, 100][..] } else { &[] };
    streams.iter().map(|at_once| {
        let load = Load::Streams { connections: 8, at_once: *at_once };
        Case::new(&format!("http2 {at_once} streams on each of 8"), Talk::http(), load, PIPELINES).with(HTTP)
    })
}

/// Fewer connections if descriptors are few: the benchmark holds both ends of each.
fn idle(most: usize) -> Case {
    let count = connections().min(most);
    Case::new(&format!("idle on {count} connections"), Talk::echo(64), Load::idle(count), &[figures::MEMORY])
}

/// Delays half of the calls by a millisecond. Faster calls were not delayed; the figure is the excess of the others.
fn delay() -> Case {
    let count = connections().min(1000);
    let load = Load::Paced { connections: count, every: Duration::from_millis(250) };
    Case::new(&format!("delay of 1 ms on {count}"), Talk::echo(64), load, figures::DELAY)
        .with("--handler 50:delay --handler-delay-sleep 1ms")
}
