//! What happens to a call.
//!
//! A handler is one struct: its fields are its settings, and [`Handler`] is what it does. The settings are read from the
//! command line, the environment and the file alike; see [`Registry`] for how. The five that come with the program are in
//! the modules below, one file each, and a user's own is written in the same way.

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
pub trait Handler: Send + Sync + 'static {
    /// What it needs to see. Asked once for each plan.
    fn scope(&self) -> Scope {
        Scope::Calls
    }

    /// The turn of a connection's first call, before any byte is read and before the backend is dialled.
    fn accept(&self, client: &mut Accept<'_>) -> impl Future<Output = Result<Verdict>> + Send {
        let _ = client;
        async { Ok(Verdict::Pass) }
    }

    /// The request's head is here; its body streams after.
    fn before(&self, call: &mut Call<'_>) -> impl Future<Output = Result<Verdict>> + Send {
        let _ = call;
        async { Ok(Verdict::Pass) }
    }

    /// The reply has begun, and none of it has reached the client.
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
