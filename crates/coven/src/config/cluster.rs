//! `[cluster]`: the links between front-ends and nodes.
//!
//! Source: design §9; docs/links.md. Whether certificates can be read, and fit, is found out at the start.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

use super::check::Checker;
use super::value::{HostPort, from_text};

/// `[cluster]` as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct ClusterSection {
    /// Where a node takes links. Port 0 takes a free one. Default: `127.0.0.1:7400`.
    pub(crate) listen: Option<Address>,
    /// Where front-ends reach this node, if not at `listen`.
    pub(crate) advertise: Option<HostPort>,
    /// Certificates of the CA that signs all processes of the cluster: a PEM file.
    pub(crate) ca: Option<PathBuf>,
    /// This process' certificate: a PEM file.
    pub(crate) cert: Option<PathBuf>,
    /// Its key: a PEM file.
    pub(crate) key: Option<PathBuf>,
    /// Links without certificates beyond loopback: the network is trusted.
    pub(crate) plain: bool,
}

/// An address and a port to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Address(SocketAddr);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let why = "an IP address with a port is needed here, for example \"127.0.0.1:7400\"";
        text.parse().map(Self).map_err(|_| why.to_owned())
    }
}

from_text!(Address);

/// The checked `[cluster]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Where a node takes links.
    pub listen: SocketAddr,
    /// Where front-ends reach this node, if not at `listen`.
    pub advertise: Option<HostPort>,
    /// How links are protected.
    pub security: Security,
}

/// How links are protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Security {
    /// Not at all; beyond loopback only if the network is trusted.
    Plain {
        /// It is.
        trusted: bool,
    },
    /// By certificates of both sides: PEM files.
    Mutual {
        /// Of the CA.
        ca: PathBuf,
        /// Of this process.
        cert: PathBuf,
        /// Its key.
        key: PathBuf,
    },
}

impl ClusterSection {
    /// Checks the section. `base`: directory of the configuration file; `is_node`: whether this process listens.
    pub(super) fn resolve(self, base: &Path, is_node: bool, checker: &mut Checker<'_>) -> Cluster {
        let security = self.security(base, checker);
        let default = SocketAddr::from(([127, 0, 0, 1], 7400));
        let listen = self.listen.map_or(default, |Address(address)| address);
        if is_node && listen.ip().is_unspecified() && self.advertise.is_none() {
            let why =
                "front-ends cannot reach a node at this address: say by advertise where they can";
            checker.refuse("cluster.listen", why);
        }
        let is_open = security == Security::Plain { trusted: false };
        if is_node && is_open && !listen.ip().is_loopback() {
            let why = "links beyond loopback need ca, cert and key, or plain = true where the network is trusted";
            checker.refuse("cluster.listen", why);
        }
        Cluster {
            listen,
            advertise: self.advertise,
            security,
        }
    }

    fn security(&self, base: &Path, checker: &mut Checker<'_>) -> Security {
        let trusted = self.plain;
        match (&self.ca, &self.cert, &self.key) {
            (None, None, None) => Security::Plain { trusted },
            (Some(ca), Some(cert), Some(key)) => {
                if trusted {
                    checker.refuse(
                        "cluster.plain",
                        "there are certificates: give one of the two",
                    );
                }
                Security::Mutual {
                    ca: base.join(ca),
                    cert: base.join(cert),
                    key: base.join(key),
                }
            }
            _ => {
                checker.refuse(
                    "cluster",
                    "ca, cert and key belong together: one is missing",
                );
                Security::Plain { trusted }
            }
        }
    }
}
