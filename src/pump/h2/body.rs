//! Bodies: from one side's stream to the other's, as fast as the slower side takes them.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};

use super::gate::Gate;

/// Why a body did not get to its end.
#[derive(Debug)]
pub(super) enum Broken {
    /// The side that it is written to has reset the stream; without a reason its connection is gone.
    To(Option<Reason>),
    /// The side that it is read from has reset the stream, or its connection is gone.
    From(h2::Error),
}

/// A body on its way. At most what the reader's window lets in is held: the window grows by what the other side has taken.
#[derive(Debug, Default)]
pub(super) struct Body {
    /// Read, and not yet taken.
    pub(super) piece: Bytes,
    /// How many bytes of it were added to what was read.
    pub(super) added: usize,
}

impl Body {
    /// Passes on data and trailers until the stream ends in order.
    pub(super) fn poll_pass(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut RecvStream,
        to: &mut SendStream<Bytes>,
        gate: &Gate,
    ) -> Poll<Result<(), Broken>> {
        if let Poll::Ready(reset) = to.poll_reset(cx) {
            return Poll::Ready(Err(Broken::To(reset.ok())));
        }
        loop {
            if self.piece.is_empty() {
                match ready!(from.poll_data(cx)) {
                    Some(data) => self.piece = data.map_err(Broken::From)?,
                    None => return poll_trailers(cx, from, to),
                }
                if self.piece.is_empty() && !from.is_end_stream() {
                    continue;
                }
            }
            let len = ready!(poll_room(cx, to, self.piece.len(), gate))?;
            let piece = self.piece.split_to(len);
            let is_last = self.piece.is_empty() && from.is_end_stream();
            to.send_data(piece, is_last).map_err(gone)?;
            let added = self.added.min(len);
            self.added -= added;
            // Refused where the stream is over, and then nothing more comes.
            let _ = from.flow_control().release_capacity(len - added);
            if is_last {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

/// How many of `len` bytes may be sent now. Ready when that is at least one, or nothing is to be sent.
pub(super) fn poll_room(
    cx: &mut Context<'_>,
    to: &mut SendStream<Bytes>,
    len: usize,
    gate: &Gate,
) -> Poll<Result<usize, Broken>> {
    if len == 0 {
        return Poll::Ready(Ok(0));
    }
    ready!(gate.poll_open(cx, to.stream_id()));
    to.reserve_capacity(len);
    while to.capacity() == 0 {
        match ready!(to.poll_capacity(cx)) {
            Some(Ok(_)) => {}
            Some(Err(error)) => return Poll::Ready(Err(gone(error))),
            None => return Poll::Ready(Err(Broken::To(None))),
        }
    }
    Poll::Ready(Ok(to.capacity().min(len)))
}

/// Passes on the trailers, and with them the end of the stream.
pub(super) fn poll_trailers(
    cx: &mut Context<'_>,
    from: &mut RecvStream,
    to: &mut SendStream<Bytes>,
) -> Poll<Result<(), Broken>> {
    let sent = match ready!(from.poll_trailers(cx)).map_err(Broken::From)? {
        Some(trailers) => to.send_trailers(trailers),
        None => to.send_data(Bytes::new(), true),
    };
    Poll::Ready(sent.map_err(gone))
}

/// Writing failed.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(super) fn gone(error: h2::Error) -> Broken {
    Broken::To(error.reason())
}

/// Reads and drops the rest of a body.
pub(super) async fn drain(from: &mut RecvStream) -> Result<(), h2::Error> {
    while let Some(data) = from.data().await {
        let len = data?.len();
        let _ = from.flow_control().release_capacity(len);
    }
    Ok(())
}
