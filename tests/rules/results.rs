//! What a run says about rules.

use super::world::{Backend, Program};

/// Makes calls through the proxy, one for each argument. Any bytes count as a reply.
const CALLS: &str = r#"for call; do exec 3<>"/dev/tcp/$VAURIEN_PROXY_HOST/$VAURIEN_PROXY_PORT"; printf '%s\r\n' "$call" >&3; head -c 3 <&3 >/dev/null; exec 3>&-; done"#;

fn run(rules: &[&str], more: &[&str], calls: &[&str]) -> (Option<i32>, Vec<String>) {
    let mut command = Program::command("--protocol redis --backend");
    command.arg(Backend::lines().address().to_string()).args(more);
    command.args(rules.iter().flat_map(|rule| ["--rule", rule]));
    let ended = Program::run(command.args(["--", "bash", "-c", CALLS, "calls"]).args(calls));
    (ended.code, ended.lines)
}

fn says(lines: &[String], text: &str) {
    assert!(lines.iter().any(|line| line.contains(text)), "no {text:?} in {lines:#?}");
}

#[test]
fn expectations_count_a_rule_or_all() {
    let rules = ["GET name=pay => error", "SET => error"];
    let expected = [
        "--expect",
        "pay.error==2",
        "--expect",
        "default.rule-2.error==1",
        "--expect",
        "error==3",
        "--expect",
        "pay.calls=2",
    ];
    let (code, lines) = run(&rules, &expected, &["GET a", "GET b", "SET a b", "PING"]);
    assert_eq!(code, Some(0), "{lines:#?}");
    says(&lines, "pay.error         2       2");
    says(&lines, "expected default.rule-2.error==1: met, 1");
    let (code, lines) = run(&rules, &["--expect", "pay.error>=3"], &["GET a"]);
    assert_eq!(code, Some(3), "{lines:#?}");
    says(&lines, "expected pay.error>=3: NOT met, 1");
    for (expected, why) in [
        ("pya.error>=1", "unknown proxy or rule `pya` (known: default, pay, rule-2), did you mean `pay`?"),
        ("default.pya.error>=1", "unknown rule `pya` (known: pay, rule-2), did you mean `pay`?"),
        ("pay>=3", "`pay>=3`: `pay` is a rule, write `pay.faults>=3`, or `pay.calls>=3`"),
        ("default==0", "`default==0`: `default` is a proxy, write `default.faults==0`, or `default.calls==0`"),
        ("pay.hang>=1", "`pay.hang>=1` cannot be met: `hang` is not in `error`"),
        ("pay.connections>=1", "unknown handler or count `connections`"),
    ] {
        let (code, lines) = run(&rules, &["--expect", expected], &[]);
        assert_eq!(code, Some(125), "{lines:#?}");
        says(&lines, why);
    }
}

#[test]
fn rules_that_matched_nothing_are_listed() {
    let (code, lines) = run(&["GET name=pay => error", "SET x* => error"], &[], &["GET a"]);
    assert_eq!(code, Some(0), "{lines:#?}");
    says(&lines, "warning: rule `rule-2` matched no call: SET x* => error");
    assert!(lines.iter().all(|line| !line.contains("rule `pay`")), "{lines:#?}");
}

#[test]
fn a_rule_whose_counts_exclude_all_calls_says_so() {
    for (rule, why) in [
        (
            "GET after=100 => error",
            "warning: rule `rule-1` took no call: 3 calls met its conditions, after=100 excluded all: GET",
        ),
        ("GET after=1 every=9 => error", "3 calls met its conditions, after=1 every=9 excluded all"),
        ("GET during=1h.. => error", "3 calls met its conditions, during=1h.. excluded all"),
        ("GET every=9 per=connection => error", "3 calls met its conditions, every=9 excluded all"),
        ("DEL after=1 => error", "warning: rule `rule-1` matched no call: DEL after=1 => error"),
    ] {
        let (code, lines) = run(&[rule], &[], &["GET a", "GET b", "PING", "GET c"]);
        assert_eq!(code, Some(0), "{lines:#?}");
        says(&lines, why);
    }
    let (code, lines) = run(&["GET after=9 => error"], &["--expect", "rule-1.error>=1"], &["GET a"]);
    assert_eq!(code, Some(3), "{lines:#?}");
    says(
        &lines,
        "NOT met, 0; `rule-1.error` injected no fault: its rule took no call: 1 call met its conditions, after=9 excluded all",
    );
}

#[test]
fn a_rule_that_only_protects_may_match_nothing() {
    let (code, lines) = run(&["AUTH|HELLO => dummy", "GET => error"], &[], &["GET a"]);
    assert_eq!(code, Some(0), "{lines:#?}");
    assert!(lines.iter().all(|line| !line.contains("warning: ")), "{lines:#?}");
}

#[test]
fn an_entry_is_expected_by_its_name() {
    for (expected, meant) in [
        ("p.error>=1", "this entry is called `delay+error`, write `p.delay+error>=1`"),
        ("p.hang>=1", "this entry is called `stuck`, write `p.stuck>=1`"),
    ] {
        let rule = "GET name=p => 50:delay(sleep=1ms)+error,10:stuck=hang";
        let (code, lines) = run(&[rule], &["--expect", expected], &[]);
        assert_eq!(code, Some(125), "{lines:#?}");
        says(&lines, &format!("--expect: `{expected}` cannot be met: {meant}"));
    }
}

#[test]
fn metrics_have_the_rule_as_a_label() {
    let program = super::start(&Backend::lines(), "redis", &["GET name=pay => error"], "--handler error");
    super::pass(&mut program.connect(), &["GET a", "SET a b"]);
    let metrics = program.api().get("/metrics").body;
    for line in [
        r#"vaurien_calls_total{proxy="default",handler="error"} 1"#,
        r#"vaurien_calls_total{proxy="default",handler="error",rule="pay"} 1"#,
        r#"vaurien_faults_total{proxy="default",handler="error",rule="pay"} 1"#,
    ] {
        assert!(metrics.lines().any(|known| known == line), "no {line} in {metrics}");
    }
}
