//! IQs between occupants (XEP-0045 §17.4; MUC-IQ-01..06): passed on, never kept.
//!
//! The id given to the addressee is made of the requester's session, the nick it asked and its own id, with a proof under
//! the channel's key that binds them to the addressee. So the answer finds its way without a table, also after a restart
//! or a change of nick, and a forged one does not (MUC-IQ-02).
//!
//! Nobody keeps time: a request whose addressee leaves is answered by the addressee's server (MUC-IQ-06). What kind of
//! request it is, is known to the translator: it makes `bad-request` of the refusal of a disco request by somebody who is
//! no occupant (MUC-DISCO-25), and names those that go to the bare JID.

use crate::channel::{Channel, Decision, Output};
use crate::command::{Relay, Sender};
use crate::ids::{ChannelKey, SessionNo};
use crate::people::affiliation::Affiliation;
use crate::people::nick::Nick;
use crate::roster::PersonView;
use crate::{Condition, ErrorType, Group, Refusal, View};
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
    request(channel, sender, relay).map(|relayed| Decision::output(Output::Relay(relayed)))
}

/// A request on its way to another occupant. Errors: MUC-IQ-04.
pub(crate) fn request(
    channel: &Channel,
    sender: &Sender,
    relay: &Relay,
) -> Result<Relayed, Refusal> {
    let session = channel
        .muc_session(sender)
        .ok_or_else(|| Refusal::new(Condition::NotAcceptable, ErrorType::Cancel))?;
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
    let asked = Asked {
        requester: session.no,
        nick: &view.person.shown_nick(),
        own_id: &relay.id,
    };
    Ok(Relayed {
        id: asked.id(channel, &to),
        to,
        group,
        from_nick: from.shown_nick().as_ref().into(),
        kind: relay.kind.clone(),
        payload: relay.payload.clone(),
    })
}

/// The session that answers for a person: the one that is shown, among its MUC sessions; for vCard and PubSub the account
/// itself (MUC-IQ-03, I-32).
fn address(view: &PersonView, relay: &Relay) -> Option<(SmolStr, Group)> {
    let best = view
        .muc_sessions()
        .max_by_key(|s| (s.presence.show, s.updated, s.no))?;
    let to = if relay.to_bare {
        best.jid.bare_str()
    } else {
        best.jid.as_str()
    };
    Some((to.into(), best.group.clone()))
}

/// From the occupant JID that was asked, to the session that asked. `None`: forged, from another address than the one that
/// was asked, or too late.
fn answer(channel: &Channel, sender: &Sender, relay: &Relay) -> Option<Output> {
    let (asked, given) = Asked::parse(&relay.id)?;
    let full = sender.full.as_ref().map(crate::FullJid::as_str);
    let addressee = full.unwrap_or(sender.bare.as_str());
    if asked.proof(channel, addressee) != given || !may_answer(channel, sender, relay) {
        return None;
    }
    let requester = channel.roster.session(asked.requester)?;
    Some(Output::Relay(Relayed {
        to: requester.jid.as_str().into(),
        group: requester.group.clone(),
        from_nick: asked.nick.into(),
        kind: relay.kind.clone(),
        id: asked.own_id.into(),
        payload: relay.payload.clone(),
    }))
}

/// Whoever is here; and who has left by an error, which a server says for a client that is gone (MUC-IQ-06). An id proves
/// for ever that it was asked, so nobody who is banned is heard by one.
fn may_answer(channel: &Channel, sender: &Sender, relay: &Relay) -> bool {
    let roster = &channel.roster;
    let is_here = match sender.full.as_ref() {
        Some(full) => roster.session_of(View::Muc, full).is_some(),
        None => roster
            .person_of(&sender.bare)
            .is_some_and(|p| roster.is_present(p.no)),
    };
    let is_banned = channel.affiliation(&sender.bare) == Affiliation::Outcast;
    !is_banned && (is_here || relay.kind == "error")
}

/// A request on its way: what the answer has to bring back.
struct Asked<'a> {
    requester: SessionNo,
    nick: &'a str,
    own_id: &'a str,
}

impl<'a> Asked<'a> {
    /// `session-proof-length of nick-nick own id`.
    fn id(&self, channel: &Channel, addressee: &str) -> SmolStr {
        let proof = self.proof(channel, addressee);
        let (nick, own_id) = (self.nick, self.own_id);
        format_smolstr!("{}-{proof}-{}-{nick}{own_id}", self.requester.0, nick.len())
    }

    /// What an id says, and the proof it gives.
    fn parse(id: &'a str) -> Option<(Self, &'a str)> {
        let mut parts = id.splitn(4, '-');
        let requester = SessionNo(parts.next()?.parse().ok()?);
        let given = parts.next()?;
        let length = parts.next()?.parse().ok()?;
        let (nick, own_id) = parts.next()?.split_at_checked(length)?;
        let asked = Self {
            requester,
            nick,
            own_id,
        };
        Some((asked, given))
    }

    /// Shows that the channel itself made this id for this addressee.
    fn proof(&self, channel: &Channel, addressee: &str) -> String {
        let key = channel.key.unwrap_or(ChannelKey([0; 32]));
        let Self {
            requester,
            nick,
            own_id,
        } = self;
        let mac = key.mac(format!("iq\0{}\0{addressee}\0{nick}\0{own_id}", requester.0).as_bytes());
        mac.iter().take(10).map(|b| format!("{b:02x}")).collect()
    }
}
