//! A proxy between two processes that can be told to fail.
//!
//! Owns the ways (`open` gives each a port of its own) and their states. `heal`: bytes pass. `swallow`: connections stay
//! and are accepted, and no byte passes, as where a router drops everything. `cut`: connections are broken and new ones
//! are closed at once. Orders are lines of JSON on the control port: `{"order": "open", "name": N, "to": ADDRESS}` and
//! `{"order": "heal" | "swallow" | "cut", "name": N, "pid": P}`, `{"order": "quit"}`; with a process id only the
//! connections of that process fail. Bytes that were swallowed are held and pass after healing, as TCP would send them
//! again.

use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Swallowing,
    Cut,
}

/// The state of a way, and whose connections it is for; `None`: everybody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Order {
    state: State,
    process: Option<u64>,
}

impl Order {
    /// The state of the connection that comes from that port.
    fn of(self, port: u16) -> State {
        match self.process {
            Some(process) if !has_port(process, port) => State::Open,
            _ => self.state,
        }
    }
}

/// Whether a process has a socket with that port: its sockets are named by inode, which the kernel's table has by port.
fn has_port(process: u64, port: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let inode = table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace();
        let own = fields.nth(1)?.rsplit(':').next()?;
        (u16::from_str_radix(own, 16).ok()? == port).then_some(fields.nth(7)?)
    });
    let Some(inode) = inode else { return false };
    let wanted = format!("socket:[{inode}]");
    let files = std::fs::read_dir(format!("/proc/{process}/fd"));
    let mut targets = files.into_iter().flatten().flatten();
    targets.any(|file| {
        std::fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == wanted.as_str())
    })
}

type Ways = Rc<RefCell<BTreeMap<String, watch::Sender<Order>>>>;

const READ_BYTES: usize = 64 * 1024;

/// Stands between until the order to quit.
///
/// # Errors
///
/// There is no port.
pub(crate) async fn run() -> io::Result<()> {
    let orders = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", json!({"control": orders.local_addr()?.to_string()}));
    let ways = Ways::default();
    loop {
        let (socket, _) = orders.accept().await?;
        let (reader, mut writer) = socket.into_split();
        let mut lines = BufReader::new(reader).lines();
        while let Some(line) = lines.next_line().await? {
            let order: Value = serde_json::from_str(&line).unwrap_or_default();
            let answer = follow(&ways, &order).await;
            let answer =
                answer.unwrap_or_else(|error| json!({"ok": false, "error": error.to_string()}));
            writer.write_all(format!("{answer}\n").as_bytes()).await?;
            if word(&order, "order") == "quit" {
                return Ok(());
            }
        }
    }
}

async fn follow(ways: &Ways, order: &Value) -> io::Result<Value> {
    let name = word(order, "name");
    let state = match word(order, "order") {
        "open" => return open(ways, name, word(order, "to")).await,
        "quit" => return Ok(json!({"ok": true})),
        "heal" => State::Open,
        "swallow" => State::Swallowing,
        "cut" => State::Cut,
        other => return Err(io::Error::other(format!("there is no order {other:?}"))),
    };
    let ways = ways.borrow();
    let way = ways
        .get(name)
        .ok_or_else(|| io::Error::other(format!("there is no way {name:?}")))?;
    let process = order.get("pid").and_then(Value::as_u64);
    way.send_replace(Order { state, process });
    Ok(json!({"ok": true}))
}

fn word<'a>(order: &'a Value, key: &str) -> &'a str {
    order.get(key).and_then(Value::as_str).unwrap_or_default()
}

async fn open(ways: &Ways, name: &str, to: &str) -> io::Result<Value> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let (sender, first) = watch::channel(Order {
        state: State::Open,
        process: None,
    });
    ways.borrow_mut().insert(name.to_owned(), sender);
    tokio::task::spawn_local(accept(listener, to.to_owned(), first));
    Ok(json!({"ok": true, "port": port}))
}

async fn accept(listener: TcpListener, to: String, order: watch::Receiver<Order>) {
    loop {
        if let Ok((socket, from)) = listener.accept().await {
            tokio::task::spawn_local(join(socket, from.port(), to.clone(), order.clone()));
        }
    }
}

async fn join(near: TcpStream, port: u16, to: String, mut order: watch::Receiver<Order>) {
    // Whoever connects while all is swallowed waits, and is connected afterwards.
    let healed = order
        .wait_for(|order| order.of(port) != State::Swallowing)
        .await;
    if healed.map_or(State::Cut, |order| order.of(port)) == State::Cut {
        return;
    }
    let Ok(far) = TcpStream::connect(to).await else {
        return;
    };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    let (one, other) = (order.clone(), order.clone());
    tokio::select! {
        _ = order.wait_for(|order| order.of(port) == State::Cut) => {}
        _ = both(pass(near_in, far_out, port, one), pass(far_in, near_out, port, other)) => {}
    }
}

/// The end of one direction is passed on, and the other goes on.
async fn both(
    one: impl Future<Output = io::Result<()>>,
    other: impl Future<Output = io::Result<()>>,
) -> io::Result<((), ())> {
    tokio::try_join!(one, other)
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    port: u16,
    mut order: watch::Receiver<Order>,
) -> io::Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = from.read(&mut buffer).await?;
        let opened = order.wait_for(|order| order.of(port) == State::Open).await;
        opened.map_err(io::Error::other)?;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(buffer.get(..count).unwrap_or_default())
            .await?;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    async fn told(ways: &Ways, name: &str) {
        let answer = follow(ways, &json!({"order": name, "name": "w"}))
            .await
            .unwrap();
        assert_eq!(answer["ok"], true);
    }

    async fn only_for(ways: &Ways, process: u32) {
        let order = json!({"order": "swallow", "name": "w", "pid": process});
        assert_eq!(follow(ways, &order).await.unwrap()["ok"], true);
    }

    async fn echo(connection: &mut TcpStream) -> Option<u8> {
        answer(connection, Duration::from_secs(60)).await
    }

    /// Nothing comes back, for a moment or ever.
    async fn is_dead(connection: &mut TcpStream) -> bool {
        let answer = answer(connection, Duration::from_millis(200)).await;
        answer.is_none()
    }

    async fn answer(connection: &mut TcpStream, patience: Duration) -> Option<u8> {
        connection.write_all(b"x").await.ok()?;
        timeout(patience, connection.read_u8()).await.ok()?.ok()
    }

    #[tokio::test]
    async fn bytes_pass_are_held_and_are_cut() {
        let local = tokio::task::LocalSet::new();
        local.run_until(story()).await;
    }

    async fn story() {
        let echoing = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = echoing.local_addr().unwrap().to_string();
        tokio::task::spawn_local(async move {
            loop {
                let (socket, _) = echoing.accept().await.unwrap();
                let (mut reader, mut writer) = socket.into_split();
                tokio::task::spawn_local(
                    async move { tokio::io::copy(&mut reader, &mut writer).await },
                );
            }
        });
        let ways = Ways::default();
        let answer = follow(&ways, &json!({"order": "open", "name": "w", "to": to}))
            .await
            .unwrap();
        let address = format!("127.0.0.1:{}", answer["port"]);
        let mut connection = TcpStream::connect(&address).await.unwrap();
        assert_eq!(echo(&mut connection).await, Some(b'x'));
        told(&ways, "swallow").await;
        assert!(is_dead(&mut connection).await);
        told(&ways, "heal").await;
        assert_eq!(connection.read_u8().await.unwrap(), b'x');
        only_for(&ways, 1).await;
        assert_eq!(
            echo(&mut connection).await,
            Some(b'x'),
            "another process is meant"
        );
        only_for(&ways, std::process::id()).await;
        assert!(is_dead(&mut connection).await);
        told(&ways, "heal").await;
        assert_eq!(connection.read_u8().await.unwrap(), b'x');
        told(&ways, "cut").await;
        assert!(connection.read_u8().await.is_err());
        let mut refused = TcpStream::connect(&address).await.unwrap();
        assert!(is_dead(&mut refused).await);
        told(&ways, "heal").await;
        let mut again = TcpStream::connect(&address).await.unwrap();
        assert_eq!(echo(&mut again).await, Some(b'x'));
    }
}
