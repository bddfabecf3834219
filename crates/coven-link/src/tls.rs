//! Who may talk: mutual TLS between processes of one cluster, or plain sockets on loopback.
//!
//! One CA signs the certificates of all processes; the role stands in the certificate as a DNS name
//! ([`Role::certificate_name`]), so that a front-end's key opens no node. Files are read for each new link: a certificate
//! that was renewed on disk counts from the next link on.

use crate::{Broken, Role};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::fmt::Display;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// How links are protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Security {
    /// Not at all.
    Plain {
        /// Also to addresses other than loopback: the network is trusted.
        anywhere: bool,
    },
    /// By certificates of both sides.
    Mutual(Files),
}

/// Where the certificates are: PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// Certificates of the CA that signs all processes of the cluster.
    pub ca: PathBuf,
    /// This process' certificate, and those between it and the CA.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Security {
    /// Whether a link to or from this address may be.
    ///
    /// Errors: plain, and not loopback.
    pub fn permits(&self, address: IpAddr) -> Result<(), Broken> {
        match self {
            Self::Plain { anywhere: false } if !address.is_loopback() => Err(Broken::Untrusted(
                format!("{address} is not loopback, and there are no certificates"),
            )),
            _ => Ok(()),
        }
    }

    /// Whether the files can be read and fit together.
    ///
    /// Errors: which does not, and why.
    pub async fn check(&self) -> Result<(), Broken> {
        match self {
            Self::Plain { .. } => Ok(()),
            Self::Mutual(files) => files.server().await.map(|_| ()),
        }
    }

    /// The node's side of a new connection, when the peer has shown that it is a front-end.
    pub(crate) async fn accept(&self, socket: TcpStream) -> Result<Stream, Broken> {
        let Self::Mutual(files) = self else {
            return Ok(Stream(Box::new(socket)));
        };
        let acceptor = TlsAcceptor::from(files.server().await?);
        let stream = acceptor.accept(socket).await.map_err(untrusted)?;
        let certificates = stream.get_ref().1.peer_certificates();
        let certificate = certificates.and_then(<[_]>::first);
        has_role(certificate, Role::Front)?;
        Ok(Stream(Box::new(stream)))
    }

    /// The front-end's side of a new connection, when the peer has shown that it is a node.
    pub(crate) async fn connect(&self, socket: TcpStream) -> Result<Stream, Broken> {
        let Self::Mutual(files) = self else {
            return Ok(Stream(Box::new(socket)));
        };
        let connector = TlsConnector::from(files.client().await?);
        let name = role_name(Role::Node)?;
        let stream = connector.connect(name, socket).await.map_err(untrusted)?;
        Ok(Stream(Box::new(stream)))
    }
}

/// The certificate names the role.
fn has_role(certificate: Option<&CertificateDer<'_>>, role: Role) -> Result<(), Broken> {
    let certificate = certificate.ok_or_else(|| Broken::Untrusted("no certificate".into()))?;
    let certificate = webpki::EndEntityCert::try_from(certificate).map_err(untrusted)?;
    let name = role_name(role)?;
    certificate
        .verify_is_valid_for_subject_name(&name)
        .map_err(untrusted)
}

fn role_name(role: Role) -> Result<ServerName<'static>, Broken> {
    ServerName::try_from(role.certificate_name()).map_err(untrusted)
}

/// What the files hold.
struct Read {
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Files {
    async fn server(&self) -> Result<Arc<ServerConfig>, Broken> {
        let read = self.read().await?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let clients =
            WebPkiClientVerifier::builder_with_provider(read.roots, Arc::clone(&provider))
                .build()
                .map_err(untrusted)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(untrusted)?
            .with_client_cert_verifier(clients)
            .with_single_cert(read.chain, read.key)
            .map_err(|error| in_file(&self.cert, error))?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }

    async fn client(&self) -> Result<Arc<ClientConfig>, Broken> {
        let read = self.read().await?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(untrusted)?
            .with_root_certificates(read.roots)
            .with_client_auth_cert(read.chain, read.key)
            .map_err(|error| in_file(&self.cert, error))?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }

    async fn read(&self) -> Result<Read, Broken> {
        let files = self.clone();
        let read = tokio::task::spawn_blocking(move || files.read_now()).await;
        read.map_err(untrusted)?
    }

    fn read_now(&self) -> Result<Read, Broken> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.ca)? {
            roots.add(certificate).map_err(|e| in_file(&self.ca, e))?;
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|e| in_file(&self.key, e))?;
        Ok(Read {
            roots: Arc::new(roots),
            chain: certificates(&self.cert)?,
            key,
        })
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Broken> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .map_err(|e| in_file(path, e))?
        .collect();
    let all = all.map_err(|e| in_file(path, e))?;
    match all.is_empty() {
        true => Err(in_file(path, "no certificate in it")),
        false => Ok(all),
    }
}

fn in_file(path: &Path, error: impl Display) -> Broken {
    Broken::Untrusted(format!("{}: {error}", path.display()))
}

fn untrusted(error: impl Display) -> Broken {
    Broken::Untrusted(error.to_string())
}

trait ReadWrite: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ReadWrite for T {}

/// A connection, protected or not.
pub(crate) struct Stream(Box<dyn ReadWrite>);

impl tonic::transport::server::Connected for Stream {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
