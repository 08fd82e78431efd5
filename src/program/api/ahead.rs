//! Reads a body ahead of who answers, whatever the path: what an answer leaves unread would be taken for the next request.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::EXPECT;
use tokio::time::timeout;

use super::read::BODY;

/// How long is waited for a body that nobody may want. Who does want it goes on reading, and has a limit of its own.
const AHEAD_TIMEOUT: Duration = Duration::from_secs(1);

/// A body whose begin was read ahead.
pub(super) struct Ahead {
    read: Bytes,
    /// Why it is incomplete.
    failed: Option<hyper::Error>,
    rest: Option<Incoming>,
    unread: Unread,
}

/// Whether something of a body is still to be read.
#[derive(Clone)]
pub(super) struct Unread(Arc<AtomicBool>);

impl Unread {
    pub(super) fn is_any(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Reads `body`, but little more than the largest body of our own API: so all of its bodies are read ahead. With what was read
/// last and the buffers for both, 256 connections hold some 64 MiB at most. Longer bodies are Toxiproxy's lists, and those that
/// are refused. Nothing is read of a client that sends its body once it is asked for: that is for who wants the body.
pub(super) async fn read(head: &HeaderMap, mut body: Incoming) -> (Ahead, Unread) {
    let is_awaited = head.get(EXPECT).is_some_and(|given| given.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    let mut read = Vec::new();
    let all = async {
        if is_awaited {
            return (body.is_end_stream(), None);
        }
        while !body.is_end_stream() && read.len() <= BODY {
            match body.frame().await {
                Some(Ok(frame)) => read.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
                Some(Err(error)) => return (true, Some(error)),
                None => return (true, None),
            }
        }
        (body.is_end_stream(), None)
    };
    let (ended, failed) = timeout(AHEAD_TIMEOUT, all).await.unwrap_or((false, None));
    let unread = Unread(Arc::new(AtomicBool::new(!ended)));
    let rest = (!ended).then_some(body);
    (Ahead { read: read.into(), failed, rest, unread: unread.clone() }, unread)
}

impl Body for Ahead {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if !self.read.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.read)))));
        }
        let Some(rest) = &mut self.rest else { return Poll::Ready(self.failed.take().map(Err)) };
        let polled = Pin::new(rest).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.rest = None;
            self.unread.0.store(false, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty() && self.failed.is_none() && self.rest.is_none()
    }
}
