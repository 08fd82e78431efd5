//! What was given and is probably not what was meant: warnings, a line each.

use serde_json::Value;

use super::entry::Origin;
use super::layout::Layout;
use super::schema::{BACKEND_TLS, HANDLERS, SECTIONS, Setting};
use super::values::Values;
use crate::net::tls::BackendTls;
use crate::plan::mix::{Mix, Share};
use crate::plan::parse::ParsedMix;
use crate::plan::rule::suspect::doubts;
use crate::protocol::Protocol;
use crate::proxy::config::ProxyConfig;

/// A bare number above this many seconds is probably one of milliseconds.
const LONG: f64 = 60.0;

/// `has_http`: the API may ask for other handlers later.
pub(super) fn all(values: &Values<'_>, proxies: &[ProxyConfig], has_http: bool, runs_a_command: bool) -> Vec<String> {
    let mut warnings = parts_that_are_off(values);
    warnings.extend(without_command(values, runs_a_command));
    if !has_http {
        warnings.extend(handlers_that_nothing_names(values, proxies));
    }
    warnings.extend(long_sleeps(values, proxies));
    warnings.extend(doubtful_rules(values, proxies));
    warnings.extend(doubtful_tls(values, proxies));
    warnings
}

/// Ports at which servers speak TLS (HTTPS, LDAPS, Redis at Azure).
const TLS_PORTS: [u16; 4] = [443, 636, 6380, 8443];

/// Backends that see what nobody should, or of which nothing can be seen.
fn doubtful_tls(values: &Values<'_>, proxies: &[ProxyConfig]) -> Vec<String> {
    let mut warnings = Vec::new();
    for ((_, within), ProxyConfig { backend, protocol, backend_tls, .. }) in values.layout.proxies().iter().zip(proxies)
    {
        let place = |path: String| values.place(&path).unwrap_or(path);
        if backend_tls.as_ref().is_some_and(BackendTls::is_insecure) {
            let place = place(format!("{within}{BACKEND_TLS}.insecure"));
            let what = "can read and change everything that goes there: name its authority in `backend_tls.ca` instead";
            warnings.push(format!("{place}: anybody who answers at {backend} {what}"));
        }
        let port = backend.tcp().map(|address| address.port).filter(|port| TLS_PORTS.contains(port));
        if let Some(port) = port.filter(|_| backend_tls.is_none() && *protocol != Protocol::Tcp) {
            let path = format!("{within}backend");
            let switch = format!("{within}{BACKEND_TLS}.enabled");
            let is_off = values.get(&switch).is_some();
            let named = matches!(values.get(&path), Some((_, Origin::Named(_))));
            let add = if named { "add `--backend-tls`".to_owned() } else { format!("write `{switch} = true`") };
            let what = format!("servers at port {port} speak TLS, in which {protocol} finds no calls: {add}");
            warnings.extend((!is_off).then(|| format!("{}: {what}", place(path))));
        }
    }
    warnings
}

/// Rules that can hardly do what is meant.
fn doubtful_rules(values: &Values<'_>, proxies: &[ProxyConfig]) -> Vec<String> {
    let mut warnings = Vec::new();
    for ((_, within), proxy) in values.layout.proxies().iter().zip(proxies) {
        let Some((_, origin)) = values.get(&format!("{within}rules")) else { continue };
        for (place, rule) in proxy.rules.iter().enumerate() {
            let place = origin.item("rules", place);
            warnings.extend(doubts(rule, proxy.protocol).iter().map(|doubt| format!("{place}: {doubt}")));
        }
    }
    warnings
}

/// Options of a part of the program that is off.
fn parts_that_are_off(values: &Values<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    for section in SECTIONS {
        let Some(switch) = values.schema.get(&[section, "enabled"]).map(Setting::flag) else { continue };
        let within = format!("{section}.");
        // In the file the table itself turns it on, so these are flags and variables.
        let given = values.table(&within).filter(|(.., origin)| !matches!(origin, Origin::Default(_)));
        let idle = given.filter(|_| values.get(&format!("{within}enabled")).is_none());
        warnings.extend(idle.map(|(.., origin)| format!("`{origin}` has no effect without `--{switch}`")));
    }
    warnings
}

/// Options about the runs of a command.
fn without_command(values: &Values<'_>, runs_a_command: bool) -> Vec<String> {
    // A switch that is off asks for nothing.
    let given = |path: &str| {
        values.place(path).filter(|_| values.get(path).is_none_or(|(value, _)| *value != Value::Bool(false)))
    };
    if !runs_a_command {
        let paths = ["run.timeout", "run.repeat", "run.allow_no_calls", "run.keep_going"];
        let idle = paths.into_iter().filter_map(given);
        return idle.map(|given| format!("`{given}` has no effect without a command after `--`")).collect();
    }
    let alone = given("run.keep_going").filter(|_| values.get("run.repeat").is_none());
    alone.map(|given| format!("`{given}` has no effect without `--repeat`")).into_iter().collect()
}

/// Flags and variables for handlers that are in no mix. A file may well have tables for handlers that other mixes need.
fn handlers_that_nothing_names(values: &Values<'_>, proxies: &[ProxyConfig]) -> Vec<String> {
    // With several proxies there are no such flags.
    let (Layout::One, [proxy]) = (values.layout, proxies) else { return Vec::new() };
    let in_mix = |name: &str| proxy.mixes().flat_map(Mix::shares).flat_map(Share::handlers).any(|known| known == name);
    let (written, or_rule) = (&proxy.mix, if proxy.rules.is_empty() { "" } else { ", nor in a rule" });
    let settings = values.schema.all().filter_map(|setting| {
        let (name, _) = setting.path.strip_prefix(HANDLERS)?.strip_prefix('.')?.split_once('.')?;
        let (_, origin) = values.get(&setting.path).filter(|_| !in_mix(name))?;
        let is_own = [format!("--{}", setting.flag()), setting.variable()].contains(&origin.to_string());
        is_own.then(|| format!("`{origin}` has no effect: `{name}` is not in the mix `{written}`{or_rule}"))
    });
    settings.collect()
}

/// Times to sleep that have no unit and are so long that milliseconds were probably meant.
fn long_sleeps(values: &Values<'_>, proxies: &[ProxyConfig]) -> Vec<String> {
    let mut warnings = Vec::new();
    for ((_, within), proxy) in values.layout.proxies().iter().zip(proxies) {
        for setting in values.schema.all().filter(|setting| setting.per_proxy && setting.field.name == "sleep") {
            let path = format!("{within}{}", setting.path);
            let Some((value, origin)) = values.get(&path) else { continue };
            warnings.extend(in_seconds(value).map(|what| format!("{}: {what}", origin.place(&path))));
        }
        let rules = proxy.rules.iter().map(|rule| ("rules", rule.mix()));
        for (key, mix) in [("handler", &proxy.mix)].into_iter().chain(rules) {
            let path = format!("{within}{key}");
            let place = values.place(&path).unwrap_or(path);
            let in_place = ParsedMix::parse(&mix.to_string(), values.schema.registry).unwrap_or_default();
            let in_place = in_place.handlers().filter_map(|handler| in_seconds(handler.settings.get("sleep")?));
            warnings.extend(in_place.map(|what| format!("{place}: {what}")));
        }
    }
    warnings
}

/// The warning about a long time, or a distribution of such times, without a unit.
fn in_seconds(value: &Value) -> Option<String> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let amounts = text.split_once('(').map_or(&*text, |(_, amounts)| amounts);
    // The first time of a distribution says where most of the others are.
    let first = amounts.split("..").next()?.split([',', ')']).next()?.trim();
    let number = first.parse::<f64>().ok().filter(|number| *number > LONG)?;
    Some(format!("`{text}` is in seconds, write `{number}ms` for milliseconds, or `{number}s` if it is right"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn long_times_without_a_unit_are_in_seconds() {
        for (value, number) in [
            (json!(100), "100"),
            (json!("100"), "100"),
            (json!(60.5), "60.5"),
            (json!("100..300"), "100"),
            (json!("normal(100, 20)"), "100"),
            (json!("exponential(250)"), "250"),
        ] {
            let warning = in_seconds(&value).unwrap_or_default();
            assert!(
                warning.ends_with(&format!("write `{number}ms` for milliseconds, or `{number}s` if it is right")),
                "{warning}"
            );
        }
        for value in
            [json!(60), json!("2m"), json!("100s"), json!("100ms..300ms"), json!("lognormal(100ms, 90)"), json!(0)]
        {
            assert_eq!(in_seconds(&value), None);
        }
    }
}
