//! Participation: what makes a person a MIX participant, and which nodes it is subscribed to (XEP-0369 §4.7, §7.1.2).
//!
//! Owns the set of nodes and the record of a participation. Joining, leaving and subscriptions as commands are in
//! [`crate::presence::participate`].

use crate::ids::Sequence;
use crate::jid::Group;

/// A node of a channel that can be subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Node {
    /// `urn:xmpp:mix:nodes:messages`
    Messages = 0,
    /// `urn:xmpp:mix:nodes:participants`
    Participants = 1,
    /// `urn:xmpp:mix:nodes:info`
    Info = 2,
    /// `urn:xmpp:mix:nodes:presence`
    Presence = 3,
    /// `urn:xmpp:mix:nodes:jidmap`
    JidMap = 4,
    /// `urn:xmpp:mix:nodes:allowed`
    Allowed = 5,
    /// `urn:xmpp:mix:nodes:banned`
    Banned = 6,
    /// `urn:xmpp:mix:nodes:config`
    Config = 7,
    /// `urn:xmpp:avatar:data`
    AvatarData = 8,
    /// `urn:xmpp:avatar:metadata`
    AvatarMetadata = 9,
}

impl Node {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 10] = [
        Self::Messages,
        Self::Participants,
        Self::Info,
        Self::Presence,
        Self::JidMap,
        Self::Allowed,
        Self::Banned,
        Self::Config,
        Self::AvatarData,
        Self::AvatarMetadata,
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Messages => "urn:xmpp:mix:nodes:messages",
            Self::Participants => "urn:xmpp:mix:nodes:participants",
            Self::Info => "urn:xmpp:mix:nodes:info",
            Self::Presence => "urn:xmpp:mix:nodes:presence",
            Self::JidMap => "urn:xmpp:mix:nodes:jidmap",
            Self::Allowed => "urn:xmpp:mix:nodes:allowed",
            Self::Banned => "urn:xmpp:mix:nodes:banned",
            Self::Config => "urn:xmpp:mix:nodes:config",
            Self::AvatarData => "urn:xmpp:avatar:data",
            Self::AvatarMetadata => "urn:xmpp:avatar:metadata",
        }
    }

    /// Reads the name on the wire.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|node| node.name() == name)
    }
}

/// A set of nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Nodes(pub u16);

impl Nodes {
    /// Stands for all names that are no node of ours: a join that asks for nothing else is refused (MIX-JOIN-07).
    pub const UNKNOWN: Self = Self(1 << 15);

    /// Whether `node` is in it.
    #[must_use]
    pub const fn has(self, node: Node) -> bool {
        self.0 & (1 << node as u16) != 0
    }

    /// With `node`.
    #[must_use]
    pub const fn with(self, node: Node) -> Self {
        Self(self.0 | (1 << node as u16))
    }

    /// Without `node`.
    #[must_use]
    pub const fn without(self, node: Node) -> Self {
        Self(self.0 & !(1 << node as u16))
    }

    /// What is in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Without what is in `other`.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether nothing is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The nodes, in the order of [`Node::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Node> {
        Node::ALL.into_iter().filter(move |node| self.has(*node))
    }
}

impl FromIterator<Node> for Nodes {
    fn from_iter<I: IntoIterator<Item = Node>>(nodes: I) -> Self {
        nodes.into_iter().fold(Self::default(), Self::with)
    }
}

/// What makes a person a participant. Lasts without any session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participation {
    /// Subscribed nodes.
    pub nodes: Nodes,
    /// Where output for the participant's bare JID leaves.
    pub group: Group,
    /// The event that made the participation.
    pub since: Sequence,
}
