//! What signals ask of the program: to stop, or to read its file again.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

use crate::diagnostic::Diagnostic;
use crate::program::cli::Exit;
use crate::program::config::Config;
use crate::program::systemd;
use crate::proxy::set::ProxySet;

/// Resolves with the first SIGINT or SIGTERM; the second ends the program at once.
///
/// # Errors
///
/// Signals cannot be listened for.
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
        info!("stopping; a second signal ends at once");
        tokio::spawn(async move {
            next().await;
            std::process::exit(1);
        });
    })
}

/// With each SIGHUP, lets `proxies` be what `read` says then; before, they are what `config` says.
///
/// # Errors
///
/// Signals cannot be listened for.
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
                        warn!("{what} is another now, which needs a restart");
                    }
                    match proxies.reload(&config.proxies, &new.proxies).await {
                        0 => info!("reloaded"),
                        refused => warn!("reloaded, but for {refused} of {} proxies", new.proxies.len()),
                    }
                    config.proxies = new.proxies;
                }
                Err(exit) => error!("nothing is changed: {}", one_line(&exit)),
            }
            systemd::ready();
        }
    });
    Ok(())
}

/// What the program cannot change while it runs.
fn needs_restart(old: &Config, new: &Config) -> impl Iterator<Item = &'static str> {
    let differs = [
        // A seed that nobody gave is another each time.
        ("seed", new.seed_is_given && old.seed != new.seed),
        ("http", old.http != new.http),
        ("statsd", old.statsd != new.statsd),
        ("events", old.events != new.events),
        ("log_level or log_format", old.log != new.log),
    ];
    differs.into_iter().filter_map(|(what, differs)| differs.then_some(what))
}

fn one_line(exit: &Exit) -> String {
    match exit {
        Exit::Diagnostics(mistakes) => mistakes.iter().map(Diagnostic::to_string).collect::<Vec<_>>().join("; "),
        // Who asked for something else is not here.
        _ => String::new(),
    }
}
