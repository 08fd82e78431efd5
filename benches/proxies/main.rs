//! The cost of the proxy: `vaurien` compared with HAProxy and with no proxy, over loopback. Linux only.
//!
//! ```sh
//! cargo bench --bench proxies                                         # about seven minutes
//! cargo bench --bench proxies -- --rounds 3 --cases ping-pong,redis   # cases by parts of their names
//! cargo bench --bench proxies -- --cases tls                          # TLS towards clients: about two minutes
//! cargo bench --bench proxies -- --cases http2 --seconds 2            # HTTP/2, if nginx and h2load are installed
//! cargo bench --bench proxies -- --curves --cases curve               # what grows with what, in vaurien
//! ```
//!
//! Each measurement starts its own backend and proxy. Contenders take turns, in the opposite order in every other
//! round, so that a change in the machine's speed affects all of them. A figure is the median over the rounds. A ratio
//! is the median of the ratios of each round, with the smallest and the largest of them.
//!
//! HAProxy runs in TCP mode with its default settings in every case but those of HTTP/2: it copies bytes and does not
//! look for calls. Both
//! proxies have two threads. Clients and backend are threads of the benchmark and share the processors with the proxy,
//! so a proxy's own processor time says more than its rate.
//!
//! In the cases of TLS both proxies show clients the same certificate (ECDSA P-256), and speak plain TCP to the backend.
//! Clients offer TLS 1.3 with X25519 and `TLS_AES_128_GCM_SHA256`, nothing else, and resume no session. All other
//! settings are each proxy's defaults: buffers, records, tickets, HAProxy's `tune.*`.
//!
//! In the cases of HTTP/2 `h2load` asks nginx for 6 bytes, without TLS. HAProxy runs in HTTP mode, with HTTP/2 on both sides.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the benchmark prints tables")]
#![allow(clippy::cast_precision_loss, reason = "a figure has three digits")]

mod backend; // answers requests
mod cases; // the measured cases
mod compare; // vaurien compared with the others
mod contenders; // nothing, vaurien, HAProxy
mod curves; // growth of figures in vaurien
mod figures; // figures and medians
mod http2; // streams of HTTP/2
mod load; // the clients
mod measure; // one measurement
mod message; // requests and replies
mod options; // the command line
mod pace; // calls at fixed times
mod process; // processor time and memory of a proxy
mod table; // Markdown output
mod tally; // shared counters
mod tls; // certificate and cipher

use std::process::ExitCode;

use crate::compare::compare;
use crate::options::Options;

/// Enough for all cases. Proxies allocate for as many connections as their limit allows, which on some systems is a
/// billion.
const DESCRIPTORS: u64 = 65_536;

/// The exit code for a wrong command line.
const WRONG_USE: u8 = 2;

fn main() -> ExitCode {
    if !std::env::args().any(|argument| argument == options::BENCH) {
        // `cargo test --all-targets` also runs benchmarks, only to see that they build.
        eprintln!("proxies: nothing is measured without `--bench`, which `cargo bench --bench proxies` passes");
        return ExitCode::SUCCESS;
    }
    if let Err(error) = rlimit::increase_nofile_limit(DESCRIPTORS) {
        // Some cases then have fewer connections, which their names show.
        eprintln!("proxies: cannot have more descriptors: {error}");
    }
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(mistake) => {
            eprintln!("proxies: {mistake}");
            return ExitCode::from(WRONG_USE);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("proxies: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    compare(options)?;
    if options.curves { curves::draw(options) } else { Ok(()) }
}
