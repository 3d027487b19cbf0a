//! Passes the arguments to the library, and returns its exit code.

use std::process::ExitCode;

/// One thread allocates most of the memory of a poll, and another one frees it, for which the
/// system's allocator is slow.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    betanet_collector::cli::main(std::env::args_os())
}
