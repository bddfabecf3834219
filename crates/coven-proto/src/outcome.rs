//! Outcomes of operations, kept so that a repeat gets the same answer (I4).

use crate::people::{smol, text, view_from, view_to};
use crate::{Error, wire};
use bytes::Bytes;
use coven_core::{Condition, ErrorType, Group, Origin, Refusal, StanzaKind};
use prost::Message as _;

/// What became of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It made events: they are sent again from the journal, a repeat is answered by `done` alone.
    Done,
    /// It was refused: the refusal is rendered again.
    Refused(Box<(Origin, Refusal)>),
}

/// The bytes of an outcome.
#[must_use]
pub fn encode_outcome(outcome: &Outcome) -> Bytes {
    let wire = match outcome {
        Outcome::Done => wire::Outcome {
            done: true,
            refusal: None,
        },
        Outcome::Refused(refused) => {
            let (origin, refusal) = &**refused;
            wire::Outcome {
                done: false,
                refusal: Some(refusal_to(origin, refusal)),
            }
        }
    };
    wire.encode_to_vec().into()
}

/// The outcome of such bytes.
pub fn decode_outcome(bytes: Bytes) -> Result<Outcome, Error> {
    let wire = wire::Outcome::decode(bytes).map_err(|source| Error::Format {
        what: "outcome",
        source,
    })?;
    match wire.refusal {
        Some(refusal) => Ok(Outcome::Refused(Box::new(refusal_from(refusal)?))),
        None => Ok(Outcome::Done),
    }
}

fn refusal_to(origin: &Origin, refusal: &Refusal) -> wire::Refusal {
    wire::Refusal {
        kind: format!("{:?}", refusal.kind),
        condition: format!("{:?}", refusal.condition),
        text: refusal.text.to_string(),
        uri: refusal.uri.clone(),
        origin: Some(wire::Origin {
            stanza: origin.kind as u32,
            from: origin.from.to_string(),
            to: origin.to.to_string(),
            id: text(origin.id.as_ref()),
            lang: text(origin.lang.as_ref()),
            view: view_to(origin.view),
            group: origin.group.0.to_string(),
            payload: origin.payload.clone(),
        }),
    }
}

fn refusal_from(wire: wire::Refusal) -> Result<(Origin, Refusal), Error> {
    let origin = wire.origin.ok_or(Error::Missing("origin"))?;
    let kinds = [StanzaKind::Message, StanzaKind::Presence, StanzaKind::Iq];
    let stanza = kinds.into_iter().find(|k| *k as u32 == origin.stanza);
    let refusal = Refusal {
        text: wire.text.into(),
        uri: wire.uri,
        ..Refusal::new(condition(&wire.condition)?, error_type(&wire.kind)?)
    };
    let origin = Origin {
        kind: stanza.ok_or(Error::Invalid("stanza kind"))?,
        from: origin.from.into(),
        to: origin.to.into(),
        id: smol(origin.id),
        lang: smol(origin.lang),
        view: view_from(origin.view)?,
        group: Group(origin.group.into()),
        payload: origin.payload,
    };
    Ok((origin, refusal))
}

fn error_type(name: &str) -> Result<ErrorType, Error> {
    use ErrorType as E;
    let all = [E::Auth, E::Cancel, E::Continue, E::Modify, E::Wait];
    all.into_iter()
        .find(|e| format!("{e:?}") == name)
        .ok_or(Error::Invalid("error type"))
}

fn condition(name: &str) -> Result<Condition, Error> {
    use Condition as C;
    let all = [
        C::BadRequest,
        C::Conflict,
        C::FeatureNotImplemented,
        C::Forbidden,
        C::Gone,
        C::InternalServerError,
        C::ItemNotFound,
        C::JidMalformed,
        C::NotAcceptable,
        C::NotAllowed,
        C::NotAuthorized,
        C::PolicyViolation,
        C::RecipientUnavailable,
        C::Redirect,
        C::RegistrationRequired,
        C::RemoteServerNotFound,
        C::RemoteServerTimeout,
        C::ResourceConstraint,
        C::ServiceUnavailable,
        C::SubscriptionRequired,
        C::UndefinedCondition,
        C::UnexpectedRequest,
    ];
    all.into_iter()
        .find(|c| format!("{c:?}") == name)
        .ok_or(Error::Invalid("condition"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn outcomes_round_trip() {
        let origin = Origin {
            kind: StanzaKind::Iq,
            from: "a@b/c".into(),
            to: "r@s".into(),
            id: Some("1".into()),
            lang: None,
            view: coven_core::View::Mix,
            group: Group("main".into()),
            payload: Bytes::from_static(b"<x/>"),
        };
        let refused = Outcome::Refused(Box::new((
            origin,
            Refusal::usual(Condition::NotAllowed).text("no"),
        )));
        for outcome in [Outcome::Done, refused] {
            assert_eq!(decode_outcome(encode_outcome(&outcome)).unwrap(), outcome);
        }
    }
}
