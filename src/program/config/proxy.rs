//! A proxy's configuration, made of checked values.

use serde_json::{Map, Value};

use super::entry::Origin;
use super::layout::Layout;
use super::schema::{PROXIES, Setting};
use super::spec;
use super::tls::Source;
use super::values::Values;
use crate::diagnostic::{Diagnostic, Diagnostics, shown};
use crate::plan::mix::Mix;
use crate::plan::rule::{Rule, list};
use crate::proxy::config::{Conflict, Keys, ProxyConfig, conflicts, name_conflicts};
use crate::proxy::options::ProxyOptions;
use crate::settings;
use crate::toxic;

/// All proxies that were asked for, with certificates from `source`. `may_lack_backend`: no backend is needed, or the file that
/// would name it is unreadable. Mistakes go to `diagnostics`. Fails only if no proxy can be built.
pub(super) fn all(
    values: &Values<'_>,
    may_lack_backend: bool,
    source: Source<'_>,
    diagnostics: &mut Diagnostics,
) -> Result<Vec<ProxyConfig>, Diagnostics> {
    let proxies = values.layout.proxies();
    let one = |(name, within): &(&str, String)| one(values, name, within, may_lack_backend, false, source, diagnostics);
    let configs: Vec<_> = proxies.iter().map(one).collect::<Result<_, _>>()?;
    for (config, (name, within)) in configs.iter().zip(&proxies) {
        for what in name_conflicts(config, &configs) {
            let given = values.get(&format!("{within}rules")).map(|(_, origin)| origin.line("rules"));
            diagnostics.push(Diagnostic::new(given.unwrap_or_else(|| place(values.layout, name)), what));
        }
    }
    // An invalid address has been reported already.
    let listens = |(_, (_, within)): &(_, &(_, String))| !values.is_wrong(&format!("{within}proxy"));
    let (listening, named): (Vec<_>, Vec<_>) = configs.iter().zip(&proxies).filter(listens).unzip();
    for Conflict { place: number, key, what } in conflicts(&listening) {
        let (name, within) = named[number];
        let place = values.place(&format!("{within}{key}")).unwrap_or_else(|| place(values.layout, name));
        diagnostics.push(Diagnostic::new(place, what));
    }
    Ok(configs)
}

/// Whether nothing that is given is a proxy's.
pub(super) fn none_was_asked_for(values: &Values<'_>) -> bool {
    let is_given = |setting: &Setting<'_>| {
        values.get(&setting.path).is_some_and(|(_, origin)| !matches!(origin, Origin::Default(_)))
    };
    matches!(values.layout, Layout::One) && !values.schema.all().filter(|setting| setting.per_proxy).any(is_given)
}

/// Adds the proxies of Toxiproxy's file, each of which has a name of its own.
pub(super) fn add_listed(proxies: &mut Vec<ProxyConfig>, listed: Vec<ProxyConfig>, diagnostics: &mut Diagnostics) {
    for config in listed {
        if proxies.iter().any(|known| known.name == config.name) {
            let what = format!("the file has a proxy named `{}` as well, leave one of them out", config.name);
            diagnostics.push(Diagnostic::new("", what));
        }
        proxies.push(config);
    }
}

/// The proxy whose keys are `within`, with certificates from `source`. `may_hide`: a rule may take all calls of a later one.
pub(super) fn one(
    values: &Values<'_>,
    name: &str,
    within: &str,
    may_lack_backend: bool,
    may_hide: bool,
    source: Source<'_>,
    diagnostics: &mut Diagnostics,
) -> Result<ProxyConfig, Diagnostics> {
    let is_wrong = |key| values.is_wrong(&format!("{within}{key}"));
    let options: ProxyOptions = values.build(within)?;
    if options.backend.is_none() && !may_lack_backend && !is_wrong("backend") {
        let (place, how) = match values.layout {
            Layout::One => (String::new(), "give `--backend HOST:PORT`, or VAURIEN_BACKEND, or `backend` in the file"),
            Layout::Several(_) => (place(values.layout, name), "write `backend = \"HOST:PORT\"`"),
            Layout::Json => ("backend".into(), "give `HOST:PORT`"),
        };
        diagnostics.push(Diagnostic::new(place, format_args!("the backend is missing, {how}")));
    }
    if options.backend.as_ref() == Some(&options.proxy) && !is_wrong("proxy") {
        let (place, how) = match values.layout {
            Layout::One => (String::new(), ": `--proxy HOST:PORT`"),
            Layout::Several(_) => (place(values.layout, name), ""),
            Layout::Json => ("proxy".into(), ""),
        };
        let what = format!("`{}` is both `backend` and `proxy`, listen somewhere else{how}", options.proxy);
        diagnostics.push(Diagnostic::new(place, what));
    }
    let (mix, of_mix) = values.mix_with_settings(within).unwrap_or_else(|wrong| {
        diagnostics.extend(wrong);
        Default::default()
    });
    let rules = values.rules(within).unwrap_or_else(|wrong| {
        diagnostics.extend(wrong);
        Vec::new()
    });
    let mut own = values.map(within);
    own.extend(overrides(values, within, &mix, &rules, diagnostics));
    let options: ProxyOptions = settings::build(own).map_err(|why| Diagnostic::new("", why))?;
    let place = values.place(&format!("{within}handler")).unwrap_or_default();
    diagnostics.extend(mix.check(options.connection.protocol).map(|why| Diagnostic::new(&place, why)).collect());
    if !is_wrong("protocol") {
        let origin = values.get(&format!("{within}rules")).map(|(_, origin)| origin);
        let place = |at| origin.map(|origin| origin.item("rules", at)).unwrap_or_default();
        let check = if may_hide { list::check_for } else { list::check };
        let wrong = check(&rules, options.connection.protocol);
        diagnostics.extend(wrong.into_iter().map(|(at, what)| Diagnostic::new(place(at), what)).collect());
    }
    let given = given(values, within);
    let keys = Keys { all: spec::complete(&given, values.schema), given, of_mix };
    let told = diagnostics.iter().count();
    let (tls, backend_tls) = source.tls(values, within, options.backend.as_ref(), diagnostics);
    if diagnostics.iter().count() == told {
        let of_rule = |at| values.get(&format!("{within}rules")).map(|(_, origin)| origin.item("rules", at));
        let of_mix = || values.place(&format!("{within}handler"));
        let wrong = list::check_tls(&rules, &mix, tls.as_ref()).into_iter();
        let wrong = wrong.map(|(at, what)| (at.map_or_else(of_mix, of_rule).unwrap_or_default(), what));
        diagnostics.extend(wrong.map(|(place, what)| Diagnostic::new(place, what)).collect());
    }
    let config = ProxyConfig { tls, backend_tls, ..ProxyConfig::from_options(name, options, rules, mix, keys) };
    if let Some(why) = config.check_rewrite_host().filter(|_| !is_wrong("protocol")) {
        diagnostics.push(Diagnostic::new(values.place(&format!("{within}rewrite_host")).unwrap_or_default(), why));
    }
    let place = values.get(&format!("{within}toxics")).map(|(_, origin)| origin.line("toxics")).unwrap_or_default();
    diagnostics.extend(toxic::conflicts(&config.toxics).map(|what| Diagnostic::new(&place, what)).collect());
    Ok(config)
}

/// Where the proxy of this name begins.
fn place(layout: &Layout, name: &str) -> String {
    let Layout::Several(named) = layout else { return String::new() };
    let named = named.iter().find(|(known, _)| known == name);
    named.map(|(_, origin)| origin.place(&format!("{PROXIES}.{name}"))).unwrap_or_default()
}

/// Options of the connection that are set for handlers of the mix and of rules: they override the proxy's, and must be the same for all of them.
fn overrides(
    values: &Values<'_>,
    within: &str,
    mix: &Mix,
    rules: &[Rule],
    diagnostics: &mut Diagnostics,
) -> Map<String, Value> {
    let mixes: Vec<&Mix> = [mix].into_iter().chain(rules.iter().map(Rule::mix)).collect();
    let mut overrides = Map::new();
    for Setting { field, .. } in values.schema.of_proxy("") {
        let name = &field.name;
        let mut given = values.overrides(within, &mixes, name);
        let Some((first, value, place)) = given.next() else { continue };
        for (other, differs, there) in given {
            if field.canonical(differs) != field.canonical(value) {
                let (differs, value) = (shown(differs), shown(value));
                let what = format!(
                    "`{other}` has {name} {differs}, `{first}` has {value} ({place}); handlers of one proxy share it"
                );
                diagnostics.push(Diagnostic::new(there, what));
            }
        }
        overrides.insert(name.clone(), value.clone());
    }
    overrides
}

/// The keys that were given for a proxy.
fn given(values: &Values<'_>, within: &str) -> Map<String, Value> {
    let mut given = Value::Object(Map::new());
    for setting in values.schema.all().filter(|setting| setting.per_proxy) {
        if let Some((value, _)) = values.get(&format!("{within}{}", setting.path)) {
            setting.put(&mut given, value.clone());
        }
    }
    given.as_object().cloned().unwrap_or_default()
}

/// Whether there is one proxy, whose address was not given.
pub(super) fn listens_anywhere(values: &Values<'_>) -> bool {
    let asked = values.get("proxy").filter(|(_, origin)| !matches!(origin, Origin::Default(_)));
    matches!(values.layout, Layout::One) && asked.is_none()
}
