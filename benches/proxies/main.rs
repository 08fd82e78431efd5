//! What does the proxy cost? `vaurien` beside HAProxy and beside no proxy at all, over loopback. Linux only.
//!
//! ```sh
//! cargo bench --bench proxies                                         # about five minutes
//! cargo bench --bench proxies -- --rounds 3 --cases ping-pong,redis   # cases by parts of their names
//! cargo bench --bench proxies -- --curves --cases curve               # what grows with what, in vaurien
//! ```
//!
//! Each measurement has a backend and a proxy of its own, both just started. The contenders take turns, and every other
//! round in the opposite order, so that a machine that grows faster or slower does so for all of them. A figure is the
//! median over the rounds. A ratio is the median of the ratios of each round, with the least and the greatest of them.
//!
//! HAProxy is in TCP mode in every case, with the settings that it comes with: it moves the bytes of a protocol and does not
//! look for calls in them. Both proxies have two threads. Clients and backend are threads of the benchmark and share the processors with the proxy, which is why
//! a proxy's own processor time says more than its rate.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "tables are what it is for")]
#![allow(clippy::cast_precision_loss, reason = "a figure has three digits")]

mod backend; // answers
mod cases; // what is measured
mod compare; // vaurien beside the others
mod contenders; // what stands between client and backend
mod curves; // what grows with what
mod figures; // what is read off a measurement, medians
mod load; // the clients
mod measure; // one measurement: start all, wait, look
mod message; // what is said
mod options; // the command line
mod pace; // clients that ask by the clock
mod process; // processor time and memory of a proxy
mod table; // as Markdown
mod tally; // what was done so far

use std::process::ExitCode;

use crate::compare::compare;
use crate::options::Options;

/// Enough for all cases. Proxies make room for as many connections as their limit allows, and some systems allow a billion.
const DESCRIPTORS: u64 = 65_536;

/// The exit code for a wrong command line.
const WRONG_USE: u8 = 2;

fn main() -> ExitCode {
    if !std::env::args().any(|argument| argument == options::BENCH) {
        // `cargo test --all-targets` runs benchmarks too, and wants to know no more than that they build.
        eprintln!("proxies: nothing is measured without `--bench`, which `cargo bench --bench proxies` passes");
        return ExitCode::SUCCESS;
    }
    if let Err(error) = rlimit::increase_nofile_limit(DESCRIPTORS) {
        // Some cases then have fewer connections, as their names say.
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
