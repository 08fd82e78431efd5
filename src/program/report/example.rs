//! A report for tests.

use std::time::{Duration, SystemTime};

use super::labels::LabelReport;
use super::{End, Expected, Proxy, Report, Run};
use crate::metrics::counters::Waited;
use crate::metrics::snapshot::HandlerSnapshot;
use crate::program::exit_code::UNMET;

/// One run with an unmet expectation and a warning.
pub(crate) fn report() -> Report {
    let mut report = passed(1, 1);
    report.exit_code = UNMET;
    let run = &mut report.runs[0];
    run.expectations = vec![expected("error>=1", 5, true), expected("cache.delay>=10", 3, false)];
    run.warnings = vec!["handler `hang` of cache took no call".to_owned()];
    report
}

/// This many runs out of `repeat`, all passed.
pub(crate) fn passed(runs: u64, repeat: u64) -> Report {
    let command = ["pytest", "-x"].map(str::to_owned).to_vec();
    let mut report = Report::new(Some(command), repeat);
    report.runs = (42..42 + runs).map(run).collect();
    report
}

pub(crate) fn again(seed: u64) -> String {
    format!("vaurien --backend localhost:6379 --handler 20:delay --seed {seed} -- pytest -x")
}

pub(crate) fn expected(expectation: &str, count: u64, met: bool) -> Expected {
    Expected { expectation: expectation.to_owned(), count, met, why: None }
}

fn run(seed: u64) -> Run {
    let [p50, p99, max] = [250, 251, 252].map(Duration::from_millis);
    let delay = HandlerSnapshot { waited: Some(Waited { p50, p99, max }), ..handler("delay", 24, 24) };
    Run {
        seed,
        begun: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250),
        took: Duration::from_millis(21_400),
        end: End::Exited { code: 0 },
        again: again(seed),
        expectations: Vec::new(),
        warnings: Vec::new(),
        labels: LabelReport::default(),
        proxies: vec![
            Proxy {
                mix: "20:delay,80:dummy".to_owned(),
                connections: 1,
                to_backend: 2627,
                to_client: 172_790,
                handlers: vec![delay, handler("dummy", 77, 0)],
                ..proxy("default", "localhost:6379", "redis")
            },
            Proxy {
                mix: "100:error".to_owned(),
                connections: 12,
                opaque: 1,
                opaque_reasons: vec![("HTTP/2".to_owned(), 1).into()],
                dial_failures: 2,
                handshake_failures: 3,
                handshake_reasons: vec![("the client sent HTTP without TLS".to_owned(), 3).into()],
                to_backend: 80,
                handlers: vec![handler("error", 5, 5)],
                ..proxy("cache", "localhost:11211", "memcache")
            },
        ],
    }
}

/// One that did nothing yet.
pub(crate) fn proxy(name: &str, backend: &str, protocol: &str) -> Proxy {
    let [name, backend, protocol] = [name, backend, protocol].map(str::to_owned);
    Proxy { name, backend, protocol, ..Proxy::default() }
}

pub(crate) fn handler(name: &str, calls: u64, faults: u64) -> HandlerSnapshot {
    HandlerSnapshot { name: name.to_owned(), rule: None, in_mix: true, calls, faults, delay: None, waited: None }
}
