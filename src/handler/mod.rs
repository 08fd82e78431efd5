//! Handlers decide what happens to a call.
//!
//! A handler is a struct. Its fields are its settings, and its implementation of [`Handler`] is what it does. The
//! built-in handlers are in this module, one file each; your own is written in the same way. This page builds one step
//! by step. [`Handler`] documents when each method is called and what it must not do.
//!
//! # The smallest handler
//!
//! All methods of the trait have defaults, which pass the call on unaltered.
//!
//! ```
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//! use vaurien::{Handler, Registry};
//!
//! /// Passes every call
//! #[derive(Default, Serialize, Deserialize, JsonSchema)]
//! #[serde(default, deny_unknown_fields)]
//! struct Stumble {}
//!
//! impl Handler for Stumble {}
//!
//! // `vaurien::main(&registry)` runs the program with `--handler 10:stumble` available.
//! let registry = Registry::default().with::<Stumble>("stumble");
//! # assert_eq!(registry.names().last(), Some("stumble"));
//! ```
//!
//! The derives need `serde` (with its feature `derive`) and `schemars` 1 in your `Cargo.toml`.
//!
//! # Settings, and a delay
//!
//! [`before`](Handler::before) runs before any byte of the request reaches the backend. Write it as a plain `async fn`;
//! the call waits until it returns.
//!
//! A field is a setting: `--handler-stumble-sleep 0.1`, `VAURIEN_HANDLER_STUMBLE_SLEEP`, or `sleep = 0.1` under
//! `[handlers.stumble]`. The field's doc comment is its line in `--help`, and the struct's `Default` holds its default.
//!
//! ```
//! # use schemars::JsonSchema;
//! # use serde::{Deserialize, Serialize};
//! use vaurien::{Call, Handler, Result, Seconds, Verdict};
//!
//! /// Delays calls
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! #[serde(default, deny_unknown_fields)]
//! struct Stumble {
//!     /// How long a call waits
//!     sleep: Seconds,
//! }
//!
//! impl Default for Stumble {
//!     fn default() -> Self {
//!         Self { sleep: Seconds::from_millis(250) }
//!     }
//! }
//!
//! impl Handler for Stumble {
//!     async fn before(&self, call: &mut Call<'_>) -> Result<Verdict> {
//!         call.sleep(self.sleep.duration()).await?;
//!         Ok(Verdict::Pass)
//!     }
//! }
//! ```
//!
//! # An answer
//!
//! A [`Call`] has a [`command`](Call::command), a [`key`](Call::key) and a [`number`](Call::number). Draw random values
//! from [`Call::random`], so that a seed reproduces them. With [`Verdict::Answer`] the client gets an answer and the
//! backend is not called. [`Answer::failure`](crate::Answer::failure), [`response`](crate::Answer::response) and
//! [`miss`](crate::Answer::miss) say what is meant, and the protocol writes it; [`Answer::new`](crate::Answer::new) has the bytes.
//!
//! ```
//! # use schemars::JsonSchema;
//! # use serde::{Deserialize, Serialize};
//! use rand::RngExt;
//! use vaurien::{Answer, Call, Handler, Result, Verdict};
//!
//! # #[derive(Default, Serialize, Deserialize, JsonSchema)]
//! # struct Stumble {}
//! impl Handler for Stumble {
//!     async fn before(&self, call: &mut Call<'_>) -> Result<Verdict> {
//!         if !call.command().eq_ignore_ascii_case(b"incr") {
//!             return Ok(Verdict::Pass);
//!         }
//!         let number = call.random().random_range(0..1000);
//!         Ok(Verdict::Answer(Answer::new(format!(":{number}\r\n"))))
//!     }
//! }
//! ```
//!
//! # The reply
//!
//! [`after`](Handler::after) runs for calls that [`before`](Handler::before) passed on, when the backend's reply has
//! begun and before any byte of it reaches the client.
//!
//! ```
//! # use schemars::JsonSchema;
//! # use serde::{Deserialize, Serialize};
//! use vaurien::{Call, Handler, Result, Verdict};
//!
//! # #[derive(Default, Serialize, Deserialize, JsonSchema)]
//! # struct Stumble {}
//! impl Handler for Stumble {
//!     async fn after(&self, call: &mut Call<'_>) -> Result<Verdict> {
//!         // The backend has done the work, but the client does not learn it.
//!         Ok(if call.key() == b"payment" { Verdict::Reset } else { Verdict::Pass })
//!     }
//! }
//! ```
//!
//! `examples/custom_handler.rs` is a complete program with a handler of its own.

mod abort;
mod blackout;
mod corrupt;
mod cut;
mod delay;
mod dummy;
mod error;
mod goaway;
mod hang;
mod miss;
mod registry;
mod reply;
mod reset;
mod sequence;
mod slow;
mod tls;
mod transient;
mod values;

use std::future::Future;
use std::pin::Pin;

use crate::call::{Accept, Call, Verdict};
use crate::error::Result;
use crate::net::tls::ClientTls;
use crate::protocol::Protocol;

pub use abort::Abort;
pub use blackout::Blackout;
pub use corrupt::Corrupt;
pub use cut::Cut;
pub use delay::Delay;
pub use dummy::Dummy;
pub use error::{Error, Message};
pub use goaway::GoAway;
pub use hang::Hang;
pub use miss::Miss;
pub(crate) use registry::Entry;
pub use registry::{Configured, Registry};
pub use reply::Reply;
pub use reset::Reset;
pub use sequence::Role;
pub(crate) use sequence::{Sequence, Step};
pub use slow::Slow;
pub use tls::Tls;
pub use transient::Transient;
pub use values::{Escaped, Headers, NotEscape, NotHeaders, NotStatus, Statuses};

/// What a handler needs to see of a connection. The engine chooses the cheapest way to move bytes that provides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Nothing: its calls are counted and passed on.
    Nothing,
    /// The TLS handshake of a connection whose first call is drawn for it: its [`accept`](Handler::accept) comes before that.
    Handshake,
    /// Each call that is drawn for it.
    Calls,
}

/// Decides what happens to the calls that are drawn for it.
///
/// # Order of calls
///
/// For each call, in this order, each method at most once:
///
/// 1. [`accept`](Self::accept), only for a connection's first call: the client has connected, none of its bytes has been read but
///    for its TLS handshake, and no call has reached the backend. Not with `grpc`, nor where HTTP/2 was agreed on within TLS.
/// 2. [`before`](Self::before): the request's head has been read. Nothing of the request has reached the backend.
/// 3. [`after`](Self::after), if `before` let the call pass, by [`Verdict::Pass`] or [`Verdict::GoAway`]: the reply has begun. Nothing of it has reached
///    the client. A call without a reply, such as memcached's `noreply`, has no `after`.
///
/// A handler is not called for calls that are drawn for other handlers, nor for bytes of an opaque connection.
///
/// # Concurrency
///
/// On one connection at most one call is in `before` and at most one in `after`, but a later call may be in `before`
/// while an earlier one is in `after`. One value serves all connections on all threads at once: keep state that changes
/// in an atomic or behind a lock. State of a single call is in its [`Call`]. With HTTP/2 each stream is a call of its own: any
/// number of them may be in either.
///
/// # Waiting
///
/// While a handler waits, its call waits, and so do later calls on the same connection: in `before` their requests, in
/// `after` their replies; with HTTP/2 other streams go on. None of their bytes are lost, and no more are read meanwhile. Earlier calls and other
/// connections continue.
///
/// Wait only with the methods of the call: [`sleep`](Call::sleep), [`wait`](Call::wait), [`drain`](Call::drain) and
/// [`hold`](Call::hold). They end at once when the client leaves and when the daemon stops; all but `drain` also when
/// the handler is replaced. Return their error with `?`: it says how the connection ends and is not a failure.
///
/// # What a handler must not do
///
/// - Wait in any other way for long: it would not notice that the client leaves.
/// - Block the thread: other connections run on it.
/// - Rely on running to the end. When the connection ends for another reason, the future is dropped at an `.await`. Put
///   clean-up into the `Drop` of a local value.
/// - Return [`Verdict::Pass`] for a call that it has [drained](Call::drain).
///
/// A handler that returns [`Error::Handler`](crate::Error::Handler) or panics ends its own connection and no other; with HTTP/2 an
/// error ends its own stream.
///
/// # Counting
///
/// A call is counted once, for the handler for which it was drawn, whatever the verdict. It is counted when the
/// request's head has been read; or in `accept`, unless that returns [`Verdict::Pass`] without waiting.
pub trait Handler: Send + Sync + 'static {
    /// What the handler needs to see. Called once, when the proxy is set up.
    fn scope(&self) -> Scope {
        Scope::Calls
    }

    /// Why the handler, with these settings, cannot serve proxies of `protocol`. Called when a proxy is configured.
    ///
    /// # Errors
    ///
    /// The reason, for a person: it is shown beside the handler's name.
    fn check(&self, protocol: Protocol) -> std::result::Result<(), String> {
        let _ = protocol;
        Ok(())
    }

    /// Why the handler, with these settings, cannot serve proxies whose clients speak TLS like this, or do not. Called when a proxy
    /// is configured.
    ///
    /// # Errors
    ///
    /// The reason, for a person: it is shown beside the handler's name.
    fn check_tls(&self, tls: Option<&ClientTls>) -> std::result::Result<(), String> {
        let _ = tls;
        Ok(())
    }

    /// What it does in a sequence such as `delay+error`: decides what may stand beside it. Called when a sequence is made.
    fn role(&self) -> Role {
        Role::Any
    }

    /// Called for a connection's first call, before any byte is read and before the backend is dialled.
    ///
    /// After [`Verdict::Answer`] the connection closes.
    ///
    /// # Errors
    ///
    /// Any error ends the connection.
    fn accept(&self, client: &mut Accept<'_>) -> impl Future<Output = Result<Verdict>> + Send {
        let _ = client;
        async { Ok(Verdict::Pass) }
    }

    /// Called when the request's head has been read. The body, if any, streams after it.
    ///
    /// # Errors
    ///
    /// Any error ends the connection.
    fn before(&self, call: &mut Call<'_>) -> impl Future<Output = Result<Verdict>> + Send {
        let _ = call;
        async { Ok(Verdict::Pass) }
    }

    /// Called when the reply has begun and none of it has reached the client.
    ///
    /// # Errors
    ///
    /// Any error ends the connection.
    fn after(&self, call: &mut Call<'_>) -> impl Future<Output = Result<Verdict>> + Send {
        let _ = call;
        async { Ok(Verdict::Pass) }
    }
}

type Pending<'a> = Pin<Box<dyn Future<Output = Result<Verdict>> + Send + 'a>>;

/// An object-safe [`Handler`]: the same methods, with boxed futures.
pub(crate) trait DynHandler: Send + Sync {
    fn scope(&self) -> Scope;
    fn check(&self, protocol: Protocol) -> std::result::Result<(), String>;
    fn check_tls(&self, tls: Option<&ClientTls>) -> std::result::Result<(), String>;
    fn role(&self) -> Role;
    fn accept<'a>(&'a self, client: &'a mut Accept<'_>) -> Pending<'a>;
    fn before<'a>(&'a self, call: &'a mut Call<'_>) -> Pending<'a>;
    fn after<'a>(&'a self, call: &'a mut Call<'_>) -> Pending<'a>;
}

impl<H: Handler> DynHandler for H {
    fn scope(&self) -> Scope {
        Handler::scope(self)
    }

    fn check(&self, protocol: Protocol) -> std::result::Result<(), String> {
        Handler::check(self, protocol)
    }

    fn check_tls(&self, tls: Option<&ClientTls>) -> std::result::Result<(), String> {
        Handler::check_tls(self, tls)
    }

    fn role(&self) -> Role {
        Handler::role(self)
    }

    fn accept<'a>(&'a self, client: &'a mut Accept<'_>) -> Pending<'a> {
        Box::pin(Handler::accept(self, client))
    }

    fn before<'a>(&'a self, call: &'a mut Call<'_>) -> Pending<'a> {
        Box::pin(Handler::before(self, call))
    }

    fn after<'a>(&'a self, call: &'a mut Call<'_>) -> Pending<'a> {
        Box::pin(Handler::after(self, call))
    }
}
