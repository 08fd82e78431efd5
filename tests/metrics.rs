//! Metrics in the `OpenMetrics` format, also of open connections.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::collections::BTreeMap;

use world::{Api, Backend, Client, Program, eventually};

fn start(arguments: &str) -> Program {
    Program::start(&Backend::lines(), &format!("--protocol redis --http --http-port 0 {arguments}"))
}

fn call(client: &mut Client) {
    client.send("a\r\n").expect("+a\r\n");
}

/// Every sample, parsed strictly: <https://prometheus.io/docs/specs/om/open_metrics_spec/>.
fn metrics(api: Api) -> BTreeMap<String, f64> {
    let reply = api.get("/metrics");
    assert_eq!(reply.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let text = reply.body.strip_suffix("# EOF\n").expect("the text must end with `# EOF`");
    let (mut samples, mut kinds, mut buckets) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let mut family = String::new();
    for line in text.lines() {
        if let Some(meta) = line.strip_prefix("# ") {
            let [what, name, rest] = meta.splitn(3, ' ').collect::<Vec<_>>().try_into().unwrap();
            if name != family {
                name.clone_into(&mut family);
                assert!(!kinds.contains_key(name), "{name} appears twice");
            }
            match what {
                "TYPE" => assert!(kinds.insert(name.to_owned(), rest.to_owned()).is_none(), "{line}"),
                "UNIT" => assert!(name.ends_with(&format!("_{rest}")), "{line}"),
                "HELP" => assert!(!rest.is_empty(), "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let suffix = name.strip_prefix(&family).unwrap_or_else(|| panic!("{line} does not belong to {family}"));
        let suffixes: &[&str] = match &*kinds[&family] {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count"],
            "info" => &["_info"],
            other => panic!("{family} has the unknown type {other}"),
        };
        assert!(suffixes.contains(&suffix), "{line}");
        for label in labels.strip_suffix('}').unwrap().split_terminator(',') {
            let (name, value) = label.split_once('=').unwrap();
            let value = value.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
            assert!(!value.contains(['"', '\\']), "{line}");
        }
        let value = value.parse::<f64>().unwrap();
        assert!(value >= 0.0 && samples.insert(series.to_owned(), value).is_none(), "{line}");
        if suffix == "_bucket" {
            let (all, bound) = without_bound(series);
            let (last, below) = buckets.insert(all.clone(), (bound, value)).unwrap_or((f64::NEG_INFINITY, 0.0));
            assert!(last < bound && below <= value, "{line}, after {last}: {below}");
        }
    }
    // The last bucket counts everything.
    for (all, (bound, count)) in buckets {
        let counted = samples[&all.replacen("_bucket", "_count", 1)];
        assert!(bound.is_infinite() && (counted - count).abs() < 0.5, "{all}: {count}, and {counted} in all");
    }
    samples
}

/// The series of a bucket's histogram, and the bucket's bound.
fn without_bound(series: &str) -> (String, f64) {
    let (before, rest) = series.split_once("le=\"").unwrap();
    let (bound, after) = rest.split_once('"').unwrap();
    let labels = before.to_owned() + after.strip_prefix(',').unwrap_or(after);
    (labels.replace(",}", "}"), bound.parse().unwrap())
}

/// A sample of the proxy, if there is one. `labels` are those besides the proxy's.
fn sample(api: Api, name: &str, labels: &str) -> Option<f64> {
    metrics(api).get(&format!("vaurien_{name}{{proxy=\"default\"{labels}}}")).copied()
}

#[test]
fn counters_are_live_while_a_connection_is_open() {
    let program = start("--handler delay --handler-delay-sleep 1ms");
    let (api, mut client) = (program.api(), program.connect());
    let delay = ",handler=\"delay\"";
    for calls in [1.0, 2.0, 3.0] {
        call(&mut client);
        for (name, labels, expected) in [
            ("connections_total", "", 1.0),
            ("connections_open", "", 1.0),
            ("bytes_total", ",direction=\"to_backend\"", 3.0 * calls),
            ("bytes_total", ",direction=\"to_client\"", 4.0 * calls),
            ("calls_total", delay, calls),
            ("faults_total", delay, calls),
            ("delay_seconds_count", delay, calls),
            ("dial_seconds_count", "", 1.0),
            ("dial_failures_total", "", 0.0),
        ] {
            eventually(&format!("{name} is {expected}"), || sample(api, name, labels) == Some(expected));
        }
    }
    drop(client);
    eventually("the connection is closed", || sample(api, "connections_open", "") == Some(0.0));
}

#[test]
fn histograms_count_durations() {
    let program = start("--handler delay --handler-delay-sleep 30ms");
    let api = program.api();
    call(&mut program.connect());
    let delay = ",handler=\"delay\"";
    assert!(sample(api, "delay_seconds_sum", delay).unwrap() >= 0.03);
    let bucket = |le: f64| {
        let all = metrics(api);
        let mut buckets = all.iter().filter(|(series, _)| series.starts_with("vaurien_delay_seconds_bucket"));
        *buckets.find(|(series, _)| without_bound(series).1.total_cmp(&le).is_eq()).unwrap().1
    };
    assert_eq!([0.025, f64::INFINITY].map(|le| bucket(le).to_string()), ["0", "1"]);
    assert!(sample(api, "dial_seconds_sum", "").unwrap() > 0.0);
    api.put("/behavior", r#"{"name": "dummy"}"#);
    let before = sample(api, "pass_seconds_count", "").unwrap();
    call(&mut program.connect());
    eventually("passing is measured", || sample(api, "pass_seconds_count", "").unwrap() > before);
}

#[test]
fn counters_never_go_down() {
    let program = start("--handler 30:error,20:blackout");
    let api = program.api();
    let mut before = metrics(api);
    let mut check = |api| {
        let now = metrics(api);
        let counts = |name: &str| name.contains("_total") || name.contains("_count{") || name.contains("_bucket{");
        // What a handler that is gone has not done needs no series.
        for (series, value) in before.iter().filter(|(series, value)| counts(series) && **value > 0.0) {
            assert!(now.get(series).is_some_and(|now| now >= value), "{series}: {value}, then {:?}", now.get(series));
        }
        before = now;
    };
    for handler in ["30:error,20:blackout", "hang", "50:delay", "dummy"] {
        let body = format!("{{\"name\": \"{handler}\"}}");
        assert_eq!(api.put("/behavior", &body).status, 200);
        let mut clients: Vec<_> = (0..10).map(|_| program.connect()).collect();
        for client in &mut clients {
            client.try_send(b"a\r\n");
        }
        check(api);
        drop(clients);
        check(api);
        eventually("the clients have left", || sample(api, "connections_open", "") == Some(0.0));
        check(api);
        for enabled in [false, true] {
            let keys = format!("{{\"enabled\": {enabled}}}");
            assert_eq!(api.patch("/v1/proxies/default", &keys).status, 200);
            check(api);
        }
    }
}

#[test]
fn no_label_contains_bytes_from_a_peer() {
    let program = start("");
    let api = program.api();
    let mut client = program.connect();
    client.send("GET secret0\r\n").expect("+GET secret0\r\n");
    let before: Vec<_> = metrics(api).into_keys().collect();
    for number in 1..20 {
        let line = format!("SECRET{number} secret{number}\r\n");
        client.send(&line).expect(format!("+{line}"));
        api.put("/behavior", &format!("{{\"name\": \"secret{number}\"}}"));
        api.get(&format!("/v1/proxies/secret{number}"));
        api.get(&format!("/secret{number}"));
        api.ask("GET", "/metrics", &format!("Host: secret{number}.example\r\n"), "");
    }
    assert_eq!(metrics(api).into_keys().collect::<Vec<_>>(), before);
    assert!(!api.get("/metrics").body.to_lowercase().contains("secret"));
}
