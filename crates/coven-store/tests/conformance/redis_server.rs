//! A real Redis for the suite: one for all cases, which ends with the process.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Ends its Redis when its input ends, which is when this process ends, however it does.
const WATCH: &str =
    r#"redis-server "$@" >/dev/null & redis=$!; read -r _; kill "$redis"; wait "$redis""#;

struct Server {
    url: String,
    _watch: Child,
}

/// Its address; `None`, said once, where no `redis-server` is installed. With `COVEN_REQUIRED` that is a failure.
pub(crate) fn url() -> Option<String> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER
        .get_or_init(start)
        .as_ref()
        .map(|server| server.url.clone())
}

#[allow(
    clippy::disallowed_methods,
    reason = "waits in a plain thread, where there is no runtime"
)]
fn start() -> Option<Server> {
    let found = Command::new("redis-server")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if found.is_err() {
        assert!(
            std::env::var_os("COVEN_REQUIRED").is_none(),
            "redis-server is not installed"
        );
        let _told = writeln!(
            std::io::stderr(),
            "redis-server is not installed: Redis is not tested"
        );
        return None;
    }
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let watch = Command::new("sh")
        .args([
            "-c",
            WATCH,
            "redis",
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
        ])
        .args(["--save", "", "--appendonly", "no", "--dir", "/tmp"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "redis-server does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    Some(Server {
        url: format!("redis://127.0.0.1:{port}/0"),
        _watch: watch,
    })
}
