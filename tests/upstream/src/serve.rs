//! The process: its options, its listeners, its tasks.
//!
//! Owns what is started. Streams are `stream.rs`, orders `control.rs`.

use crate::attach::Mode;
use crate::world::{Identity, Shared, World};
use crate::{control, load, stream};
use serde_json::json;
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use tokio::net::TcpListener;
use tokio::time::Instant;

/// What is played.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The component's domain.
    #[arg(long, default_value = "chat.localhost")]
    domain: String,
    /// The server's own domain, which the users have.
    #[arg(long, default_value = "localhost")]
    host: String,
    /// The component's secret.
    #[arg(long)]
    secret: String,
    /// How several streams of the component are treated.
    #[arg(long, value_enum, default_value = "standby")]
    mode: Mode,
    /// Where components attach; once for each server node. Port 0 is any port.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: Vec<SocketAddr>,
    /// Slots of the mode `balanced`.
    #[arg(long, default_value_t = 2)]
    slots: usize,
    /// Where orders come.
    #[arg(long, default_value = "127.0.0.1:0")]
    control: SocketAddr,
    /// A new or empty folder for the histories.
    #[arg(long)]
    history: PathBuf,
}

/// Plays until the order to quit.
///
/// # Errors
///
/// Addresses that cannot be listened on, a folder that is not empty.
pub(crate) async fn run(options: Options) -> io::Result<()> {
    std::fs::create_dir_all(&options.history)?;
    if std::fs::read_dir(&options.history)?.next().is_some() {
        return Err(io::Error::other(format!(
            "{} is not empty",
            options.history.display()
        )));
    }
    let identity = Identity {
        domain: options.domain,
        host: options.host,
        secret: options.secret,
        mode: options.mode,
        nodes: options.listen.len(),
        slots: options.slots,
        folder: options.history,
    };
    let world = Rc::new(RefCell::new(World::new(identity, Instant::now())));
    let mut addresses = Vec::new();
    for (node, address) in options.listen.into_iter().enumerate() {
        let listener = TcpListener::bind(address).await?;
        addresses.push(listener.local_addr()?.to_string());
        tokio::task::spawn_local(accept(Rc::clone(&world), node, listener));
    }
    let orders = TcpListener::bind(options.control).await?;
    println!(
        "{}",
        json!({"listen": addresses, "control": orders.local_addr()?.to_string()})
    );
    tokio::task::spawn_local(load::run(Rc::clone(&world)));
    control::run(&world, orders).await
}

async fn accept(world: Shared, node: usize, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                tokio::task::spawn_local(stream::serve(Rc::clone(&world), node, socket));
            }
            Err(error) => eprintln!("coven-upstream: {error}"),
        }
    }
}
