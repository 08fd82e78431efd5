//! Handlers that report what becomes of their calls.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Sender;

use super::{server, status};
use crate::call::{Accept, Call, Verdict};
use crate::error::{Error, Result};
use crate::events::RequestHead;
use crate::handler::{DynHandler, Handler};
use crate::protocol::Protocol;

/// How many calls without a reply are remembered. Beyond that, all of them are forgotten.
const OPEN_CALLS: usize = 1000;

pub(super) enum Report {
    /// It was drawn for the first call of this connection. Comes twice if it was asked to accept.
    Drawn { connection: u64, client: SocketAddr, handler: Arc<str> },
    /// A call of this connection has ended.
    Ended { connection: u64, handler: Arc<str>, request: String, saw: String },
}

pub(super) struct Watched {
    name: Arc<str>,
    handler: Arc<dyn DynHandler>,
    reports: Sender<Report>,
    /// When calls that wait for their reply began, by connection and number.
    begun: Mutex<HashMap<(u64, u64), Instant>>,
}

impl Watched {
    pub(super) fn new(name: &str, handler: Arc<dyn DynHandler>, reports: Sender<Report>) -> Self {
        Self { name: name.into(), handler, reports, begun: Mutex::default() }
    }

    /// The report is lost if standard output is closed or not read.
    fn report(&self, report: Report) {
        let _ = self.reports.try_send(report);
    }

    fn drawn(&self, connection: u64, client: Option<SocketAddr>) {
        if let Some(client) = client {
            self.report(Report::Drawn { connection, client, handler: self.name.clone() });
        }
    }

    fn ended(&self, connection: u64, head: &[u8], saw: String) {
        let request = RequestHead::of(Protocol::Http, head).map(|head| {
            let (method, path) = head.words();
            format!("{method} {path}").escape_debug().to_string()
        });
        let (handler, request) = (self.name.clone(), request.unwrap_or_else(|| "-".to_owned()));
        self.report(Report::Ended { connection, handler, request, saw });
    }

    fn begin(&self, call: &Call<'_>, begun: Instant) {
        let mut calls = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.len() == OPEN_CALLS {
            calls.clear();
        }
        calls.insert((call.connection(), call.number()), begun);
    }

    fn end(&self, call: &Call<'_>) -> Option<Instant> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).remove(&(call.connection(), call.number()))
    }
}

impl Handler for Watched {
    async fn accept(&self, client: &mut Accept<'_>) -> Result<Verdict> {
        let (begun, connection) = (Instant::now(), client.connection());
        self.drawn(connection, client.client());
        let verdict = self.handler.accept(client).await;
        if !matches!(verdict, Ok(Verdict::Pass)) {
            self.ended(connection, &[], saw(&verdict, &[], begun.elapsed()));
        }
        verdict
    }

    async fn before(&self, call: &mut Call<'_>) -> Result<Verdict> {
        let begun = Instant::now();
        // Where a rule had to see the request, nobody was asked to accept.
        if call.number() == 1 {
            self.drawn(call.connection(), call.client());
        }
        let verdict = self.handler.before(call).await;
        match verdict {
            Ok(Verdict::Pass) => self.begin(call, begun),
            _ => self.ended(call.connection(), call.head(), saw(&verdict, call.head(), begun.elapsed())),
        }
        verdict
    }

    async fn after(&self, call: &mut Call<'_>) -> Result<Verdict> {
        let verdict = self.handler.after(call).await;
        if let Some(begun) = self.end(call) {
            self.ended(call.connection(), call.head(), saw(&verdict, call.head(), begun.elapsed()));
        }
        verdict
    }
}

/// What the client of a call with this head and this verdict sees.
fn saw(verdict: &Result<Verdict>, head: &[u8], time: Duration) -> String {
    match verdict {
        Ok(Verdict::Pass | Verdict::Inject(_) | Verdict::GoAway(_)) => answered(server::STATUS, time),
        Ok(Verdict::Cut { .. }) => "a reply that was cut off".to_owned(),
        Ok(Verdict::Slow { rate, .. }) => format!("a reply at {rate}"),
        Ok(Verdict::Corrupt { .. }) => "a reply with flipped bits".to_owned(),
        Ok(Verdict::Answer(answer)) => match answer.to_http(head).as_deref().and_then(status) {
            Some(status) => answered(status, time),
            None => "bytes that are not HTTP".to_owned(),
        },
        Ok(Verdict::Close) => "connection closed".to_owned(),
        Err(Error::ClientLeft) => unanswered(time),
        Ok(Verdict::Reset | Verdict::ResetStream(_) | Verdict::ResetConnection | Verdict::Handshake(_)) | Err(_) => {
            "connection reset".to_owned()
        }
    }
}

pub(super) fn answered(status: &str, time: Duration) -> String {
    format!("{status} after {} ms", time.as_millis())
}

pub(super) fn unanswered(time: Duration) -> String {
    format!("no answer in {} ms, gave up", time.as_millis())
}
