//! The program: arguments, logging, run, one error line, exit code.

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use crate::config::{Config, Exit, ProxyConfig};
use crate::daemon::Daemon;
use crate::demo::Demo;
use crate::handler::Registry;
use crate::listening::CannotListen;
use crate::logging;

/// How many connections with news are looked after before others are asked for theirs. With 128 connections in ping-pong
/// the slowest of a hundred calls takes 0.81 of the time that it takes with tokio's default of 1024.
const EVENTS: usize = 16;

/// The exit code for a wrong command line or file.
const WRONG_USE: u8 = 2;

/// Runs the program with the handlers of `registry`: a program with handlers of its own needs no more than this.
///
/// Exit codes: 0 when it was asked to stop, 1 when it failed while running, 2 for a wrong command line or file.
#[must_use]
pub fn main(registry: &Registry) -> ExitCode {
    let config = match Config::from_args(std::env::args_os(), |name| std::env::var(name).ok(), registry) {
        Ok(config) => config,
        Err(exit) => return leave(&exit),
    };
    logging::start(config.log);
    match run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Says what was asked for, or what is wrong.
fn leave(exit: &Exit) -> ExitCode {
    match exit {
        Exit::Help(text) => {
            // A reader that has seen enough, such as `head`, is no failure.
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Exit::Mistakes(mistakes) => {
            mistakes.iter().for_each(|mistake| complain(format_args!("{mistake}")));
            ExitCode::from(WRONG_USE)
        }
    }
}

/// Says what is wrong; if nobody reads it, the exit code still tells.
fn complain(what: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "vaurien: {what}");
}

fn run(config: &Config) -> anyhow::Result<()> {
    // Where the limit cannot be raised, running out of descriptors is met when it happens.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .max_io_events_per_tick(EVENTS)
        .enable_all()
        .build()
        .context("cannot start")?;
    let served = runtime.block_on(serve(config));
    // Resolving a name cannot be broken off. It is not waited for.
    runtime.shutdown_background();
    served
}

async fn serve(config: &Config) -> anyhow::Result<()> {
    let (proxy, demo) = if config.demo {
        let (proxy, demo) = Demo::start(&config.proxy).await.context("cannot start the demo's server")?;
        (proxy, Some(demo))
    } else {
        (config.proxy.clone(), None)
    };
    let daemon = bind(config, &proxy).await?;
    let stop = stop_signal()?;
    info!(
        "ready: {} -> {}, protocol {}, handler {}, seed {}",
        list(daemon.addresses()),
        proxy.backend,
        proxy.protocol,
        proxy.mix,
        config.seed
    );
    let counts = match (demo, daemon.addresses().first().copied()) {
        (Some(demo), Some(address)) => daemon.serve(demo.until(stop, address)).await,
        _ => daemon.serve(stop).await,
    };
    counts.lines().iter().for_each(|line| info!("{line}"));
    Ok(())
}

/// Listens. For a demo that nobody gave an address, any port will do where the usual one is taken.
async fn bind(config: &Config, proxy: &ProxyConfig) -> Result<Daemon, CannotListen> {
    match Daemon::bind(proxy, config.seed).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && config.demo && config.listens_anywhere => {
            let mut proxy = proxy.clone();
            proxy.listen.port = 0;
            Daemon::bind(&proxy, config.seed).await
        }
        bound => bound,
    }
}

fn list(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

/// Resolves with the first SIGINT or SIGTERM; the second ends the program at once.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut next = async move || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    Ok(async move {
        next().await;
        info!("stopping; a second signal ends at once");
        tokio::spawn(async move {
            next().await;
            std::process::exit(1);
        });
    })
}
