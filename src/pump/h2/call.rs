//! One stream: a call. It ends alone, unless its handler asks for more.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use ::http::{Request, Response, StatusCode, Version, header, response};
use atomic_refcell::AtomicRefCell;
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use tracing::{info, warn};

use super::Shared;
use super::body::{Body, Broken, drain, poll_room};
use super::faults::{Shape, Shaped};
use super::gate::Gate;
use super::message::{Held, Kind};
use super::record::Record;
use crate::call::{Answer, Call, Verdict};
use crate::call_log::CallEnd;
use crate::error::{Error, Result};
use crate::events::Action;
use crate::protocol::http2::{ErrorCode, answer, head, host};
use crate::pump::open_calls::HandledCall;
use crate::pump::outcome::Outcome;

/// What the end of a stream means for its connection.
pub(super) enum End {
    /// Nothing.
    Alone,
    /// The stream is reset once what was said on it is written: a reset drops the rest.
    Reset(Reason),
    /// The backend's connection ended in the middle of the call. Until the client's connection ends as well, the stream is kept: if it
    /// were dropped, it would be reset.
    BackendGone,
    /// The client is told to go away.
    GoAway(ErrorCode),
    /// The connection ends.
    Connection(Outcome),
}

/// A call from its head to its end.
pub(super) struct StreamCall<'c> {
    pub(super) shared: &'c Shared<'c>,
    pub(super) request: Request<()>,
    pub(super) body: RecvStream,
    pub(super) client: SendResponse<Bytes>,
    pub(super) backend: SendRequest<Bytes>,
    /// Its head is longer than `max_head`: nobody sees it.
    pub(super) is_too_long: bool,
    /// The handler that wants to see it, if one does.
    pub(super) call: Option<Box<HandledCall>>,
    pub(super) record: Record<'c>,
}

/// How a reply ended.
enum ReplyEnd {
    /// With its last byte, on the client's stream.
    Passed,
    /// A fault has cut it off. Without a reason, trailers have ended the stream.
    Cut(Option<Reason>),
    /// The handler has decided that something else happens.
    Decided(Verdict),
    /// The handler's work ended early.
    Failed(Error),
    /// The client has reset the stream; without a reason its connection is gone.
    ClientLeft(Option<Reason>),
    /// The backend has reset the stream, or its connection is gone.
    Backend(h2::Error),
}

impl From<Broken> for ReplyEnd {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::To(reason) => Self::ClientLeft(reason),
            Broken::From(error) => Self::Backend(error),
        }
    }
}

impl StreamCall<'_> {
    /// Serves the call to its end, which is that of the stream.
    pub(super) async fn serve(mut self) -> (End, SendResponse<Bytes>) {
        let end = self.pass().await;
        (end, self.client)
    }

    async fn pass(&mut self) -> End {
        if self.is_too_long {
            return self.refuse_head();
        }
        if self.call.is_some() {
            // Boxed, as most calls pass: the stream is only as large as what it does.
            match Box::pin(self.before()).await {
                Ok(Verdict::Pass) => {}
                Ok(verdict) => return Box::pin(self.decided(verdict)).await,
                Err(error) => return self.failed(&error),
            }
        }
        let mut request = std::mem::take(&mut self.request);
        if let Some(host) = &self.shared.context.settings.host {
            host::set_host(&mut request, host);
        }
        if request.uri().authority().is_none() {
            // The library takes a request that has only the field `host` for one of HTTP/1 that is passed on.
            *request.version_mut() = Version::HTTP_11;
        }
        let (response, to_backend) = match self.backend.send_request(request, self.body.is_end_stream()) {
            Ok(sent) => sent,
            Err(error) if error.is_go_away() => return self.refused(),
            Err(error) => return self.backend_ended(&error),
        };
        let to_backend = AtomicRefCell::new(to_backend);
        match self.exchange(response, &to_backend).await {
            ReplyEnd::Passed | ReplyEnd::Cut(None) => End::Alone,
            ReplyEnd::Cut(Some(reason)) => End::Reset(reason),
            ReplyEnd::Decided(verdict) => {
                // The backend need not go on.
                to_backend.borrow_mut().send_reset(Reason::CANCEL);
                Box::pin(self.decided(verdict)).await
            }
            ReplyEnd::Failed(error) => self.failed(&error),
            ReplyEnd::ClientLeft(reason) => {
                to_backend.borrow_mut().send_reset(reason.unwrap_or(Reason::CANCEL));
                End::Alone
            }
            ReplyEnd::Backend(error) => self.backend_ended(&error),
        }
    }

    /// Answers a head that is too long (RFC 6585, section 5).
    fn refuse_head(&mut self) -> End {
        let (proxy, connection) = (&*self.shared.context.proxy.name, self.record.context.activity.number);
        info!(proxy, connection, "a head longer than max_head is answered with 431");
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        let _ = self.client.send_response(response, true);
        End::Alone
    }

    /// The handler's turn: nothing of the request was passed on.
    async fn before(&mut self) -> Result<Verdict> {
        let Some(call) = &mut self.call else { return Ok(Verdict::Pass) };
        let HandledCall { handler, state } = &mut **call;
        let context = self.shared.context.call(handler);
        let expects = self.request.headers().get(header::EXPECT);
        let waits = expects.is_some_and(|expects| expects.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        let verdict = {
            let _at_work = self.shared.works(&handler.counters);
            let (rest, client) = (&mut self.body, AtomicRefCell::new(&mut self.client));
            let mut message = Held { peer: self.shared.client, rest, client, kind: Kind::Request { waits } };
            handler.handler.before(&mut Call::new(state, &mut message, context)).await?
        };
        if let Some(action) = action(&verdict) {
            context.fault(state, action);
        }
        if matches!(verdict, Verdict::GoAway(ErrorCode::NoError)) {
            self.shared.go_away();
            return Ok(Verdict::Pass);
        }
        Ok(verdict)
    }

    /// The request and the reply pass, each on its own.
    async fn exchange(&mut self, response: ResponseFuture, to_backend: &AtomicRefCell<SendStream<Bytes>>) -> ReplyEnd {
        let Self { shared, body, client, call, record, .. } = self;
        let mut is_sent = body.is_end_stream();
        if is_sent {
            record.passed_on();
        }
        let mut upload = Body::default();
        let record = AtomicRefCell::new(record);
        let mut requests = pin!(poll_fn(|cx| {
            let passed = upload.poll_pass(cx, body, &mut to_backend.borrow_mut(), shared.gates.1);
            if matches!(passed, Poll::Ready(Ok(()))) {
                record.borrow_mut().passed_on();
            }
            passed
        }));
        let reply = async {
            let end = reply(shared, client, response, call.as_deref_mut(), &record).await;
            if matches!(end, ReplyEnd::Passed) {
                record.borrow().ends(CallEnd::Replied);
            } else if !matches!(end, ReplyEnd::Decided(_)) {
                record.borrow().ends(CallEnd::Unanswered);
            }
            end
        };
        let mut reply = pin!(reply);
        let mut stopped = None;
        let end = loop {
            tokio::select! {
                biased;
                end = &mut reply => break end,
                sent = &mut requests, if !is_sent => {
                    is_sent = true;
                    stopped = upload_ended(sent, to_backend);
                }
            }
        };
        if !matches!(end, ReplyEnd::Passed) {
            return end;
        }
        // A reply may end before its request, which then goes on for as long as the backend reads it.
        if !is_sent {
            stopped = upload_ended(requests.await, to_backend);
        }
        match stopped {
            // With NO_ERROR the library ends the stream, behind the reply.
            None | Some(Reason::NO_ERROR) => end,
            Some(reason) => ReplyEnd::Cut(Some(reason)),
        }
    }

    /// The call gets what its handler has decided in place of a reply.
    async fn decided(&mut self, verdict: Verdict) -> End {
        match verdict {
            Verdict::Answer(answer) => return self.answer(answer).await,
            Verdict::ResetConnection => return End::Connection(Outcome::Reset),
            Verdict::GoAway(code) => return End::GoAway(code),
            _ => {}
        }
        self.record.ends(CallEnd::Unanswered);
        match verdict {
            Verdict::Close => End::Reset(Reason::CANCEL),
            Verdict::ResetStream(code) => End::Reset(code.code().into()),
            Verdict::Reset => End::Reset(Reason::INTERNAL_ERROR),
            _ => self.failed(&Error::NoReplyYet),
        }
    }

    /// Sends an answer of our own, and drops what still comes of the request.
    async fn answer(&mut self, answer: Answer) -> End {
        self.record.ends(CallEnd::Answered);
        let Some(call) = &mut self.call else { return End::Alone };
        let written = answer.write(&mut call.state);
        let Some((head, body)) = answer::of_http1(&written.bytes) else { return End::Reset(Reason::PROTOCOL_ERROR) };
        if let Ok(to) = self.client.send_response(head, body.is_empty()) {
            // A daemon that stops waits for no request that is answered.
            let rest = async {
                tokio::select! {
                    _ = drain(&mut self.body) => {}
                    () = self.shared.context.proxy.shutdown.begun() => {}
                }
            };
            let sent = send(to, body, self.shared.gates.0);
            tokio::join!(sent, rest);
        }
        if written.close { End::GoAway(ErrorCode::NoError) } else { End::Alone }
    }

    /// Why the handler's work ended early decides how the stream ends.
    fn failed(&self, error: &Error) -> End {
        self.record.ends(CallEnd::Unanswered);
        match error {
            Error::ClientLeft | Error::Client(_) => return End::Alone,
            Error::Released => {}
            Error::Backend(_) | Error::Handler(_) | Error::NoReplyYet => {
                let (proxy, connection) = (&*self.shared.context.proxy.name, self.record.context.activity.number);
                warn!(proxy, connection, call = self.record.number, "the stream is reset: {error}");
            }
        }
        End::Reset(Reason::INTERNAL_ERROR)
    }

    /// The backend has not seen the call: the client may try again.
    fn refused(&self) -> End {
        self.record.ends(CallEnd::Unanswered);
        End::Reset(Reason::REFUSED_STREAM)
    }

    /// The backend ended the call, or its connection.
    fn backend_ended(&self, error: &h2::Error) -> End {
        self.record.ends(CallEnd::Unanswered);
        match error.reason() {
            Some(reason) if error.is_reset() => End::Reset(reason),
            Some(Reason::NO_ERROR) => self.refused(),
            None if !error.is_io() => End::Reset(Reason::PROTOCOL_ERROR),
            _ => End::BackendGone,
        }
    }
}

/// If the client has reset the stream within its request, so is the backend's. The reason if the backend has reset it.
fn upload_ended(sent: Result<(), Broken>, to_backend: &AtomicRefCell<SendStream<Bytes>>) -> Option<Reason> {
    match sent {
        Ok(()) => None,
        Err(Broken::To(reason)) => reason,
        Err(Broken::From(error)) => {
            to_backend.borrow_mut().send_reset(error.reason().unwrap_or(Reason::CANCEL));
            None
        }
    }
}

/// Passes on the reply: its head, once the handler has seen it, and its body.
async fn reply(
    shared: &Shared<'_>,
    client: &mut SendResponse<Bytes>,
    response: ResponseFuture,
    mut call: Option<&mut HandledCall>,
    record: &AtomicRefCell<&mut Record<'_>>,
) -> ReplyEnd {
    let (head, mut body) = match reply_head(client, response).await {
        Ok(reply) => reply.into_parts(),
        Err(end) => return end,
    };
    record.borrow_mut().reply_begins();
    look_for_detour(shared, &head);
    let mut verdicts = match call.as_deref_mut() {
        None => Vec::new(),
        Some(call) => match Box::pin(after(shared, client, call, &mut body)).await {
            Ok(verdicts) => verdicts,
            Err(error) => return ReplyEnd::Failed(error),
        },
    };
    let mut injected = None;
    match verdicts.pop_if(|(_, verdict)| !verdict.shapes()).map(|(_, verdict)| verdict) {
        None | Some(Verdict::Pass) => {}
        Some(Verdict::Inject(bytes)) => injected = Some(bytes),
        Some(Verdict::GoAway(ErrorCode::NoError)) => shared.go_away(),
        Some(verdict) => return ReplyEnd::Decided(verdict),
    }
    let shape = if verdicts.is_empty() { Shape::default() } else { Shape::of(&head.headers) };
    let is_over = body.is_end_stream();
    let mut to = match client.send_response(Response::from_parts(head, ()), is_over) {
        Ok(to) => to,
        Err(error) => return ReplyEnd::ClientLeft(error.reason()),
    };
    if is_over {
        return ReplyEnd::Passed;
    }
    let mut passing = Body::default();
    if let Some(bytes) = injected {
        passing.piece = match body.data().await {
            Some(Ok(first)) => inject(&first, &bytes),
            Some(Err(error)) => return ReplyEnd::Backend(error),
            None => bytes.clone(),
        };
        passing.added = bytes.len();
    }
    let passed = match call.filter(|_| !verdicts.is_empty()) {
        Some(call) => match Box::pin(shape.pass(shared, call, &verdicts, &mut body, &mut to)).await {
            Ok(Shaped::Passed) => Ok(()),
            Ok(Shaped::Cut(reason)) => return ReplyEnd::Cut(reason),
            Ok(Shaped::Released) => return ReplyEnd::Failed(Error::Released),
            Err(broken) => Err(broken),
        },
        None => poll_fn(|cx| passing.poll_pass(cx, &mut body, &mut to, shared.gates.0)).await,
    };
    match passed {
        Ok(()) => ReplyEnd::Passed,
        Err(broken) => broken.into(),
    }
}

/// The handler's turn: the reply has begun, and nothing of it was passed on.
async fn after(
    shared: &Shared<'_>,
    client: &mut SendResponse<Bytes>,
    HandledCall { handler, state }: &mut HandledCall,
    rest: &mut RecvStream,
) -> Result<Vec<(usize, Verdict)>> {
    let context = shared.context.call(handler);
    let verdicts = {
        let _at_work = shared.works(&handler.counters);
        let client = AtomicRefCell::new(client);
        let mut message = Held { peer: shared.client, rest, client, kind: Kind::Reply };
        handler.handler.after(&mut Call::new(state, &mut message, context)).await?
    };
    for (step, verdict) in &verdicts {
        if let Some(action) = action(verdict) {
            state.enter(*step);
            context.fault(state, action);
        }
    }
    Ok(verdicts)
}

/// The head of the reply. Interim responses before it pass at once (RFC 9110, section 15.2).
async fn reply_head(
    client: &mut SendResponse<Bytes>,
    mut response: ResponseFuture,
) -> Result<Response<RecvStream>, ReplyEnd> {
    poll_fn(|cx| {
        if let Poll::Ready(reset) = client.poll_reset(cx) {
            return Poll::Ready(Err(ReplyEnd::ClientLeft(reset.ok())));
        }
        while let Poll::Ready(Some(interim)) = response.poll_informational(cx) {
            match interim {
                Ok(interim) => drop(client.send_informational(interim)),
                Err(error) => return Poll::Ready(Err(ReplyEnd::Backend(error))),
            }
        }
        Pin::new(&mut response).poll(cx).map_err(ReplyEnd::Backend)
    })
    .await
}

/// What a verdict does to the call, unless the call passes, or it shows later what that is.
fn action(verdict: &Verdict) -> Option<Action> {
    match verdict {
        Verdict::GoAway(_) => Some(Action::GoAway),
        verdict => verdict.action(),
    }
}

fn look_for_detour(shared: &Shared<'_>, reply: &response::Parts) {
    let may_lead_past = reply.headers.contains_key(header::LOCATION) || reply.headers.contains_key("alt-svc");
    if may_lead_past && shared.context.may_tell_detours() {
        shared.context.look_for_detour(&head::of_response(reply));
    }
}

/// `first` with `bytes` in its middle.
fn inject(first: &Bytes, bytes: &Bytes) -> Bytes {
    let (before, behind) = first.split_at(first.len() / 2);
    [before, bytes, behind].concat().into()
}

/// Sends `body` to its end, as fast as the client takes it.
async fn send(mut to: SendStream<Bytes>, mut body: Bytes, gate: &Gate) {
    let sent = poll_fn(|cx| {
        while !body.is_empty() {
            if let Poll::Ready(reset) = to.poll_reset(cx) {
                return Poll::Ready(Err(Broken::To(reset.ok())));
            }
            let len = std::task::ready!(poll_room(cx, &mut to, body.len(), gate))?;
            let piece = body.split_to(len);
            to.send_data(piece, body.is_empty()).map_err(super::body::gone)?;
        }
        Poll::Ready(Ok(()))
    });
    drop(sent.await);
}
