//! A chaos TCP proxy that knows what a call is.
//!
//! `vaurien` stands between a client and a backend, passes their traffic on, and makes trouble on purpose: late replies,
//! broken replies, dead connections. The program, its handlers and all its options are described in the README. The
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
//! let slow = Delay { sleep: Seconds::from_millis(250), before: true };
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
//! `examples/embedded.rs` is a whole test of this kind. The default feature `mimalloc` is the program's allocator, and of no
//! use here.
//!
//! # A handler of your own
//!
//! [`handler`] grows one from the handler that does nothing, and [`Handler`] says what it may rely on. [`main`] is the whole
//! program with the handlers of a [`Registry`]; `examples/custom_handler.rs` is such a program.

// What happens to a call.
pub mod call; // a call in a handler's hands, and what the handler decides
pub mod error; // what can end a connection
pub mod handler; // the trait, the registry, one file a handler
pub mod mix; // handlers with percentages
mod plan; // the mix at work: draws and counts
mod seed; // random streams split by proxy, connection and call

// From the arguments to the bytes: program, daemon, proxy, connection, pump, of which each starts the next.
mod accept; // the loop that lets clients in
mod connection; // one client's life: dial, choose the pump, close
pub mod daemon; // listens, serves, stops
mod demo; // a server in front of which, and a client by which, the program is shown at work
mod listening; // where a proxy listens now
mod program; // arguments, logging, run, one error line, exit code
mod proxies; // by name, and every change to them
mod proxy; // one proxy, what its connections share
mod pump; // how bytes get from one side to the other
mod rounds; // once for a daemon, as often as asked for a command
mod session; // everything from its start to its end

// How it is looked at and changed while it runs.
mod api; // the HTTP API
mod figures; // what a proxy has done
mod health; // whether a daemon that runs is well
mod journal; // events: kept, read, written to a file
mod metrics; // figures as OpenMetrics
mod notify; // systemd's readiness protocol
mod recording; // the calls of a run, for its report
mod signals; // to stop, and to read the file again
mod statsd; // counters for a statsd server

// A command around which it all happens, and what came of it.
mod command; // told where the proxies are, signalled, ended
mod expectation; // what is to have happened
mod ready_file; // there while everything listens
mod report; // what has happened: for people and for programs
mod reporter; // tells it

// What these are made of.
mod backend; // dialled, kept, reused
mod buffer; // the read buffer that a thread lends to whichever connection has data
mod connections; // those that are there now
pub mod counts; // what a proxy has done
mod departure; // whether a client has left
mod listen; // where a proxy listens
pub mod protocol; // how messages are found, one module a protocol
mod room; // how many connections there are descriptors for
mod route; // how a connection is made
mod sink; // where something is written to while nobody may be reading
mod stop; // the word to stop
mod whole_file; // files that appear complete

// What was asked for.
mod cli; // flags and help
mod completions; // what a shell has to know to complete them
pub mod config; // flags, variables and file, checked together
mod logging; // logs on standard error
mod man; // the manual page
pub mod seconds; // times as people write them
mod settings; // settings read off a struct

pub use call::{Accept, Answer, Call, Verdict};
pub use config::{Config, ProxyConfig};
pub use counts::Summary;
pub use daemon::{Control, Daemon};
pub use error::{Error, Result};
pub use handler::{Handler, Registry};
pub use listening::CannotListen;
pub use mix::Mix;
pub use program::main;
pub use protocol::Protocol;
pub use seconds::Seconds;

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
