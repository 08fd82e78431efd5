//! The rules of a proxy, checked and compared as a list.

use super::Rule;
use super::suspect::impossible;
use crate::net::tls::ClientTls;
use crate::plan::mix::Mix;
use crate::protocol::Protocol;

/// The default name of the rule in this place, from 1.
pub(super) fn name(place: usize) -> String {
    format!("rule-{place}")
}

/// The default name of a rule in this place, or the next one that is not taken.
pub(crate) fn free_name(place: usize, is_taken: impl Fn(&str) -> bool) -> String {
    let mut number = place;
    while is_taken(&name(number)) {
        number += 1;
    }
    name(number)
}

/// Gives each rule without a name of its own the one of its place, or the next one that is free.
pub(crate) fn name_all(rules: &mut [Rule]) {
    name_after(&[], rules);
}

/// The same, but a rule without a name of its own that says what one of `before` said keeps that one's name. These names stay.
pub(crate) fn name_like(before: &[Rule], rules: &mut [Rule]) {
    name_after(before, rules);
    for rule in rules {
        rule.is_fixed = true;
    }
}

fn name_after(before: &[Rule], rules: &mut [Rule]) {
    let has_name = |rule: &Rule| rule.is_named || rule.is_fixed;
    let mut taken: Vec<String> =
        rules.iter().filter(|rule| has_name(rule)).map(|rule| rule.name().to_owned()).collect();
    let mut is_open: Vec<bool> = rules.iter().map(|rule| !has_name(rule)).collect();
    for (rule, is_open) in rules.iter_mut().zip(&mut is_open).filter(|(_, is_open)| **is_open) {
        let is_same =
            |old: &&Rule| !old.is_named && old.says_the_same(rule) && !taken.iter().any(|name| name == old.name());
        if let Some(old) = before.iter().find(is_same) {
            rule.name = old.name.clone();
            taken.push(old.name().to_owned());
            *is_open = false;
        }
    }
    for (place, rule) in rules.iter_mut().enumerate().filter(|(place, _)| is_open[*place]) {
        let free = free_name(place + 1, |name| taken.iter().any(|taken| taken == name));
        taken.push(free.clone());
        rule.name = free.into();
    }
}

/// What is wrong with `rules` together, or with this protocol, each with the place of the rule.
pub(crate) fn check(rules: &[Rule], protocol: Protocol) -> Vec<(usize, String)> {
    let mut wrong = check_for(rules, protocol);
    wrong.extend(unreached(&rules.iter().collect::<Vec<_>>(), protocol, |_, _| true));
    wrong.sort_by_key(|(place, _)| *place);
    wrong
}

/// The same, but a rule may take all calls of a later one: while one is there for a time, others may well wait behind it.
pub(crate) fn check_for(rules: &[Rule], protocol: Protocol) -> Vec<(usize, String)> {
    let mut wrong = Vec::new();
    for (place, rule) in rules.iter().enumerate() {
        if let Some(what) = rule.matcher().foreign_to(protocol) {
            wrong.push((place, format!("`{rule}`: {what}")));
            continue;
        }
        if let Some(what) = impossible(rule.matcher(), protocol) {
            wrong.push((place, format!("`{rule}`: {what}")));
        }
        wrong.extend(rule.mix().check(protocol).map(|what| (place, format!("`{rule}`: {what}"))));
        let earlier = &rules[..place];
        if let Some(same) = earlier.iter().find(|earlier| earlier.name == rule.name) {
            let what = format!("`{rule}`: `{same}` has the name `{}` as well, give it another", rule.name());
            wrong.push((place, what));
        }
    }
    wrong
}

/// What is wrong with handlers of the TLS handshake in `rules`, each with the place of the rule, and, without a place, in `mix`:
/// they act before there is a request that a rule could look at.
pub(crate) fn check_tls(rules: &[Rule], mix: &Mix, tls: Option<&ClientTls>) -> Vec<(Option<usize>, String)> {
    let mut wrong = Vec::new();
    let mut looks: Option<&Rule> = None;
    for (place, rule) in rules.iter().enumerate() {
        wrong.extend(rule.mix().check_tls(tls).map(|what| (Some(place), format!("`{rule}`: {what}"))));
        looks = looks.or_else(|| rule.matcher().needs_head().then_some(rule));
        wrong.extend(too_late(rule.mix(), looks, Some(rule)).map(|what| (Some(place), format!("`{rule}`: {what}"))));
    }
    wrong.extend(mix.check_tls(tls).map(|what| (None, what)));
    wrong.extend(too_late(mix, looks, None).map(|what| (None, what)));
    wrong
}

/// Why a handler of `mix` never acts in a handshake, if `looks` waits for the request.
fn too_late(mix: &Mix, looks: Option<&Rule>, own: Option<&Rule>) -> Option<String> {
    let (handler, looks) = (mix.of_handshake()?, looks?);
    let acts = format!("`{handler}` acts before there is a request");
    Some(match own {
        Some(own) if std::ptr::eq(own, looks) => {
            format!("{acts}: choose connections by `client=` and `connection=` alone")
        }
        Some(_) => format!("{acts}, and `{looks}` waits for one: move that rule behind"),
        None => format!("{acts}, and `{looks}` waits for one: give it a rule before that, `connection=1 => {handler}`"),
    })
}

/// The rules for which an earlier one leaves no call, each with its place, as far as the two `matter`.
pub(crate) fn unreached(
    rules: &[&Rule],
    protocol: Protocol,
    matter: impl Fn(&Rule, &Rule) -> bool,
) -> Vec<(usize, String)> {
    let mut wrong = Vec::new();
    for (place, rule) in rules.iter().enumerate() {
        let takes_all = |earlier: &&&Rule| matter(earlier, rule) && earlier.takes_all_of(rule, protocol);
        if let Some(first) = rules[..place].iter().find(takes_all) {
            let what = format!("`{rule}` is never reached: `{first}` takes all of its calls, move this rule before it");
            wrong.push((place, what));
        }
    }
    wrong
}

impl Rule {
    /// Whether no call of this protocol is left for `other`, which comes later.
    fn takes_all_of(&self, other: &Self, protocol: Protocol) -> bool {
        self.counts().are_none() && self.matcher().with(protocol).covers(&other.matcher().with(protocol))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(texts: &[&str]) -> Vec<Rule> {
        let mut rules: Vec<Rule> = texts.iter().map(|text| text.parse().unwrap()).collect();
        name_all(&mut rules);
        rules
    }

    fn names(rules: &[Rule]) -> Vec<&str> {
        rules.iter().map(Rule::name).collect()
    }

    #[test]
    fn a_rule_without_a_name_has_that_of_its_place() {
        let before = rules(&["GET => error", "SET name=rule-3 => error", "DEL => error"]);
        assert_eq!(names(&before), ["rule-1", "rule-3", "rule-4"]);
        let mut after = rules(&["PING => error", "DEL => error", "GET => error", "GET => error"]);
        name_like(&before, &mut after);
        assert_eq!(names(&after), ["rule-2", "rule-4", "rule-1", "rule-5"], "names stay with their rules");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let wrong = |texts: &[&str], protocol| -> Vec<String> {
            check(&rules(texts), protocol).into_iter().map(|(_, what)| what).collect()
        };
        for (texts, protocol, why) in [
            (
                &["GET header.x=1 => error"][..],
                Protocol::Redis,
                "`GET header.x=1 => error`: `header.x` needs protocol http, this proxy has redis",
            ),
            (
                &["method=GET => error"],
                Protocol::Memcache,
                "`method=GET => error`: `method` needs protocol http, with memcache write `command`",
            ),
            (
                &["GET api/pay => error"],
                Protocol::Http,
                "`GET api/pay => error`: `api/pay` is no path, write `/api/pay`",
            ),
            (
                &["*.json => error"],
                Protocol::Http,
                "`*.json => error`: `*.json` is compared with the method, write `path=*.json`",
            ),
            (
                &["~^/v[12]/ => error"],
                Protocol::Http,
                "`~^/v[12]/ => error`: `~^/v[12]/` is compared with the method, write `path=~^/v[12]/`",
            ),
            (
                &["pkg.Pay/Charge => error"],
                Protocol::Grpc,
                "`pkg.Pay/Charge => error`: `pkg.Pay/Charge` is compared with the method, write `/pkg.Pay/Charge`",
            ),
            (
                &["service=pkg.Pay => error"],
                Protocol::Http,
                "`service=pkg.Pay => error`: `service` needs protocol grpc, with http write `path=/pkg.Pay/*`",
            ),
            (
                &["service=pkg.Pay => error"],
                Protocol::Redis,
                "`service=pkg.Pay => error`: `service` needs protocol grpc, this proxy has redis",
            ),
            (
                &["command=a => error"],
                Protocol::Grpc,
                "`command=a => error`: `command` is not for protocol grpc, write `method`",
            ),
            (
                &["service=pkg.* => dummy", "service=pkg.Pay method=Charge => error"],
                Protocol::Grpc,
                "`service=pkg.Pay method=Charge => error` is never reached: `service=pkg.* => dummy` takes all of its calls, move \
                 this rule before it",
            ),
            (
                &["method=Ch* => dummy", "method=Charge => error"],
                Protocol::Grpc,
                "`method=Charge => error` is never reached: `method=Ch* => dummy` takes all of its calls, move this rule before it",
            ),
            (
                &["method=get => dummy", "method=GET => error"],
                Protocol::Http,
                "`method=GET => error` is never reached: `method=get => dummy` takes all of its calls, move this rule before it",
            ),
            (&["key=a => error"], Protocol::Http, "`key=a => error`: `key` is not for protocol http, write `path`"),
            (
                &["GET => error"],
                Protocol::Tcp,
                "`GET => error`: the command cannot be told with protocol tcp, which knows `client`, `connection` and counts only",
            ),
            (
                &["/pkg.Service/Pay => error"],
                Protocol::Tcp,
                "`/pkg.Service/Pay => error`: the path cannot be told with protocol tcp, which knows `client`, `connection` and \
                 counts only: add `--protocol http`, or grpc",
            ),
            (
                &["G* => dummy", "GET a => error"],
                Protocol::Redis,
                "`GET a => error` is never reached: `G* => dummy` takes all of its calls, move this rule before it",
            ),
            (
                &["GET name=a => error", "SET name=a => error"],
                Protocol::Redis,
                "`SET name=a => error`: `GET name=a => error` has the name `a` as well, give it another",
            ),
        ] {
            assert_eq!(wrong(texts, protocol), [why]);
        }
        for texts in [
            &["GET times=1 => error", "GET => error"][..],
            &["GET a* => error", "GET => error"],
            &["GET => error", "* => delay"],
            &["* during=..1s => error", "* => delay"],
            &["GET client=10.0.0.0/8 => error", "GET => error"],
        ] {
            assert_eq!(wrong(texts, Protocol::Redis), Vec::<String>::new());
        }
        let texts = ["method=pay => error", "method=Pay => error"];
        assert_eq!(wrong(&texts, Protocol::Grpc), Vec::<String>::new(), "case matters");
        assert_eq!(wrong(&["client=::1 times=1 => reset", "* => hang"], Protocol::Tcp), Vec::<String>::new());
        assert_eq!(wrong(&["=> reset", "connection=1 => hang"], Protocol::Tcp).len(), 1);
    }
}
