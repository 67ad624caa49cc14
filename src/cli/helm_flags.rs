//! Flags of `helm` that mean the same here, and those that mean nothing here or are refused.
//!
//! A script that calls `helm template`, `lint`, `show` or `dependency list` keeps its flags. What has no effect on the
//! output of these commands in Helm has none here and is taken; what would have one, and is not there, is refused with
//! its name and the reason (src/DIFFERENCES.md lists them).

use std::marker::PhantomData;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::connect::Connection;

/// The cluster and namespace that Helm's settings name. No cluster is asked: only the namespace is looked up.
#[derive(Args, Clone, Debug, Default)]
pub struct GlobalArgs {
    /// Namespace of the release; default is $HELM_NAMESPACE, then the kubeconfig's, then `default`
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// The kubeconfig to look the namespace up in
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig to look the namespace up in
    #[arg(long, value_name = "NAME")]
    pub kube_context: Option<String>,
    /// Say on standard error which chart is read
    #[arg(long)]
    pub debug: bool,
    #[command(flatten)]
    foreign: Foreign<Global>,
}

impl GlobalArgs {
    /// What kubectl's flags say.
    pub fn of_connection(connection: &Connection) -> Self {
        GlobalArgs {
            namespace: connection.namespace.clone(),
            kubeconfig: connection.kubeconfig.clone(),
            kube_context: connection.context.clone(),
            ..GlobalArgs::default()
        }
    }

    /// The namespace a release would be in. A kubeconfig that cannot be read is as none, as in Helm.
    pub fn namespace(&self) -> String {
        let given = self.namespace.clone().filter(|name| !name.is_empty());
        let of_environment = || std::env::var("HELM_NAMESPACE").ok().filter(|name| !name.is_empty());
        let found = given.or_else(of_environment).or_else(|| self.namespace_of_kubeconfig());
        found.unwrap_or_else(|| "default".to_owned())
    }

    fn namespace_of_kubeconfig(&self) -> Option<String> {
        let kubeconfig = match &self.kubeconfig {
            Some(path) => kube::config::Kubeconfig::read_from(path),
            None => kube::config::Kubeconfig::read(),
        };
        let kubeconfig = kubeconfig.ok()?;
        let of_environment = || std::env::var("HELM_KUBECONTEXT").ok().filter(|name| !name.is_empty());
        let name = self.kube_context.clone().or_else(of_environment).or(kubeconfig.current_context)?;
        let context = kubeconfig.contexts.into_iter().find(|context| context.name == name)?;
        context.context?.namespace.filter(|name| !name.is_empty())
    }

    /// Writes a line as Helm's `--debug` does.
    pub fn say(&self, message: &str, field: &str, value: &str) {
        if self.debug {
            log_line("DEBUG", message, &[(field, value)]);
        }
    }
}

/// Writes a line to standard error as Helm's logs look.
pub fn log_line(level: &str, message: &str, fields: &[(&str, &str)]) {
    let mut line = format!("level={level} msg={}", log_text(message));
    for (name, value) in fields {
        line.push_str(&format!(" {name}={}", log_text(value)));
    }
    eprintln!("{line}");
}

/// A text as Go's `slog` writes it: quoted where it is empty or has a space, a quote, `=` or what does not print.
fn log_text(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '=') || !c.is_ascii() && !c.is_whitespace();
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    String::from_utf8_lossy(&crate::value::strconv::quote(text.as_bytes())).into_owned()
}

/// A table of Helm's flags that are not ours.
pub trait Table: Clone + std::fmt::Debug + Default {
    const FLAGS: &'static [Flag];
}

/// One of Helm's flags.
pub struct Flag {
    name: &'static str,
    short: Option<char>,
    takes: Takes,
    /// Why it is refused; `None` where it has no effect in Helm either.
    refused: Option<&'static str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    Value,
    /// A value behind `=`, or nothing.
    Perhaps,
}

const fn ignored(name: &'static str, takes: Takes) -> Flag {
    Flag { name, short: None, takes, refused: None }
}

const fn refused(name: &'static str, takes: Takes, why: &'static str) -> Flag {
    Flag { name, short: None, takes, refused: Some(why) }
}

/// What every command of Helm takes.
#[derive(Clone, Debug, Default)]
pub struct Global;

impl Table for Global {
    const FLAGS: &'static [Flag] = &[
        ignored("burst-limit", Takes::Value),
        ignored("color", Takes::Value),
        ignored("colour", Takes::Value),
        ignored("content-cache", Takes::Value),
        ignored("kube-apiserver", Takes::Value),
        ignored("kube-as-group", Takes::Value),
        ignored("kube-as-user", Takes::Value),
        ignored("kube-ca-file", Takes::Value),
        ignored("kube-insecure-skip-tls-verify", Takes::Nothing),
        ignored("kube-tls-server-name", Takes::Value),
        ignored("kube-token", Takes::Value),
        ignored("qps", Takes::Value),
        ignored("repository-cache", Takes::Value),
        ignored("repository-config", Takes::Value),
    ];
}

/// What `helm template` takes beside the flags that are ours.
#[derive(Clone, Debug, Default)]
pub struct Install;

impl Table for Install {
    const FLAGS: &'static [Flag] = &[
        ignored("atomic", Takes::Nothing),
        ignored("create-namespace", Takes::Nothing),
        ignored("description", Takes::Value),
        ignored("disable-openapi-validation", Takes::Nothing),
        ignored("force", Takes::Nothing),
        ignored("force-conflicts", Takes::Nothing),
        ignored("force-replace", Takes::Nothing),
        ignored("hide-notes", Takes::Nothing),
        Flag { short: Some('l'), ..ignored("labels", Takes::Value) },
        ignored("render-subchart-notes", Takes::Nothing),
        ignored("replace", Takes::Nothing),
        ignored("rollback-on-failure", Takes::Nothing),
        ignored("server-side", Takes::Nothing),
        ignored("skip-crds", Takes::Nothing),
        ignored("take-ownership", Takes::Nothing),
        ignored("timeout", Takes::Value),
        ignored("wait", Takes::Perhaps),
        ignored("wait-for-jobs", Takes::Nothing),
        refused("dependency-update", Takes::Nothing, "charts are rendered with the subcharts they bring"),
        refused("enable-dns", Takes::Nothing, "templates look nothing up"),
        refused(
            "post-renderer",
            Takes::Value,
            "no program is run: spec.postRenderers of a HelmRelease has Kustomize's patches and images",
        ),
        refused("post-renderer-args", Takes::Value, "no program is run"),
        refused("validate", Takes::Nothing, "no cluster is asked"),
    ];
}

/// What the commands that take a chart take beside the flags that are ours.
#[derive(Clone, Debug, Default)]
pub struct Provenance;

impl Table for Provenance {
    const FLAGS: &'static [Flag] =
        &[ignored("keyring", Takes::Value), refused("verify", Takes::Nothing, "signatures are not verified yet")];
}

/// Only `helm show values` has it.
#[derive(Clone, Debug, Default)]
pub struct JsonPath;

impl Table for JsonPath {
    const FLAGS: &'static [Flag] = &[refused("jsonpath", Takes::Value, "print all values and filter them elsewhere")];
}

/// The flags of a table: taken and forgotten, or refused.
#[derive(Clone, Debug, Default)]
pub struct Foreign<T>(PhantomData<T>);

impl<T: Table> Args for Foreign<T> {
    fn augment_args(command: Command) -> Command {
        T::FLAGS.iter().fold(command, |command, flag| {
            let arg = Arg::new(flag.name).long(flag.name).hide(true);
            let arg = match flag.short {
                Some(short) => arg.short(short),
                None => arg,
            };
            command.arg(match flag.takes {
                Takes::Nothing => arg.action(ArgAction::SetTrue),
                Takes::Value => arg.action(ArgAction::Append),
                Takes::Perhaps => arg.action(ArgAction::Append).num_args(0..=1).require_equals(true),
            })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<T: Table> FromArgMatches for Foreign<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        for flag in T::FLAGS {
            let is_given = match flag.takes {
                Takes::Nothing => matches.get_flag(flag.name),
                Takes::Value | Takes::Perhaps => matches.contains_id(flag.name),
            };
            if let Some(why) = flag.refused.filter(|_| is_given) {
                let text = format!("--{} is not supported: {why}\n", flag.name);
                return Err(clap::Error::raw(ErrorKind::InvalidValue, text));
            }
        }
        Ok(Foreign(PhantomData))
    }

    fn update_from_arg_matches(&mut self, _: &ArgMatches) -> Result<(), clap::Error> {
        Ok(())
    }
}

/// The commands whose flags are read as Go reads them.
const COMMANDS: [&str; 4] = ["template", "lint", "show", "dependency"];

/// Makes the commands of Helm read flags as Go's do: one that is given twice counts the last time, and a value may
/// begin with a dash.
pub fn as_go_reads(command: Command) -> Command {
    fn adapt(command: Command) -> Command {
        let names: Vec<String> = command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
        let command = command.args_override_self(true).mut_args(|arg| {
            let takes_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
            if takes_value && !arg.is_positional() { arg.allow_hyphen_values(true) } else { arg }
        });
        names.into_iter().fold(command, |command, name| command.mut_subcommand(name, adapt))
    }
    COMMANDS.into_iter().fold(command, |command, name| command.mut_subcommand(name, adapt))
}

/// The arguments with Go's `--flag=true` and `--flag=false` as clap knows them: the flag, or nothing.
pub fn with_plain_flags(command: &Command, arguments: Vec<std::ffi::OsString>) -> Vec<std::ffi::OsString> {
    let named = arguments.get(1).and_then(|name| name.to_str()).filter(|name| COMMANDS.contains(name));
    let Some(first) = named.and_then(|name| command.find_subcommand(name)) else { return arguments };
    let commands: Vec<&Command> = std::iter::once(first).chain(first.get_subcommands()).collect();
    let is_flag = |name: &str| {
        let mut args = commands.iter().flat_map(|command| command.get_arguments());
        args.any(|arg| arg.get_long() == Some(name) && matches!(arg.get_action(), ArgAction::SetTrue))
    };
    let plain = |argument: std::ffi::OsString| {
        let parts = argument.to_str().and_then(|text| text.strip_prefix("--")?.split_once('='));
        match parts.filter(|(name, _)| is_flag(name)) {
            Some((name, "1" | "t" | "T" | "TRUE" | "true" | "True")) => Some(format!("--{name}").into()),
            Some((_, "0" | "f" | "F" | "FALSE" | "false" | "False")) => None,
            Some(_) | None => Some(argument),
        }
    };
    arguments.into_iter().filter_map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_texts_are_quoted_as_by_slog() {
        for (text, line) in [("plain", "plain"), ("", "\"\""), ("a b", "\"a b\""), ("a=\"", "\"a=\\\"\""), ("ä", "ä")]
        {
            assert_eq!(log_text(text), line);
        }
    }
}
