//! What happens to a call.
//!
//! A handler is one struct: its fields are its settings, and [`Handler`] is what it does. The five that come with the
//! program are here, one file each, and one of your own is written in the same way. This page grows one; [`Handler`] says
//! what it may rely on.
//!
//! # Nothing
//!
//! The least handler there is. All three methods of the trait have a default, and that lets the call pass.
//!
//! ```
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//! use vaurien::{Handler, Registry};
//!
//! /// Lets every call pass.
//! #[derive(Default, Serialize, Deserialize, JsonSchema)]
//! #[serde(default, deny_unknown_fields)]
//! struct Stumble {}
//!
//! impl Handler for Stumble {}
//!
//! // `vaurien::main(&registry)` is a program that knows `--handler 10:stumble`.
//! let registry = Registry::default().with::<Stumble>("stumble");
//! ```
//!
//! The derives come from `serde` (with its feature `derive`) and `schemars` 1, which belong into your `Cargo.toml`.
//!
//! # A wait
//!
//! [`before`](Handler::before) has a request in hand of which nothing has reached the backend yet. It may be written as a
//! plain `async fn`, and whatever it waits for, the call waits with it.
//!
//! ```
//! # use schemars::JsonSchema;
//! # use serde::{Deserialize, Serialize};
//! use std::time::Duration;
//! use vaurien::{Call, Handler, Result, Verdict};
//!
//! # #[derive(Default, Serialize, Deserialize, JsonSchema)]
//! # struct Stumble {}
//! impl Handler for Stumble {
//!     async fn before(&self, call: &mut Call<'_>) -> Result<Verdict> {
//!         call.sleep(Duration::from_millis(250)).await?;
//!         Ok(Verdict::Pass)
//!     }
//! }
//! ```
//!
//! # Settings
//!
//! A field is a setting: `--handler-stumble-sleep 0.1`, `VAURIEN_HANDLER_STUMBLE_SLEEP`, `sleep = 0.1` under
//! `[handlers.stumble]`. Its documentation is its line in `--help`, and the struct's `Default` has its default.
//!
//! ```
//! # use schemars::JsonSchema;
//! # use serde::{Deserialize, Serialize};
//! use vaurien::{Call, Handler, Result, Seconds, Verdict};
//!
//! /// Makes calls stumble
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! #[serde(default, deny_unknown_fields)]
//! struct Stumble {
//!     /// How long it takes to get up
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
//! # A choice
//!
//! The call knows what it is: its [`command`](Call::command), its [`key`](Call::key), its [`number`](Call::number). What is
//! left to chance is drawn from the call's [own stream](Call::random), so that a seed reproduces it. And a handler need not
//! call the backend at all: [`Verdict::Answer`] is what the client gets instead.
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
//! What passed [`before`](Handler::before) comes back in [`after`](Handler::after), when the backend's reply has begun and
//! none of it has reached the client.
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
//!         // The backend has done its work, and the client will never know.
//!         Ok(if call.key() == b"payment" { Verdict::Reset } else { Verdict::Pass })
//!     }
//! }
//! ```
//!
//! `examples/custom_handler.rs` is a handler in a program of its own.

mod blackout;
mod delay;
mod dummy;
mod error;
mod hang;
mod registry;

use std::future::Future;
use std::pin::Pin;

use crate::call::{Accept, Call, Verdict};
use crate::error::Result;

pub use blackout::Blackout;
pub use delay::Delay;
pub use dummy::Dummy;
pub use error::Error;
pub use hang::Hang;
pub(crate) use registry::Entry;
pub use registry::{Configured, Registry};

/// What a handler needs to see of a connection. The engine picks the cheapest way to move bytes that can show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Nothing: its calls are counted and pass.
    Nothing,
    /// Each call drawn for it.
    Calls,
}

/// What happens to the calls that are drawn for it.
///
/// # When it is asked
///
/// For one call, in this order, and each at most once:
///
/// 1. [`accept`](Self::accept), for a connection's first call alone: the client has connected, nothing of it has been read,
///    and the backend is not dialled.
/// 2. [`before`](Self::before): the request's head is here. Nothing of the request has reached the backend.
/// 3. [`after`](Self::after), if `before` let it pass: the reply has begun. Nothing of the reply has reached the client. A
///    call without a reply, such as memcached's `noreply`, has no `after`.
///
/// It is never asked about calls that are drawn for others, nor about bytes behind the point where messages can no longer be
/// told apart.
///
/// On one connection `before` has one call at a time, and so has `after`; but one call may be in `before` while an earlier
/// one is in `after`. One value serves all connections, on all threads, at once: what changes in it has to be an atomic or
/// behind a lock, and what belongs to one call comes with its [`Call`].
///
/// # While it waits
///
/// Its own call waits, and so do those behind it on the same connection: in `before` their requests, in `after` their
/// replies. Nothing of them is lost, and no more is read meanwhile. Earlier calls and other connections go
/// on.
///
/// A handler waits through its call: [`sleep`](Call::sleep), [`wait`](Call::wait), [`drain`](Call::drain),
/// [`hold`](Call::hold). These end at once when the client leaves, when the handler is replaced and when the daemon
/// stops. Their error is passed on with `?`: it says how the connection ends, and is no failure.
///
/// # What it must not do
///
/// - Wait in another way for long: of a client that leaves meanwhile it learns nothing.
/// - Block the thread, on which other connections wait.
/// - Count on being finished. Its future may be dropped wherever it awaits, when the connection ends for another reason.
///   What has to be undone belongs into the `Drop` of a local value.
/// - Let a call pass that it has [drained](Call::drain).
///
/// One that fails, by an [`Error::Handler`](crate::Error::Handler) or by a panic, ends its own connection and no other.
///
/// # What is counted
///
/// A call is counted for the handler that it was drawn for, once, whatever that decides: when the request's head is here,
/// or already in `accept`, if that does more than let the client in at once.
pub trait Handler: Send + Sync + 'static {
    /// What it needs to see. Asked once, when the proxy is set up.
    fn scope(&self) -> Scope {
        Scope::Calls
    }

    /// The turn of a connection's first call, before any byte is read and before the backend is dialled.
    ///
    /// An answer given here is the connection's end.
    ///
    /// # Errors
    ///
    /// What ends the connection.
    fn accept(&self, client: &mut Accept<'_>) -> impl Future<Output = Result<Verdict>> + Send {
        let _ = client;
        async { Ok(Verdict::Pass) }
    }

    /// The request's head is here; its body streams after.
    ///
    /// # Errors
    ///
    /// What ends the connection.
    fn before(&self, call: &mut Call<'_>) -> impl Future<Output = Result<Verdict>> + Send {
        let _ = call;
        async { Ok(Verdict::Pass) }
    }

    /// The reply has begun, and none of it has reached the client.
    ///
    /// # Errors
    ///
    /// What ends the connection.
    fn after(&self, call: &mut Call<'_>) -> impl Future<Output = Result<Verdict>> + Send {
        let _ = call;
        async { Ok(Verdict::Pass) }
    }
}

type Pending<'a> = Pin<Box<dyn Future<Output = Result<Verdict>> + Send + 'a>>;

/// [`Handler`] as a trait object: the same, with boxed futures.
pub(crate) trait DynHandler: Send + Sync {
    fn scope(&self) -> Scope;
    fn accept<'a>(&'a self, client: &'a mut Accept<'_>) -> Pending<'a>;
    fn before<'a>(&'a self, call: &'a mut Call<'_>) -> Pending<'a>;
    fn after<'a>(&'a self, call: &'a mut Call<'_>) -> Pending<'a>;
}

impl<H: Handler> DynHandler for H {
    fn scope(&self) -> Scope {
        Handler::scope(self)
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
