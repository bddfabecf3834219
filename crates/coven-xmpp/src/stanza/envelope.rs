//! The envelope of a stanza: kind, addresses, id, type, language.
//!
//! Owns what must be known to answer a stanza, whatever its payload is. `jid` and `xmpp-parsers` refuse stanzas that
//! servers do hand over, so addresses stay as they came and are normalised on demand; unknown types stay readable.
//! Reading is `read.rs`.

use std::borrow::Cow;

use jid::{BareJid, DomainPart, DomainRef, NodePart};
use smol_str::SmolStr;

use super::Payload;

/// One stanza, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stanza {
    /// Message, presence or IQ.
    pub kind: Kind,
    /// Who sent it; vouched for by the upstream.
    pub from: Address,
    /// Whom it is for.
    pub to: Address,
    /// `id`, if given.
    pub id: Option<SmolStr>,
    /// `type` as it stands, if given.
    pub type_: Option<SmolStr>,
    /// `xml:lang`, if given.
    pub lang: Option<SmolStr>,
    /// The children.
    pub payload: Payload,
}

/// The three kinds of stanza.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `<message/>`
    Message,
    /// `<presence/>`
    Presence,
    /// `<iq/>`
    Iq,
}

/// Type of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// Also any type that is not known (MUC-COMP-10).
    Normal,
    /// To one other.
    Chat,
    /// To a room.
    Groupchat,
    /// Needs no answer.
    Headline,
    /// A bounce.
    Error,
}

/// Type of a presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PresenceType {
    /// No type.
    Available,
    /// Gone.
    Unavailable,
    /// A bounce.
    Error,
    /// Asks for the current presence.
    Probe,
    /// Asks for a subscription.
    Subscribe,
    /// Grants a subscription.
    Subscribed,
    /// Ends a subscription.
    Unsubscribe,
    /// Refuses or withdraws a subscription.
    Unsubscribed,
    /// Not known: neither a join nor a leave (MUC-COMP-10).
    Unknown,
}

/// Type of an IQ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IqType {
    /// Asks.
    Get,
    /// Changes.
    Set,
    /// Answers.
    Result,
    /// Refuses.
    Error,
}

impl Kind {
    /// The element's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Presence => "presence",
            Self::Iq => "iq",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Message, Self::Presence, Self::Iq]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

impl Stanza {
    /// Type of a message; `None` for other kinds. Unknown types are normal (RFC 6121 §5.2.2, MUC-COMP-10).
    #[must_use]
    pub fn message_type(&self) -> Option<MessageType> {
        (self.kind == Kind::Message).then_some(match self.type_.as_deref() {
            Some("chat") => MessageType::Chat,
            Some("groupchat") => MessageType::Groupchat,
            Some("headline") => MessageType::Headline,
            Some("error") => MessageType::Error,
            _ => MessageType::Normal,
        })
    }

    /// Type of a presence; `None` for other kinds (RFC 6121 §4.7.1, MUC-COMP-10).
    #[must_use]
    pub fn presence_type(&self) -> Option<PresenceType> {
        (self.kind == Kind::Presence).then_some(match self.type_.as_deref() {
            None => PresenceType::Available,
            Some("unavailable") => PresenceType::Unavailable,
            Some("error") => PresenceType::Error,
            Some("probe") => PresenceType::Probe,
            Some("subscribe") => PresenceType::Subscribe,
            Some("subscribed") => PresenceType::Subscribed,
            Some("unsubscribe") => PresenceType::Unsubscribe,
            Some("unsubscribed") => PresenceType::Unsubscribed,
            Some(_) => PresenceType::Unknown,
        })
    }

    /// Type of an IQ; `None` for other kinds and for types that RFC 6120 §8.2.3 does not know.
    #[must_use]
    pub fn iq_type(&self) -> Option<IqType> {
        match self.type_.as_deref().filter(|_| self.kind == Kind::Iq)? {
            "get" => Some(IqType::Get),
            "set" => Some(IqType::Set),
            "result" => Some(IqType::Result),
            "error" => Some(IqType::Error),
            _ => None,
        }
    }

    /// Whether it is of type `error`: such a stanza is never answered (MUC-ERR-04).
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.type_.as_deref() == Some("error")
    }
}

/// An address as it stands in a stanza.
///
/// Its parts are cut as RFC 7622 §3.2 says and not changed: a reply goes to exactly the address that was given.
/// Comparing needs the normalised parts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address(SmolStr);

/// An address breaks the rules of RFC 7622 (S-08): `jid-malformed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("address breaks the rules for addresses")]
pub struct Malformed;

impl Address {
    /// An address as it was given.
    #[must_use]
    pub fn new(raw: impl Into<SmolStr>) -> Self {
        Self(raw.into())
    }

    /// As it was given.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.0
    }

    /// Without the resource, as it was given.
    #[must_use]
    pub fn bare(&self) -> &str {
        let raw = self.raw();
        raw.split_once('/').map_or(raw, |(bare, _)| bare)
    }

    /// The resource as it was given: a nick, or what a server vouched for.
    #[must_use]
    pub fn resource(&self) -> Option<&str> {
        self.0.split_once('/').map(|(_, resource)| resource)
    }

    /// The localpart as it was given.
    #[must_use]
    pub fn local(&self) -> Option<&str> {
        self.bare().split_once('@').map(|(local, _)| local)
    }

    /// The domain as it was given.
    #[must_use]
    pub fn domain(&self) -> &str {
        let bare = self.bare();
        bare.split_once('@').map_or(bare, |(_, domain)| domain)
    }

    /// The localpart, prepared by nodeprep: equal for all spellings of one (MUC-COMP-04).
    ///
    /// # Errors
    ///
    /// [`Malformed`]: `jid-malformed`.
    pub fn normal_local(&self) -> Result<Option<SmolStr>, Malformed> {
        let Some(local) = self.local() else {
            return Ok(None);
        };
        let part = NodePart::new(local).map_err(|_| Malformed)?;
        Ok(Some(part.as_str().into()))
    }

    /// The domain, prepared by nameprep and IDNA, without a final dot.
    ///
    /// # Errors
    ///
    /// [`Malformed`]: `jid-malformed`.
    pub fn normal_domain(&self) -> Result<SmolStr, Malformed> {
        self.domain_part().map(|part| part.as_str().into())
    }

    /// Localpart and domain, both prepared. The resource is not looked at.
    ///
    /// Cost: preparing the domain takes microseconds; cache by raw address where it is done often.
    ///
    /// # Errors
    ///
    /// [`Malformed`]: `jid-malformed`.
    pub fn bare_jid(&self) -> Result<BareJid, Malformed> {
        let domain = self.domain_part()?;
        let Some(local) = self.local() else {
            return Ok(BareJid::from_parts(None, &domain));
        };
        let local = NodePart::new(local).map_err(|_| Malformed)?;
        Ok(BareJid::from_parts(Some(&local), &domain))
    }

    fn domain_part(&self) -> Result<Cow<'_, DomainRef>, Malformed> {
        let domain = self.domain();
        DomainPart::new(domain.strip_suffix('.').unwrap_or(domain)).map_err(|_| Malformed)
    }
}
