//! A chaos TCP proxy that knows what a call is.
//!
//! `vaurien` stands between a client and a backend, passes their traffic on, and injects faults on purpose: late replies,
//! broken replies, dead connections. The program, its handlers and its options are described in the README and in `docs/`. The
//! library beneath it is there for two things.
//!
//! # A proxy inside a test
//!
//! [`ProxyConfig`] says what a proxy does, [`Daemon::bind`] listens, and [`Daemon::serve`] serves for as long as the future
//! that it is given takes. So that future can be the test itself:
//!
//! ```
//! use vaurien::handler::Delay;
//! use vaurien::{Daemon, Mix, Protocol, ProxyConfig, Seconds};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let slow = Delay { sleep: Seconds::from_millis(250).into(), before: true };
//! let config = ProxyConfig::new("127.0.0.1:0", "localhost:6379")?
//!     .protocol(Protocol::Redis)
//!     .handler(Mix::default().with(20.0, "delay", slow)?);
//!
//! // The same seed and the same calls make the same choices.
//! let daemon = Daemon::bind(&config, 42).await?;
//! let address = daemon.addresses()[0];
//! let summary = daemon
//!     .serve(async {
//!         // Calls go to `address`: one in five is late.
//! #       let _ = address;
//!     })
//!     .await;
//! assert_eq!(summary.calls_of("delay"), 0);
//! # Ok(())
//! # }
//! ```
//!
//! `examples/embedded.rs` is a whole test of this kind. It needs the engine alone: depend on `vaurien` with
//! `default-features = false`. The feature `program` adds everything around it, `mimalloc` the program's allocator.
//!
//! # A handler of your own
//!
//! [`handler`] grows one from the handler that does nothing, and [`Handler`] says what it may rely on. `main` is the whole
//! program with the handlers of a [`Registry`]; `examples/custom_handler.rs` is such a program.

#![cfg_attr(
    not(feature = "program"),
    allow(dead_code, unused_imports, reason = "the program asks more of the engine than a test that embeds it")
)]

// The engine, from what stands on nothing to what stands on all of it: a module uses those above it and none below.

// What everything stands on.
pub mod diagnostic; // what is wrong with what a person wrote
mod text_value; // values written as a number or a text

pub mod duration; // times as people write them
pub mod error; // what can end a connection
mod json; // JSON that a terminal can show
mod rng; // random streams split by proxy, connection and call
mod settings; // settings read off a struct
mod workers; // the threads that serve connections

pub mod distribution; // times that are drawn
mod shutdown; // stopping, with a grace period
pub mod size; // numbers of bytes as people write them
mod timer; // waiting for a time that a person asked for

// Bytes, and what is known of them.
mod net; // addresses, sockets, buffers

pub mod protocol; // how messages are found, one folder a protocol

mod labels; // what calls belong to, such as a test

mod events; // what happened, kept for readers

mod metrics; // what is counted

mod call_log; // the calls of a run, kept for its report

mod recorder; // what a program calls, by the shape of its calls

#[cfg_attr(not(test), allow(dead_code, unused_imports, reason = "toxics will use the rest"))]
mod fault; // what happens to bytes on their way

// What happens to a call.
pub mod call; // a call in a handler's hands, and what the handler decides

pub mod handler; // the trait, the registry, one file a handler

mod plan; // mixes, rules, and the draw

// From the bytes of a connection to the daemon.
mod toxic; // what happens to the bytes of a direction

mod pump; // how bytes get from one side to the other

mod connection; // one connection, from accept to close

mod proxy; // one proxy, and the set of them

pub mod daemon; // listens, serves, stops

// What tests it with any traffic.
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing; // what the fuzz targets run

// Everything around it: command line, file, HTTP API, reports.
#[cfg(feature = "program")]
pub mod program;

pub use call::{Accept, Answer, Call, End, Verdict};
pub use daemon::{Control, Daemon};
pub use diagnostic::{Diagnostic, Diagnostics};
pub use distribution::Distribution;
pub use duration::Seconds;
pub use error::{Error, Result};
pub use handler::{Handler, Registry};
pub use metrics::summary::Summary;
pub use net::address::{Address, BadAddress};
pub use net::host_port::HostPort;
pub use net::tls::{Authority, BackendTls, BadIdentity, BadTrust, ClientTls, Identity, TlsFault, Trust};
pub use net::unix_path::UnixPath;
pub use plan::mix::{Mix, Share};
pub use plan::rule::Rule;
#[cfg(feature = "program")]
pub use program::{config::Config, main};
pub use protocol::http::Response;
pub use protocol::http2::ErrorCode;
pub use protocol::{Failure, FailureKind, Protocol};
pub use proxy::config::ProxyConfig;
pub use proxy::listeners::CannotListen;
pub use size::{Amount, Percent, Rate, Size};
pub use toxic::Toxic;

/// Files that are part of the tests as well name the crate as those do.
#[cfg(any(test, fuzzing))]
extern crate self as vaurien;

/// The Rust code on the pages is right.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/rust-tests.md")]
    struct RustTests;
    #[doc = include_str!("../docs/writing-a-handler.md")]
    struct WritingAHandler;
}
