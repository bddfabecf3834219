//! Stanza errors: what is said to a sender whose stanza had no effect, and what bounces say to us.
//!
//! Owns the conditions of RFC 6120 with their usual types, and the form of `<error/>`. Which condition a refusal of the
//! rules becomes is decided where rules and stanzas meet, not here.

use bytes::Bytes;
use minidom::Element;
use smol_str::SmolStr;

use super::{Builder, Payload};
use crate::ns;

/// What the sender may do about an error.
///
/// Source: RFC 6120 §8.3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorType {
    /// Retry after providing credentials.
    Auth,
    /// Do not retry.
    Cancel,
    /// Proceed: it was only a warning.
    Continue,
    /// Retry after changing what was sent.
    Modify,
    /// Retry after waiting.
    Wait,
}

impl ErrorType {
    /// As in the attribute `type`.
    #[must_use]
    pub fn name(self) -> &'static str {
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
        [
            Self::Auth,
            Self::Cancel,
            Self::Continue,
            Self::Modify,
            Self::Wait,
        ]
        .into_iter()
        .find(|type_| type_.name() == name)
    }
}

macro_rules! conditions {
    ($($(#[$doc:meta])* $variant:ident $name:literal $type_:ident;)*) => {
        /// A defined condition of a stanza error.
        ///
        /// Source: RFC 6120 §8.3.3.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Condition {
            $($(#[$doc])* $variant,)*
        }

        impl Condition {
            /// All conditions.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The element's name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The type it has where no rule says otherwise (MUC-ERR-05).
            #[must_use]
            pub fn default_type(self) -> ErrorType {
                match self {
                    $(Self::$variant => ErrorType::$type_,)*
                }
            }
        }
    };
}

conditions! {
    /// Malformed, or cannot be processed.
    BadRequest "bad-request" Modify;
    /// Something with that name or address exists.
    Conflict "conflict" Cancel;
    /// Understood, not done here.
    FeatureNotImplemented "feature-not-implemented" Cancel;
    /// Not allowed to this sender.
    Forbidden "forbidden" Auth;
    /// No longer at this address.
    Gone "gone" Cancel;
    /// A fault of the service.
    InternalServerError "internal-server-error" Cancel;
    /// No such room, occupant, node or item.
    ItemNotFound "item-not-found" Cancel;
    /// An address breaks the rules for addresses.
    JidMalformed "jid-malformed" Modify;
    /// Breaks a rule of the recipient.
    NotAcceptable "not-acceptable" Modify;
    /// Allowed to nobody.
    NotAllowed "not-allowed" Cancel;
    /// Credentials are missing or wrong.
    NotAuthorized "not-authorized" Auth;
    /// Breaks a policy of the service.
    PolicyViolation "policy-violation" Modify;
    /// The recipient is away for now.
    RecipientUnavailable "recipient-unavailable" Wait;
    /// To be sent elsewhere.
    Redirect "redirect" Modify;
    /// Registration or membership is needed first.
    RegistrationRequired "registration-required" Auth;
    /// The other server does not exist.
    RemoteServerNotFound "remote-server-not-found" Cancel;
    /// The other side did not answer in time.
    RemoteServerTimeout "remote-server-timeout" Wait;
    /// A bound is reached.
    ResourceConstraint "resource-constraint" Wait;
    /// Not served here.
    ServiceUnavailable "service-unavailable" Cancel;
    /// A subscription is needed first.
    SubscriptionRequired "subscription-required" Auth;
    /// Said by the application-specific child.
    UndefinedCondition "undefined-condition" Cancel;
    /// Not expected at this time.
    UnexpectedRequest "unexpected-request" Wait;
}

impl Condition {
    /// The condition of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|condition| condition.name() == name)
    }
}

/// One stanza error.
///
/// Source: RFC 6120 §8.3, requirements MUC-ERR-01, MUC-ERR-02.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StanzaError {
    /// What the sender may do.
    pub type_: ErrorType,
    /// What is wrong.
    pub condition: Condition,
    /// For people, in English.
    pub text: Option<SmolStr>,
    /// Who says so: the room's bare address for errors raised by a room.
    pub by: Option<SmolStr>,
    /// New address, for `gone` and `redirect`.
    pub alternate: Option<SmolStr>,
    /// Application-specific child: one well-formed element.
    pub detail: Option<Bytes>,
}

impl From<Condition> for StanzaError {
    fn from(condition: Condition) -> Self {
        Self::new(condition.default_type(), condition)
    }
}

impl StanzaError {
    /// An error of this type and condition, and nothing else.
    #[must_use]
    pub fn new(type_: ErrorType, condition: Condition) -> Self {
        Self {
            type_,
            condition,
            text: None,
            by: None,
            alternate: None,
            detail: None,
        }
    }

    /// With a text for people.
    #[must_use]
    pub fn with_text(self, text: impl Into<SmolStr>) -> Self {
        Self {
            text: Some(text.into()),
            ..self
        }
    }

    /// Said by this entity: a room gives its bare address (MUC-ERR-02).
    #[must_use]
    pub fn with_by(self, by: impl Into<SmolStr>) -> Self {
        Self {
            by: Some(by.into()),
            ..self
        }
    }

    /// With another address to use: `gone`, `redirect`.
    #[must_use]
    pub fn with_alternate(self, address: impl Into<SmolStr>) -> Self {
        Self {
            alternate: Some(address.into()),
            ..self
        }
    }

    /// With an application-specific child, as [`Builder`] made it.
    #[must_use]
    pub fn with_detail(self, element: Bytes) -> Self {
        Self {
            detail: Some(element),
            ..self
        }
    }

    /// What an incoming stanza of type `error` says; `None` without `<error/>`.
    ///
    /// A missing or unknown condition is `undefined-condition`, as RFC 6120 §8.3.4 wants it read.
    #[must_use]
    pub fn read(payload: &Payload) -> Option<Self> {
        let error = payload.child(ns::CLIENT, "error")?.to_element().ok()?;
        let mut read = Self::from(Condition::UndefinedCondition);
        for child in error.children() {
            read.take(child);
        }
        read.type_ = error
            .attr("type")
            .and_then(ErrorType::from_name)
            .unwrap_or(read.type_);
        read.by = error.attr("by").map(SmolStr::from);
        Some(read)
    }

    /// Writes `<error/>`.
    pub fn write(&self, xml: &mut Builder) {
        xml.open("error")
            .attr("type", self.type_.name())
            .attr_opt("by", self.by.as_deref());
        xml.open_ns(self.condition.name(), ns::STANZA_ERRORS);
        xml.text(self.alternate.as_deref().unwrap_or_default())
            .close();
        if let Some(text) = &self.text {
            xml.open_ns("text", ns::STANZA_ERRORS)
                .attr("xml:lang", "en")
                .text(text)
                .close();
        }
        xml.raw(self.detail.as_deref().unwrap_or_default()).close();
    }

    fn take(&mut self, child: &Element) {
        if !child.has_ns(ns::STANZA_ERRORS) {
            let mut detail = Vec::new();
            self.detail = child.write_to(&mut detail).is_ok().then(|| detail.into());
        } else if child.name() == "text" {
            self.text = Some(child.text().into());
        } else if let Some(condition) = Condition::from_name(child.name()) {
            self.condition = condition;
            self.type_ = condition.default_type();
            self.alternate = Some(child.text())
                .filter(|text| !text.is_empty())
                .map(SmolStr::from);
        }
    }
}
