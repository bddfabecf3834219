//! Real Redis servers: one, one with a replica and Sentinels, and a cluster, each for all cases of the suite that use it;
//! and servers of a case's own, to be stopped and emptied.
//!
//! What all cases share ends when the input of its shell ends, which is when this process ends, however it does.
#![allow(dead_code, reason = "each suite uses some of it")]
#![allow(
    clippy::disallowed_methods,
    reason = "real servers take real time; there is no runtime here"
)]

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Ends its servers when its input ends. Arguments: the program, then its own.
const WATCH: &str = r#""$@" >/dev/null & server=$!; read -r _; kill "$server"; wait "$server""#;

/// Servers that all cases share.
struct Shared {
    url: String,
    _watches: Vec<Child>,
    _folder: TempDir,
}

/// The address of a single server; `None`, said once, where no `redis-server` is installed. With `COVEN_REQUIRED` that
/// is a failure.
pub(crate) fn url() -> Option<String> {
    static SERVER: OnceLock<Option<Shared>> = OnceLock::new();
    let start = || {
        let folder = tempfile::tempdir().unwrap();
        let (watch, port) = shared_server(folder.path(), &[]);
        shared(format!("redis://127.0.0.1:{port}/0"), vec![watch], folder)
    };
    of(&SERVER, start)
}

/// The address of a primary with a replica, that Sentinels name.
pub(crate) fn sentinel_url() -> Option<String> {
    static SERVERS: OnceLock<Option<Shared>> = OnceLock::new();
    let start = || {
        let folder = tempfile::tempdir().unwrap();
        let (primary, port) = shared_server(folder.path(), &[]);
        let of_primary = ["--replicaof", "127.0.0.1", &port.to_string()];
        let (replica, _) = shared_server(folder.path(), &of_primary);
        let until = Instant::now() + Duration::from_secs(60);
        while !ask(port, &["INFO", "replication"]).contains("state=online") {
            wait_until(until, "the replica");
        }
        let (sentinel, at) = sentinel(folder.path(), port, 30_000);
        shared(
            format!("redis+sentinel://127.0.0.1:{at}/coven"),
            vec![primary, replica, sentinel],
            folder,
        )
    };
    of(&SERVERS, start)
}

/// The address of a cluster of three primaries.
pub(crate) fn cluster_url() -> Option<String> {
    static SERVERS: OnceLock<Option<Shared>> = OnceLock::new();
    let start = || {
        let folder = tempfile::tempdir().unwrap();
        let (mut watches, mut hosts) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let (watch, port) = shared_server(folder.path(), &["--cluster-enabled", "yes"]);
            watches.push(watch);
            hosts.push(format!("127.0.0.1:{port}"));
        }
        let made = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(&hosts)
            .arg("--cluster-yes")
            .stdout(Stdio::null())
            .status();
        assert!(made.unwrap().success(), "no cluster was made");
        let until = Instant::now() + Duration::from_secs(30);
        for host in &hosts {
            let port = host.rsplit(':').next().unwrap().parse().unwrap();
            while !ask(port, &["CLUSTER", "INFO"]).contains("cluster_state:ok") {
                wait_until(until, "the cluster");
            }
        }
        let url = format!("redis+cluster://{}", hosts.join(","));
        shared(url, watches, folder)
    };
    of(&SERVERS, start)
}

/// A server of a case's own, with an append-only file. Ends with it.
pub(crate) struct Own {
    pub(crate) port: u16,
    pub(crate) folder: TempDir,
    more: Vec<String>,
    process: Option<Child>,
}

impl Own {
    /// `None` where no `redis-server` is installed.
    pub(crate) fn start(more: &[&str]) -> Option<Self> {
        is_installed().then(|| {
            let mut server = Self {
                port: free_port(),
                folder: tempfile::tempdir().unwrap(),
                more: more.iter().map(|&it| it.to_owned()).collect(),
                process: None,
            };
            server.start_again();
            server
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    pub(crate) fn start_again(&mut self) {
        let started = Command::new("redis-server")
            .args(arguments(self.port, self.folder.path()))
            .args(["--appendonly", "yes"])
            .args(&self.more)
            .stdout(Stdio::null())
            .spawn();
        self.process = Some(started.unwrap());
        wait_for(self.port);
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Its answer to one command, as `redis-cli` prints it.
    pub(crate) fn ask(&self, command: &[&str]) -> String {
        ask(self.port, command)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sentinels that watch a primary of a case's own, and judge it dead after `down_ms`. Ends with the process.
pub(crate) fn sentinel(folder: &Path, primary: u16, down_ms: u32) -> (Child, u16) {
    let port = free_port();
    let file = folder.join(format!("sentinel{port}.conf"));
    let text = format!(
        "port {port}\nbind 127.0.0.1\nsentinel monitor coven 127.0.0.1 {primary} 1\n\
         sentinel down-after-milliseconds coven {down_ms}\nsentinel failover-timeout coven 6000\n"
    );
    std::fs::write(&file, text).unwrap();
    let watch = watched(&["redis-sentinel", file.to_str().unwrap()]);
    wait_for(port);
    (watch, port)
}

fn of(servers: &OnceLock<Option<Shared>>, start: impl FnOnce() -> Shared) -> Option<String> {
    let servers = servers.get_or_init(|| is_installed().then(start));
    servers.as_ref().map(|servers| servers.url.clone())
}

const fn shared(url: String, watches: Vec<Child>, folder: TempDir) -> Shared {
    Shared {
        url,
        _watches: watches,
        _folder: folder,
    }
}

fn is_installed() -> bool {
    let found = Command::new("redis-server")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if found.is_ok() {
        return true;
    }
    assert!(
        std::env::var_os("COVEN_REQUIRED").is_none(),
        "redis-server is not installed"
    );
    static TOLD: OnceLock<()> = OnceLock::new();
    TOLD.get_or_init(|| {
        let _told = writeln!(
            std::io::stderr(),
            "redis-server is not installed: Redis is not tested"
        );
    });
    false
}

fn shared_server(folder: &Path, more: &[&str]) -> (Child, u16) {
    let port = free_port();
    let folder = folder.join(port.to_string());
    std::fs::create_dir(&folder).unwrap();
    let arguments = arguments(port, &folder);
    let mut words = vec!["redis-server"];
    words.extend(arguments.iter().map(String::as_str));
    words.extend(["--appendonly", "no"]);
    words.extend(more);
    let watch = watched(&words);
    wait_for(port);
    (watch, port)
}

fn arguments(port: u16, folder: &Path) -> Vec<String> {
    let (port, folder) = (port.to_string(), folder.to_str().unwrap());
    let pairs = [
        ("--port", port.as_str()),
        ("--bind", "127.0.0.1"),
        ("--save", ""),
        ("--dir", folder),
        ("--repl-diskless-sync-delay", "0"),
    ];
    let words = pairs.iter().flat_map(|(name, value)| [*name, *value]);
    words.map(str::to_owned).collect()
}

fn watched(words: &[&str]) -> Child {
    Command::new("sh")
        .args(["-c", WATCH, "watch"])
        .args(words)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The answer of a server to one command, as `redis-cli` prints it.
pub(crate) fn ask(port: u16, command: &[&str]) -> String {
    let output = Command::new("redis-cli")
        .args(["-p", &port.to_string()])
        .args(command)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A port for a server. Not one of those that the kernel gives to connections: one of these may be somebody's when the server
/// wants to listen on it (again). Each is given once.
pub(crate) fn free_port() -> u16 {
    static PORTS: Mutex<Ports> = Mutex::new(Ports {
        left: 0..0,
        names: Vec::new(),
    });
    let mut ports = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        match ports.left.next() {
            // A member of a cluster also listens 10,000 above.
            Some(port) if is_free(port) && is_free(port + 10_000) => return port,
            Some(_) => {}
            None => ports.take_block(),
        }
    }
}

/// Ports of this process.
struct Ports {
    left: Range<u16>,
    /// A block is ours as long as a socket has its name: test runs beside this one have others.
    names: Vec<UnixDatagram>,
}

impl Ports {
    fn take_block(&mut self) {
        const BLOCK: u16 = 100;
        // Runs that begin together begin in different places.
        let start = u16::try_from(std::process::id() % 100).unwrap();
        let firsts = (0..100).map(|n| 10_000 + (start + n) % 100 * BLOCK);
        let taken = firsts.into_iter().find_map(|first| {
            let name = format!("coven-test-ports-{first}");
            let name = SocketAddr::from_abstract_name(name).unwrap();
            Some((first, UnixDatagram::bind_addr(&name).ok()?))
        });
        let (first, name) = taken.expect("all ports are taken by other test runs");
        self.names.push(name);
        self.left = first..first + BLOCK;
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("0.0.0.0", port)).is_ok()
}

fn wait_for(port: u16) {
    let until = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        wait_until(until, "a server");
    }
}

pub(crate) fn wait_until(until: Instant, what: &str) {
    assert!(Instant::now() < until, "{what} does not come");
    std::thread::sleep(Duration::from_millis(20));
}
