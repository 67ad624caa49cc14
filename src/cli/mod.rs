//! The command line: each command prints a value made elsewhere.
//!
//! Exit codes: 0 well, 1 error, 2 not ready (`status`, `--wait`). The commands `template`, `lint`, `show` and
//! `dependency list` are Helm's: names, flags, output and where it goes are the same.

pub mod ask;
pub mod chart;
pub mod completion;
pub mod connect;
pub mod controller;
pub mod crd;
pub mod dependency;
pub mod helm_flags;
pub mod lint;
pub mod read;
pub mod show;
pub mod template;
pub mod value_flags;
pub mod values;
pub mod view;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use ask::{Ask, AskArgs};
use connect::Connection;

/// Helm releases from Git: installed, upgraded, rolled back by themselves
#[derive(Parser, Debug)]
#[command(name = "pintle", version, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the controller, in the cluster or with a kubeconfig
    Controller(controller::ControllerArgs),
    /// Render a chart and print its manifests, as `helm template` does
    Template(Box<template::TemplateArgs>),
    /// Look for what is wrong with charts, as `helm lint` does; exit code 1 when a chart fails
    Lint(Box<lint::LintArgs>),
    /// Print a part of a chart, as `helm show` does
    #[command(subcommand, visible_alias = "inspect")]
    Show(Box<show::Show>),
    /// Tell what a chart's dependencies are, as `helm dependency list` does
    #[command(subcommand, visible_aliases = ["dep", "dependencies"])]
    Dependency(Box<dependency::DependencyCommand>),
    /// Print the values of a release or a chart, and where each comes from
    Values(Box<OnCluster<values::ValuesArgs>>),
    /// List HelmReleases or GitSyncs
    Get(OnCluster<read::GetArgs>),
    /// Tell how an object is; exit code 2 when it is not ready
    Status(OnCluster<read::StatusArgs>),
    /// List the revisions of a release, and why the failed ones failed
    History(OnCluster<read::HistoryArgs>),
    /// Ask for a pass now
    Reconcile(OnCluster<AskArgs>),
    /// Lift a hold for one attempt
    Retry(OnCluster<AskArgs>),
    /// Do nothing until resumed
    Suspend(OnCluster<AskArgs>),
    /// End a suspension or a manual hold
    Resume(OnCluster<AskArgs>),
    /// Print the CustomResourceDefinitions
    Crd,
    /// Print the rules of the controller's ClusterRole, each with its reason
    Rbac,
    /// Print a script that completes commands in a shell
    Completion(completion::CompletionArgs),
    /// Print the version
    Version,
}

/// A command on a cluster: which one, and the command's own arguments.
#[derive(Args, Debug)]
struct OnCluster<A: Args> {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    args: A,
}

impl Cli {
    /// Reads the arguments of the process.
    ///
    /// # Errors
    /// The exit code, once everything is said: 1 for arguments that cannot be read, 0 for help.
    pub fn read() -> std::result::Result<Self, ExitCode> {
        let command = helm_flags::as_go_reads(Cli::command());
        let arguments = helm_flags::with_plain_flags(&command, std::env::args_os().collect());
        let read = command.try_get_matches_from(arguments).and_then(|matches| Cli::from_arg_matches(&matches));
        read.map_err(|error| {
            // Nobody is left to tell where even this cannot be written.
            let _ = error.print();
            if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        })
    }
}

/// Runs the command.
///
/// # Errors
/// What the command could not do, for a person: what happened, to which object, what to do.
pub fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Template(args) => template::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Lint(args) => lint::run(&args),
        Command::Show(show) => show::run(&show).map(|()| ExitCode::SUCCESS),
        Command::Dependency(command) => dependency::run(&command).map(|()| ExitCode::SUCCESS),
        Command::Controller(args) => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            let ended = runtime.block_on(controller::run(args));
            // A render or a fetch that cannot be interrupted must not hold the process.
            runtime.shutdown_background();
            ended.map(|()| ExitCode::SUCCESS)
        }
        Command::Values(on) if on.args.is_of_chart() => {
            values::of_chart(&on.connection, &on.args).map(|()| ExitCode::SUCCESS)
        }
        Command::Values(on) => block_on(values::of_release(&on.connection, &on.args)),
        Command::Get(on) => block_on(read::get(&on.connection, on.args)),
        Command::Status(on) => block_on(read::status(&on.connection, on.args)),
        Command::History(on) => block_on(read::history(&on.connection, on.args)),
        Command::Reconcile(on) => block_on(ask::ask(&on.connection, Ask::Reconcile, on.args)),
        Command::Retry(on) => block_on(ask::ask(&on.connection, Ask::Retry, on.args)),
        Command::Suspend(on) => block_on(ask::ask(&on.connection, Ask::Suspend, on.args)),
        Command::Resume(on) => block_on(ask::ask(&on.connection, Ask::Resume, on.args)),
        Command::Crd => {
            crd::print();
            Ok(ExitCode::SUCCESS)
        }
        Command::Rbac => {
            print!("{}", crate::cluster::permissions::rules_yaml());
            Ok(ExitCode::SUCCESS)
        }
        Command::Completion(args) => {
            completion::run(&args, Cli::command());
            Ok(ExitCode::SUCCESS)
        }
        Command::Version => {
            println!("pintle {}", env!("CARGO_PKG_VERSION"));
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Commands that speak to a cluster do one thing after the other: one thread is enough.
fn block_on<T>(command: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_of_commands_hold_together() {
        helm_flags::as_go_reads(Cli::command()).debug_assert();
    }

    #[test]
    fn flags_are_read_as_go_reads_them() {
        let command = helm_flags::as_go_reads(Cli::command());
        let plain = |line: &str| {
            let arguments = line.split(' ').map(Into::into).collect();
            let plain = helm_flags::with_plain_flags(&command, arguments);
            plain.iter().map(|argument| argument.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        };
        for (line, want) in [
            ("pintle template a --include-crds=true --no-hooks=F b", "pintle template a --include-crds b"),
            ("pintle show values a --verify=false", "pintle show values a"),
            ("pintle template a --set=a=true", "pintle template a --set=a=true"),
            ("pintle get --all=true", "pintle get --all=true"),
        ] {
            assert_eq!(plain(line), want);
        }
        let read = |line: &str| command.clone().try_get_matches_from(line.split(' ')).map(|_| ());
        for line in [
            "pintle template a b --set -x=1 --set a=b --version 1 --version 2 --wait --timeout 5m --wait=watcher --debug --debug",
            "pintle lint a b --strict --strict -f a,b",
        ] {
            read(line).unwrap();
        }
    }

    #[test]
    fn flags_that_would_change_the_output_are_refused_by_name() {
        for flag in ["--dependency-update", "--verify", "--enable-dns", "--validate", "--post-renderer=x"] {
            let read = Cli::try_parse_from(["pintle", "template", "a", flag]);
            let name = flag.split('=').next().unwrap();
            let text = read.unwrap_err().to_string();
            assert!(text.starts_with(&format!("error: {name} is not supported: ")), "{text}");
        }
    }
}
