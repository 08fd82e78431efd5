//! The `vaurien` program with the handlers that come with it.

use std::process::ExitCode;

use vaurien::handler::Registry;

fn main() -> ExitCode {
    vaurien::main(&Registry::default())
}
