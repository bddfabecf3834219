//! What a stream runs on: TCP, or what a simulation puts in its place.
//!
//! Owns the way to a server ([`Dial`]) and the two halves of what comes of it. For TCP they are tokio's own, without a
//! box in between: large vectored writes go to the system as they are. It knows nothing of streams or stanzas.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpStream, lookup_host};

/// A way to a server that is not there yet.
pub type Dialing<'a> = Pin<Box<dyn Future<Output = io::Result<Socket>> + Send + 'a>>;

/// The addresses of a name that are not known yet.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// How front-ends reach servers.
pub trait Dial: fmt::Debug + Send + Sync {
    /// Reaches the component listener of a server.
    ///
    /// Errors: `NotFound` when the host has no address, `ConnectionRefused` when nobody listens, `TimedOut`; anything
    /// else counts as closed.
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> Dialing<'a>;

    /// What a name resolves to now: by the system, unless another way is given.
    ///
    /// Errors: it does not resolve.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a> {
        Box::pin(async move {
            let found = lookup_host((host, port)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// By TCP.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tcp;

impl Dial for Tcp {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> Dialing<'a> {
        Box::pin(connect((host, port)))
    }
}

/// A way to a server, in its two halves.
#[derive(Debug)]
pub struct Socket {
    pub(super) reading: ReadingHalf,
    pub(super) writing: WritingHalf,
}

impl Socket {
    /// Other than by TCP.
    #[must_use]
    pub fn other(
        reading: Box<dyn AsyncRead + Send + Unpin>,
        writing: Box<dyn Outward + Send + Sync>,
    ) -> Self {
        Self {
            reading: ReadingHalf::Other(reading),
            writing: WritingHalf::Other(writing),
        }
    }
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        let (reading, writing) = stream.into_split();
        Self {
            reading: ReadingHalf::Tcp(reading),
            writing: WritingHalf::Tcp(writing),
        }
    }
}

/// Takes bytes towards a server. Dropped, it ends this direction.
pub trait Outward: fmt::Debug {
    /// Takes what there is room for. Errors: `WouldBlock` when there is none; others end the stream.
    fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Leaves this direction open until the reading half is dropped too.
    fn forget(self: Box<Self>);

    /// Waits until there may be room.
    fn writable<'a>(&'a self) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>>;
}

/// What comes from a server.
pub(super) enum ReadingHalf {
    Tcp(OwnedReadHalf),
    Other(Box<dyn AsyncRead + Send + Unpin>),
}

/// What goes to a server.
#[derive(Debug)]
pub(crate) enum WritingHalf {
    Tcp(OwnedWriteHalf),
    Other(Box<dyn Outward + Send + Sync>),
}

impl AsyncRead for ReadingHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(half) => Pin::new(half).poll_read(context, into),
            Self::Other(half) => Pin::new(half).poll_read(context, into),
        }
    }
}

impl fmt::Debug for ReadingHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadingHalf(..)")
    }
}

impl WritingHalf {
    /// As [`Outward::try_write_vectored`].
    pub(super) fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(half) => half.try_write_vectored(pieces),
            Self::Other(half) => half.try_write_vectored(pieces),
        }
    }

    /// As [`Outward::writable`].
    pub(super) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(half) => half.writable().await,
            Self::Other(half) => half.writable().await,
        }
    }

    /// Writes all of it, however long it takes.
    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.try_write_vectored(&[IoSlice::new(bytes)]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Leaves this direction open until the other half is dropped too.
    pub(super) fn forget(self) {
        match self {
            Self::Tcp(half) => half.forget(),
            Self::Other(half) => half.forget(),
        }
    }
}

async fn connect(address: (&str, u16)) -> io::Result<Socket> {
    let unresolved = || io::Error::from(io::ErrorKind::NotFound);
    let addresses = lookup_host(address).await.map_err(|_| unresolved())?;
    let addresses: Vec<SocketAddr> = addresses.collect();
    let mut failed = unresolved();
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(socket) => {
                let _ = socket.set_nodelay(true);
                return Ok(Socket::from(socket));
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}
