//! `coven admin`: asks a process of the cluster, and shows what it says.
//!
//! Exit codes: 0 done, 1 refused, 2 usage, 3 unreachable (design §9). HTTP without encryption: the address is one on this
//! machine, or of a network that is trusted.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use serde_json::Value;

/// How long each step of asking may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// No answer is longer: 65,535 shards with their owners are less.
const MAX_ANSWER: u64 = 32 * 1024 * 1024;

/// What is asked, and of whom.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A process of coven: the address of its `[http]`.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8088")]
    url: String,
    /// The file that `[http] admin-token-file` names there.
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
    /// Show the answer as it comes.
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// All nodes, and how many shards they have.
    Nodes,
    /// All front-ends, and the connections that they hold.
    Fronts,
    /// All shards, and who has them.
    Shards,
    /// Where a channel is, and its newest sequence.
    Where {
        /// Its address.
        channel: String,
    },
    /// A node or a front-end gives up what it has, and takes nothing.
    Drain {
        /// Its address, or how its id begins.
        process: String,
    },
    /// It takes again.
    Undrain {
        /// Its address, or how its id begins.
        process: String,
    },
    /// A shard belongs to a node as long as that is there.
    MoveShard {
        /// The shard.
        shard: u16,
        /// Its address, or how its id begins.
        node: String,
    },
    /// The store that this process finds is the right one, though it is another than before.
    AcceptStore,
    /// Channels in which nothing is done: everything is answered with an error.
    Quarantine {
        #[command(subcommand)]
        what: Quarantine,
    },
    /// The newest format is written from now on: no version that cannot read it can be started again. Refused while one is there.
    FinalizeUpgrade,
    /// The service ends for good: everybody is out of every room and is told so, then the process ends. Only of role all. To
    /// restart it, or to stop it for a while, send SIGTERM: then nobody leaves.
    Shutdown {
        /// It is meant.
        #[arg(long = "final")]
        is_final: bool,
    },
}

#[derive(Debug, Subcommand)]
enum Quarantine {
    /// Those that operators have put there, and those that the node which is asked has.
    List,
    /// A channel goes there.
    Set {
        /// Its address.
        channel: String,
    },
    /// A channel comes back, from what is stored of it.
    Lift {
        /// Its address.
        channel: String,
    },
}

impl Command {
    fn request(&self) -> (&'static str, String) {
        match self {
            Self::Nodes => ("GET", "nodes".to_owned()),
            Self::Fronts => ("GET", "fronts".to_owned()),
            Self::Shards => ("GET", "shards".to_owned()),
            Self::Where { channel } => ("GET", format!("where/{}", escaped(channel))),
            Self::Drain { process } => ("POST", format!("drain/{}", escaped(process))),
            Self::Undrain { process } => ("POST", format!("undrain/{}", escaped(process))),
            Self::MoveShard { shard, node } => {
                ("POST", format!("move-shard/{shard}/{}", escaped(node)))
            }
            Self::AcceptStore => ("POST", "accept-store".to_owned()),
            Self::Quarantine { what } => match what {
                Quarantine::List => ("GET", "quarantine".to_owned()),
                Quarantine::Set { channel } => ("POST", format!("quarantine/{}", escaped(channel))),
                Quarantine::Lift { channel } => ("POST", format!("lift/{}", escaped(channel))),
            },
            Self::FinalizeUpgrade => ("POST", "finalize-upgrade".to_owned()),
            Self::Shutdown { .. } => ("POST", "shutdown/final".to_owned()),
        }
    }

    /// What is wrong with it, if anything.
    const fn wrong(&self) -> Option<&'static str> {
        match self {
            Self::Shutdown { is_final: false } => Some(
                "shutdown is for good, and everybody has to join again: say --final; to stop or restart, send SIGTERM",
            ),
            _ => None,
        }
    }
}

/// Asks, and shows the answer.
#[must_use]
pub fn run(arguments: &Arguments) -> ExitCode {
    if let Some(wrong) = arguments.command.wrong() {
        return failed(2, wrong);
    }
    let token = match std::fs::read_to_string(&arguments.token_file) {
        Ok(token) => token.trim().to_owned(),
        Err(error) => return failed(2, &format!("{}: {error}", arguments.token_file.display())),
    };
    let Some(host) = host(&arguments.url) else {
        return failed(2, "--url is http://HOST:PORT");
    };
    let (status, body) = match ask(host, &token, arguments.command.request()) {
        Ok(answer) => answer,
        Err(error) => return failed(3, &format!("{host} cannot be asked: {error}")),
    };
    let value: Value = serde_json::from_str(&body).unwrap_or(Value::Null);
    if status != 200 {
        let why = value.get("error").and_then(Value::as_str);
        return failed(1, why.unwrap_or("refused: is admin-token-file set there?"));
    }
    let text = match arguments.json {
        true => body,
        false => table(&value),
    };
    // Nobody to tell when standard output is closed.
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn failed(code: u8, why: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "coven: {why}");
    ExitCode::from(code)
}

/// Host and port.
fn host(url: &str) -> Option<&str> {
    let host = url.strip_prefix("http://")?.trim_end_matches('/');
    let fits = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    (host.contains(':') && host.chars().all(fits)).then_some(host)
}

/// A part of a path.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~@:".contains(&byte) {
            all.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(all, "%{byte:02X}");
        }
        all
    })
}

/// Status and body of the answer.
fn ask(host: &str, token: &str, (method, path): (&str, String)) -> io::Result<(u16, String)> {
    let mut tried = Err(io::ErrorKind::NotFound.into());
    for address in host.to_socket_addrs()? {
        tried = TcpStream::connect_timeout(&address, PATIENCE);
        if tried.is_ok() {
            break;
        }
    }
    let mut stream = tried?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let asked = format!(
        "{method} /admin/{path} HTTP/1.0\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(asked.as_bytes())?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer)?;
    parsed(&answer).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn parsed(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// A list as a table, something else line by line.
fn table(value: &Value) -> String {
    let Value::Array(rows) = value else {
        return lines(value);
    };
    let Some(Value::Object(first)) = rows.first() else {
        return "none\n".to_owned();
    };
    let names: Vec<&str> = first.keys().map(String::as_str).collect();
    let mut cells = vec![
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>(),
    ];
    for row in rows {
        let cell = |name: &&str| row.get(*name).map(cell).unwrap_or_default();
        cells.push(names.iter().map(cell).collect());
    }
    let width = |column: usize| {
        let widths = cells.iter().filter_map(|row| row.get(column));
        widths
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..names.len()).map(width).collect();
    let mut text = String::new();
    for row in &cells {
        let padded = row.iter().zip(&widths);
        let line: Vec<String> = padded
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn lines(value: &Value) -> String {
    let Value::Object(fields) = value else {
        return format!("{value}\n");
    };
    let line = |(name, value): (&String, &Value)| format!("{name}: {}\n", cell(value));
    fields.iter().map(line).collect()
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(","),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use serde_json::json;

    #[test]
    fn urls_have_host_and_port() {
        assert_eq!(host("http://127.0.0.1:8088/"), Some("127.0.0.1:8088"));
        assert_eq!(host("http://[::1]:1"), Some("[::1]:1"));
        for wrong in [
            "127.0.0.1:1",
            "https://h:1",
            "http://h",
            "http://h:1/x",
            "http://h:1\r\nx",
        ] {
            assert_eq!(host(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_cannot_break_out_of_the_path() {
        assert_eq!(escaped("room@chat.localhost"), "room@chat.localhost");
        assert_eq!(escaped("a/b ?\r\n"), "a%2Fb%20%3F%0D%0A");
    }

    #[test]
    fn answers_are_tables_or_lines() {
        let rows = json!([{"a": "long", "b": 1}, {"a": null, "b": ["x", "y"]}]);
        assert_eq!(table(&rows), "a     b\nlong  1\n-     x,y\n");
        assert_eq!(table(&json!([])), "none\n");
        assert_eq!(table(&json!({"shard": 7})), "shard: 7\n");
        assert_eq!(
            parsed("HTTP/1.0 404 Not Found\r\na: b\r\n\r\n{}").unwrap(),
            (404, "{}".to_owned())
        );
    }
}
