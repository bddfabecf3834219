//! Why a command is refused: one to one a stanza error (RFC 6120 §8.3).
//!
//! A refusal is part of the protocol, not a failure. How it becomes XML is in `coven-xmpp` (`stanza/error.rs`).

use std::borrow::Cow;

/// The `type` of a stanza error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the words of RFC 6120 §8.3.2")]
pub enum ErrorType {
    Auth,
    Cancel,
    Continue,
    Modify,
    Wait,
}

/// The defined condition of a stanza error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the words of RFC 6120 §8.3.3")]
pub enum Condition {
    BadRequest,
    Conflict,
    FeatureNotImplemented,
    Forbidden,
    Gone,
    InternalServerError,
    ItemNotFound,
    JidMalformed,
    NotAcceptable,
    NotAllowed,
    NotAuthorized,
    PolicyViolation,
    RecipientUnavailable,
    Redirect,
    RegistrationRequired,
    RemoteServerNotFound,
    RemoteServerTimeout,
    ResourceConstraint,
    ServiceUnavailable,
    SubscriptionRequired,
    UndefinedCondition,
    UnexpectedRequest,
}

/// A refused command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The `type` of the error.
    pub kind: ErrorType,
    /// The defined condition.
    pub condition: Condition,
    /// Text for people; empty for none.
    pub text: Cow<'static, str>,
    /// URI inside `<gone/>` or `<redirect/>`: the room or channel to go to instead, as a JID of the requester's view or a full URI.
    pub uri: Option<String>,
    /// An application-specific condition: namespace, element name and attribute (name, value), as in XEP-0060.
    pub specific: Option<Specific>,
}

/// An application-specific error condition (RFC 6120 §8.3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Specific {
    /// Namespace.
    pub namespace: &'static str,
    /// Element name.
    pub name: &'static str,
    /// At most one attribute.
    pub attribute: Option<(&'static str, &'static str)>,
}

impl Specific {
    /// All that this crate gives: how one is found again by what a link brings. Its parts stay constants, as what is
    /// written into XML unescaped has to.
    pub const ALL: [Self; 3] = [
        Self::new("urn:xmpp:mix:core:1", "join", None),
        Self::new(PUBSUB_ERRORS, "closed-node", None),
        Self::new(
            PUBSUB_ERRORS,
            "unsupported",
            Some(("feature", "persistent-items")),
        ),
    ];

    const fn new(
        namespace: &'static str,
        name: &'static str,
        attribute: Option<(&'static str, &'static str)>,
    ) -> Self {
        Self {
            namespace,
            name,
            attribute,
        }
    }
}

const PUBSUB_ERRORS: &str = "http://jabber.org/protocol/pubsub#errors";

impl Refusal {
    /// A refusal without text.
    #[must_use]
    pub const fn new(condition: Condition, kind: ErrorType) -> Self {
        Self {
            kind,
            condition,
            text: Cow::Borrowed(""),
            uri: None,
            specific: None,
        }
    }

    /// The condition with its usual type (MUC-ERR-05).
    #[must_use]
    pub const fn usual(condition: Condition) -> Self {
        Self::new(condition, condition.usual_type())
    }

    /// Adds text for people.
    #[must_use]
    pub fn text(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.text = text.into();
        self
    }

    /// Adds an application-specific condition.
    #[must_use]
    pub fn specific(
        mut self,
        namespace: &'static str,
        name: &'static str,
        attribute: Option<(&'static str, &'static str)>,
    ) -> Self {
        let specific = Specific::new(namespace, name, attribute);
        debug_assert!(
            Specific::ALL.contains(&specific),
            "not listed: {specific:?}"
        );
        self.specific = Some(specific);
        self
    }
}

impl ErrorType {
    /// All types.
    pub const ALL: [Self; 5] = [
        Self::Auth,
        Self::Cancel,
        Self::Continue,
        Self::Modify,
        Self::Wait,
    ];

    /// The word on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Cancel => "cancel",
            Self::Continue => "continue",
            Self::Modify => "modify",
            Self::Wait => "wait",
        }
    }

    /// The type of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl Condition {
    /// All conditions.
    pub const ALL: [Self; 22] = [
        Self::BadRequest,
        Self::Conflict,
        Self::FeatureNotImplemented,
        Self::Forbidden,
        Self::Gone,
        Self::InternalServerError,
        Self::ItemNotFound,
        Self::JidMalformed,
        Self::NotAcceptable,
        Self::NotAllowed,
        Self::NotAuthorized,
        Self::PolicyViolation,
        Self::RecipientUnavailable,
        Self::Redirect,
        Self::RegistrationRequired,
        Self::RemoteServerNotFound,
        Self::RemoteServerTimeout,
        Self::ResourceConstraint,
        Self::ServiceUnavailable,
        Self::SubscriptionRequired,
        Self::UndefinedCondition,
        Self::UnexpectedRequest,
    ];

    /// The element's name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::Conflict => "conflict",
            Self::FeatureNotImplemented => "feature-not-implemented",
            Self::Forbidden => "forbidden",
            Self::Gone => "gone",
            Self::InternalServerError => "internal-server-error",
            Self::ItemNotFound => "item-not-found",
            Self::JidMalformed => "jid-malformed",
            Self::NotAcceptable => "not-acceptable",
            Self::NotAllowed => "not-allowed",
            Self::NotAuthorized => "not-authorized",
            Self::PolicyViolation => "policy-violation",
            Self::RecipientUnavailable => "recipient-unavailable",
            Self::Redirect => "redirect",
            Self::RegistrationRequired => "registration-required",
            Self::RemoteServerNotFound => "remote-server-not-found",
            Self::RemoteServerTimeout => "remote-server-timeout",
            Self::ResourceConstraint => "resource-constraint",
            Self::ServiceUnavailable => "service-unavailable",
            Self::SubscriptionRequired => "subscription-required",
            Self::UndefinedCondition => "undefined-condition",
            Self::UnexpectedRequest => "unexpected-request",
        }
    }

    /// The condition of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|condition| condition.name() == name)
    }

    /// The type that goes with the condition where no row fixes another. Source: MUC-ERR-05.
    #[must_use]
    pub const fn usual_type(self) -> ErrorType {
        match self {
            Self::BadRequest
            | Self::JidMalformed
            | Self::NotAcceptable
            | Self::PolicyViolation
            | Self::Redirect => ErrorType::Modify,
            Self::Forbidden
            | Self::NotAuthorized
            | Self::RegistrationRequired
            | Self::SubscriptionRequired => ErrorType::Auth,
            Self::ResourceConstraint
            | Self::RemoteServerTimeout
            | Self::RecipientUnavailable
            | Self::UnexpectedRequest => ErrorType::Wait,
            _ => ErrorType::Cancel,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn muc_err_05_usual_types() {
        for (condition, kind) in [
            (Condition::BadRequest, ErrorType::Modify),
            (Condition::Forbidden, ErrorType::Auth),
            (Condition::Conflict, ErrorType::Cancel),
            (Condition::ResourceConstraint, ErrorType::Wait),
            (Condition::PolicyViolation, ErrorType::Modify),
        ] {
            assert_eq!(Refusal::usual(condition).kind, kind);
        }
    }
}
