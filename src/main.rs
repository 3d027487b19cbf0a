//! Arguments in, exit code out; everything else is in the library.

use std::process::ExitCode;

/// Most of what a poll costs is allocated and freed on another worker, which is where the system's
/// allocator is slow: `docs/performance.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    betanet_collector::cli::main(std::env::args_os())
}
