use std::time::Duration;

use super::*;
use crate::metrics::histogram::{DELAY, DIAL, PASS};
use crate::metrics::snapshot::{ConnectionTotals, ToxicSnapshot, Traffic};
use crate::protocol::Protocol;

fn handler(name: &str, calls: u64, faults: u64, delays: &[u64]) -> HandlerSnapshot {
    let delay = (!delays.is_empty()).then(|| {
        let delay = Histogram::new(DELAY);
        for &millis in delays {
            delay.add(Duration::from_millis(millis));
        }
        Arc::new(delay)
    });
    HandlerSnapshot { name: name.to_owned(), rule: None, in_mix: true, calls, faults, delay, waited: None }
}

fn cache() -> ProxySnapshot {
    let (dial, pass) = (Histogram::new(DIAL), Histogram::new(PASS));
    dial.add(Duration::from_micros(80));
    pass.add(Duration::from_nanos(2_500));
    pass.add(Duration::from_secs(1));
    ProxySnapshot {
        name: "cache".to_owned(),
        backend: "db:1".to_owned(),
        protocol: Protocol::Tcp,
        mix: "20:delay".to_owned(),
        rules: Vec::new(),
        toxics: vec![ToxicSnapshot {
            name: "slow".to_owned(),
            toxic: Some("slow=latency(latency=1s)".to_owned()),
            connections: 8,
            faults: 7,
        }],
        enabled: true,
        connections: ConnectionTotals {
            accepted: 9,
            open: 2,
            to_backend: Traffic { bytes: 1_000, reads: 10 },
            to_client: Traffic { bytes: 2_000, reads: 20 },
        },
        refused: 1,
        opaque: 3,
        opaque_reasons: vec![("HTTP/2".to_owned(), 3)],
        handlers: vec![handler("delay", 20, 19, &[250, 250, 90_000]), handler("dummy", 80, 0, &[])],
        dial_failures: 4,
        dial_reasons: Vec::new(),
        handshake_failures: 5,
        handshake_reasons: vec![("the client sent HTTP without TLS".to_owned(), 5)],
        dial: Arc::new(dial),
        pass: Arc::new(pass),
    }
}

fn process() -> ProcessFigures {
    ProcessFigures {
        cpu_seconds: 1.25,
        resident_bytes: 4096,
        open_fds: 7,
        max_fds: Some(1024),
        start_time: 1_700_000_000.5,
        threads: 3,
    }
}

fn written(proxies: Vec<ProxySnapshot>, process: Option<ProcessFigures>, format: Format) -> String {
    encode(Snapshot { proxies, process }, format).unwrap()
}

/// Compares the text, with the version inserted.
#[track_caller]
fn same(written: &str, expected: &str) {
    let expected = expected.replace("VERSION", env!("CARGO_PKG_VERSION"));
    if written != expected {
        let different = written.lines().zip(expected.lines()).find(|(is, should)| is != should);
        panic!("{different:?}\n{written}");
    }
}

#[test]
fn open_metrics() {
    same(&written(vec![cache()], Some(process()), Format::OpenMetrics), include_str!("openmetrics.txt"));
}

#[test]
fn text_for_those_who_do_not_know_open_metrics() {
    same(&written(vec![cache()], Some(process()), Format::Text), include_str!("text.txt"));
}

#[test]
fn each_format_says_what_it_is() {
    let open_metrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(Format::OpenMetrics.content_type(), open_metrics);
    assert_eq!(Format::Text.content_type(), "text/plain; version=0.0.4; charset=utf-8");
}

#[test]
fn what_is_not_known_is_left_out() {
    let without = written(vec![], None, Format::OpenMetrics);
    assert!(!without.contains("process_") && without.ends_with("# EOF\n"), "{without}");
    let samples: Vec<_> = without.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(samples, [format!("vaurien_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"))]);
    let unlimited = ProcessFigures { max_fds: None, ..process() };
    let unlimited = written(vec![], Some(unlimited), Format::OpenMetrics);
    assert!(!unlimited.contains("\nprocess_max_fds ") && unlimited.contains("\nprocess_threads 3\n"), "{unlimited}");
}

#[test]
fn each_proxy_has_its_own_samples_whatever_its_name_is() {
    let odd = ProxySnapshot { name: "a\"b\\c\nd".to_owned(), enabled: false, ..cache() };
    let both = written(vec![cache(), odd], None, Format::OpenMetrics);
    let enabled = "vaurien_proxy_enabled{proxy=\"cache\"} 1\nvaurien_proxy_enabled{proxy=\"a\\\"b\\\\c\\nd\"} 0\n";
    assert!(both.contains(enabled), "{both}");
    assert_eq!(both.matches("# TYPE vaurien_proxy_enabled gauge\n").count(), 1);
}
