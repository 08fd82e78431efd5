//! The first call's turn, before any byte of a call is read. The backend is dialled by then only where it had to be asked what it
//! speaks (ALPN).

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::call::{Accept, Call, CallState, Leaves, Message, Verdict};
use crate::call_log::CallEnd;
use crate::error::{Error, Result};
use crate::handler::Scope;
use crate::net::buffer::{ReadSize, poll_read};
use crate::net::stream::Stream;
use crate::plan::SelectedHandler;
use crate::protocol::Expect;
use crate::pump::{ConnectionContext, Outcome, TakenCall, budget};

/// Lets `handler` accept the client. The first call, if the handler has taken it.
pub(super) async fn first_turn(
    context: &ConnectionContext<'_>,
    handler: &Arc<SelectedHandler>,
    client: &mut Stream,
) -> Result<Option<Box<TakenCall>>, Outcome> {
    tokio::select! {
        done = accept(context, handler, client) => done,
        // A handler may wait for something that knows nothing of the daemon's end, and a client may take no answer.
        () = context.proxy.shutdown.grace_over() => Err(Outcome::CutOff),
    }
}

async fn accept(
    context: &ConnectionContext<'_>,
    handler: &Arc<SelectedHandler>,
    client: &mut Stream,
) -> Result<Option<Box<TakenCall>>, Outcome> {
    let streams = context.streams();
    let mut state =
        CallState::new(context.settings.protocol, streams, CallState::ACCEPT, Bytes::new(), context.label());
    let label = state.label.clone();
    let mut is_taken = false;
    let _at_work = context.activity.works(&handler.counters);
    let verdict = {
        let mut unread = Unread(client);
        let mut accept = Accept(Call::new(&mut state, &mut unread, context.call(handler)));
        let mut turn = pin!(handler.handler.accept(&mut accept));
        poll_fn(|cx| {
            let polled = turn.as_mut().poll(cx);
            // A handler that lets the client in at once has not taken the call yet: it will when the request is here.
            if !is_taken && !matches!(polled, Poll::Ready(Ok(Verdict::Pass))) {
                handler.count(streams, 1, label.as_deref());
                context.call_begins(&context.facts(None, 1), handler, label.as_ref(), Expect::Reply);
                is_taken = true;
            }
            polled
        })
        .await?
    };
    if let Some(action) = verdict.action() {
        context.call(handler).fault(&mut state, action);
    }
    match verdict {
        Verdict::Pass | Verdict::GoAway(_) => Ok(is_taken.then(|| Box::new(TakenCall { label, fault: None }))),
        Verdict::Handshake(fault) if handler.scope == Scope::Handshake => {
            Ok(Some(Box::new(TakenCall { label, fault: Some(fault) })))
        }
        Verdict::Answer(answer) => {
            client.write_all(&answer.write(&mut state).bytes).await.map_err(Outcome::ClientReset)?;
            context.call_ended(CallEnd::Replied);
            Err(Outcome::Close)
        }
        Verdict::Close => Err(Outcome::Close),
        Verdict::Reset | Verdict::ResetStream(_) | Verdict::ResetConnection => Err(Outcome::Reset),
        Verdict::Handshake(_)
        | Verdict::Inject(_)
        | Verdict::Cut { .. }
        | Verdict::Slow { .. }
        | Verdict::Corrupt { .. } => Err(Outcome::Failed(Error::NoReplyYet)),
    }
}

/// A client of which nothing was read, and whose bytes have nowhere to go.
struct Unread<'a>(&'a mut Stream);

impl Message for Unread<'_> {
    fn address(&self) -> Option<SocketAddr> {
        self.0.peer().address()
    }

    fn leaves(&self) -> Leaves<'_> {
        Leaves::Connection(self.0.peer())
    }

    fn drain(&mut self) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>> {
        // Nothing has been read, so there is no rest of it.
        Box::pin(std::future::ready(Ok(())))
    }

    fn swallow(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(read_to_end(self.0))
    }
}

/// Reads and drops whatever comes, until the client has sent its last byte.
pub(super) async fn read_to_end(client: &mut Stream) {
    let (mut from, _) = client.split();
    let mut size = ReadSize::new(None);
    let mut poll_end = |cx: &mut Context<'_>| {
        budget::begin();
        loop {
            ready!(budget::poll_left(cx, true));
            match ready!(poll_read(cx, &mut from, &mut size, |_, bytes| bytes.len())) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(len) => budget::spend(len),
            }
        }
    };
    poll_fn(|cx| poll_end(cx)).await;
}
