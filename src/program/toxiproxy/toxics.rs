//! One toxic: shown, added, changed, removed. Open connections have it at once; no answer waits for their traffic.

use axum::http::StatusCode;

use super::Server;
use super::answer::{Answer, Failure, json, nothing};
use crate::diagnostic::Diagnostic;
use crate::program::toxiproxy_json::json::Json;
use crate::program::toxiproxy_json::toxic::{Draft, Update};
use crate::proxy::set::{ToxicAction, ToxicEdit};
use crate::toxic::Toxic;

pub(super) fn list(server: &Server, name: &str) -> Answer {
    Ok(json(StatusCode::OK, &server.shown_toxics(&server.proxy(name)?.config())))
}

pub(super) fn get(server: &Server, name: &str, toxic: &str) -> Answer {
    let config = server.proxy(name)?.config();
    let found = config.toxics.iter().find(|known| known.name() == toxic).ok_or_else(Failure::no_toxic)?;
    Ok(json(StatusCode::OK, &server.shown_toxic(name, found)))
}

pub(super) async fn create(server: &Server, name: &str, body: &Json) -> Answer {
    let draft = Draft::read(body)?;
    if server.proxy(name)?.config().toxics.iter().any(|known| known.name() == draft.name) {
        return Err(Failure::toxic_exists());
    }
    let stream = draft.stream.clone();
    let toxic = draft.toxic()?;
    let toxic = edit(server, name, toxic.name().to_owned(), ToxicAction::Add(toxic)).await?;
    server.spellings.stream(name, &toxic, stream);
    Ok(json(StatusCode::OK, &server.shown_toxic(name, &toxic)))
}

pub(super) async fn update(server: &Server, name: &str, toxic: &str, body: &Json) -> Answer {
    let update = Update::read(body)?;
    let change = move |before: &Toxic| update.of(before).map_err(|why| Diagnostic::new("", why).into());
    let toxic = edit(server, name, toxic.to_owned(), ToxicAction::Change(Box::new(change))).await?;
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
