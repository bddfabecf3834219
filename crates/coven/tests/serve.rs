//! The real binary as a service: how it starts, what it answers, how it ends.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

/// What a test waits for at most.
const PATIENCE: Duration = Duration::from_secs(90);

/// A configuration that logs all there is, with one upstream.
fn config(upstream: SocketAddr) -> String {
    format!(
        "[[domain]]\nname = 'chat.localhost'\n\
         [[upstream]]\naddress = '{upstream}'\ndomains = ['chat.localhost']\nsecret = 'canary'\n\
         [http]\nlisten = '127.0.0.1:0'\n[log]\nformat = 'json'\nlevel = 'trace'\n"
    )
}

/// A running coven. Killed when dropped.
struct Coven {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<Value>,
}

impl Coven {
    fn start(folder: &TempDir, config: &str) -> Self {
        let file = folder.path().join("coven.toml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_coven"));
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("COVEN_"))
        {
            command.env_remove(name);
        }
        command
            .arg("serve")
            .arg("--config")
            .arg(&file)
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = lines(child.stderr.take().unwrap());
        Self {
            child,
            lines,
            seen: Vec::new(),
        }
    }

    /// Waits for a log line that fits.
    fn line(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        if let Some(line) = self.seen.iter().find(|line| fits(line)) {
            return line.clone();
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self
                .lines
                .recv_timeout(left)
                .unwrap_or_else(|_| panic!("no {what} in {:#?}", self.seen));
            assert!(!line.contains("canary"), "a secret in the log: {line}");
            let line: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
            self.seen.push(line.clone());
            if fits(&line) {
                return line;
            }
        }
    }

    fn event(&mut self, name: &str) -> Value {
        self.line(name, |line| line["event"] == name)
    }

    fn error(&mut self) -> String {
        let line = self.line("error", |line| line["level"] == "ERROR");
        line["message"].as_str().unwrap().to_owned()
    }

    /// Where it serves HTTP.
    fn http(&mut self) -> SocketAddr {
        let line = self.line("HTTP", |line| line["message"] == "serving HTTP");
        line["address"].as_str().unwrap().parse().unwrap()
    }

    /// Waits for an answer of `/readyz` that fits.
    fn readiness(&self, http: SocketAddr, fits: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (status, body) = get(http, "/readyz");
            let body: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(status == 200, body["ready"] == true, "{status} {body}");
            if fits(&body) {
                return body;
            }
            assert!(Instant::now() < deadline, "{body}");
            // A pause between two questions.
            let _ = self.lines.recv_timeout(Duration::from_millis(20));
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([name, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    fn ends(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            // Ends when the log does, or after a moment.
            let _ = self.lines.recv_timeout(Duration::from_millis(20));
        }
        panic!("it does not end: {:#?}", self.seen);
    }
}

impl Drop for Coven {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(from: ChildStderr) -> Receiver<String> {
    let (send, receive) = sync_channel(100_000);
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines() {
            let Ok(line) = line else { return };
            if send.send(line).is_err() {
                return;
            }
        }
    });
    receive
}

/// Status and body of an answer to a GET.
fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

/// An address where nothing listens: none that somebody else could be given.
fn nobody() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 1))
}

/// An XMPP server that answers each handshake with `answer`, and nothing else.
fn server(answer: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // What happens to one connection is shown by the next.
            let _ = stream.and_then(|stream| shake_hands(stream, &answer));
        }
    });
    address
}

fn shake_hands(mut stream: TcpStream, answer: &str) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    let _header = stream.read(&mut buffer)?;
    let header = "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' \
        xmlns:stream='http://etherx.jabber.org/streams' id='1' from='chat.localhost'>";
    stream.write_all(header.as_bytes())?;
    let _handshake = stream.read(&mut buffer)?;
    stream.write_all(answer.as_bytes())?;
    while stream.read(&mut buffer)? > 0 {}
    Ok(())
}

fn refusal(condition: &str) -> String {
    format!(
        "<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
    )
}

#[test]
fn without_an_upstream_it_waits_and_ends_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let mut coven = Coven::start(&folder, &config(nobody()));
    let http = coven.http();
    assert_eq!(get(http, "/livez").0, 200);
    assert_eq!(get(http, "/readyz").0, 503);
    coven.event("upstream-down");
    let body = coven.readiness(http, |body| {
        body["reasons"][0] != "starting" && !body.to_string().contains(": starting")
    });
    let reason = body["reasons"][0].as_str().unwrap();
    assert!(
        reason.starts_with("upstream chat.localhost at 127.0.0.1:"),
        "{body}"
    );
    assert!(reason.ends_with(": connection refused"), "{body}");
    assert_eq!(get(http, "/nothing").0, 404);
    coven.signal("-TERM");
    coven.event("draining");
    coven.event("drained");
    let draining = |line: &&Value| line["event"] == "draining";
    let at = coven.seen.iter().position(|line| draining(&line)).unwrap();
    let (before, end) = coven.seen.split_at(at);
    assert_eq!(before.iter().chain(end).filter(draining).count(), 1);
    assert!(
        end.iter().all(|line| line["level"] == "INFO"),
        "an ordinary end is nothing to be warned of: {end:?}"
    );
    assert_eq!(coven.ends().code(), Some(0));
}

#[test]
fn sigint_ends_it_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut coven = Coven::start(&folder, &config(nobody()));
    coven.http();
    coven.signal("-INT");
    assert_eq!(coven.ends().code(), Some(0));
}

#[test]
fn a_taken_port_is_said_with_exit_code_2() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = config(nobody()).replace("'127.0.0.1:0'", &format!("'{address}'"));
    let mut coven = Coven::start(&folder, &config);
    let expected = format!(
        "{address} is in use by another process: stop that one, or give [http] listen another address"
    );
    assert_eq!(coven.error(), expected);
    assert_eq!(coven.ends().code(), Some(2));
}

#[test]
fn a_store_in_use_is_said_with_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Coven::start(&folder, &config(nobody()));
    first.http();
    let mut second = Coven::start(&folder, &config(nobody()));
    let error = second.error();
    assert!(
        error.contains("coven.db is in use by another process: stop that one, or give [store] url"),
        "{error}"
    );
    assert_eq!(second.ends().code(), Some(2));
    first.signal("-TERM");
    assert_eq!(first.ends().code(), Some(0));
}

#[test]
fn another_number_of_shards_is_said_with_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Coven::start(&folder, &config(nobody()));
    first.http();
    first.signal("-TERM");
    assert_eq!(first.ends().code(), Some(0));
    let mut second = Coven::start(
        &folder,
        &format!("{}[store]\nshards = 16\n", config(nobody())),
    );
    let error = second.error();
    assert!(
        error.contains("coven.db cannot be used: ") && error.contains("shards"),
        "{error}"
    );
    assert_eq!(second.ends().code(), Some(2));
}

#[test]
fn s_63_a_secret_that_nobody_accepts_ends_it_with_exit_code_2() {
    let words = [
        ("not-authorized", "secret not accepted"),
        ("host-unknown", "domain not known to the server"),
    ];
    for (condition, words) in words {
        let folder = tempfile::tempdir().unwrap();
        let mut coven = Coven::start(&folder, &config(server(refusal(condition))));
        let error = coven.error();
        assert!(error.starts_with("no upstream accepts coven: "), "{error}");
        assert!(
            error.contains("chat.localhost") && error.contains(words),
            "{error}"
        );
        assert_eq!(coven.ends().code(), Some(2));
    }
}

#[test]
fn an_attached_process_is_ready_until_it_drains() {
    let folder = tempfile::tempdir().unwrap();
    let mut coven = Coven::start(&folder, &config(server("<handshake/>".to_owned())));
    let http = coven.http();
    coven.event("upstream-up");
    coven.event("ready");
    assert_eq!(
        get(http, "/readyz"),
        (200, r#"{"ready":true,"reasons":[]}"#.to_owned())
    );
    let (status, metrics) = get(http, "/metrics");
    assert_eq!(status, 200);
    for line in [
        "coven_connection_up{connection=\"main/",
        "coven_store_up 1\n",
        "coven_front_answers_lost_total 0\n",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    coven.signal("-TERM");
    coven.event("draining");
    // The server never answers the barrier, so the drain takes a moment.
    let body = coven.readiness(http, |body| body["ready"] == false);
    assert_eq!(body["reasons"][0], "draining", "{body}");
    assert_eq!(coven.ends().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut coven = Coven::start(&folder, &config(server("<handshake/>".to_owned())));
    coven.event("upstream-up");
    coven.signal("-TERM");
    coven.event("draining");
    coven.signal("-TERM");
    let error = coven.error();
    assert_eq!(
        error,
        "ended before everything was drained: a second signal came; what was committed is not lost"
    );
    assert_eq!(coven.ends().code(), Some(1));
}
