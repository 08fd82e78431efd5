//! Events, as Server-Sent Events.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream, StreamExt};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use super::Api;
use super::answer::{Failure, Location};
use super::connections::{self, Connection};
use super::read::QueryParams;
use crate::events::{Batch, Reader};
use crate::json;

/// The header with which a reader that reconnects names the last event that it has read.
const LAST: &str = "last-event-id";

/// How often a comment is sent: it tells a quiet stream from a dead one.
const ALIVE: Duration = Duration::from_secs(15);

/// `GET /v1/events`: those after `since`, then new ones; with `follow=false`, only those that exist.
pub(super) async fn stream(
    State(api): State<Arc<Api>>,
    connection: Option<Extension<Arc<Connection>>>,
    headers: HeaderMap,
    query: QueryParams,
) -> Result<impl IntoResponse, Failure> {
    let query = query.only(&["since", "follow"])?;
    let since = query.get("since", "an event's number")?;
    let follow = query.get("follow", "true or false")?.unwrap_or(true);
    // A browser that reconnects repeats the query and adds the header.
    let since = last(&headers)?.or(since).or((!follow).then_some(0));
    let permit = api.readers.clone().try_acquire_owned().map_err(|_| {
        let what = "too many connections read events, close one";
        Failure::of(StatusCode::SERVICE_UNAVAILABLE, Location::Nowhere, "", what)
    })?;
    let events = api.proxies.events();
    // New ones may be added while these are read.
    let last = (!follow).then(|| events.last());
    let place = connection.map(|Extension(connection)| connection.stream());
    Ok(Sse::new(read(events.reader(since), last, (permit, place))).keep_alive(KeepAlive::new().interval(ALIVE)))
}

fn last(headers: &HeaderMap) -> Result<Option<u64>, Failure> {
    let Some(given) = headers.get(LAST) else { return Ok(None) };
    let number = given.to_str().ok().and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| {
        let what = "not an event's number: send the last `id:` that was read";
        Failure::of(StatusCode::BAD_REQUEST, Location::Header, "Last-Event-ID", what)
    })
}

/// New events, up to number `last` if there is one.
fn read(
    reader: Reader,
    last: Option<u64>,
    held: (OwnedSemaphorePermit, Option<connections::Stream>),
) -> impl Stream<Item = Result<Event, axum::Error>> + use<> {
    let batches = stream::unfold((reader, held), move |(mut reader, held)| async move {
        if last.is_some_and(|last| reader.position() >= last) {
            return None;
        }
        Some((reader.next().await?, (reader, held)))
    });
    batches.flat_map(|Batch { lost, events }| {
        let gap = (lost > 0).then(|| Event::default().event("lost").json_data(json!({ "count": lost })));
        let events = events.into_iter().map(|event| {
            let data = json::to_string(event.as_ref()).map_err(axum::Error::new)?;
            Ok(Event::default().id(event.id.to_string()).event(event.name()).data(data))
        });
        stream::iter(gap.into_iter().chain(events))
    })
}
