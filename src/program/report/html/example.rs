//! Reports and calls for tests.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::call_log::{Recorded, RecordedCall};
use crate::events::{Action, RequestHead};
use crate::labels::CallLabel;
use crate::metrics::counters::Waited;
use crate::metrics::snapshot::HandlerSnapshot;
use crate::program::exit_code::UNMET;
use crate::program::report::example::{self, expected, passed};
use crate::program::report::labels::LabelReport;
use crate::program::report::{Proxy, Report};
use crate::protocol::Protocol;

/// Handlers: what they do, how often in a thousand calls, and the least time of such calls in microseconds.
const MIX: [(&str, Option<Action>, u32, u64); 7] = [
    ("delay", Some(Action::Sleep), 60, 250_000),
    ("error", Some(Action::Answer), 40, 30),
    ("garbled", Some(Action::Inject), 20, 300),
    ("blackout", Some(Action::Close), 10, 20),
    ("drop", Some(Action::Reset), 10, 20),
    ("hang", Some(Action::Hold), 5, 2_000_000),
    ("dummy", None, 1000, 250),
];

/// A call with a reply and without a fault.
pub(super) fn call(proxy: &str, connection: u64, call: u64, handler: &str, micros: Range<u64>) -> RecordedCall {
    RecordedCall {
        proxy: proxy.into(),
        connection,
        call,
        handler: handler.into(),
        label: None,
        begun: Duration::from_micros(micros.start),
        ended: Duration::from_micros(micros.end),
        is_done: true,
        next: None,
        fault: None,
        head: None,
    }
}

impl RecordedCall {
    pub(super) fn fault(mut self, action: Action) -> Self {
        self.fault = Some(action);
        self
    }

    pub(super) fn label(self, text: &str) -> Self {
        Self { label: Some(Arc::new(CallLabel { text: text.into(), place: Some(0) })), ..self }
    }

    pub(super) fn no_reply(mut self) -> Self {
        self.is_done = false;
        self
    }

    pub(super) fn head(mut self, line: &str) -> Self {
        self.head = RequestHead::of(Protocol::Redis, format!("{line}\r\n").as_bytes());
        self
    }
}

/// This many calls of all kinds, on this many connections to two proxies.
pub(super) fn mixed(calls: u64, connections: u64) -> Recorded {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let calls = (1..=connections).flat_map(|connection| {
        let proxy = if connection % 3 == 0 { "sessions" } else { "cache" };
        let mut now = random.random_range(0..300_000);
        let each = calls / connections + u64::from(connection <= calls % connections);
        (1..=each).map(|number| drawn(&mut random, proxy, connection, number, &mut now)).collect::<Vec<_>>()
    });
    Recorded { calls: calls.collect(), left_out: 0 }
}

fn drawn(random: &mut ChaCha8Rng, proxy: &str, connection: u64, number: u64, now: &mut u64) -> RecordedCall {
    let mut draw: u32 = random.random_range(0..1000);
    let of = |&&(_, _, share, _): &&(_, _, u32, _)| draw.checked_sub(share).map(|rest| draw = rest).is_none();
    let (handler, action, _, least) = *MIX.iter().find(of).expect("the last one takes all");
    let took = least + random.random_range(0..=least / 2) * random.random_range(1..4);
    let begun = *now;
    *now += took + random.random_range(100..60_000);
    let key = random.random_range(0..20_000);
    let call = call(proxy, connection, number, handler, begun..begun + took).head(&format!("GET user:{key}:profile"));
    match action {
        Some(action @ (Action::Hold | Action::Close | Action::Reset)) => call.fault(action).no_reply(),
        Some(action) => call.fault(action),
        None => call,
    }
}

/// The report of a command that passed, with the figures of `recorded`.
pub(super) fn report(recorded: &Recorded) -> Report {
    of(recorded, passed(1, 1))
}

/// The report of `--repeat 20` whose seventh run did not meet an expectation.
pub(super) fn repeated(recorded: &Recorded) -> Report {
    let mut report = of(recorded, passed(7, 20));
    report.exit_code = UNMET;
    let last = report.runs.last_mut().expect("there are seven");
    last.expectations.push(expected("cache.delay>=1000", 3, false));
    last.warnings.push("handler `hang` of cache took no call".to_owned());
    report
}

fn of(recorded: &Recorded, mut report: Report) -> Report {
    let mut names: Vec<_> = recorded.calls.iter().map(|call| &*call.proxy).collect();
    names.sort_unstable();
    names.dedup();
    let took = recorded.calls.iter().map(|call| call.ended).max().unwrap_or_default();
    for run in &mut report.runs {
        run.took = took + Duration::from_millis(150);
        run.expectations = vec![expected("error>=1", 24, true)];
        run.proxies = names.iter().map(|name| proxy(name, recorded)).collect();
    }
    report
}

fn proxy(name: &str, recorded: &Recorded) -> Proxy {
    let calls: Vec<_> = recorded.calls.iter().filter(|call| *call.proxy == *name).collect();
    let handlers = MIX.iter().map(|&(handler, _, _, least)| {
        let of = calls.iter().filter(|call| *call.handler == *handler);
        let [p50, p99, max] = [1, 2, 3].map(|times| Duration::from_micros(least * times));
        let waited = (handler == "delay").then_some(Waited { p50, p99, max });
        let (calls, faults) = (of.clone().count(), of.filter(|call| call.fault.is_some()).count());
        HandlerSnapshot { waited, ..example::handler(handler, calls as u64, faults as u64) }
    });
    Proxy {
        mix: "6:delay,4:error,2:garbled,1:blackout,1:drop,0.5:hang,85.5:dummy".to_owned(),
        connections: calls.last().map_or(0, |call| call.connection),
        dial_failures: 2,
        to_backend: 262_700,
        to_client: 17_279_011,
        handlers: handlers.filter(|handler| handler.calls > 0).collect(),
        ..example::proxy(name, "localhost:6379", "redis")
    }
}

/// Text that would run a script if it were not escaped.
pub(super) const HOSTILE: &str = "</script><img/src=x/onerror=document.documentElement.dataset.failed='run'>\"'&<!--";

/// A report with such text everywhere.
pub(super) fn hostile() -> (Report, Recorded) {
    let calls = (1..=20).map(|number| {
        call(HOSTILE, 1, number, HOSTILE, number * 1000..number * 1000 + 700)
            .head(&format!("{HOSTILE} {HOSTILE}"))
            .fault(Action::Sleep)
            .label(HOSTILE)
    });
    let recorded = Recorded { calls: calls.collect(), left_out: 12_345 };
    let mut report = repeated(&recorded);
    report.command = Some(vec![HOSTILE.to_owned(), "--".to_owned(), HOSTILE.to_owned()]);
    for run in &mut report.runs {
        run.labels = LabelReport::example(&[(HOSTILE, HOSTILE, 1)]);
        run.again = format!("vaurien -- {HOSTILE}");
        run.warnings = vec![HOSTILE.to_owned()];
        for expected in &mut run.expectations {
            expected.expectation = format!("{HOSTILE}>=1");
        }
        for proxy in &mut run.proxies {
            for text in [&mut proxy.backend, &mut proxy.protocol, &mut proxy.mix] {
                HOSTILE.clone_into(text);
            }
            (proxy.handshake_failures, proxy.handshake_reasons) = (1, vec![(HOSTILE.to_owned(), 1).into()]);
            let waited = Waited { p50: Duration::ZERO, p99: Duration::ZERO, max: Duration::from_secs(90) };
            proxy.handlers = vec![HandlerSnapshot { waited: Some(waited), ..example::handler(HOSTILE, 20, 20) }];
        }
    }
    (report, recorded)
}
