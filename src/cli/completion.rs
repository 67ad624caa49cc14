//! `pintle completion`: prints a script that completes our commands in a shell.

use clap::Command;
use clap_complete::Shell;

/// For which shell.
#[derive(clap::Args, Debug)]
pub struct CompletionArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Prints the script for the commands.
pub fn run(arguments: &CompletionArgs, mut command: Command) {
    clap_complete::generate(arguments.shell, &mut command, "pintle", &mut std::io::stdout());
}
