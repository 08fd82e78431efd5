//! The `vaurien` program with the handlers that come with it.

use std::process::ExitCode;

use vaurien::handler::Registry;

/// What a connection allocates is aligned to cache lines, at which glibc's allocator wastes a lot: with this one an idle
/// connection takes 0.7 of the memory.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    vaurien::main(&Registry::default())
}
