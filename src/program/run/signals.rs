//! Signals to a daemon: stop, or read the file again.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

use crate::diagnostic::Diagnostic;
use crate::program::cli::Exit;
use crate::program::config::Config;
use crate::program::systemd;
use crate::proxy::set::ProxySet;

/// Resolves on the first SIGINT or SIGTERM; a second one ends the program at once.
pub(crate) fn stop() -> io::Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut next = async move || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    Ok(async move {
        next().await;
        info!("stopping; a second signal exits at once");
        tokio::spawn(async move {
            next().await;
            std::process::exit(1);
        });
    })
}

/// On each SIGHUP, reads the configuration again and applies it to `proxies`, which have that of `config`.
pub(crate) fn reload(
    mut config: Config,
    proxies: Arc<ProxySet>,
    read: impl Fn() -> Result<Config, Exit> + Send + 'static,
) -> io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            systemd::reloading();
            match read() {
                Ok(new) => {
                    for what in needs_restart(&config, &new) {
                        warn!("`{what}` has changed: restart to apply it");
                    }
                    match proxies.reload(&config.proxies, &new.proxies).await {
                        0 => info!("reloaded"),
                        refused => warn!("reloaded, except {refused} of {} proxies", new.proxies.len()),
                    }
                    config.proxies = new.proxies;
                }
                Err(exit) => error!("not reloaded: {}", one_line(&exit)),
            }
            systemd::ready();
        }
    });
    Ok(())
}

/// Options that have changed and need a restart.
fn needs_restart(old: &Config, new: &Config) -> impl Iterator<Item = &'static str> {
    let differs = [
        // A random seed differs each time.
        ("seed", new.seed_is_given && old.seed != new.seed),
        ("http", old.http != new.http),
        ("toxiproxy", old.toxiproxy != new.toxiproxy),
        ("statsd", old.statsd != new.statsd),
        ("events", old.events != new.events),
        ("log_level", old.log.level != new.log.level),
        ("log_format", old.log.format != new.log.format),
    ];
    differs.into_iter().filter_map(|(what, differs)| differs.then_some(what))
}

fn one_line(exit: &Exit) -> String {
    match exit {
        Exit::Diagnostics(diagnostics) => diagnostics.iter().map(Diagnostic::to_string).collect::<Vec<_>>().join("; "),
        // Not for a program that runs.
        _ => String::new(),
    }
}
