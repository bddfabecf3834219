//! The subject (XEP-0045 §8.1; MUC-SUBJ, MAP-28): a groupchat message with `<subject/>` and neither body nor thread.
//!
//! The pattern of a feature: data ([`crate::event::Subject`] in the roster), what a command does to it, who may, tests.

use crate::channel::{Channel, Facts};
use crate::command::{Post, Traits};
use crate::people::{person::Person, role::Role};
use crate::{Condition, Refusal};
use bytes::Bytes;

/// The new subject, if the message is a change of it. Errors: `forbidden` (MUC-SUBJ-04), `policy-violation` when too
/// long (MUC-ERR-10).
pub(crate) fn change(
    channel: &Channel,
    person: &Person,
    post: &Post,
    facts: &Facts,
) -> Result<Option<Bytes>, Refusal> {
    let Some(subject) = post
        .subject
        .as_ref()
        .filter(|_| !post.traits.any(Traits::BODY.with(Traits::THREAD)))
    else {
        return Ok(None);
    };
    if !may_change(channel, person) {
        return Err(Refusal::usual(Condition::Forbidden));
    }
    if subject.len() > facts.service.max_subject_bytes {
        return Err(Refusal::usual(Condition::PolicyViolation).text("this subject is too long"));
    }
    Ok(Some(subject.clone()))
}

/// Source: MUC-SUBJ-03.
fn may_change(channel: &Channel, person: &Person) -> bool {
    let needed = if channel.roster.config().change_subject {
        Role::Participant
    } else {
        Role::Moderator
    };
    channel.roster.role(person) >= needed
}
