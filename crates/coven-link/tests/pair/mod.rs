//! A node and a front-end that only note what they hear, a wall between them, and certificates.

use coven_cluster::{
    Channel, FrontLink, NodeLink, Operation, OperationId, ProcessId, Request, ToFront, ToNode,
};
use coven_core::command::Sender;
use coven_core::{BareJid, ChannelName, Command, Group, Origin, StanzaKind, View};
use coven_link::{
    Client, Fronts, Limits, Me, Nodes, Peer, Role, Security, Server, ServerOptions, State, Stats,
    Target, ToFrontEnd, tls::Files,
};
use prost::Message as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::future::Future;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Notify, mpsc};
use tokio_util::sync::CancellationToken;

/// Waits, but not for ever.
pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(90), what)
        .await
        .expect("it takes too long")
}

/// The same limits with shorter times.
pub(crate) fn quick(limits: Limits) -> Limits {
    Limits {
        keepalive: Duration::from_millis(100),
        // Longer than a busy machine keeps a link from saying that it is there.
        silence: Duration::from_secs(5),
        stall: Duration::from_secs(3),
        connect: Duration::from_secs(20),
        min_backoff: Duration::from_millis(20),
        ..limits
    }
}

fn me(process: u128, role: Role) -> Me {
    Me {
        process: ProcessId(process),
        role,
        versions: coven_link::hello::VERSIONS,
        formats: 1..=1,
        cluster: "test".into(),
        shards: 1024,
    }
}

pub(crate) fn me_node(n: u128) -> Me {
    me(1_000 + n, Role::Node)
}

pub(crate) fn me_front(n: u128) -> Me {
    me(2_000 + n, Role::Front)
}

/// A command in the name of a process.
pub(crate) fn operation(process: u128, n: u64) -> ToNode {
    let group = Group("main".into());
    let from = "hag66@shakespeare.example";
    let name = ChannelName {
        space: "chat.example".into(),
        local: "coven".into(),
    };
    let origin = Origin {
        kind: StanzaKind::Iq,
        from: from.into(),
        to: "coven@chat.example".into(),
        id: None,
        lang: None,
        view: View::Muc,
        group: group.clone(),
        payload: bytes::Bytes::new(),
    };
    ToNode::Operation(Box::new(Operation {
        channel: Channel::new(name, 1024),
        sender: Sender {
            full: None,
            bare: BareJid::from_normalised(from.to_owned()),
            group,
        },
        request: Request::Command(Command::Create),
        origin: Arc::new(origin),
        id: Some(OperationId {
            process,
            n,
            prev: n - 1,
            base: n - 1,
        }),
        trace: None,
    }))
}

/// Whether a link is down for this reason.
pub(crate) fn is(state: &State, reason: &str) -> bool {
    matches!(state, State::Down(broken) if broken.name() == reason)
}

/// What a node has of a front-end.
pub(crate) struct AtNode {
    pub(crate) peer: Peer,
    pub(crate) link: ToFrontEnd,
    pub(crate) heard: mpsc::Receiver<ToNode>,
    /// Detaches the front-end.
    pub(crate) gone: CancellationToken,
}

#[derive(Debug)]
pub(crate) struct NodeSeat(mpsc::Sender<ToNode>, CancellationToken);

impl NodeLink for NodeSeat {
    fn try_send(&self, message: ToNode) -> Result<(), ToNode> {
        self.0
            .try_send(message)
            .map_err(mpsc::error::TrySendError::into_inner)
    }
}

struct Attached(mpsc::Sender<AtNode>);

impl Fronts for Attached {
    type Seat = NodeSeat;

    fn attach(&self, front: &Peer, link: ToFrontEnd) -> Arc<NodeSeat> {
        let (sender, heard) = mpsc::channel(100);
        let gone = CancellationToken::new();
        let at = AtNode {
            peer: front.clone(),
            link,
            heard,
            gone: gone.clone(),
        };
        self.0.try_send(at).ok().unwrap();
        Arc::new(NodeSeat(sender, gone))
    }

    async fn detached(&self, seat: &NodeSeat) {
        seat.1.cancelled().await;
    }
}

/// A node.
pub(crate) struct Node {
    pub(crate) server: Server,
    pub(crate) stats: Stats,
    attached: Mutex<mpsc::Receiver<AtNode>>,
}

impl Node {
    pub(crate) async fn start(limits: Limits) -> Self {
        Self::of(me_node(1), Security::Plain { anywhere: false }, limits).await
    }

    pub(crate) async fn of(me: Me, security: Security, limits: Limits) -> Self {
        let (sender, attached) = mpsc::channel(100);
        let stats = Stats::default();
        let options = ServerOptions {
            listen: "127.0.0.1:0".parse().unwrap(),
            security,
            me,
            limits,
            stats: stats.clone(),
        };
        Self {
            server: Server::start(options, Arc::new(Attached(sender)))
                .await
                .unwrap(),
            stats,
            attached: Mutex::new(attached),
        }
    }

    pub(crate) fn address(&self) -> String {
        self.server.address().to_string()
    }

    /// The next front-end that comes.
    pub(crate) async fn seat(&self) -> AtNode {
        within(async { self.attached.lock().await.recv().await })
            .await
            .unwrap()
    }
}

/// What a front-end has of a node.
pub(crate) struct AtFront {
    pub(crate) link: Arc<dyn NodeLink>,
    pub(crate) heard: mpsc::Receiver<ToFront>,
    reading: Arc<AtomicBool>,
}

impl AtFront {
    /// From now on the front-end takes nothing.
    pub(crate) fn stop_reading(&self) {
        self.reading.store(false, SeqCst);
    }
}

#[derive(Debug)]
pub(crate) struct FrontSeat(mpsc::Sender<ToFront>, Arc<AtomicBool>);

impl FrontLink for FrontSeat {
    async fn send(&self, message: ToFront) {
        if !self.1.load(SeqCst) {
            std::future::pending::<()>().await;
        }
        let _ = self.0.send(message).await;
    }
}

struct Up(mpsc::Sender<AtFront>);

impl Nodes for Up {
    type Seat = FrontSeat;

    fn up(&self, _: &Peer, link: Arc<dyn NodeLink>) -> Arc<FrontSeat> {
        let (sender, heard) = mpsc::channel(100);
        let reading = Arc::new(AtomicBool::new(true));
        let at = AtFront {
            link,
            heard,
            reading: Arc::clone(&reading),
        };
        self.0.try_send(at).ok().unwrap();
        Arc::new(FrontSeat(sender, reading))
    }
}

/// A front-end.
pub(crate) struct Front {
    pub(crate) client: Client,
    pub(crate) stats: Stats,
    up: mpsc::Receiver<AtFront>,
}

impl Front {
    pub(crate) fn start(node: &Node, limits: Limits) -> Self {
        Self::at(node.server.address(), limits)
    }

    pub(crate) fn at(address: SocketAddr, limits: Limits) -> Self {
        let security = Security::Plain { anywhere: false };
        let target = Self::target(&address.to_string(), me_front(1), security);
        Self::to(Target { limits, ..target })
    }

    pub(crate) fn of(address: &str, me: Me, security: Security) -> Self {
        Self::to(Self::target(address, me, security))
    }

    pub(crate) fn target(address: &str, me: Me, security: Security) -> Target {
        Target {
            address: address.to_owned(),
            process: None,
            security,
            me,
            limits: quick(Limits::front()),
            stats: Stats::default(),
        }
    }

    pub(crate) fn to(target: Target) -> Self {
        let (sender, up) = mpsc::channel(100);
        let stats = target.stats.clone();
        Self {
            client: Client::start(target, Arc::new(Up(sender))),
            stats,
            up,
        }
    }

    /// The next link that comes up.
    pub(crate) async fn seat(&mut self) -> AtFront {
        within(self.up.recv()).await.unwrap()
    }
}

/// A way to a node that can be stopped: nothing passes, nothing is closed.
pub(crate) struct Wall {
    pub(crate) address: SocketAddr,
    gate: Arc<(AtomicBool, Notify)>,
    _task: tokio_util::task::AbortOnDropHandle<()>,
}

impl Wall {
    pub(crate) async fn before(node: &Node) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let gate = Arc::new((AtomicBool::new(true), Notify::new()));
        let (to, through) = (node.server.address(), Arc::clone(&gate));
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(to).await.unwrap();
                let (near, far) = (near.into_split(), far.into_split());
                tokio::spawn(pass(near.0, far.1, Arc::clone(&through)));
                tokio::spawn(pass(far.0, near.1, Arc::clone(&through)));
            }
        });
        Self {
            address,
            gate,
            _task: tokio_util::task::AbortOnDropHandle::new(task),
        }
    }

    pub(crate) fn stop(&self) {
        self.gate.0.store(false, SeqCst);
    }

    pub(crate) fn go(&self) {
        self.gate.0.store(true, SeqCst);
        self.gate.1.notify_waiters();
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    gate: Arc<(AtomicBool, Notify)>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(bytes) = from.read(&mut buffer).await {
        let opened = gate.1.notified();
        if !gate.0.load(SeqCst) {
            opened.await;
        }
        if bytes == 0 || to.write_all(&buffer[..bytes]).await.is_err() {
            return;
        }
    }
}

/// A call by hand: a hello of these versions, and then perhaps these bytes as a frame. Returns how the node ends it.
pub(crate) async fn raw_call(
    node: &Node,
    versions: &RangeInclusive<u32>,
    then: Option<Vec<u8>>,
) -> tonic::Status {
    use coven_proto::wire::link as wire;
    let me = me_front(77);
    let hello = wire::FrontFrame {
        hello: Some(wire::Hello {
            oldest_version: *versions.start(),
            newest_version: *versions.end(),
            process: me.process.0.to_be_bytes().to_vec().into(),
            role: wire::Role::Front.into(),
            oldest_format: 1,
            newest_format: 1,
            cluster: me.cluster,
            shards: me.shards.into(),
            meant: bytes::Bytes::new(),
        }),
        ..wire::FrontFrame::default()
    };
    let mut frames = vec![hello.encode_to_vec()];
    frames.extend(then);
    let frames =
        tokio_stream::StreamExt::chain(tokio_stream::iter(frames), tokio_stream::pending());
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", node.address()));
    let channel = endpoint.unwrap().connect().await.unwrap();
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.unwrap();
    let method = http::uri::PathAndQuery::from_static("/coven.v1.link.Link/Attach");
    let called = grpc
        .streaming(tonic::Request::new(frames), method, RawCodec)
        .await;
    let mut answers = match called {
        Ok(answers) => answers.into_inner(),
        Err(status) => return status,
    };
    loop {
        match within(answers.message()).await {
            Ok(Some(_)) => {}
            Ok(None) => return tonic::Status::ok("ended"),
            Err(status) => return status,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct RawCodec;

impl tonic::codec::Codec for RawCodec {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl tonic::codec::Encoder for RawCodec {
    type Item = Vec<u8>;
    type Error = tonic::Status;

    fn encode(
        &mut self,
        item: Vec<u8>,
        out: &mut tonic::codec::EncodeBuf<'_>,
    ) -> Result<(), tonic::Status> {
        bytes::BufMut::put_slice(out, &item);
        Ok(())
    }
}

impl tonic::codec::Decoder for RawCodec {
    type Item = Vec<u8>;
    type Error = tonic::Status;

    fn decode(
        &mut self,
        from: &mut tonic::codec::DecodeBuf<'_>,
    ) -> Result<Option<Vec<u8>>, tonic::Status> {
        let bytes = bytes::Buf::remaining(from);
        Ok(Some(bytes::Buf::copy_to_bytes(from, bytes).to_vec()))
    }
}

/// A CA, and files with what it signs.
pub(crate) struct Certificates {
    ca: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Certificates {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self {
            ca,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Files of a process whose certificate carries this name.
    pub(crate) fn of(&self, name: &str) -> Security {
        let files = self.files(name);
        self.write(name, &files);
        Security::Mutual(files)
    }

    /// Names of files.
    pub(crate) fn files(&self, name: &str) -> Files {
        let file = |end: &str| self.folder.path().join(format!("{name}.{end}"));
        Files {
            ca: file("ca"),
            cert: file("cert"),
            key: file("key"),
        }
    }

    /// Writes a certificate of this name into files.
    pub(crate) fn write(&self, name: &str, files: &Files) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.ca).unwrap();
        std::fs::write(&files.ca, self.ca.pem()).unwrap();
        std::fs::write(&files.cert, certificate.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
    }
}
