//! HTTP/2 (RFC 9113): each stream is a call of its own, from the client to the backend and back.
//!
//! The library speaks HTTP/2 with either side. Streams, their order, codes, heads, trailers and data pass; how data is cut into
//! frames does not. Each side's settings, windows and pings are between that side and the proxy.

mod body; // bodies
mod call; // one stream
mod faults; // bodies that go on through faults
mod gate; // who takes what is written
mod late; // streams that begin too late
mod message; // what handlers read
mod record; // what is written down
mod side; // what the library reads and writes
mod start; // both sides' settings

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use ::http::Request;
use atomic_refcell::AtomicRefCell;
use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, client, server};

use super::budget;
use super::context::ConnectionContext;
use super::framed::FirstCall;
use super::open_calls::HandledCall;
use super::outcome::Outcome;
use crate::call::CallState;
use crate::handler::Scope;
use crate::metrics::counters::HandlerCounters;
use crate::net::stream::{Peer, Stream};
use crate::plan::{ConnectionDraws, Tally};
use crate::protocol::http2::{ErrorCode, head};
use call::{End, StreamCall};
use gate::Gate;
use record::Record;
use side::{EndByToxic, First, Side};

/// What is known of a connection when HTTP/2 begins.
#[derive(Debug)]
pub(crate) struct Begin {
    pub(crate) draws: ConnectionDraws,
    /// The first call. Only a handler that has taken it before its request was here keeps it.
    pub(crate) first: Option<FirstCall>,
    /// What was read of the client.
    pub(crate) read: Bytes,
    /// What was read of the backend.
    pub(crate) said: Bytes,
}

/// What the streams of a connection share.
struct Shared<'c> {
    context: &'c ConnectionContext<'c>,
    client: Peer<'c>,
    /// Whether the client and the backend take what is written to them.
    gates: (&'c Gate, &'c Gate),
    /// How a toxic has ended the connection, if one has.
    end: &'c EndByToxic,
    /// The client is to be told that no more streams are wanted.
    goes_away: AtomicBool,
    /// The numbers of the handlers that have a call in hand.
    at_work: AtomicRefCell<Vec<u32>>,
}

/// A handler has a call in hand.
struct AtWork<'s>(&'s Shared<'s>, u32);

impl Shared<'_> {
    /// The client is to open no more streams on this connection. Those that it has opened go on.
    fn go_away(&self) {
        self.goes_away.store(true, Ordering::Relaxed);
    }

    /// The handler of these counters has a call in hand until the guard is dropped.
    fn works(&self, handler: &HandlerCounters) -> AtWork<'_> {
        self.at_work.borrow_mut().push(handler.number);
        self.context.activity.set_handler(handler.number);
        AtWork(self, handler.number)
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        let Self(shared, number) = self;
        let mut at_work = shared.at_work.borrow_mut();
        if let Some(place) = at_work.iter().position(|known| known == number) {
            at_work.swap_remove(place);
        }
        shared.context.activity.set_handler(at_work.last().copied().unwrap_or_default());
    }
}

/// Passes streams on until the connection ends.
pub(crate) async fn http2(
    context: &ConnectionContext<'_>,
    begin: Begin,
    client: &mut Stream,
    backend: &mut Stream,
) -> Outcome {
    let (end, spoken) = (EndByToxic::default(), First::default());
    let gates = <(Gate, Gate)>::default();
    let gates = (&gates.0, &gates.1);
    let (client, backend) = (client.split(), backend.split());
    let goes_away = AtomicBool::new(false);
    let shared =
        Shared { context, client: client.0.peer(), gates, end: &end, goes_away, at_work: AtomicRefCell::default() };
    let Begin { draws, first, read, said } = begin;
    // Boxed, as it is over soon.
    let mut starting = Box::pin(start::start(context, (read, client), (said, backend), (&end, &spoken), gates));
    let started = poll_fn(|cx| {
        budget::begin();
        starting.as_mut().poll(cx)
    });
    let started = started.await;
    drop(starting);
    let outcome = match started {
        Ok((server, backend, requests)) => {
            let connection = Box::new(Connection {
                shared: &shared,
                server,
                backend: Some(backend),
                requests,
                draws,
                first,
                number: 0,
                backend_ended: None,
                closing: Closing::No,
            });
            connection.run().await
        }
        Err(outcome) => outcome,
    };
    end.borrow_mut().take().unwrap_or(outcome)
}

/// Both sides of a connection.
struct Connection<'c> {
    shared: &'c Shared<'c>,
    server: server::Connection<Side<'c>, Bytes>,
    /// None once it has ended: dropped, it tells its streams so.
    backend: Option<client::Connection<Side<'c>, Bytes>>,
    requests: SendRequest<Bytes>,
    draws: ConnectionDraws,
    first: Option<FirstCall>,
    /// The number of the last call.
    number: u64,
    /// How the backend's connection ended, if it has.
    backend_ended: Option<Result<(), h2::Error>>,
    closing: Closing,
}

/// How far the client's connection is from its end.
enum Closing {
    No,
    /// The client was told to open no more streams: those that are open go on.
    Gracefully,
    /// The same, and once no stream is open it is told this reason.
    Then(Reason),
    /// The client was told that nothing goes on.
    Last,
}

/// What follows where no stream is open.
enum Idle {
    /// The next stream, or the end of either side.
    Waits,
    /// The client was just told that nothing goes on.
    Closes,
    Ends(Outcome),
}

impl<'c> Connection<'c> {
    async fn run(mut self: Box<Self>) -> Outcome {
        let (shared, open) = (self.shared, AtomicUsize::new(0));
        let mut streams = FuturesUnordered::new();
        // Streams whose backend is gone: they end with the connection.
        let mut unfinished: Vec<SendResponse<Bytes>> = Vec::new();
        let mut resets: Vec<(SendResponse<Bytes>, Reason)> = Vec::new();
        let mut winding_down = None;
        let outcome = poll_fn(|cx| {
            budget::begin();
            let _measured = shared.context.measure();
            loop {
                let mut moves = false;
                while let Poll::Ready(accepted) = self.server.poll_accept(cx) {
                    match accepted {
                        Some(Ok((request, respond))) => {
                            moves = true;
                            streams.push(self.begin(request, respond).serve());
                        }
                        Some(Err(error)) => return Poll::Ready(client_ended(&error)),
                        None => return Poll::Ready(self.closed()),
                    }
                }
                // All that was said on streams.
                let is_written = !shared.gates.0.is_closed();
                if is_written && !resets.is_empty() {
                    moves = true;
                    resets.drain(..).for_each(|(mut stream, reason)| stream.send_reset(reason));
                }
                while let Poll::Ready(Some((end, stream))) = streams.poll_next_unpin(cx) {
                    moves = true;
                    match end {
                        End::Alone => {}
                        End::Reset(reason) => resets.push((stream, reason)),
                        End::BackendGone => unfinished.push(stream),
                        End::GoAway(ErrorCode::NoError) => shared.go_away(),
                        End::GoAway(code) => self.close(code.code().into()),
                        End::Connection(outcome) => return Poll::Ready(outcome),
                    }
                }
                moves |= self.poll_backend(cx);
                if shared.end.borrow().is_some() {
                    return Poll::Ready(Outcome::Done);
                }
                // The task is woken when the shutdown begins.
                let winds_down = winding_down.is_none() && shared.context.proxy.shutdown.has_begun();
                if winds_down {
                    winding_down = Some(Box::pin(shared.context.wind_down(|| open.load(Ordering::Relaxed) > 0)));
                }
                if shared.goes_away.swap(false, Ordering::Relaxed) || winds_down {
                    moves |= self.close_gracefully();
                }
                open.store(streams.len() + resets.len(), Ordering::Relaxed);
                // The end of the connection drops what is not written.
                if streams.is_empty() && is_written && !moves {
                    match self.idle(!unfinished.is_empty()) {
                        Idle::Waits => {}
                        Idle::Closes => moves = true,
                        Idle::Ends(outcome) => return Poll::Ready(outcome),
                    }
                }
                if !moves {
                    break;
                }
                if budget::poll_left(cx, true).is_pending() {
                    return Poll::Pending;
                }
            }
            winding_down.as_mut().map_or(Poll::Pending, |done| done.as_mut().poll(cx))
        })
        .await;
        if !matches!(outcome, Outcome::ClientReset(_) | Outcome::Reset | Outcome::CutOff) {
            self.leave(streams).await;
        }
        outcome
    }

    /// A call begins: its number is its place among the client's streams.
    fn begin(&mut self, request: Request<RecvStream>, client: SendResponse<Bytes>) -> StreamCall<'c> {
        let Self { shared, draws, first, .. } = self;
        let context = shared.context;
        self.number += 1;
        let (number, streams) = (self.number, context.streams());
        let (request, body) = request.into_parts();
        let head = head::of_request(&request);
        let is_too_long = head.len() > context.settings.max_head;
        let request = Request::from_parts(request, ());
        if is_too_long {
            let record = Record { context, number, place: None, sent: None };
            let backend = self.requests.clone();
            return StreamCall { shared, request, body, client, backend, is_too_long, call: None, record };
        }
        let plan = context.proxy.plan.load();
        let facts = context.facts(Some(&head), number);
        let mut tally = Tally::new(context.label());
        let taken = first.take().and_then(|first| Some((first.handler, first.taken?.label)));
        let (handler, label) = taken.unwrap_or_else(|| {
            let handler = plan.draw(&facts, draws);
            tally.count(handler, streams, number);
            (handler.clone(), tally.label().cloned())
        });
        let place = context.stream_begins(&facts, &handler, label.as_ref());
        drop(tally);
        let record = Record { context, number, place, sent: None };
        let call = (handler.scope == Scope::Calls).then(|| {
            let state = CallState::new(context.settings.protocol, streams, number, head, label);
            Box::new(HandledCall { handler, state })
        });
        StreamCall { shared, request, body, client, backend: self.requests.clone(), is_too_long, call, record }
    }

    /// Lets the backend's connection go on; whether that is of consequence for the client's.
    fn poll_backend(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(backend) = &mut self.backend else { return false };
        if let Poll::Ready(ended) = Pin::new(backend).poll(cx) {
            (self.backend, self.backend_ended) = (None, Some(ended));
            return true;
        }
        // What the backend says of its end is known before its connection has ended.
        if matches!(self.closing, Closing::No)
            && let Poll::Ready(Err(error)) = self.requests.poll_ready(cx)
            && error.is_go_away()
        {
            match error.reason() {
                Some(Reason::NO_ERROR) | None => return self.close_gracefully(),
                Some(reason) => {
                    self.close_gracefully();
                    self.closing = Closing::Then(reason);
                    return true;
                }
            }
        }
        false
    }

    /// No stream is open, but perhaps unfinished ones, whose backend is gone.
    fn idle(&mut self, has_unfinished: bool) -> Idle {
        let reason = match (&self.backend_ended, &self.closing) {
            (_, Closing::Last) => return Idle::Waits,
            (Some(Err(error)), _) if error.is_io() => {
                return Idle::Ends(Outcome::BackendReset(io_error(error)));
            }
            (_, Closing::Then(reason)) => *reason,
            // What the backend does wrong is no fault of the client.
            (Some(Err(error)), _) if error.is_library() => Reason::INTERNAL_ERROR,
            (Some(Err(error)), _) => error.reason().unwrap_or(Reason::INTERNAL_ERROR),
            (Some(Ok(())), _) => Reason::NO_ERROR,
            (None, _) if has_unfinished => Reason::NO_ERROR,
            (None, _) => return Idle::Waits,
        };
        self.close(reason);
        Idle::Closes
    }

    /// Tells the client to open no more streams, once. Whether that is to be written now.
    fn close_gracefully(&mut self) -> bool {
        let is_new = matches!(self.closing, Closing::No);
        if is_new {
            self.server.graceful_shutdown();
            self.closing = Closing::Gracefully;
        }
        is_new
    }

    /// The client is told why its connection ends, behind all that was sent to it.
    fn close(&mut self, reason: Reason) {
        if !matches!(self.closing, Closing::Last) {
            self.server.abrupt_shutdown(reason);
            self.closing = Closing::Last;
        }
    }

    /// The client's connection has ended in order.
    fn closed(&self) -> Outcome {
        match self.closing {
            Closing::No => Outcome::Done,
            _ => Outcome::Close,
        }
    }

    /// Tells the backend that its streams are over.
    async fn leave(self, streams: impl Sized) {
        let Self { requests, backend, .. } = self;
        drop((streams, requests));
        if let Some(mut backend) = backend {
            poll_fn(|cx| {
                let _ = Pin::new(&mut backend).poll(cx);
                Poll::Ready(())
            })
            .await;
        }
    }
}

/// How the connection ends of a client whose own has failed.
fn client_ended(error: &h2::Error) -> Outcome {
    // What a client does wrong it has been told with GOAWAY.
    if error.is_io() { Outcome::ClientReset(io_error(error)) } else { Outcome::Close }
}

fn io_error(error: &h2::Error) -> io::Error {
    let kind = error.get_io().map_or(io::ErrorKind::ConnectionReset, io::Error::kind);
    io::Error::new(kind, error.to_string())
}
