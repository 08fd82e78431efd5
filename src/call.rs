//! A call in a handler's hands, and what the handler decides.

use std::marker::PhantomData;

use bytes::Bytes;

/// A client that has connected and of which nothing has been read.
pub struct Accept<'a>(PhantomData<&'a ()>);

/// One request and the reply that belongs to it.
pub struct Call<'a>(PhantomData<&'a ()>);

/// What a handler decides about a call.
#[derive(Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// It goes on unaltered.
    Pass,
    /// The rest of its message is read and dropped, and this reaches the client in the reply's place.
    Answer(Answer),
    /// The client's connection ends in order, after the replies of earlier calls: the client reads an end of file.
    Close,
    /// The client's connection is reset, after the replies of earlier calls: the client reads `ECONNRESET`.
    Reset,
}

/// What reaches the client in place of a reply.
#[derive(Debug, Clone)]
pub struct Answer(Bytes);
