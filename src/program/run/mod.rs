//! One run of the program: what is started, what it waits for, how it ends.

pub(crate) mod ready_file;
pub(crate) mod runner;
pub(crate) mod services;
mod signals;
