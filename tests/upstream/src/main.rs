//! An XMPP server for tests of faults, and what belongs to it: histories, their checker, a proxy that can be cut.
//!
//! `serve` plays the servers that components attach to (XEP-0114) and thousands of their users, as far as a group chat
//! service can tell. `check` reads what these users wrote down and says what went wrong. `proxy` stands between two
//! processes and cuts or swallows what they say. It does not start processes and orders no faults: `tests/cluster`
//! does.
//!
//! Read next: `world.rs` for the server, `client.rs` for its users, `history.rs` for what they write down, `check` for
//! what is made of it, `proxy.rs`.

mod archive;
mod attach;
mod check;
mod client;
mod control;
mod deliver;
mod history;
mod load;
mod proxy;
mod serve;
mod stream;
mod tag;
mod world;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// An XMPP server for tests of faults.
#[derive(Debug, Parser)]
#[command(name = "coven-upstream")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play XMPP servers and their users. Prints its addresses as one line of JSON and takes orders on a TCP port.
    Serve(serve::Options),
    /// Check the histories in a folder. The exit code is 1 if there is a violation.
    Check {
        /// The folder that `serve` wrote.
        #[arg(long)]
        history: PathBuf,
        /// Write the report there too.
        #[arg(long)]
        report: Option<PathBuf>,
    },
    /// Stand between processes. Prints its control port as one line of JSON and takes orders there.
    Proxy,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Serve(options) => run(serve::run(options)).map(|()| true),
        Command::Proxy => run(proxy::run()).map(|()| true),
        Command::Check { history, report } => check::run(&history, report.as_deref()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("coven-upstream: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs a service on this thread alone: what it does stays in one order.
fn run(service: impl Future<Output = std::io::Result<()>>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(tokio::task::LocalSet::new().run_until(service))
}
