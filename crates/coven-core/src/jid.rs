//! Addresses of people, normalised: what the core compares and stores.
//!
//! Normalisation (nodeprep, nameprep, resourceprep) is done by the `jid` crate when text comes in; afterwards these are
//! cheap shared strings. Raw addresses of stanzas, which may not even parse, live in `coven-xmpp`.

use smol_str::{SmolStr, SmolStrBuilder};
use std::fmt;

/// A normalised bare JID: `local@domain` or `domain`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BareJid(SmolStr);

impl BareJid {
    /// Parses and normalises; a resource is cut off. `None` if this is no JID.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let jid = jid::Jid::new(text).ok()?;
        Some(Self(SmolStr::new(jid.to_bare().as_str())))
    }

    /// Takes text that is known to be normalised (from a journal, or already parsed).
    #[must_use]
    pub fn from_normalised(text: impl Into<SmolStr>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is a domain, without localpart.
    #[must_use]
    pub fn is_domain(&self) -> bool {
        !self.0.contains('@')
    }

    /// What follows the `@`, or all of it.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0
            .split_once('@')
            .map_or(self.0.as_str(), |(_, domain)| domain)
    }
}

/// Found in maps by its text.
impl std::borrow::Borrow<str> for BareJid {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BareJid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A normalised full JID: `local@domain/resource`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FullJid {
    text: SmolStr,
    slash: u16,
}

impl FullJid {
    /// Joins a bare JID and a resource.
    #[must_use]
    pub fn new(bare: &BareJid, resource: &str) -> Self {
        let mut text = SmolStrBuilder::new();
        text.push_str(bare.as_str());
        text.push('/');
        text.push_str(resource);
        Self {
            slash: u16::try_from(bare.as_str().len()).unwrap_or(u16::MAX),
            text: text.finish(),
        }
    }

    /// Parses and normalises; `None` if this is no JID or has no resource.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let jid = jid::Jid::new(text).ok()?;
        let resource = jid.resource()?;
        Some(Self::new(
            &BareJid(SmolStr::new(jid.to_bare().as_str())),
            resource.as_str(),
        ))
    }

    /// Takes text that is known to be normalised; `None` without a resource.
    #[must_use]
    pub fn from_normalised(text: &str) -> Option<Self> {
        let (bare, resource) = text.split_once('/')?;
        Some(Self::new(&BareJid::from_normalised(bare), resource))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part before the slash.
    #[must_use]
    pub fn bare(&self) -> BareJid {
        BareJid(SmolStr::new(
            self.text
                .get(..usize::from(self.slash))
                .unwrap_or(&self.text),
        ))
    }

    /// The part before the slash, as text.
    #[must_use]
    pub fn bare_str(&self) -> &str {
        self.text
            .get(..usize::from(self.slash))
            .unwrap_or(&self.text)
    }

    /// The part after the slash.
    #[must_use]
    pub fn resource(&self) -> &str {
        self.text
            .get(usize::from(self.slash) + 1..)
            .unwrap_or_default()
    }
}

impl fmt::Display for FullJid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A name of a group of upstreams that reach the same users: where output for an address leaves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Group(pub SmolStr);
