//! Runs: what is started, what it waits for, how it ends.

mod odds; // how likely it is that nothing happens
mod ready_file; // a file for whoever waits until everything listens
pub(crate) mod runner; // a daemon's one run, or the runs of a command
mod services; // the proxies and everything around them
mod signals; // stop and reload
mod verdict; // expectations, and what kept the chaos away
