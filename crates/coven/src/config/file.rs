//! The configuration file as it is written: one field per section.
//!
//! Nothing here has been checked against anything else; [`super::check`] does that.

use serde::Deserialize;

use super::archive::Archive;
use super::cluster::ClusterSection;
use super::domain::DomainSection;
use super::http::Http;
use super::limits::Limits;
use super::log::Log;
use super::node::Node;
use super::store::StoreSection;
use super::upstream::UpstreamSection;
use super::value::{from_text, one_of};

/// All of `coven.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct File {
    /// What this process does: `"all"`, the default, `"node"` or `"front"`.
    pub(crate) role: Role,
    /// Where channels are kept.
    pub(crate) store: StoreSection,
    /// The domains that are served, at least one.
    pub(crate) domain: Vec<DomainSection>,
    /// The XMPP servers to attach to, at least one.
    pub(crate) upstream: Vec<UpstreamSection>,
    /// Several processes together: the links between them.
    pub(crate) cluster: Option<ClusterSection>,
    /// Channels in memory.
    pub(crate) node: Node,
    /// How long messages are kept.
    pub(crate) archive: Archive,
    /// Health for probes.
    pub(crate) http: Http,
    /// Rates and quotas.
    pub(crate) limits: Limits,
    /// What is logged, and how.
    pub(crate) log: Log,
}

/// What a process does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Role {
    /// Front-end and node in one process.
    #[default]
    All,
    /// Channels: decides and commits; front-ends have links to it.
    Node,
    /// Streams to XMPP servers; has links to all nodes.
    Front,
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let choices = [
            ("all", Self::All),
            ("node", Self::Node),
            ("front", Self::Front),
        ];
        one_of(text, &choices, &[])
    }
}

from_text!(Role);
