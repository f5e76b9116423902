//! The program. Everything is in the library, so that tests can call it.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    confide::cli::main(std::env::args_os())
}
