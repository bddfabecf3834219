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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Specific {
    /// Namespace.
    pub namespace: &'static str,
    /// Element name.
    pub name: &'static str,
    /// At most one attribute.
    pub attribute: Option<(&'static str, &'static str)>,
}

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
    pub const fn specific(
        mut self,
        namespace: &'static str,
        name: &'static str,
        attribute: Option<(&'static str, &'static str)>,
    ) -> Self {
        self.specific = Some(Specific {
            namespace,
            name,
            attribute,
        });
        self
    }
}

impl Condition {
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
            Self::ResourceConstraint | Self::RemoteServerTimeout | Self::RecipientUnavailable => {
                ErrorType::Wait
            }
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
