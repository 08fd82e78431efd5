//! One toxic: shown, added, changed, removed. Open connections have it at once; no answer waits for their traffic.

use std::sync::Arc;

use axum::http::StatusCode;
use tracing::warn;

use super::Server;
use super::answer::{Answer, Failure, json, nothing};
use crate::diagnostic::Diagnostic;
use crate::program::toxiproxy_json::json::Json;
use crate::program::toxiproxy_json::toxic::{Draft, Update, first};
use crate::proxy::set::{ToxicAction, ToxicEdit};
use crate::toxic::Toxic;

pub(super) fn list(server: &Server, name: &str) -> Answer {
    Ok(json(StatusCode::OK, &server.shown_toxics(&server.proxy(name)?.config())))
}

pub(super) fn get(server: &Server, name: &str, toxic: &str) -> Answer {
    Ok(json(StatusCode::OK, &server.shown_toxic(name, &found(server, name, toxic)?)))
}

fn found(server: &Server, name: &str, toxic: &str) -> Result<Toxic, Failure> {
    let toxics = server.proxy(name)?.config().toxics;
    toxics.into_iter().find(|known| known.name() == toxic).ok_or_else(Failure::no_toxic)
}

/// What was taken and does nothing, of a proxy or a toxic.
pub(super) fn warn_of(proxy: &str, toxic: Option<&str>, doubts: &[String]) {
    for doubt in doubts {
        warn!(proxy, toxic, "{doubt}");
    }
}

pub(super) async fn create(server: &Server, name: &str, body: &Json) -> Answer {
    let draft = Draft::read(body).map_err(first)?;
    if server.proxy(name)?.config().toxics.iter().any(|known| known.name() == draft.name) {
        return Err(Failure::toxic_exists());
    }
    let (stream, doubts) = (draft.stream.clone(), draft.doubts());
    let toxic = draft.toxic().map_err(first)?;
    let toxic = edit(server, name, toxic.name().to_owned(), ToxicAction::Add(toxic)).await?;
    warn_of(name, Some(toxic.name()), &doubts);
    server.spellings.stream(name, &toxic, stream);
    Ok(json(StatusCode::OK, &server.shown_toxic(name, &toxic)))
}

pub(super) async fn update(server: &Server, name: &str, toxic: &str, body: &Json) -> Answer {
    let update = Arc::new(Update::read(body)?);
    // What is wrong is told here, in Toxiproxy's words.
    update.of(&found(server, name, toxic)?)?;
    let asked = update.clone();
    let change = move |before: &Toxic| asked.of(before).map_err(|wrong| Diagnostic::new("", wrong.why()).into());
    let toxic = edit(server, name, toxic.to_owned(), ToxicAction::Change(Box::new(change))).await?;
    warn_of(name, Some(toxic.name()), &update.doubts(&toxic.kind));
    Ok(json(StatusCode::OK, &server.shown_toxic(name, &toxic)))
}

pub(super) async fn delete(server: &Server, name: &str, toxic: &str) -> Answer {
    edit(server, name, toxic.to_owned(), ToxicAction::Remove).await?;
    server.spellings.forget_stream(name, toxic);
    Ok(nothing(StatusCode::NO_CONTENT))
}

async fn edit(server: &Server, proxy: &str, name: String, action: ToxicAction) -> Result<Toxic, Failure> {
    Ok(server.proxies.edit_toxic(proxy, ToxicEdit { name, action }, None).await?.toxic)
}
