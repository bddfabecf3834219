//! The node's side: takes links of front-ends.

use crate::accept::accept;
use crate::codec::{FrameCodec, MAX_DECODE, METHOD, SERVICE};
use crate::convert::decode_to_node;
use crate::frame::{Assembler, Frame, FromFront};
use crate::outbox::{Outbox, outbox};
use crate::pump::{self, Deliver, next, to_status};
use crate::shared::Encodings;
use crate::{Broken, Limits, Me, Peer, Role, Security, Stats};
use bytes::Bytes;
use coven_cluster::{Delivery, FrontLink, NodeLink, Output, ProcessId, ToFront, ToNode};
use coven_core::{Condition, Epoch, Refusal};
use coven_proto::wire::link as wire;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tonic::codegen::{BoxFuture, Service, http};
use tonic::{Request, Response, Status, Streaming};
use tracing::{info, warn};

/// What a node does with front-ends that come.
pub trait Fronts: Send + Sync + 'static {
    /// A front-end's place at the node; dropping it is the front-end's leaving.
    type Seat: NodeLink + 'static;

    /// A front-end has come, and takes what is sent into `link`.
    fn attach(&self, front: &Peer, link: ToFrontEnd) -> Arc<Self::Seat>;

    /// Ends when the node has detached the front-end, and sends it nothing more: then its link is ended, so that it comes
    /// back and gets what it has missed (design §5.9).
    fn detached(&self, seat: &Self::Seat) -> impl Future<Output = ()> + Send;
}

/// How a node takes links.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Where; port 0 asks the system for one.
    pub listen: SocketAddr,
    /// From whom.
    pub security: Security,
    /// Who this node is.
    pub me: Me,
    /// Bounds and times.
    pub limits: Limits,
    /// Where links are counted.
    pub stats: Stats,
}

/// What a node sends into for a front-end. Drops what comes after the link's end.
#[derive(Debug, Clone)]
pub struct ToFrontEnd {
    outbox: Outbox,
    encodings: Encodings,
}

impl FrontLink for ToFrontEnd {
    async fn send(&self, message: ToFront) {
        let bytes = self.encodings.of(&message);
        self.outbox.put(bytes).await;
    }
}

/// Takes links until it is told to end.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    links: Arc<Links>,
    serving: AbortOnDropHandle<()>,
    accepting: AbortOnDropHandle<()>,
}

impl Server {
    /// Binds the address and takes links from now on.
    ///
    /// Errors: the address is taken, is not loopback without certificates, or these do not fit.
    pub async fn start<F: Fronts>(options: ServerOptions, fronts: Arc<F>) -> Result<Self, Broken> {
        options.security.permits(options.listen.ip())?;
        options.security.check().await?;
        let unreachable = |error: std::io::Error| Broken::Unreachable(error.to_string());
        let listener = TcpListener::bind(options.listen)
            .await
            .map_err(unreachable)?;
        let address = listener.local_addr().map_err(unreachable)?;
        let stop = CancellationToken::new();
        let links = Arc::new(Links::default());
        let (connections, incoming) = mpsc::channel(1);
        let accepting = accept(listener, options.clone(), connections);
        let service = LinkService(Arc::new(Inner {
            encodings: Encodings::new(options.stats.clone()),
            options,
            fronts,
            links: Arc::clone(&links),
            stop: stop.clone(),
        }));
        let serving = serve(service, ReceiverStream::new(incoming), stop.clone());
        Ok(Self {
            address,
            stop,
            links,
            serving: AbortOnDropHandle::new(tokio::spawn(serving)),
            accepting: AbortOnDropHandle::new(tokio::spawn(accepting)),
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The front-ends that have a link.
    #[must_use]
    pub fn fronts(&self) -> Vec<Peer> {
        self.links.peers()
    }

    /// Ends all links, and takes no more.
    pub async fn shutdown(self) {
        drop(self.accepting);
        self.stop.cancel();
        self.links.tasks.close();
        let _ = timeout(MAX_SHUTDOWN, self.links.tasks.wait()).await;
        let _ = timeout(MAX_SHUTDOWN, self.serving).await;
    }
}

const MAX_SHUTDOWN: Duration = Duration::from_secs(1);

async fn serve<F: Fronts>(
    service: LinkService<F>,
    incoming: ReceiverStream<Result<crate::tls::Stream, std::io::Error>>,
    stop: CancellationToken,
) {
    let server = tonic::transport::Server::builder()
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_concurrent_streams(1)
        .add_service(service)
        .serve_with_incoming_shutdown(incoming, stop.cancelled_owned());
    if let Err(error) = server.await {
        warn!(%error, "the link server has ended");
    }
}

/// What may be under way to a peer that does not read.
pub(crate) const WINDOW_BYTES: u32 = 1024 * 1024;

/// What all links of a node share.
struct Inner<F> {
    options: ServerOptions,
    fronts: Arc<F>,
    encodings: Encodings,
    links: Arc<Links>,
    stop: CancellationToken,
}

impl<F: Fronts> Inner<F> {
    /// A front-end's call: greets it, gives it a place, and starts its link.
    async fn attach(self: Arc<Self>, mut stream: Streaming<Bytes>) -> Result<Outflow, Status> {
        match self.greet(&mut stream).await {
            Ok(peer) => Ok(self.begin(peer.0, peer.1, stream)),
            Err(broken) => {
                self.options.stats.broken(&broken);
                warn!(reason = broken.name(), error = %broken, "a link was refused");
                Err(to_status(&broken))
            }
        }
    }

    async fn greet(&self, stream: &mut Streaming<Bytes>) -> Result<(Peer, Place), Broken> {
        let limits = &self.options.limits;
        let frame = next(stream, limits.connect).await?;
        let hello = Assembler::<FromFront>::hello(frame)?;
        let peer = self.options.me.meets(&hello, Role::Front)?;
        let place = Links::take(&self.links, &peer, limits).await?;
        Ok((peer, place))
    }

    fn begin(self: Arc<Self>, peer: Peer, place: Place, stream: Streaming<Bytes>) -> Outflow {
        let (frames, frames_out) = mpsc::channel(1);
        let hello = Frame::hello(&self.options.me.answer(peer.version));
        let _ = frames.try_send(hello);
        let (why, why_out) = oneshot::channel();
        let links = Arc::clone(&self.links);
        links.tasks.spawn(async move {
            let broken = self.run(peer, place, stream, frames).await;
            let _ = why.send(to_status(&broken));
        });
        Outflow {
            frames: frames_out,
            why: Some(why_out),
        }
    }

    async fn run(
        &self,
        peer: Peer,
        place: Place,
        stream: Streaming<Bytes>,
        frames: mpsc::Sender<Frame>,
    ) -> Broken {
        let limits = self.options.limits;
        let (outbox, outgoing) = outbox(&limits);
        let link = ToFrontEnd {
            outbox,
            encodings: self.encodings.clone(),
        };
        let seat = self.fronts.attach(&peer, link.clone());
        let to = ToSeat {
            seat: Arc::clone(&seat),
            back: link,
            process: peer.process,
            shards: self.options.me.shards,
            patience: limits.stall,
        };
        info!(front = %id(peer.process), version = peer.version, "a front-end has a link");
        let broken = tokio::select! {
            broken = pump::run(stream, to, outgoing, frames, limits, &self.options.stats) => broken,
            () = self.fronts.detached(&seat) => Broken::Stalled,
            () = place.stop.cancelled() => Broken::Replaced,
            () = self.stop.cancelled() => Broken::Closed,
        };
        self.options.stats.broken(&broken);
        warn!(front = %id(peer.process), reason = broken.name(), error = %broken, "a front-end's link has ended");
        broken
    }
}

fn id(process: ProcessId) -> String {
    format!("{:032x}", process.0)
}

/// Hands over to the node what a front-end says.
struct ToSeat<S> {
    seat: Arc<S>,
    back: ToFrontEnd,
    /// Whose link this is.
    process: ProcessId,
    shards: u16,
    patience: Duration,
}

impl<S: NodeLink> Deliver for ToSeat<S> {
    type From = FromFront;

    async fn deliver(&mut self, message: wire::ToNode) -> Result<(), Broken> {
        let message = decode_to_node(message, self.shards)
            .map_err(|error| Broken::Malformed(error.to_string()))?;
        if is_of_another(&message, self.process) {
            return Err(Broken::Malformed("an operation of another process".into()));
        }
        match self.seat.try_send(message) {
            Ok(()) => Ok(()),
            Err(message) => self.not_taken(message).await,
        }
    }
}

/// Whether an operation bears the name of another process than the one whose link it came by: it would take the place of
/// that one's own.
fn is_of_another(message: &ToNode, process: ProcessId) -> bool {
    match message {
        ToNode::Operation(operation) => operation.id.is_some_and(|id| id.process != process.0),
        _ => false,
    }
}

impl<S: NodeLink> ToSeat<S> {
    /// What asks for an answer gets one; what does not must not be lost, and is offered again until patience ends.
    async fn not_taken(&self, mut message: ToNode) -> Result<(), Broken> {
        let since = Instant::now();
        loop {
            message = match refusal_of(message) {
                Ok(answer) => return self.answer(&answer),
                Err(message) => message,
            };
            sleep(OFFER_PAUSE).await;
            message = match self.seat.try_send(message) {
                Ok(()) => return Ok(()),
                Err(message) => message,
            };
            if since.elapsed() > self.patience {
                return Err(Broken::Lost("this node takes nothing".into()));
            }
        }
    }

    /// The reader never waits for the writer: a front-end that leaves no room for its answers does not read.
    fn answer(&self, answer: &ToFront) -> Result<(), Broken> {
        let bytes = self.back.encodings.of(answer);
        match self.back.outbox.try_put(bytes) {
            true => Ok(()),
            false => Err(Broken::Stalled),
        }
    }
}

const OFFER_PAUSE: Duration = Duration::from_millis(20);

/// What is said to who asked when the node's queue is full (I9); gives back what asks for nothing.
fn refusal_of(message: ToNode) -> Result<ToFront, ToNode> {
    let refusal = Box::new(Refusal::usual(Condition::ResourceConstraint));
    let (channel, origin) = match message {
        ToNode::Operation(operation) => match operation.id {
            Some(id) => {
                return Ok(ToFront::NotTaken {
                    channel: operation.channel,
                    id,
                    refusal,
                });
            }
            None => (Some(operation.channel), operation.origin),
        },
        ToNode::Directory(request) => (None, request.origin),
        other => return Err(other),
    };
    let output = Output {
        channel,
        epoch: Epoch::default(),
        commit: 0,
        deliveries: vec![Delivery::Refused {
            origin,
            refusal,
            operation: None,
        }],
        trace: None,
    };
    Ok(output.into())
}

/// The links there are: one for each front-end process. A newer one replaces the one before.
#[derive(Debug, Default)]
struct Links {
    places: Mutex<BTreeMap<ProcessId, (Peer, CancellationToken, CancellationToken)>>,
    tasks: TaskTracker,
}

/// A link's place; dropping it makes room.
struct Place {
    process: ProcessId,
    stop: CancellationToken,
    gone: CancellationToken,
    links: Arc<Links>,
}

impl Links {
    /// A place for a link of this process, when the one before has ended.
    async fn take(links: &Arc<Self>, peer: &Peer, limits: &Limits) -> Result<Place, Broken> {
        loop {
            let (stop, gone) = match links.try_take(peer, limits.max_links)? {
                Ok((stop, gone)) => {
                    return Ok(Place {
                        process: peer.process,
                        stop,
                        gone,
                        links: Arc::clone(links),
                    });
                }
                Err(older) => older,
            };
            stop.cancel();
            let ended = timeout(limits.connect, gone.cancelled()).await;
            ended.map_err(|_| Broken::Refused("an older link does not end".into()))?;
        }
    }

    /// The tokens of a new place, or those of the older link.
    fn try_take(&self, peer: &Peer, most: usize) -> Result<Result<Tokens, Tokens>, Broken> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, stop, gone)) = places.get(&peer.process) {
            return Ok(Err((stop.clone(), gone.clone())));
        }
        if places.len() >= most {
            return Err(Broken::Refused(format!("there are {most} links")));
        }
        let tokens = (CancellationToken::new(), CancellationToken::new());
        let place = (peer.clone(), tokens.0.clone(), tokens.1.clone());
        places.insert(peer.process, place);
        Ok(Ok(tokens))
    }

    fn peers(&self) -> Vec<Peer> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.values().map(|(peer, ..)| peer.clone()).collect()
    }
}

type Tokens = (CancellationToken, CancellationToken);

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self
            .links
            .places
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        places.remove(&self.process);
        self.gone.cancel();
    }
}

/// What goes to a front-end: frames, and at the end why there are no more.
struct Outflow {
    frames: mpsc::Receiver<Frame>,
    why: Option<oneshot::Receiver<Status>>,
}

impl tokio_stream::Stream for Outflow {
    type Item = Result<Frame, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.frames.poll_recv(context) {
            Poll::Ready(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
            Poll::Pending => return Poll::Pending,
            Poll::Ready(None) => {}
        }
        let Some(why) = self.why.as_mut() else {
            return Poll::Ready(None);
        };
        let Poll::Ready(status) = Pin::new(why).poll(context) else {
            return Poll::Pending;
        };
        self.why = None;
        Poll::Ready(status.ok().map(Err))
    }
}

/// The service of link.proto, over bytes.
struct LinkService<F>(Arc<Inner<F>>);

impl<F> Clone for LinkService<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<F> tonic::server::NamedService for LinkService<F> {
    const NAME: &'static str = SERVICE;
}

impl<F: Fronts> tonic::server::StreamingService<Bytes> for LinkService<F> {
    type Response = Frame;
    type ResponseStream = Outflow;
    type Future = BoxFuture<Response<Outflow>, Status>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.attach(request.into_inner()).await.map(Response::new) })
    }
}

impl<F: Fronts> Service<http::Request<tonic::body::Body>> for LinkService<F> {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            if request.uri().path() != METHOD {
                return Ok(Status::unimplemented("no such method").into_http());
            }
            let mut grpc = tonic::server::Grpc::new(FrameCodec)
                .max_decoding_message_size(MAX_DECODE)
                .max_encoding_message_size(MAX_DECODE);
            Ok(grpc.streaming(service, request).await)
        })
    }
}
