//! What a front-end needs to know: upstreams, domains, rates.
//!
//! Owns the form and the checks that hold whatever the configuration file looked like. Reading the file is the binary's
//! business.

use std::collections::BTreeSet;
use std::fmt;
use std::num::{NonZeroU16, NonZeroUsize};
use std::sync::Arc;

use coven_cluster::routes::name;
use coven_core::Group;
use coven_xmpp::domains::Domains;
use coven_xmpp::render::Quirks;
use secrecy::SecretString;
use smol_str::SmolStr;

use crate::Error;
use crate::intake::Rates;

/// What a front-end needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// The servers to attach to.
    pub upstreams: Vec<Upstream>,
    /// The domains that are served.
    pub domains: Arc<Domains>,
    /// Number of shards of the cluster.
    pub shards: u16,
    /// Rates of what people may send; `None` turns them off (tests, benchmarks). Bounds on sizes stay.
    pub rates: Option<Rates>,
    /// Tasks that render; unset: one per processor.
    pub workers: Option<NonZeroUsize>,
}

/// A server, and the domains that are attached there.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Name or address of the host.
    pub host: String,
    /// Port of its component listener.
    pub port: u16,
    /// Domains, normalised; each is one of [`Options::domains`].
    pub domains: Vec<SmolStr>,
    /// How many streams each of them has.
    pub slots: Slots,
    /// Secrets of the handshake.
    pub secrets: Secrets,
    /// Upstreams that reach the same users.
    pub group: Group,
    /// What shows that the server has taken in what was written.
    pub barrier: Barrier,
    /// Domains of the group's users, normalised: where addresses without a session belong.
    pub hosts: Vec<SmolStr>,
    /// Bytes of the largest stanza that the server takes (I9); what comes in is at most 4 KiB smaller.
    pub max_stanza_bytes: usize,
    /// What this server does differently (MIX-PAMC-09).
    pub quirks: Quirks,
}

/// How many streams each domain of an upstream has (design §6). The same in all processes: recipients are spread over all of
/// them, held or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    /// Nodes of the server. With more than one the upstream's name is resolved anew every 10 s, and each address is a node:
    /// `per-server-node`.
    pub server_nodes: NonZeroU16,
    /// Streams for each of them: more than one is `balanced`.
    pub each: NonZeroU16,
}

/// What shows that a server has taken in what was written: an IQ that goes there and back (design §6).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Barrier {
    /// A ping to the stream's own domain, which the server routes back.
    #[default]
    OwnDomain,
    /// A ping to this host of the server.
    Host(SmolStr),
    /// Nothing: what the system has taken for sending counts as taken in.
    Off,
}

/// Where the secrets of an upstream come from: asked at start, and again when the server does not accept one.
#[derive(Clone)]
pub struct Secrets(Arc<ReadSecrets>);

type ReadSecrets = dyn Fn() -> Result<Vec<SecretString>, String> + Send + Sync;

/// Bytes that an incoming stanza may grow by when it is passed on: addresses, ids, what the service adds.
const HEADROOM_BYTES: usize = 4 * 1024;

impl Options {
    /// Checks what cannot work.
    ///
    /// Errors: [`Error::Options`] with the reason.
    pub fn check(&self) -> Result<(), Error> {
        let mut seen = BTreeSet::new();
        for upstream in &self.upstreams {
            for domain in &upstream.domains {
                if self.domains.get(domain).is_none() {
                    return Err(Error::Options(format!("domain {domain} is not served")));
                }
                if !seen.insert((&upstream.group, upstream.address(), domain)) {
                    let address = upstream.address();
                    return Err(Error::Options(format!(
                        "{domain} is attached twice to {address}"
                    )));
                }
            }
        }
        if seen.is_empty() {
            return Err(Error::Options("no domain is attached anywhere".to_owned()));
        }
        Ok(())
    }
}

impl Default for Slots {
    /// One stream.
    fn default() -> Self {
        Self {
            server_nodes: NonZeroU16::MIN,
            each: NonZeroU16::MIN,
        }
    }
}

impl Slots {
    /// Streams of one domain.
    #[must_use]
    pub const fn count(self) -> u16 {
        self.server_nodes.get().saturating_mul(self.each.get())
    }

    /// The names of the connections of an upstream's domain, in order.
    pub fn names<'a>(
        self,
        group: &'a Group,
        address: &'a str,
        domain: &'a str,
    ) -> impl Iterator<Item = SmolStr> + 'a {
        (0..self.count()).map(move |slot| name(group, address, slot, domain))
    }
}

impl Upstream {
    /// Host and port as one text, as it stands in logs and names.
    #[must_use]
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            return format!("[{}]:{}", self.host, self.port);
        }
        format!("{}:{}", self.host, self.port)
    }

    /// Bytes of the largest stanza that is taken from this server.
    pub(crate) fn max_incoming_bytes(&self) -> usize {
        self.max_stanza_bytes.saturating_sub(HEADROOM_BYTES)
    }
}

impl Secrets {
    /// These, in the order in which they are tried.
    #[must_use]
    pub fn given(secrets: Vec<SecretString>) -> Self {
        Self::read_with(move || Ok(secrets.clone()))
    }

    /// What `read` gives, in the order in which they are tried. `read` may block for the time of reading a small file;
    /// its error is one line for the log, without secrets.
    #[must_use]
    pub fn read_with(
        read: impl Fn() -> Result<Vec<SecretString>, String> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(read))
    }

    pub(crate) fn read(&self) -> Result<Vec<SecretString>, String> {
        (self.0)()
    }
}

impl fmt::Debug for Secrets {
    /// Without the secrets (S-63).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(..)")
    }
}
