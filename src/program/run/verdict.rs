//! What a run makes of its figures: expectations, the chaos that could not take place, and warnings.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::handler::Registry;
use crate::metrics::counters::{MOST_GONE, OTHERS, label};
use crate::metrics::snapshot::{RuleSnapshot, ToxicSnapshot};
use crate::metrics::summary::Summary;
use crate::net::tls::{ClientTls, is_distrust};
use crate::plan::mix::{Mix, Share};
use crate::plan::rule::{Rule, excluding_counts};
use crate::program::command::variable;
use crate::program::config::Config;
use crate::program::expectation::{Expectation, Subject};
use crate::program::report::Expected;
use crate::program::run::odds;
use crate::program::run::services::Results;
use crate::protocol::foreign;
use crate::proxy::config::ProxyConfig;
use crate::toxic::Toxic;

/// The results of all expectations, and warnings.
pub(super) struct Verdict {
    pub(super) expectations: Vec<Expected>,
    pub(super) warnings: Vec<String>,
}

impl Verdict {
    pub(super) fn of(config: &Config, registry: &Registry, results: &Results) -> Self {
        let expectations = &config.run.expectations;
        let summaries = || results.summaries.iter().map(|(name, summary)| (name.as_str(), summary));
        let count = |expectation: &Expectation| expectation.count(summaries(), registry);
        let expected = expectations.iter().map(|expectation| Expected::new(expectation, count(expectation)));
        let mut verdict = Self { expectations: expected.collect(), warnings: Vec::new() };
        let targets = Target::all(config, registry, results);
        if config.run.command.is_empty() {
            verdict.warnings = targets.iter().flat_map(Target::told_idle_rules).collect();
            return verdict;
        }
        for (expectation, expected) in expectations.iter().zip(&mut verdict.expectations) {
            if !expected.met {
                let why = why_unmet(expectation, expected.count, &targets);
                expected.why = why.or_else(|| why_toxic_unmet(expectation, registry, results));
            }
        }
        let judged = expectations.iter().zip(&verdict.expectations);
        let unmet: Vec<_> = judged.filter(|(_, expected)| !expected.met).map(|(expectation, _)| expectation).collect();
        // One that is not met has failed the run, and says why.
        let is_told = |target: &Target<'_>| unmet.iter().any(|expectation| target.is_counted_by(expectation));
        let missed = targets.iter().filter(|target| target.missed_its_chaos(config) && !is_told(target));
        verdict.expectations.extend(missed.map(Target::missing_chaos));
        let idle = targets.iter().flat_map(|target| target.idle(expectations));
        let unknown = expectations.iter().filter_map(|expectation| told_unknown(expectation, registry, results));
        verdict.warnings = idle.chain(told_idle_made_toxics(config, results)).chain(unknown).collect();
        if results.proxies.is_empty() {
            verdict.warnings.push("no proxy was made, so nothing could fail".to_owned());
        }
        verdict
    }
}

/// A warning about an expectation that names what the run has not had. With an API that is known at the end alone.
fn told_unknown(expectation: &Expectation, registry: &Registry, results: &Results) -> Option<String> {
    let is_proxy = |name: &str| results.summaries.iter().any(|(proxy, _)| proxy == name);
    let Subject { proxy, rule, counted } = expectation.subject(is_proxy);
    let names = &results.names;
    let is_counted =
        |name: &str| Expectation::countable(registry).any(|known| known == name) || names.may_have_counted(name);
    let unknown = (proxy.filter(|name| !is_proxy(name) && !names.is_partial))
        .or(rule.filter(|name| !names.may_have_rule(name)))
        .or(Some(counted).filter(|name| !is_counted(name)))?;
    Some(format!("{expectation}: nothing was called `{unknown}`"))
}

/// Warnings about toxics of an API that did nothing to the connections that had them, but for those of which an expectation allows it.
fn told_idle_made_toxics(config: &Config, results: &Results) -> impl Iterator<Item = String> {
    let is_proxy = |name: &str| results.summaries.iter().any(|(proxy, _)| proxy == name);
    let is_expected = move |proxy: &str, toxic: &str| {
        config.run.expectations.iter().any(|expectation| {
            let subject = expectation.subject(is_proxy);
            let is_subject =
                subject.counted == toxic && subject.rule.is_none() && subject.proxy.is_none_or(|name| name == proxy);
            is_subject && expectation.is_met_by(0)
        })
    };
    let is_configured = |proxy: &str, toxic: &str| {
        let mut ours = config.proxies.iter().filter(|known| known.name == proxy).flat_map(|known| &known.toxics);
        ours.any(|known| known.name() == toxic)
    };
    results.proxies.iter().flat_map(move |proxy| {
        let idle = proxy.toxics.iter().filter(move |toxic| {
            let acts = toxic
                .toxic
                .as_ref()
                .and_then(|text| text.parse().ok())
                .is_none_or(|toxic: Toxic| toxic.does_something());
            let is_known = is_configured(&proxy.name, &toxic.name) || is_expected(&proxy.name, &toxic.name);
            toxic.connections > 0 && toxic.faults == 0 && acts && !is_known
        });
        idle.map(|toxic| {
            let text = toxic.toxic.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
            format!("{}: toxic `{}` did nothing{text}", proxy.name, toxic.name)
        })
    })
}

/// Why an expectation that counted so much is not met, if that is known.
fn why_unmet(expectation: &Expectation, count: u64, targets: &[Target<'_>]) -> Option<String> {
    let why = targets.iter().filter(|target| target.is_counted_by(expectation)).filter_map(|target| {
        let why = target.why_no_chaos().or_else(|| {
            let chaos = target.chaos.iter().find(|chaos| target.is_subject(expectation, chaos))?;
            (count == 0).then(|| target.why_idle(chaos))
        });
        Some(format!("{}{}", target.prefix, why?))
    });
    let why: Vec<_> = why.collect();
    (!why.is_empty()).then(|| why.join("; "))
}

/// Why an expectation may miss what a toxic did that was removed before many others.
fn why_toxic_unmet(expectation: &Expectation, registry: &Registry, results: &Results) -> Option<String> {
    let is_proxy = |name: &str| results.summaries.iter().any(|(proxy, _)| proxy == name);
    let Subject { proxy, rule, counted } = expectation.subject(is_proxy);
    let is_summed = |summary: &Summary| {
        let toxics = &summary.toxics;
        let has = |name: &str| toxics.iter().any(|(toxic, _)| toxic == name);
        toxics.len() > MOST_GONE && has(OTHERS) && !has(counted)
    };
    let mut ours = results.summaries.iter().filter(|(name, _)| proxy.is_none_or(|proxy| proxy == name));
    let is_else = rule.is_some() || Expectation::countable(registry).any(|known| known == counted);
    (!is_else && ours.any(|(_, summary)| is_summed(summary)))
        .then(|| format!("removed toxics beyond {MOST_GONE} are counted together, as `{OTHERS}`"))
}

/// A proxy that was configured to listen, and what came of it.
struct Target<'a> {
    /// For lines about it: empty if there is only one.
    prefix: String,
    proxy: &'a ProxyConfig,
    /// The names of all proxies.
    names: Vec<&'a str>,
    summary: Summary,
    /// What its rules and its mix have that does something.
    chaos: Vec<Chaos<'a>>,
    /// Its rules at the end.
    rules: &'a [RuleSnapshot],
    /// Its toxics at the end, and those before.
    last_toxics: &'a [ToxicSnapshot],
    /// Where the command finds its address.
    variable: String,
    /// Whether its rules and its mix are still the same.
    kept_its_plan: bool,
}

/// A handler that does something, and what came of it.
struct Chaos<'a> {
    rule: Option<&'a str>,
    share: &'a Share,
    /// As people write it: `pay.error`.
    label: String,
    drawn: u64,
    faults: u64,
    /// The calls of its rule, or those that no rule decided.
    calls: u64,
}

impl<'a> Chaos<'a> {
    fn new(rule: Option<&'a str>, share: &'a Share, summary: &Summary) -> Self {
        let label = label(rule, share.name());
        let of =
            |counts: &[(String, u64)]| counts.iter().find(|(name, _)| *name == label).map_or(0, |(_, count)| *count);
        let is_beside = |name: &str| name.rsplit_once('.').map(|(rule, _)| rule) == rule;
        let calls = summary.calls.iter().filter(|(name, _)| is_beside(name)).map(|(_, calls)| calls).sum();
        Self { rule, share, drawn: of(&summary.calls), faults: of(&summary.faults), calls, label }
    }
}

impl<'a> Target<'a> {
    fn all(config: &'a Config, registry: &Registry, results: &'a Results) -> Vec<Self> {
        let target = |proxy: &'a ProxyConfig| {
            let name = &proxy.name;
            // One that the API removed and made again has several.
            let summaries = results.summaries.iter().filter(|(known, _)| known == name);
            let summary = summaries.map(|(_, summary)| summary.clone()).reduce(Summary::with)?;
            let does_something = |share: &&Share| {
                let acts = |handler| registry.get(handler).is_none_or(|entry| !entry.does_nothing());
                share.percent() > 0.0 && share.handlers().any(acts)
            };
            let rules = proxy.rules.iter().map(|rule| (Some(rule.name()), rule.mix()));
            let shares = rules
                .chain([(None, &proxy.mix)])
                .flat_map(|(rule, mix)| mix.shares().iter().filter(does_something).map(move |share| (rule, share)));
            let last = results.proxies.iter().rfind(|last| last.name == *name);
            let rules = last.map_or(&[][..], |last| &last.rules);
            let last_toxics = last.map_or(&[][..], |last| &last.toxics);
            let written = proxy.rules.iter().map(ToString::to_string);
            let kept_its_rules = rules.iter().map(|rule| rule.rule.clone()).eq(written);
            Some(Self {
                prefix: if config.proxies.len() > 1 { format!("{name}: ") } else { String::new() },
                proxy,
                names: config.proxies.iter().map(|proxy| proxy.name.as_str()).collect(),
                chaos: shares.map(|(rule, share)| Chaos::new(rule, share, &summary)).collect(),
                rules,
                last_toxics,
                summary,
                variable: if config.names_proxies { variable(name) } else { "VAURIEN_PROXY".to_owned() },
                kept_its_plan: kept_its_rules && last.is_some_and(|last| last.mix == proxy.mix.to_string()),
            })
        };
        config.proxies.iter().filter(|proxy| proxy.enabled).filter_map(target).collect()
    }

    fn subject<'e>(&self, expectation: &'e Expectation) -> Subject<'e> {
        expectation.subject(|name| self.names.contains(&name))
    }

    fn is_counted_by(&self, expectation: &Expectation) -> bool {
        self.subject(expectation).proxy.is_none_or(|name| name == self.proxy.name)
    }

    /// Whether the expectation is about these faults.
    fn is_subject(&self, expectation: &Expectation, chaos: &Chaos<'_>) -> bool {
        let Subject { rule, counted, .. } = self.subject(expectation);
        counted == chaos.share.name() && (rule.is_none() || rule == chaos.rule)
    }

    fn calls(&self) -> u64 {
        self.summary.calls.iter().map(|(_, calls)| calls).sum()
    }

    /// Whether there were calls, but each connection that got past the TLS handshake turned opaque before a fault took place.
    fn is_all_opaque(&self) -> bool {
        let Summary { connections, opaque, handshake_failures, ref faults, .. } = self.summary;
        self.calls() > 0 && opaque + handshake_failures >= connections && faults.iter().all(|(_, faults)| *faults == 0)
    }

    /// Why its faults could not take place; `None` if they could.
    fn why_no_chaos(&self) -> Option<String> {
        if self.is_all_opaque() {
            Some(self.told_handshakes().chain(self.told_opaque()).collect::<Vec<_>>().join("; "))
        } else {
            self.why_no_call()
        }
    }

    /// Whether it had faults to inject, and no call that could have met one, although nobody said that this is right.
    fn missed_its_chaos(&self, config: &Config) -> bool {
        let allows = match (self.is_all_opaque(), self.chaos.is_empty()) {
            (true, _) => Expectation::allows_no_faults,
            (false, true) => Expectation::allows_no_connections,
            (false, false) => Expectation::allows_no_calls,
        };
        let mut expectations = config.run.expectations.iter().filter(|expectation| self.is_counted_by(expectation));
        let is_allowed = config.run.allow_no_calls || expectations.any(allows);
        let missed = if self.chaos.is_empty() { self.missed_its_toxics() } else { self.why_no_chaos().is_some() };
        missed && !is_allowed
    }

    /// Its toxics that do something.
    fn toxics(&self) -> impl Iterator<Item = &Toxic> {
        self.proxy.toxics.iter().filter(|toxic| toxic.does_something())
    }

    /// Whether it had toxics, and no connection to a backend.
    fn missed_its_toxics(&self) -> bool {
        let Summary { connections, backend_failures, handshake_failures, .. } = self.summary;
        self.toxics().next().is_some() && connections == backend_failures + handshake_failures
    }

    /// The expectation that nobody had to write.
    fn missing_chaos(&self) -> Expected {
        let proxy = if self.prefix.is_empty() { String::new() } else { format!("{}.", self.proxy.name) };
        let why = self.why_no_chaos().unwrap_or_default();
        let rules = self.chaos.iter().filter_map(|chaos| chaos.rule).collect::<BTreeSet<_>>().len();
        let what = match (rules, self.toxics().count()) {
            (0, 1) if self.chaos.is_empty() => "a toxic".to_owned(),
            (0, several) if self.chaos.is_empty() => format!("{several} toxics"),
            (0, _) => format!("handler {}", self.proxy.mix),
            (1, _) => "a rule".to_owned(),
            (several, _) => format!("{several} rules"),
        };
        let (counted, met, meant) = if self.chaos.is_empty() {
            ("connections", "met no connection", "make no connections")
        } else if self.is_all_opaque() {
            ("faults", "injected no fault", "have no faults")
        } else {
            ("calls", "met no call", "make no calls")
        };
        let why = format!("{what} {met}: {why}; if this run is meant to {meant}, add --allow-no-calls");
        Expected { expectation: format!("{proxy}{counted}>=1"), count: 0, met: false, why: Some(why) }
    }

    /// Why there were no calls; `None` if there were some.
    fn why_no_call(&self) -> Option<String> {
        let Summary { connections, opaque, backend_failures, handshake_failures, .. } = self.summary;
        if self.calls() > 0 {
            return None;
        }
        if connections == 0 {
            return Some(format!("no connections, the command finds the proxy's address in {}", self.variable));
        }
        let unreached = self.summary.backend_reasons.iter().map(|(why, count)| {
            format!("{} did not reach the backend {}: {why}", self.part(*count), self.proxy.backend)
        });
        let silent = connections.saturating_sub(opaque + backend_failures + handshake_failures);
        let silent = (silent > 0).then(|| format!("{} made no call", self.part(silent)));
        let told = self.told_handshakes().chain(self.told_opaque()).chain(unreached).chain(silent);
        Some(told.collect::<Vec<_>>().join("; "))
    }

    /// The connections without TLS, a text for each reason.
    fn told_handshakes(&self) -> impl Iterator<Item = String> {
        let trust = match self.proxy.tls.as_ref().and_then(ClientTls::authority) {
            Some(_) => ": trust the file that VAURIEN_CA names, or `vaurien --tls-ca`",
            None => ": let it trust the authority that has signed the proxy's certificate",
        };
        self.summary.handshake_reasons.iter().map(move |(why, count)| {
            let remedy = if is_distrust(why) { trust } else { "" };
            format!("{} failed in the TLS handshake: {why}{remedy}", self.part(*count))
        })
    }

    /// The connections that turned opaque, a text for each reason.
    fn told_opaque(&self) -> impl Iterator<Item = String> {
        self.summary.opaque_reasons.iter().map(|(why, count)| {
            let connections = self.part(*count);
            if foreign::is_named(why) {
                let verb = if *count == 1 { "is" } else { "are" };
                format!("{connections} {verb} {why}")
            } else {
                format!("{connections} turned opaque: {why}")
            }
        })
    }

    /// `2 of 3 connections`.
    fn part(&self, count: u64) -> String {
        let connections = self.summary.connections;
        format!("{count} of {connections} connection{}", if connections == 1 { "" } else { "s" })
    }

    /// Warnings about rules that matched no call, and about handlers that did nothing although there were calls for them, but for
    /// those that an expectation is about.
    fn idle(&self, expectations: &[Expectation]) -> Vec<String> {
        if self.why_no_chaos().is_some() {
            return Vec::new();
        }
        let rules = self.told_idle_rules();
        let is_expected = |chaos: &Chaos<'_>| {
            expectations
                .iter()
                .any(|expectation| self.is_counted_by(expectation) && self.is_subject(expectation, chaos))
        };
        let idle = self.chaos.iter().filter(|chaos| chaos.calls > 0 && chaos.faults == 0 && !is_expected(chaos));
        let idle = idle.map(|chaos| format!("{}{}", self.prefix, self.why_idle(chaos)));
        rules.into_iter().chain(idle).chain(self.told_idle_toxics(expectations)).collect()
    }

    /// Warnings about toxics that did nothing, as far as nobody has taken them away.
    fn told_idle_toxics(&self, expectations: &[Expectation]) -> impl Iterator<Item = String> {
        let is_expected = |toxic: &Toxic| {
            let mut ours = expectations.iter().filter(|expectation| self.is_counted_by(expectation));
            ours.any(|expectation| self.subject(expectation).counted == toxic.name())
        };
        // Nobody has asked for each toxic of a profile, some of which act seldom.
        let is_of_profile = self.proxy.keys.all.get("profile").is_some_and(Value::is_string);
        let is_there =
            |toxic: &Toxic| self.last_toxics.iter().any(|last| last.name == toxic.name() && last.toxic.is_some());
        let is_idle = move |toxic: &&Toxic| {
            !is_of_profile && is_there(toxic) && self.summary.faults_of(toxic.name()) == 0 && !is_expected(toxic)
        };
        let idle = self.toxics().filter(is_idle);
        idle.map(|toxic| format!("{}toxic `{}` did nothing: {toxic}", self.prefix, toxic.name()))
    }

    /// Warnings about rules that took no call, unless they only keep calls from later rules.
    fn told_idle_rules(&self) -> Vec<String> {
        let told = |rule: &RuleSnapshot| {
            let why =
                excluded_all(rule).map_or_else(|| "matched no call".to_owned(), |why| format!("took no call: {why}"));
            format!("{}rule `{}` {why}: {}", self.prefix, rule.name, rule.rule)
        };
        self.rules.iter().filter(|rule| rule.calls == 0 && !rule.is_protective).map(told).collect()
    }

    /// How many calls the handlers of a share let pass before they act.
    fn warmup(&self, rule: Option<&str>, share: &Share) -> Option<u64> {
        let (mix, settings): (&Mix, _) = match rule.map(|name| self.proxy.rules.iter().find(|rule| rule.name() == name))
        {
            None => (&self.proxy.mix, Some(&*self.proxy.keys.of_mix)),
            Some(rule) => rule.map(|rule| (rule.mix(), Rule::settings(rule)))?,
        };
        let is_earlier = |other: &&Share| !std::ptr::eq(*other, share);
        // The settings of the rest come first.
        let earlier: usize =
            1 + mix.shares().iter().take_while(is_earlier).map(|share| share.handlers().count()).sum::<usize>();
        let settings = settings?.iter().skip(earlier).take(share.handlers().count());
        settings.filter_map(|(_, settings)| settings.get("warmup")?.as_u64()).max()
    }

    /// Why a handler did nothing.
    fn why_idle(&self, Chaos { label, share, drawn, calls, rule, .. }: &Chaos<'_>) -> String {
        let plural = if *calls == 1 { "" } else { "s" };
        if *calls == 0 {
            let known = rule.and_then(|name| self.rules.iter().find(|known| known.name == name));
            let left = match (rule, known.and_then(excluded_all)) {
                (None, _) => "no call was left for it".to_owned(),
                (Some(_), None) => "its rule matched no call".to_owned(),
                (Some(_), Some(why)) => format!("its rule took no call: {why}"),
            };
            return format!("`{label}` injected no fault: {left}");
        }
        if *drawn > 0 {
            let warmup = self.warmup(*rule, share).filter(|warmup| drawn <= warmup);
            let why = warmup.map_or_else(
                || "it found nothing to do".to_owned(),
                |warmup| format!("warmup={warmup} let them all pass"),
            );
            return format!("`{label}` injected no fault: drawn for {drawn} of {calls} call{plural}, {why}");
        }
        let odds = if self.kept_its_plan { odds::of_none(share.percent(), *calls) } else { None };
        let odds = odds.map(|odds| format!(", which at {}% happens in {odds} of runs", share.percent()));
        format!("`{label}` injected no fault: drawn for none of {calls} call{plural}{}", odds.unwrap_or_default())
    }
}

/// Why a rule took none of the calls that met its conditions, if there were some.
fn excluded_all(rule: &RuleSnapshot) -> Option<String> {
    let RuleSnapshot { excluded, rule, .. } = rule;
    let counts = excluding_counts(rule);
    let plural = if *excluded == 1 { "" } else { "s" };
    (*excluded > 0 && !counts.is_empty())
        .then(|| format!("{excluded} call{plural} met its conditions, {counts} excluded all"))
}
