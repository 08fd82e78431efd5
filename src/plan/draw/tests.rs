use super::super::rule::Rule;
use super::super::rule::list::name_all;
use super::super::{Parts, Renewal};
use super::*;
use crate::protocol::Protocol;

fn shares(mix: &str) -> Vec<(String, usize)> {
    let plan = Plan::new(&mix.parse().unwrap(), |_| Arc::default());
    let (streams, mut draws) = (Streams::new(42, "default", 1), ConnectionDraws::default());
    let facts = |call| Facts::new(Protocol::Tcp, Some(b""), None, streams, call);
    let names: Vec<_> = (1..=100_000).map(|call| plan.draw(&facts(call), &mut draws).name.clone()).collect();
    let share = |name: &str| (name.to_owned(), names.iter().filter(|drawn| &***drawn == name).count());
    plan.handlers().map(|drawn| share(&drawn.name)).collect()
}

#[test]
fn each_handler_gets_its_share_and_dummy_the_rest() {
    let shares = shares("20:delay,0.5:error");
    let about = |(name, count): &(String, usize), expected: &str, calls: usize| {
        assert!(name == expected && count.abs_diff(calls) < 500, "{shares:?}");
    };
    about(&shares[0], "delay", 20_000);
    about(&shares[1], "error", 500);
    about(&shares[2], "dummy", 79_500);
}

#[test]
fn one_handler_takes_all() {
    assert_eq!(shares("delay"), [("delay".to_owned(), 100_000)]);
    assert_eq!(shares("33.3:delay,33.3:error,33.4:hang").len(), 3);
}

fn rules(texts: &[&str]) -> Vec<Rule> {
    let mut rules: Vec<Rule> = texts.iter().map(|text| text.parse().unwrap()).collect();
    name_all(&mut rules);
    rules
}

fn plan(texts: &[&str], mix: &str, before: Option<&Plan>, renewal: Renewal) -> Plan {
    let mix = mix.parse().unwrap();
    Plan::of(&Parts::new(&mix, &rules(texts), Protocol::Redis, before, renewal), before, |_, _| Arc::default())
}

fn new_plan(texts: &[&str], mix: &str) -> Plan {
    plan(texts, mix, None, Renewal::All)
}

/// A client that makes one inline command after the other.
struct Client {
    streams: Streams,
    draws: ConnectionDraws,
    call: u64,
}

impl Client {
    fn new(connection: u64) -> Self {
        Self { streams: Streams::new(42, "default", connection), draws: ConnectionDraws::default(), call: 0 }
    }

    fn facts<'h>(&self, head: Option<&'h [u8]>) -> Facts<'h> {
        let client = Some("10.0.0.1".parse().unwrap());
        Facts::new(Protocol::Redis, head, client, self.streams, self.call)
    }

    fn calls(&mut self, plan: &Plan, commands: &[&str]) -> Vec<String> {
        let call = |command: &&str| {
            self.call += 1;
            let facts = self.facts(Some(command.as_bytes()));
            plan.draw(&facts, &mut self.draws).label.to_string()
        };
        commands.iter().map(call).collect()
    }

    fn foresees(&mut self, plan: &Plan, command: Option<&str>) -> String {
        self.call += 1;
        let facts = self.facts(command.map(str::as_bytes));
        match plan.foresee(&facts, &mut self.draws) {
            Foreseen::Certain(handler) => handler.label.to_string(),
            other => format!("{other:?}"),
        }
    }
}

#[test]
fn the_first_rule_that_matches_decides() {
    let plan = new_plan(
        &["AUTH|HELLO => dummy", "SET user:* name=writes => error", "set => hang", "GET a client=10.0.0.0/24 => reset"],
        "delay",
    );
    let calls = ["AUTH x\r\n", "SET user:1 2\r\n", "set x 2\r\n", "GET a\r\n", "GET b\r\n", "MGET a\r\n"];
    let labels = ["rule-1.dummy", "writes.error", "rule-3.hang", "rule-4.reset", "delay", "delay"];
    assert_eq!(Client::new(1).calls(&plan, &calls), labels);
}

#[test]
fn what_a_rule_leaves_over_is_dummys() {
    let plan = new_plan(&["GET => 0:error"], "delay");
    assert_eq!(Client::new(1).calls(&plan, &["GET a\r\n"]), ["rule-1.dummy"]);
}

#[test]
fn a_rule_changes_no_draw_of_calls_that_it_does_not_match() {
    let mixed: Vec<&str> = (0..1000).map(|at| if at % 3 == 0 { "SET a 1\r\n" } else { "GET a\r\n" }).collect();
    let without = Client::new(7).calls(&new_plan(&[], "20:delay,20:error"), &mixed);
    let with = Client::new(7).calls(&new_plan(&["SET => 50:reset"], "20:delay,20:error"), &mixed);
    for ((command, without), with) in mixed.iter().zip(&without).zip(&with) {
        assert!(if command.starts_with("GET") { with == without } else { with.starts_with("rule-1.") });
    }
}

#[test]
fn a_call_that_a_count_excludes_goes_on_to_the_next_rule() {
    let plan = new_plan(&["GET times=2 => error", "GET after=1 => reset"], "dummy");
    let labels = ["rule-1.error", "rule-1.error", "dummy", "rule-2.reset"];
    assert_eq!(Client::new(1).calls(&plan, &["GET a\r\n"; 4]), labels);
}

#[test]
fn counts_are_of_the_proxy_or_of_a_connection() {
    let gets = ["GET a\r\n"; 2];
    for (rule, of_first, of_second) in [
        ("times=1 => error", ["rule-1.error", "dummy"], ["dummy", "dummy"]),
        ("times=1 per=connection => error", ["rule-1.error", "dummy"], ["rule-1.error", "dummy"]),
    ] {
        let plan = new_plan(&[rule], "dummy");
        assert_eq!(Client::new(1).calls(&plan, &gets), of_first);
        assert_eq!(Client::new(2).calls(&plan, &gets), of_second);
    }
}

#[test]
fn only_faults_use_up_times_unless_the_rule_has_none() {
    let gets = vec!["GET a\r\n"; 2000];
    let faults = |rule: &str| {
        let plan = new_plan(&[rule], "hang");
        let labels = Client::new(1).calls(&plan, &gets);
        ["rule-1.error", "rule-1.dummy"].map(|label| labels.iter().filter(|drawn| *drawn == label).count())
    };
    let [errors, passed] = faults("times=5 => 5:error");
    assert!(errors == 5 && passed > 20, "{errors} {passed}");
    assert_eq!(faults("times=5 => dummy"), [0, 5]);
}

#[test]
fn a_call_is_foreseen_as_far_as_its_head_is_here() {
    let foresees = |texts: &[&str], command| Client::new(1).foresees(&new_plan(texts, "delay"), command);
    assert_eq!(foresees(&["GET => error"], None), "Head");
    assert_eq!(foresees(&["GET => error"], Some("GET a\r\n")), "rule-1.error");
    assert_eq!(foresees(&["GET => error"], Some("SET a\r\n")), "delay");
    assert_eq!(foresees(&["GET client=::1 => error"], None), "delay", "the client is another one");
    assert_eq!(foresees(&["connection=1 => error", "GET => hang"], None), "rule-1.error");
    assert_eq!(foresees(&["times=1 => error"], None), "Counts");
    assert_eq!(foresees(&["during=1s.. => error"], None), "Counts");
}

#[test]
fn what_is_reserved_can_be_given_back() {
    let plan = new_plan(&["after=1 => error", "times=1 per=connection => hang"], "dummy");
    let mut client = Client::new(1);
    for _ in 0..3 {
        let facts = client.facts(None);
        let reserved = plan.reserve(&facts, &mut client.draws).unwrap();
        assert_eq!(&*reserved.handler.label, "rule-2.hang");
        plan.give_back(reserved, &mut client.draws);
    }
    assert_eq!(client.calls(&plan, &["GET a\r\n"; 2]), ["rule-2.hang", "rule-1.error"]);
    let waits = new_plan(&["after=1 => error", "GET => hang"], "dummy");
    let mut client = Client::new(1);
    for _ in 0..3 {
        let facts = client.facts(None);
        assert!(waits.reserve(&facts, &mut client.draws).is_none(), "a rule has to see the head");
    }
    assert_eq!(client.calls(&waits, &["GET a\r\n"; 2]), ["rule-2.hang", "rule-1.error"]);
}

#[test]
fn a_rule_that_says_the_same_goes_on_counting() {
    let gets = ["GET a\r\n"; 1];
    let texts = ["GET times=1 => error", "SET name=other => hang"];
    let before = new_plan(&texts, "dummy");
    let mut client = Client::new(1);
    assert_eq!(client.calls(&before, &gets), ["rule-1.error"]);
    for (texts, renewal, label) in [
        (&["GET times=1 => error"][..], Renewal::Changed, "dummy"),
        (&["GET name=moved times=1 => error"], Renewal::Changed, "dummy"),
        (&["GET times=1 => error"], Renewal::Mix, "dummy"),
        (&["GET times=1 => error"], Renewal::All, "rule-1.error"),
        (&["GET times=1 => reset"], Renewal::Changed, "rule-1.reset"),
    ] {
        let after = plan(texts, "dummy", Some(&before), renewal);
        assert_eq!(client.calls(&after, &gets), [label], "{texts:?} {renewal:?}");
    }
}

#[test]
fn only_what_does_not_go_on_is_released() {
    let labels = |before: &Plan, released: bool| -> Vec<String> {
        let handlers = before.handlers().filter(|handler| handler.released.has_begun() == released);
        handlers.map(|handler| handler.label.to_string()).collect()
    };
    for (renewal, released) in [
        (Renewal::Changed, &["rule-2.error"][..]),
        (Renewal::Mix, &["rule-2.error", "hang"]),
        (Renewal::All, &["rule-1.hang", "rule-2.error", "hang"]),
    ] {
        let before = new_plan(&["GET => hang", "SET => error"], "hang");
        let after = plan(&["GET => hang", "DEL => error"], "hang", Some(&before), renewal);
        before.give_way(&after);
        assert_eq!(labels(&before, true), released);
        assert!(before.is_replaced() && !after.is_replaced());
    }
}

#[test]
fn a_connection_forgets_rules_that_are_gone() {
    let mut client = Client::new(1);
    for at in 0..100 {
        let plan = new_plan(
            &[&format!("GET k{at}* times=1 per=connection => error"), "GET every=2 per=connection => hang"],
            "dummy",
        );
        client.calls(&plan, &[&format!("GET k{at}\r\n"), "GET a\r\n"]);
    }
    assert!(client.draws.tallies.unwrap().len() <= 3);
}

#[test]
fn a_call_that_counts_exclude_is_counted_once() {
    let rules = ["connection=1 after=2 => reset", "GET during=1h.. => hang", "GET times=1 => error", "HELLO => dummy"];
    let plan = new_plan(&rules, "delay");
    let mut client = Client::new(1);
    let counts = |plan: &Plan| -> Vec<_> {
        plan.rule_counts().map(|rule| (rule.excluded, rule.times_left, rule.is_protective)).collect()
    };
    // The second rule has to see the head, so nothing is decided yet.
    assert!(plan.reserve(&client.facts(None), &mut client.draws).is_none());
    assert_eq!(counts(&plan)[0].0, 0);
    assert_eq!(client.calls(&plan, &["GET a\r\n", "GET b\r\n"]), ["rule-3.error", "delay"]);
    assert_eq!(counts(&plan), [(2, None, false), (2, None, false), (1, Some(0), false), (0, None, true)]);
    let reserved = plan.reserve(&client.facts(Some(b"GET c\r\n")), &mut client.draws).unwrap();
    plan.give_back(reserved, &mut client.draws);
    assert_eq!(counts(&plan)[0].0, 2);
}
