//! How bytes get from one side to the other: as they come, or call by call.
//!
//! [`copy()`] and [`framed()`] run one pump a direction in the connection's task. Framed, the pumps are joined by the queue of
//! open calls: [`requests`] opens a call before its first byte goes out, [`replies`] ends them in order.

mod activity; // what a connection does now, for others to read
pub(crate) mod budget; // how much one direction does at once
mod call_frames; // calls in what the client sends
mod context; // what the pumps know of their proxy and connection
mod copy; // bytes as they come
mod framed; // call by call
mod h2; // stream by stream
mod half_close; // how each direction ends
mod head_timer; // how long an incomplete head is held
mod inbound; // the side that is read
mod open_calls; // the queue between the two pumps
mod outbound; // the side that is written to
mod outcome; // how a connection ends
mod replies; // the reply pump
mod reply_fault; // a reply that goes on through a fault
mod reply_frames; // replies in what the backend sends
mod requests; // the request pump
mod settings; // how connections are made
mod shaped; // a direction with faults
#[cfg(test)]
mod tests;
mod turns; // calls of tcp where bytes are copied

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

pub(crate) use activity::{Activity, Moved, State};
pub(crate) use context::{ConnectionContext, ProxyContext};
pub(crate) use copy::{Copied, copy};
pub(crate) use framed::{FirstCall, Framing, TakenCall, framed};
pub(crate) use h2::{Begin, http2};
pub(crate) use outcome::Outcome;
pub(crate) use settings::ConnectionSettings;
pub(crate) use shaped::MAX_HELD;

/// Runs both directions of a connection in one task until one of them says how it ends. `again` says whether the requests
/// have queued something that the replies have to look at, `busy` whether a call is open.
fn drive<'c>(
    mut requests: Pin<&'c mut impl Future<Output = Outcome>>,
    mut replies: Pin<&'c mut impl Future<Output = Outcome>>,
    context: &'c ConnectionContext<'_>,
    busy: impl Fn() -> bool + 'c,
    again: impl Fn() -> bool + 'c,
) -> impl Future<Output = Outcome> + 'c {
    let (mut busy, mut winding_down) = (Some(busy), None);
    poll_fn(move |cx| {
        let (mut spent_on_replies, mut spent_on_requests) = (0, 0);
        loop {
            // Replies first: no call is sent to a backend that has closed.
            if let Poll::Ready(outcome) = budget::poll(&mut spent_on_replies, || replies.as_mut().poll(cx)) {
                return Poll::Ready(outcome);
            }
            if let Poll::Ready(outcome) = budget::poll(&mut spent_on_requests, || requests.as_mut().poll(cx)) {
                return Poll::Ready(outcome);
            }
            if !again() {
                break;
            }
        }
        // The task is woken when the shutdown begins.
        if let Some(busy) = busy.take_if(|_| context.proxy.shutdown.has_begun()) {
            winding_down = Some(Box::pin(context.wind_down(busy)));
        }
        winding_down.as_mut().map_or(Poll::Pending, |done| done.as_mut().poll(cx))
    })
}

/// Does `work` as a connection's task, which is woken when the shutdown begins.
#[cfg(any(test, fuzzing))]
pub(crate) async fn woken<T>(context: &ProxyContext, work: impl Future<Output = T>) -> T {
    let (mut begun, mut work) = (std::pin::pin!(context.shutdown.begun()), std::pin::pin!(work));
    let mut listens = true;
    poll_fn(|cx| {
        listens = listens && begun.as_mut().poll(cx).is_pending();
        work.as_mut().poll(cx)
    })
    .await
}
