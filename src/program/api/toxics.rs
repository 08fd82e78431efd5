//! The toxics of a proxy, one by one.

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
use super::answer::{self, Answer, Failure, Location};
use super::read::{NoBody, Object, PathParams};
use super::v1::{Applied, in_path, proxy, take_duration};
use crate::diagnostic::{Diagnostic, Diagnostics, did_you_mean, shown};
use crate::duration::Seconds;
use crate::fault::Direction;
use crate::metrics::snapshot::ProxySnapshot;
use crate::proxy::set::{Change, ChangeError, Times, ToxicAction, ToxicChange, ToxicEdit};
use crate::toxic::{self, Kind, Toxic as ProxyToxic, ToxicType};

/// A toxic of a proxy.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "`toxic` is its text")]
pub(super) struct Toxic {
    /// Its name: its own, or `TYPE_STREAM`.
    name: String,
    /// The toxic as text.
    toxic: String,
    /// Its type: `latency`.
    r#type: String,
    /// `upstream` or `downstream`.
    stream: String,
    /// The part of the connections that have it, from 0 to 1.
    toxicity: f64,
    /// The settings of its type.
    #[schemars(with = "Map<String, Value>")]
    attributes: Map<String, Value>,
    status: ToxicStatus,
}

/// What a toxic has counted under its name.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ToxicStatus {
    /// Connections that had it.
    connections: u64,
    /// Connections to whose bytes it did something.
    faults: u64,
    /// Seconds until a temporary change of the toxic is taken back; null without one.
    #[schemars(with = "Option<f64>")]
    reverts_in: Option<Seconds>,
}

/// The keys of a body.
pub(super) const KEYS: [&str; 7] = ["toxic", "name", "type", "stream", "toxicity", "attributes", "for"];

pub(super) async fn list(State(api): State<Arc<Api>>, PathParams(name): PathParams<String>) -> Answer {
    let (times, proxy) = (api.proxies.times(&name), proxy(&api, &name)?);
    let (snapshot, toxics) = (proxy.snapshot(), proxy.config().toxics);
    let toxics: Vec<_> = toxics.iter().map(|toxic| described(&times, &snapshot, toxic)).collect();
    Ok(Json(json!({ "toxics": toxics })))
}

pub(super) async fn get(
    State(api): State<Arc<Api>>,
    PathParams((name, toxic)): PathParams<(String, String)>,
) -> Answer {
    let (times, proxy) = (api.proxies.times(&name), proxy(&api, &name)?);
    let toxics = proxy.config().toxics;
    let Some(found) = toxics.iter().find(|known| known.name() == toxic) else {
        let known = toxics.iter().map(|toxic| toxic.name().to_owned()).collect();
        return Err(ChangeError::UnknownToxic { proxy: name, toxic, known }.into());
    };
    Ok(Json(json!(described(&times, &proxy.snapshot(), found))))
}

pub(super) async fn post(
    State(api): State<Arc<Api>>,
    PathParams(name): PathParams<String>,
    Object(mut keys): Object,
) -> Result<Response, Failure> {
    proxy(&api, &name)?;
    let duration = take(&mut keys)?;
    let toxic = read(&keys, None).map_err(ChangeError::from)?;
    let edit = ToxicEdit { name: toxic.name().to_owned(), action: ToxicAction::Add(toxic) };
    changed(&api, &name, edit, duration).await
}

pub(super) async fn put(
    State(api): State<Arc<Api>>,
    PathParams((name, toxic)): PathParams<(String, String)>,
    Object(mut keys): Object,
) -> Result<Response, Failure> {
    proxy(&api, &name)?;
    if let Some(what) = toxic::wrong_own_name(&toxic) {
        return Err(Failure::of(StatusCode::BAD_REQUEST, Location::Path, "toxic", what));
    }
    let duration = take(&mut keys)?;
    let new = read(&keys, Some(&toxic)).map_err(ChangeError::from)?;
    changed(&api, &name, ToxicEdit { name: toxic, action: ToxicAction::Put(new) }, duration).await
}

pub(super) async fn patch(
    State(api): State<Arc<Api>>,
    PathParams((name, toxic)): PathParams<(String, String)>,
    Object(mut keys): Object,
) -> Result<Response, Failure> {
    proxy(&api, &name)?;
    let duration = take(&mut keys)?;
    let path = toxic.clone();
    let action = ToxicAction::Change(Box::new(move |before| merged(before, &keys, &path)));
    changed(&api, &name, ToxicEdit { name: toxic, action }, duration).await
}

pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    PathParams((name, toxic)): PathParams<(String, String)>,
    _: NoBody,
) -> Result<StatusCode, Failure> {
    api.proxies.edit_toxic(&name, ToxicEdit { name: toxic, action: ToxicAction::Remove }, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn clear(
    State(api): State<Arc<Api>>,
    PathParams(name): PathParams<String>,
    _: NoBody,
) -> Result<StatusCode, Failure> {
    api.proxies.remove_toxics(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes the change, and answers with the toxic.
async fn changed(api: &Api, name: &str, edit: ToxicEdit, duration: Option<Duration>) -> Result<Response, Failure> {
    let ToxicChange { change, created, toxic } = api.proxies.edit_toxic(name, edit, duration).await?;
    let Change { proxy, now, new_connections, .. } = change;
    let mut answer = json!(described(&api.proxies.times(name), &proxy.snapshot(), &toxic));
    answer["applied"] = json!(Applied { now, new_connections });
    let escaped = percent_encoding::utf8_percent_encode(toxic.name(), percent_encoding::NON_ALPHANUMERIC);
    Ok(answer::changed(answer, created, &format!("/v1/proxies/{}/toxics/{escaped}", in_path(name))))
}

fn described(times: &Times, snapshot: &ProxySnapshot, toxic: &ProxyToxic) -> Toxic {
    let name = toxic.name().to_owned();
    let counted = snapshot.toxics.iter().find(|known| known.name == name);
    let (connections, faults) = counted.map_or((0, 0), |known| (known.connections, known.faults));
    let reverts_in = times.toxic(toxic).map(Seconds::from);
    Toxic {
        name,
        toxic: toxic.to_string(),
        r#type: toxic.kind.name().to_owned(),
        stream: toxic::stream(toxic.direction).to_owned(),
        toxicity: toxic.toxicity,
        attributes: toxic.kind.settings(),
        status: ToxicStatus { connections, faults, reverts_in },
    }
}

/// Takes what is not the toxic's out of a body, and refuses unknown keys.
fn take(keys: &mut Map<String, Value>) -> Result<Option<Duration>, Failure> {
    keys.remove("status");
    if let Some(unknown) = keys.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let hint = did_you_mean(unknown, KEYS);
        return Err(Failure::body(unknown, format!("unknown key `{unknown}` (known: {}){hint}", KEYS.join(", "))));
    }
    take_duration(keys)
}

/// The toxic that a body says, in a text or in keys. `path` is the name that the path says.
fn read(keys: &Map<String, Value>, path: Option<&str>) -> Result<ProxyToxic, Diagnostics> {
    if let Some(text) = text(keys, "toxic")? {
        let mut toxic: ProxyToxic = text.parse().map_err(|wrong: Diagnostics| wrong.at("toxic"))?;
        // What GET answers has the other keys as well.
        if let Some(key) = differing(&toxic, keys) {
            let what = format!("`{key}` belongs into the text of `toxic`, or leave `toxic` out");
            return Err(Diagnostic::new(key, what).into());
        }
        if let Some(path) = path.filter(|path| toxic.has_own_name() && *path != toxic.name) {
            let what = format!("the path says `{path}`: leave `{}=` out of the text", toxic.name);
            return Err(Diagnostic::new("toxic", what).into());
        }
        renamed(&mut toxic, keys, path)?;
        return Ok(toxic);
    }
    let known = toxic::types();
    let names = || known.iter().map(|known| known.name);
    let Some(kind) = text(keys, "type")? else {
        let what = "the toxic is missing, write `\"toxic\": \"latency(latency=100ms)\"`, or `type` and `attributes`";
        return Err(Diagnostic::new("toxic", what).into());
    };
    let Some(of) = known.iter().find(|known| known.name == kind) else {
        let all = names().collect::<Vec<_>>().join(", ");
        return Err(Diagnostic::new(
            "type",
            format!("unknown toxic `{kind}` (known: {all}){}", did_you_mean(kind, names())),
        )
        .into());
    };
    let direction = direction(keys)?.unwrap_or(Direction::ToClient);
    let kind = build(keys, of, &Map::new())?;
    let mut toxic = ProxyToxic::new(None, direction, kind);
    toxic.toxicity = toxicity(keys)?.unwrap_or(1.0);
    renamed(&mut toxic, keys, path)?;
    Ok(toxic)
}

/// Gives the toxic the name of the path or of the body.
fn renamed(toxic: &mut ProxyToxic, keys: &Map<String, Value>, path: Option<&str>) -> Result<(), Diagnostic> {
    let given = text(keys, "name")?;
    if let (Some(path), Some(other)) = (path, given.filter(|other| Some(*other) != path)) {
        let what =
            format!("the path says `{path}`, and a toxic cannot be renamed: leave `name` out instead of `{other}`");
        return Err(Diagnostic::new("name", what));
    }
    if let Some(name) = path.or(given) {
        if let Some(what) = toxic::wrong_own_name(name) {
            return Err(Diagnostic::new("name", what));
        }
        name.clone_into(&mut toxic.name);
    }
    Ok(())
}

/// The first other key of a body that does not say the same as its text.
fn differing(toxic: &ProxyToxic, keys: &Map<String, Value>) -> Option<&'static str> {
    let named = toxic.has_own_name().then(|| ("name", toxic.name().into()));
    let says: [(&str, Value); 4] = [
        ("type", toxic.kind.name().into()),
        ("stream", toxic::stream(toxic.direction).into()),
        ("toxicity", toxic.toxicity.into()),
        ("attributes", toxic.kind.settings().into()),
    ];
    named
        .into_iter()
        .chain(says)
        .find(|(key, value)| keys.get(*key).is_some_and(|given| given != value))
        .map(|(key, _)| key)
}

/// `before` with the keys of a body in place of its own.
fn merged(before: &ProxyToxic, keys: &Map<String, Value>, path: &str) -> Result<ProxyToxic, Diagnostics> {
    let known = toxic::types();
    if keys.contains_key("toxic") {
        let what = "it is the whole toxic: use PUT, or change `toxicity` and `attributes`";
        return Err(Diagnostic::new("toxic", what).into());
    }
    let same = |key: &str, is: &str| match keys.get(key).and_then(Value::as_str) {
        Some(other) if other != is => {
            Err(Diagnostic::new(key, format!("it is `{is}`: remove the toxic and add another")))
        }
        _ => Ok(()),
    };
    same("name", path)?;
    same("type", before.kind.name())?;
    same("stream", toxic::stream(before.direction))?;
    let Some(of) = known.iter().find(|known| known.name == before.kind.name()) else { return Ok(before.clone()) };
    let kind = build(keys, of, &before.kind.settings())?;
    let toxicity = toxicity(keys)?.unwrap_or(before.toxicity);
    Ok(ProxyToxic { toxicity, kind, ..before.clone() })
}

/// A toxic of this type with the attributes of a body; those that are not there are as `before`, and null is the default.
fn build(keys: &Map<String, Value>, of: &ToxicType, before: &Map<String, Value>) -> Result<Kind, Diagnostic> {
    let given = match keys.get("attributes") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(given)) => given.clone(),
        Some(other) => return Err(Diagnostic::new("attributes", format!("{} is no object", shown(other)))),
    };
    let mut settings = before.clone();
    for (name, value) in given {
        let names = || of.fields.iter().map(|field| field.name.as_str());
        let place = format!("attributes.{name}");
        let Some(field) = of.fields.iter().find(|field| field.name == name) else {
            let known = names().collect::<Vec<_>>().join(", ");
            let what = format!("unknown attribute `{name}` (known: {known}){}", did_you_mean(&name, names()));
            return Err(Diagnostic::new(&place, what));
        };
        if value.is_null() {
            settings.remove(&name);
            continue;
        }
        field.check(&value).map_err(|what| Diagnostic::new(&place, what))?;
        settings.insert(name, value);
    }
    toxic::build(settings, of).map_err(|what| Diagnostic::new("attributes", what))
}

fn direction(keys: &Map<String, Value>) -> Result<Option<Direction>, Diagnostic> {
    match text(keys, "stream")? {
        None => Ok(None),
        Some("upstream") => Ok(Some(Direction::ToBackend)),
        Some("downstream") => Ok(Some(Direction::ToClient)),
        Some(other) => Err(Diagnostic::new("stream", format!("`{other}` is neither `upstream` nor `downstream`"))),
    }
}

fn toxicity(keys: &Map<String, Value>) -> Result<Option<f64>, Diagnostic> {
    match keys.get("toxicity") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64().filter(|toxicity| (0.0..=1.0).contains(toxicity)) {
            Some(toxicity) => Ok(Some(toxicity)),
            None => Err(Diagnostic::new("toxicity", format!("{} is no number from 0 to 1", shown(value)))),
        },
    }
}

fn text<'k>(keys: &'k Map<String, Value>, key: &str) -> Result<Option<&'k str>, Diagnostic> {
    match keys.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(Diagnostic::new(key, format!("{} is no text", shown(other)))),
    }
}
