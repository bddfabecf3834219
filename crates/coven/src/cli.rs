//! The command line: what is asked for, and the exit code.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{self, Loaded, Overrides, Role};
use crate::{run, stores};

/// Group chat for XMPP: MUC and MIX on the same channels.
#[derive(Debug, Parser)]
#[command(name = "coven", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the service until SIGTERM or SIGINT; a second signal ends it at once.
    Serve {
        #[command(flatten)]
        file: ConfigFile,
        /// What this process does, whatever the file says: all, node or front.
        #[arg(long, value_name = "ROLE")]
        role: Option<Role>,
    },
    /// Says whether the configuration is right, or what is wrong and where.
    CheckConfig {
        #[command(flatten)]
        file: ConfigFile,
        /// What the process is to do, whatever the file says: all, node or front.
        #[arg(long, value_name = "ROLE")]
        role: Option<Role>,
    },
    /// Asks a process, or has something done: docs/admin.md.
    Admin(crate::admin::client::Arguments),
    /// Reads all of a store in a file and says what is damaged; not while the service runs. Takes seconds per gigabyte.
    CheckStore {
        #[command(flatten)]
        file: ConfigFile,
    },
}

#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// The configuration file.
    #[arg(
        long,
        value_name = "FILE",
        env = "COVEN_CONFIG",
        default_value = "coven.toml"
    )]
    config: PathBuf,
}

/// Does what the command line asks for. Exit codes: 0 done, 1 failed, 2 something must be changed first.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve { file, role } => serve(&file.config, &Overrides { role }),
        Command::CheckConfig { file, role } => check_config(&file.config, &Overrides { role }),
        Command::Admin(arguments) => crate::admin::client::run(&arguments),
        Command::CheckStore { file } => check_store(&file.config),
    }
}

fn serve(file: &Path, overrides: &Overrides) -> ExitCode {
    let Loaded { config, warnings } = match load(file, overrides) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    crate::log::init(&config.log);
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    match run::serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("{failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn check_config(file: &Path, overrides: &Overrides) -> ExitCode {
    match load(file, overrides) {
        Ok(loaded) => {
            say_all(&loaded.warnings);
            // Nobody to tell when standard output is closed.
            let _ = writeln!(std::io::stdout(), "ok");
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

/// Exit code 1 if something is damaged, 2 if it cannot be looked at.
fn check_store(file: &Path) -> ExitCode {
    let Loaded { config, warnings } = match load(file, &Overrides::default()) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    say_all(&warnings);
    match stores::check_store(&config.store) {
        Ok(findings) if findings.is_empty() => {
            // Nobody to tell when standard output is closed.
            let _ = writeln!(std::io::stdout(), "ok");
            ExitCode::SUCCESS
        }
        Ok(findings) => {
            say_all(&findings);
            say_all([stores::DAMAGE_ADVICE]);
            ExitCode::FAILURE
        }
        Err(failure) => {
            say_all([&failure]);
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Errors: 2, after all problems were printed.
fn load(file: &Path, overrides: &Overrides) -> Result<Loaded, ExitCode> {
    let refuse = |problems: Vec<String>| {
        say_all(problems);
        ExitCode::from(2)
    };
    let environment = environment().map_err(|problem| refuse(vec![problem]))?;
    let loaded = config::load(file, environment, overrides);
    loaded.map_err(|problems| refuse(problems.iter().map(ToString::to_string).collect()))
}

/// All variables that have a name of ours.
///
/// Errors: one whose value is not text.
fn environment() -> Result<Vec<(String, String)>, String> {
    let mut ours = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else {
            continue;
        };
        if name.starts_with("COVEN_") {
            let value = value
                .into_string()
                .map_err(|_| format!("{name}: the value is not UTF-8"))?;
            ours.push((name, value));
        }
    }
    Ok(ours)
}

/// Prints one line each to standard error, before there is a log.
fn say_all(lines: impl IntoIterator<Item = impl std::fmt::Display>) {
    let mut out = std::io::stderr().lock();
    for line in lines {
        // Nobody to tell when standard error is closed.
        let _ = writeln!(out, "coven: {line}");
    }
}
