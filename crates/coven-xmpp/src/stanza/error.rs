//! Stanza errors: what is said to a sender whose stanza had no effect, and what bounces say to us.
//!
//! Owns the form of `<error/>`, and the one function by which a [`Refusal`] of the rules becomes one. The conditions and
//! their usual types are the core's (`coven_core::refusal`).

use bytes::Bytes;
use coven_core::Refusal;
use coven_core::refusal::Specific;
pub use coven_core::{Condition, ErrorType};
use minidom::Element;
use smol_str::SmolStr;

use super::{Builder, Payload};
use crate::ns;

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
        Self::new(condition.usual_type(), condition)
    }
}

/// What a refusal says, on the wire. Who says it (`by`) is added where the address is known.
///
/// Source: RFC 6120 §8.3.2 to §8.3.4.
impl From<&Refusal> for StanzaError {
    fn from(refusal: &Refusal) -> Self {
        let text = Some(refusal.text.as_ref()).filter(|text| !text.is_empty());
        Self {
            text: text.map(SmolStr::from),
            alternate: refusal.uri.as_deref().map(SmolStr::from),
            detail: refusal.specific.as_ref().map(specific),
            ..Self::new(refusal.kind, refusal.condition)
        }
    }
}

fn specific(specific: &Specific) -> Bytes {
    let mut xml = Builder::with_capacity(128);
    xml.open_ns(specific.name, specific.namespace);
    if let Some((name, value)) = specific.attribute {
        xml.attr(name, value);
    }
    xml.close();
    xml.finish()
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
            self.type_ = condition.usual_type();
            self.alternate = Some(child.text())
                .filter(|text| !text.is_empty())
                .map(SmolStr::from);
        }
    }
}
