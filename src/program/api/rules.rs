//! The rules of a proxy, one by one.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Api;
use super::answer::{self, Answer, Failure, Fault, Location};
use super::read::{NoBody, Object, PathParams};
use super::v1::{Applied, in_path, proxy, take_duration};
use crate::diagnostic::Diagnostic;
use crate::duration::Seconds;
use crate::handler::Registry;
use crate::metrics::snapshot::RuleSnapshot;
use crate::plan::parse::wrong_name;
use crate::plan::rule::patch::{merged, split_name};
use crate::plan::rule::table::{text_of, without_nulls, wrong_keys};
use crate::program::config::spec;
use crate::proxy::set::{Action, Change, ChangeError, Position, RuleChange, RuleEdit, Times};

/// A rule of a proxy.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "`rule` is its text, as in the list of the status")]
pub(super) struct Rule {
    /// Its name: its own, or `rule-N`.
    name: String,
    /// The rule as text.
    rule: String,
    status: RuleStatus,
}

/// What a rule has counted under its name.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RuleStatus {
    /// The calls that it has decided.
    calls: u64,
    /// The calls to which its handlers did something.
    faults: u64,
    /// The calls that met its conditions and that `after`, `every`, `times` or `during` left to the next rule, since it came into
    /// force.
    excluded: u64,
    /// How many more calls its `times` has room for; null without one, and with `per=connection`.
    times_left: Option<u64>,
    /// Seconds until a temporary change of the rule is taken back; null without one.
    #[schemars(with = "Option<f64>")]
    reverts_in: Option<Seconds>,
}

/// The keys of a body that are not those of a rule's table.
struct Extra {
    /// The rule as text.
    rule: Option<String>,
    name: Option<String>,
    position: Option<Position>,
    duration: Option<Duration>,
}

pub(super) async fn list(State(api): State<Arc<Api>>, PathParams(name): PathParams<String>) -> Answer {
    let (times, snapshot) = (api.proxies.times(&name), proxy(&api, &name)?.snapshot());
    let rules = snapshot.rules.iter().map(|rule| described(&times, rule));
    Ok(Json(json!({ "rules": rules.collect::<Vec<_>>() })))
}

pub(super) async fn get(State(api): State<Arc<Api>>, PathParams((name, rule)): PathParams<(String, String)>) -> Answer {
    let (times, snapshot) = (api.proxies.times(&name), proxy(&api, &name)?.snapshot());
    let Some(found) = snapshot.rules.iter().find(|known| known.name == rule) else {
        let known = snapshot.rules.iter().map(|rule| rule.name.clone()).collect();
        return Err(ChangeError::UnknownRule { proxy: name, rule, known }.into());
    };
    Ok(Json(json!(described(&times, found))))
}

pub(super) async fn post(
    State(api): State<Arc<Api>>,
    PathParams(name): PathParams<String>,
    Object(mut keys): Object,
) -> Result<Response, Failure> {
    proxy(&api, &name)?;
    let extra = Extra::take(&mut keys)?;
    let (of_text, text) = text(extra.rule.as_deref(), &keys, &api.registry)?;
    let rule = one_name(extra.name, of_text)?;
    if let Some(what) = rule.as_deref().and_then(wrong_name) {
        return Err(Failure::body("name", what));
    }
    let edit = edit(&api, rule, Action::Add(text), extra.position);
    changed(&api, &name, edit, extra.duration).await
}

pub(super) async fn put(
    State(api): State<Arc<Api>>,
    PathParams((name, rule)): PathParams<(String, String)>,
    Object(mut keys): Object,
) -> Result<Response, Failure> {
    proxy(&api, &name)?;
    if let Some(what) = wrong_name(&rule) {
        return Err(Failure::of(StatusCode::BAD_REQUEST, Location::Path, "rule", what));
    }
    let extra = Extra::take(&mut keys)?;
    let (of_text, text) = text(extra.rule.as_deref(), &keys, &api.registry)?;
    same_name(&rule, one_name(extra.name, of_text)?)?;
    let edit = edit(&api, Some(rule), Action::Put(text), extra.position);
    changed(&api, &name, edit, extra.duration).await
}

pub(super) async fn patch(
    State(api): State<Arc<Api>>,
    PathParams((name, rule)): PathParams<(String, String)>,
    Object(mut keys): Object,
) -> Result<Response, Failure> {
    proxy(&api, &name)?;
    let extra = Extra::take(&mut keys)?;
    let action = if extra.rule.is_some() {
        let (of_text, text) = text(extra.rule.as_deref(), &keys, &api.registry)?;
        same_name(&rule, one_name(extra.name, of_text)?)?;
        Action::Change(Box::new(move |_| Ok(text.clone())))
    } else {
        same_name(&rule, extra.name)?;
        let wrong = wrong_keys(&keys, &api.registry);
        if !wrong.is_empty() {
            return Err(faults(wrong));
        }
        Action::Change(Box::new(move |text| Ok(merged(text, &keys).map_err(|what| Diagnostic::new("", what))?)))
    };
    changed(&api, &name, edit(&api, Some(rule), action, extra.position), extra.duration).await
}

pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    PathParams((name, rule)): PathParams<(String, String)>,
    _: NoBody,
) -> Result<StatusCode, Failure> {
    api.proxies.edit_rule(&name, edit(&api, Some(rule), Action::Remove, None), None).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn edit(api: &Api, name: Option<String>, action: Action, position: Option<Position>) -> RuleEdit {
    RuleEdit { name, action, position, rebuild: spec::rebuild(&api.registry) }
}

/// Makes the change, and answers with the rule.
async fn changed(api: &Api, name: &str, edit: RuleEdit, duration: Option<Duration>) -> Result<Response, Failure> {
    let changed = api.proxies.edit_rule(name, edit, duration).await;
    let changed = changed.map_err(|error| Failure::from(error).rename(key_of_request))?;
    let RuleChange { change: Change { proxy, now, new_connections, .. }, created, name: rule, text } = changed;
    let location = format!("/v1/proxies/{}/rules/{rule}", in_path(name));
    let times = api.proxies.times(name);
    let in_force = proxy.snapshot().rules.into_iter().find(|known| known.name == rule);
    // It may be gone by now: then this is what it was.
    let gone = RuleSnapshot { name: rule, rule: text, ..RuleSnapshot::default() };
    let mut answer = json!(described(&times, &in_force.unwrap_or(gone)));
    answer["applied"] = json!(Applied { now, new_connections });
    Ok(answer::changed(answer, created, &location))
}

/// The request's key for that of the proxy.
fn key_of_request(place: &str) -> String {
    if place == "rules" { "rule".to_owned() } else { place.to_owned() }
}

fn described(times: &Times, rule: &RuleSnapshot) -> Rule {
    let RuleSnapshot { name, rule, calls, faults, excluded, times_left, .. } = rule.clone();
    let reverts_in = times.rule(&name, &rule).map(Seconds::from);
    Rule { name, rule, status: RuleStatus { calls, faults, excluded, times_left, reverts_in } }
}

impl Extra {
    /// Takes what belongs to the request, and `status`, which GET answers, out of a body. The keys of a rule's table stay.
    fn take(keys: &mut Map<String, Value>) -> Result<Self, Failure> {
        keys.remove("status");
        let mut text = |key: &str, right: &str| match keys.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(Failure::body(key, format!("`{other}` is no text, write {right}"))),
        };
        let rule = text("rule", "`\"GET /pay* => error\"`")?;
        let name = text("name", "the name of the rule")?;
        let position = text("before", "`\"first\"` or the name of a rule")?;
        let position = position.map(|name| match name.as_str() {
            "first" => Position::First,
            _ => Position::Before(name),
        });
        Ok(Self { rule, name, position, duration: take_duration(keys)? })
    }
}

/// The rule that a body says, in a text or in the keys of a table: its name, if it has one there, and the text without it.
fn text(
    rule: Option<&str>,
    table: &Map<String, Value>,
    registry: &Registry,
) -> Result<(Option<String>, String), Failure> {
    if let Some(text) = rule {
        if let Some(key) = table.keys().next() {
            let what = format!("`{key}` belongs into the text of `rule`, or write a table without `rule`");
            return Err(Failure::body(key, what));
        }
        return split_name(text.trim()).map_err(|what| Failure::body("rule", what));
    }
    // Null is the default.
    let table = without_nulls(&Value::Object(table.clone()));
    let Some(keys) = table.as_object().filter(|keys| !keys.is_empty()) else {
        let what = "the rule is missing, write `\"rule\": \"GET /pay* => error\"`, or a table";
        return Err(Failure::body("rule", what));
    };
    let wrong = wrong_keys(keys, registry);
    if !wrong.is_empty() {
        return Err(faults(wrong));
    }
    let key = if keys.contains_key("handler") { "rule" } else { "handler" };
    Ok((None, text_of(&table).map_err(|what| Failure::body(key, what))?))
}

fn faults(wrong: Vec<(String, String)>) -> Failure {
    let fault = |(name, description)| Fault { location: Location::Body, name, description };
    Failure::new(StatusCode::BAD_REQUEST, wrong.into_iter().map(fault).collect())
}

/// The name that a body says in its key, or in the text.
fn one_name(key: Option<String>, text: Option<String>) -> Result<Option<String>, Failure> {
    match (key, text) {
        (Some(key), Some(text)) if key != text => {
            Err(Failure::body("name", format!("the text has the name `{text}`, write it in one place")))
        }
        (key, text) => Ok(key.or(text)),
    }
}

/// Whether a body says the name of the path, if it says one.
fn same_name(path: &str, body: Option<String>) -> Result<(), Failure> {
    match body {
        Some(other) if other != path => Err(Failure::body(
            "name",
            format!("the path says `{path}`, and a rule cannot be renamed: leave `name` out"),
        )),
        _ => Ok(()),
    }
}
