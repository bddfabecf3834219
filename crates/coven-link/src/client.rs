//! The front-end's side: keeps a link to one node, and makes it anew when it is lost.

use crate::codec::{FrameCodec, MAX_DECODE, METHOD};
use crate::convert::{decode_to_front, encode_to_node};
use crate::frame::{Assembler, Frame, FromNode};
use crate::outbox::{Outbox, outbox};
use crate::pump::{self, Deliver, next, of_status};
use crate::server::WINDOW_BYTES;
use crate::{Broken, Limits, Me, Peer, Role, Security, Stats};
use bytes::Bytes;
use coven_cluster::{FrontLink, NodeLink, ProcessId, ToNode};
use coven_proto::wire::link as wire;
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::{Endpoint, Uri};
use tonic::{Request, Streaming};
use tracing::{info, warn};

/// What a front-end does with nodes that come.
pub trait Nodes: Send + Sync + 'static {
    /// Where what the node says goes; dropping it is the node's leaving.
    type Seat: FrontLink + 'static;

    /// A node is there, and takes what is sent into `link`.
    fn up(&self, node: &Peer, link: Arc<dyn NodeLink>) -> Arc<Self::Seat>;
}

/// A node to have a link to.
#[derive(Debug, Clone)]
pub struct Target {
    /// `host:port`.
    pub address: String,
    /// The process that is meant; another at the same address is not talked to. `None`: whoever answers.
    pub process: Option<ProcessId>,
    /// How the link is protected.
    pub security: Security,
    /// Who this front-end is.
    pub me: Me,
    /// Bounds and times.
    pub limits: Limits,
    /// Where links are counted.
    pub stats: Stats,
}

/// How a link is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The first attempt has not ended.
    Connecting,
    /// It is up.
    Up(Peer),
    /// It is not, and is tried again.
    Down(Broken),
}

/// Keeps a link until it is dropped.
#[derive(Debug)]
pub struct Client {
    state: watch::Receiver<State>,
    _task: AbortOnDropHandle<()>,
}

impl Client {
    /// Connects, and connects again whenever the link is lost.
    #[must_use]
    pub fn start<N: Nodes>(target: Target, nodes: Arc<N>) -> Self {
        let (set, state) = watch::channel(State::Connecting);
        let keeper = Keeper {
            backoff: target.limits.min_backoff,
            target,
            nodes,
            state: set,
        };
        Self {
            state,
            _task: AbortOnDropHandle::new(tokio::spawn(keeper.run())),
        }
    }

    /// How it is, and each change.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }
}

/// What a front-end sends into for a node.
#[derive(Debug)]
struct ToNodeLink {
    outbox: Outbox,
}

impl NodeLink for ToNodeLink {
    fn try_send(&self, message: ToNode) -> Result<(), ToNode> {
        if self.outbox.has_room() && self.outbox.try_put(encode_to_node(&message)) {
            Ok(())
        } else {
            Err(message)
        }
    }
}

/// Hands over to the front-end what a node says; waits as long as that does.
struct ToSeat<S> {
    seat: Arc<S>,
    shards: u16,
    /// The link lasts also while nobody has anything to send.
    _outbox: Outbox,
}

impl<S: FrontLink> Deliver for ToSeat<S> {
    type From = FromNode;

    async fn deliver(&mut self, message: wire::ToFront) -> Result<(), Broken> {
        let message = decode_to_front(message, self.shards)
            .map_err(|error| Broken::Malformed(error.to_string()))?;
        self.seat.send(message).await;
        Ok(())
    }
}

struct Keeper<N> {
    target: Target,
    nodes: Arc<N>,
    state: watch::Sender<State>,
    backoff: Duration,
}

impl<N: Nodes> Keeper<N> {
    async fn run(mut self) {
        loop {
            let broken = Box::pin(self.once()).await;
            self.target.stats.broken(&broken);
            self.tell(&broken);
            self.state.send_replace(State::Down(broken));
            sleep(self.next_wait()).await;
        }
    }

    /// One line for each change: not for each attempt that fails like the one before.
    fn tell(&self, broken: &Broken) {
        if !matches!(&*self.state.borrow(), State::Down(before) if before == broken) {
            let address = &self.target.address;
            warn!(node = %address, reason = broken.name(), error = %broken, "no link to a node");
        }
    }

    async fn once(&mut self) -> Broken {
        let (state, backoff) = (&self.state, &mut self.backoff);
        let first = self.target.limits.min_backoff;
        link(&self.target, &*self.nodes, |peer| {
            *backoff = first;
            state.send_replace(State::Up(peer));
        })
        .await
    }

    fn next_wait(&mut self) -> Duration {
        let full = self.backoff;
        self.backoff = (full * 2).min(self.target.limits.max_backoff);
        let random = getrandom::u32().unwrap_or(u32::MAX / 2);
        full / 2 + full.mul_f64(f64::from(random) / f64::from(u32::MAX) / 2.0)
    }
}

/// One link, from its beginning to its end, for who decides himself when to try again. `came_up` is called when it is up.
/// Returns why it ended; dropped, it ends at once.
pub async fn link<N: Nodes>(target: &Target, nodes: &N, came_up: impl FnOnce(Peer)) -> Broken {
    let opening = timeout(target.limits.connect, Box::pin(open(target))).await;
    let (peer, stream, frames) = match opening.unwrap_or(Err(Broken::Silent)) {
        Ok(opened) => opened,
        Err(broken) => return broken,
    };
    let (outbox, outgoing) = outbox(&target.limits);
    let link = ToNodeLink {
        outbox: outbox.clone(),
    };
    let to = ToSeat {
        seat: nodes.up(&peer, Arc::new(link)),
        shards: target.me.shards,
        _outbox: outbox,
    };
    info!(node = %target.address, version = peer.version, "a link to a node is up");
    came_up(peer);
    pump::run(stream, to, outgoing, frames, target.limits, &target.stats).await
}

type Opened = (Peer, Streaming<Bytes>, mpsc::Sender<Frame>);

/// Connects, says hello and hears the node's.
async fn open(target: &Target) -> Result<Opened, Broken> {
    let (frames, outgoing) = mpsc::channel(1);
    let _ = frames.try_send(Frame::hello(&target.me.hello(target.process)));
    let mut stream = call(target, ReceiverStream::new(outgoing)).await?;
    let frame = next(&mut stream, target.limits.connect).await?;
    let hello = Assembler::<FromNode>::hello(frame)?;
    let peer = target.me.meets(&hello, Role::Node)?;
    if target.process.is_some_and(|meant| meant != peer.process) {
        return Err(Broken::OtherProcess);
    }
    Ok((peer, stream, frames))
}

async fn call(target: &Target, frames: ReceiverStream<Frame>) -> Result<Streaming<Bytes>, Broken> {
    let socket = connect(target).await?;
    let socket = std::sync::Mutex::new(Some(TokioIo::new(socket)));
    // One connection for one link: a second one is not to be made behind our back.
    let connector = tower::service_fn(move |_: Uri| {
        let socket = socket.lock().ok().and_then(|mut socket| socket.take());
        async move { socket.ok_or_else(|| std::io::Error::other("the connection is used up")) }
    });
    let unreachable = |error: tonic::transport::Error| Broken::Unreachable(error.to_string());
    let channel = Endpoint::from_static("http://node.coven")
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .connect_with_connector(connector)
        .await
        .map_err(unreachable)?;
    let mut grpc = tonic::client::Grpc::new(channel)
        .max_decoding_message_size(MAX_DECODE)
        .max_encoding_message_size(MAX_DECODE);
    grpc.ready().await.map_err(unreachable)?;
    let method = PathAndQuery::from_static(METHOD);
    let answer = grpc
        .streaming(Request::new(frames), method, FrameCodec)
        .await;
    answer
        .map(tonic::Response::into_inner)
        .map_err(|status| of_status(&status))
}

/// A connection, protected as it has to be.
async fn connect(target: &Target) -> Result<crate::tls::Stream, Broken> {
    let unreachable = |error: std::io::Error| Broken::Unreachable(error.to_string());
    let socket = TcpStream::connect(&target.address)
        .await
        .map_err(unreachable)?;
    let address = socket.peer_addr().map_err(unreachable)?;
    target.security.permits(address.ip())?;
    let _ = socket.set_nodelay(true);
    target.security.connect(socket).await
}
