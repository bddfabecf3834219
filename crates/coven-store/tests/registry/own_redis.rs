//! A real Redis for one case, that may be filled up and started anew.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Ends its Redis when its input ends.
const WATCH: &str =
    r#"redis-server "$@" >/dev/null & redis=$!; read -r _; kill -9 "$redis"; wait "$redis""#;

pub(crate) struct Own {
    port: u16,
    watch: Child,
}

/// `None` where there is no Redis to be had.
pub(crate) fn own() -> Option<Own> {
    super::redis_server::url()?;
    Some(Own::start(super::redis_server::free_port()))
}

impl Own {
    fn start(port: u16) -> Self {
        let watch = Command::new("sh")
            .args(["-c", WATCH, "redis", "--port", &port.to_string()])
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--dir", "/tmp"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        Self { port, watch }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Ends it, and starts an empty one in its place.
    pub(crate) fn restart(self) -> Self {
        let port = self.port;
        drop(self);
        Self::start(port)
    }

    /// The answer to a command, in words; `None` when it is refused.
    pub(crate) async fn command(&self, words: &[&str]) -> Option<String> {
        let port = self.port.to_string();
        let output = Command::new("redis-cli")
            .args(["-p", &port, "-e"])
            .args(words)
            .output()
            .unwrap();
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.success().then_some(answer)
    }

    /// Waits until it takes connections.
    pub(crate) async fn ready(self) -> Self {
        for _ in 0..3000 {
            if self.command(&["PING"]).await.is_some() {
                return self;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("redis-server does not start");
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        drop(self.watch.stdin.take());
        let _ended = self.watch.wait();
    }
}
