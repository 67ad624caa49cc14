//! The binary `pintle`: chooses the TLS provider, reads the arguments, runs one command.

use std::process::ExitCode;

use pintle::cli::{self, Cli};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // rustls refuses to choose between providers by itself; there is only this one, and it must be said before any use.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    match cli::run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("Error: {}", pintle::text::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
