//! Outcomes of operations, kept so that a repeat gets the same answer (I4). The format is `proto/coven/v1/outcome.proto`.

use crate::link::{answer_from, answer_to};
use crate::people::{smol, text, view_from, view_to};
use crate::{Error, wire};
use bytes::Bytes;
use coven_core::{Answer, Condition, ErrorType, Group, Origin, Refusal, StanzaKind};
use prost::Message as _;

/// What became of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was done: its events are sent again from the journal, a repeat is answered by `done` alone.
    Done,
    /// The same, and its sender was told something alone: that is rendered again.
    Answered(Box<(Origin, Reply)>),
    /// It was refused: the refusal is rendered again.
    Refused(Box<(Origin, Refusal)>),
}

/// What a sender is told alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The result of an IQ.
    Answer(Answer),
    /// It is not there (MUC-ENTER-19).
    NotJoined,
}

/// The bytes of an outcome.
#[must_use]
pub fn encode_outcome(outcome: &Outcome) -> Bytes {
    let wire = match outcome {
        Outcome::Done => wire::Outcome {
            done: true,
            ..wire::Outcome::default()
        },
        Outcome::Answered(answered) => wire::Outcome {
            done: true,
            reply: Some(reply_to(&answered.0, &answered.1)),
            ..wire::Outcome::default()
        },
        Outcome::Refused(refused) => wire::Outcome {
            refusal: Some(refusal_to(&refused.0, &refused.1)),
            ..wire::Outcome::default()
        },
    };
    wire.encode_to_vec().into()
}

/// The outcome of such bytes.
pub fn decode_outcome(bytes: Bytes) -> Result<Outcome, Error> {
    let wire = wire::Outcome::decode(bytes).map_err(|source| Error::Format {
        what: "outcome",
        source,
    })?;
    match (wire.refusal, wire.reply) {
        (Some(refusal), _) => Ok(Outcome::Refused(Box::new(refusal_from(refusal)?))),
        (None, Some(reply)) => Ok(Outcome::Answered(Box::new(reply_from(reply)?))),
        (None, None) => Ok(Outcome::Done),
    }
}

fn reply_to(origin: &Origin, reply: &Reply) -> wire::Reply {
    wire::Reply {
        origin: Some(origin_to(origin)),
        answer: match reply {
            Reply::Answer(answer) => Some(answer_to(answer)),
            Reply::NotJoined => None,
        },
    }
}

fn reply_from(wire: wire::Reply) -> Result<(Origin, Reply), Error> {
    let reply = match wire.answer {
        Some(answer) => Reply::Answer(answer_from(Some(answer))?),
        None => Reply::NotJoined,
    };
    Ok((origin_from(wire.origin)?, reply))
}

fn refusal_to(origin: &Origin, refusal: &Refusal) -> wire::Refusal {
    wire::Refusal {
        kind: format!("{:?}", refusal.kind),
        condition: format!("{:?}", refusal.condition),
        text: refusal.text.to_string(),
        uri: refusal.uri.clone(),
        origin: Some(origin_to(origin)),
    }
}

fn refusal_from(wire: wire::Refusal) -> Result<(Origin, Refusal), Error> {
    let refusal = Refusal {
        text: wire.text.into(),
        uri: wire.uri,
        ..Refusal::new(condition(&wire.condition)?, error_type(&wire.kind)?)
    };
    Ok((origin_from(wire.origin)?, refusal))
}

fn origin_to(origin: &Origin) -> wire::Origin {
    wire::Origin {
        stanza: origin.kind as u32,
        from: origin.from.to_string(),
        to: origin.to.to_string(),
        id: text(origin.id.as_ref()),
        lang: text(origin.lang.as_ref()),
        view: view_to(origin.view),
        group: origin.group.0.to_string(),
        payload: origin.payload.clone(),
    }
}

fn origin_from(origin: Option<wire::Origin>) -> Result<Origin, Error> {
    let origin = origin.ok_or(Error::Missing("origin"))?;
    let kinds = [StanzaKind::Message, StanzaKind::Presence, StanzaKind::Iq];
    let stanza = kinds.into_iter().find(|k| *k as u32 == origin.stanza);
    Ok(Origin {
        kind: stanza.ok_or(Error::Invalid("stanza kind"))?,
        from: origin.from.into(),
        to: origin.to.into(),
        id: smol(origin.id),
        lang: smol(origin.lang),
        view: view_from(origin.view)?,
        group: Group(origin.group.into()),
        payload: origin.payload,
    })
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

    fn origin() -> Origin {
        Origin {
            kind: StanzaKind::Iq,
            from: "a@b/c".into(),
            to: "r@s".into(),
            id: Some("1".into()),
            lang: None,
            view: coven_core::View::Mix,
            group: Group("main".into()),
            payload: Bytes::from_static(b"<x/>"),
        }
    }

    #[test]
    fn outcomes_round_trip() {
        let refusal = Refusal::usual(Condition::NotAllowed).text("no");
        let refused = Outcome::Refused(Box::new((origin(), refusal)));
        let result = Reply::Answer(Answer::Created("coven".into()));
        let answered =
            [result, Reply::NotJoined].map(|reply| Outcome::Answered(Box::new((origin(), reply))));
        for outcome in [Outcome::Done, refused].into_iter().chain(answered) {
            assert_eq!(decode_outcome(encode_outcome(&outcome)).unwrap(), outcome);
        }
    }

    #[test]
    fn i7_an_outcome_from_before_replies_is_done_alone() {
        let older = Bytes::from_static(&[0x08, 0x01]);
        assert_eq!(decode_outcome(older).unwrap(), Outcome::Done);
        let answered = (origin(), Reply::Answer(Answer::Done));
        let bytes = encode_outcome(&Outcome::Answered(Box::new(answered)));
        assert!(
            bytes.starts_with(&[0x08, 0x01]),
            "done, for an older process"
        );
    }
}
