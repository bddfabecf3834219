//! IQs between occupants (XEP-0045 §17.4; MUC-IQ-01..06): passed on, never kept.
//!
//! The id given to the addressee is made of the requester's session and its own id, with a proof under the channel's
//! key, bound to the addressee. So the answer finds its way without a table, also after a restart, and a forged one does
//! not.

use crate::channel::{Channel, Decision, Output};
use crate::command::{Relay, Sender};
use crate::ids::SessionNo;
use crate::people::nick::Nick;
use crate::roster::PersonView;
use crate::{Condition, FullJid, Group, Refusal};
use bytes::Bytes;
use smol_str::{SmolStr, format_smolstr};

/// An IQ passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relayed {
    /// The real address it goes to: full, or bare for vCard and PubSub.
    pub to: SmolStr,
    /// Where output for that address leaves.
    pub group: Group,
    /// The nick it comes from.
    pub from_nick: SmolStr,
    /// `get`, `set`, `result` or `error`.
    pub kind: SmolStr,
    /// `id` for the addressee.
    pub id: SmolStr,
    /// The child elements.
    pub payload: Bytes,
}

/// Passes on a request, or the answer to one. Errors: MUC-IQ-04; an answer is never refused, only dropped.
pub fn decide(channel: &Channel, sender: &Sender, relay: &Relay) -> Result<Decision, Refusal> {
    if matches!(relay.kind.as_str(), "result" | "error") {
        return Ok(answer(channel, sender, relay).map_or_else(Decision::default, Decision::output));
    }
    let Some(session) = channel.muc_session(sender) else {
        return Err(Refusal::new(
            Condition::NotAcceptable,
            crate::ErrorType::Cancel,
        ));
    };
    let target = Nick::new(&relay.nick).and_then(|nick| channel.roster.holder(&nick));
    let view = target
        .and_then(|p| channel.roster.view(p.no))
        .ok_or_else(|| Refusal::usual(Condition::ItemNotFound))?;
    let (to, group) =
        address(&view, relay).ok_or_else(|| Refusal::usual(Condition::ServiceUnavailable))?;
    let from = channel
        .roster
        .person(session.person)
        .ok_or_else(|| Refusal::usual(Condition::InternalServerError))?;
    let bare = to.split('/').next().unwrap_or_default();
    Ok(Decision::output(Output::Relay(Relayed {
        id: format_smolstr!(
            "{}-{}-{}",
            session.no.0,
            proof(channel, session.no, bare, &relay.id),
            relay.id
        ),
        to,
        group,
        from_nick: from.shown_nick().as_ref().into(),
        kind: relay.kind.clone(),
        payload: relay.payload.clone(),
    })))
}

/// The session that answers for a person: its best MUC session; for vCard and PubSub the account itself (MUC-IQ-03).
fn address(view: &PersonView, relay: &Relay) -> Option<(SmolStr, Group)> {
    let best = view
        .muc_sessions()
        .max_by_key(|s| (s.presence.show, s.updated))?;
    let to = if relay.to_bare {
        best.jid.bare_str()
    } else {
        best.jid.as_str()
    };
    Some((to.into(), best.group.clone()))
}

fn answer(channel: &Channel, sender: &Sender, relay: &Relay) -> Option<Output> {
    let mut parts = relay.id.splitn(3, '-');
    let no = SessionNo(parts.next()?.parse().ok()?);
    let (given, own_id) = (parts.next()?, parts.next()?);
    if given != proof(channel, no, sender.bare.as_str(), own_id) {
        return None;
    }
    let requester = channel.roster.session(no)?;
    let person = channel.roster.person_of(&sender.bare)?;
    Some(Output::Relay(Relayed {
        to: requester.jid.as_str().into(),
        group: requester.group.clone(),
        from_nick: person.shown_nick().as_ref().into(),
        kind: relay.kind.clone(),
        id: own_id.into(),
        payload: relay.payload.clone(),
    }))
}

/// Shows that the channel itself made this id for this addressee.
fn proof(channel: &Channel, requester: SessionNo, addressee: &str, own_id: &str) -> String {
    let key = channel.key.unwrap_or(crate::ids::ChannelKey([0; 32]));
    let mac = key.mac(format!("iq\0{}\0{addressee}\0{own_id}", requester.0).as_bytes());
    mac.iter().take(10).map(|b| format!("{b:02x}")).collect()
}

/// Whether an address is one of the sender's own sessions; used by self-pings.
#[must_use]
pub fn is_session(channel: &Channel, full: &FullJid) -> bool {
    channel.roster.session_of(crate::View::Muc, full).is_some()
}
