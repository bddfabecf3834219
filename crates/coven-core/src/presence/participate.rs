//! MIX participation: join, subscriptions, nick, leave (XEP-0369 §7.1; MIX-JOIN, MIX-SUB, MIX-NICK, MIX-LEAVE).

use super::join::{nick_free, person_of};
use crate::channel::{Channel, Decision, Facts, Output};
use crate::command::Sender;
use crate::event::{Cause, Event};
use crate::life::persistence;
use crate::people::nick::Nick;
use crate::people::participation::{Node, Nodes, Participation};
use crate::people::{affiliation::Affiliation, person::Person};
use crate::query::Answer;
use crate::settings::config::Config;
use crate::{Condition, Refusal};
use std::sync::Arc;

/// Nodes that every channel has for participants, without those of rights (MIX-NODE-01..04).
pub const SUBSCRIBABLE: Nodes = Nodes(
    1 << Node::Messages as u16
        | 1 << Node::Participants as u16
        | 1 << Node::Info as u16
        | 1 << Node::Presence as u16,
);

/// A join, or a second one as an update (MIX-JOIN-01..14). A temporary room becomes persistent (MAP-42).
pub fn join(
    channel: &Channel,
    sender: &Sender,
    nodes: Nodes,
    nick: Option<&str>,
    facts: &Facts,
) -> Result<Decision, Refusal> {
    channel.must_exist_for(sender)?;
    may_join(channel, sender, facts)?;
    let person = named(channel, sender, nick, facts)?;
    let old = channel.roster.participation(person.no).cloned();
    let granted = nodes.and(SUBSCRIBABLE);
    let had = old.as_ref().map_or_else(Nodes::default, |p| p.nodes);
    let mut decision = Decision::default();
    if !channel.roster.config().persistent {
        let config = Config {
            persistent: true,
            ..(**channel.roster.config()).clone()
        };
        decision.events.push(Event::Configured {
            config: Arc::new(config),
        });
    }
    let since = old.map_or_else(
        || channel.sequence_of(decision.events.len() as u64),
        |p| p.since,
    );
    let participation = Participation {
        nodes: Nodes(had.0 | granted.0),
        group: sender.group.clone(),
        since,
    };
    let answer = Answer::Participating {
        id: person.id,
        nodes: granted,
        nick: person.nick.clone(),
    };
    let no = person.no;
    decision.events.push(Event::Participated {
        person: Arc::new(person),
        participation: Arc::new(participation),
    });
    decision.outputs.push(Output::Answer(answer));
    if granted.has(Node::Presence) {
        decision.outputs.push(Output::PresenceDump { to: no });
    }
    Ok(decision)
}

/// `update-subscription` (MIX-SUB-01..04).
pub fn subscribe(
    channel: &Channel,
    sender: &Sender,
    add: Nodes,
    remove: Nodes,
) -> Result<Decision, Refusal> {
    channel.must_exist_for(sender)?;
    let (person, old) =
        participant(channel, sender).ok_or_else(|| Refusal::usual(Condition::NotAllowed))?;
    let added = Nodes(add.and(SUBSCRIBABLE).0 & !remove.0);
    let removed = remove.and(old.nodes);
    let participation = Participation {
        nodes: Nodes(old.nodes.0 & !removed.0 | added.0),
        ..(**old).clone()
    };
    let mut decision = Decision::default();
    if participation.nodes != old.nodes {
        let participation = Arc::new(participation);
        decision.events.push(Event::Participated {
            person: Arc::clone(person),
            participation,
        });
    }
    decision
        .outputs
        .push(Output::Answer(Answer::Subscribed { added, removed }));
    if added.has(Node::Presence) && !old.nodes.has(Node::Presence) {
        decision
            .outputs
            .push(Output::PresenceDump { to: person.no });
    }
    Ok(decision)
}

/// Leave. Also of somebody who is no participant, or from an unknown channel, with the same result (MIX-LEAVE-05).
pub fn leave(channel: &Channel, sender: &Sender) -> Result<Decision, Refusal> {
    let Some((person, _)) = participant(channel, sender) else {
        return Ok(Decision::answer(Answer::Departed));
    };
    let mut decision = Decision::event(Event::Departed {
        person: person.no,
        cause: Cause::Left,
    });
    decision
        .events
        .extend(persistence::after_leaving(channel, person.no, None));
    Ok(decision.and_answer(Answer::Departed))
}

/// `setnick` (MIX-NICK-01..08).
pub fn set_nick(
    channel: &Channel,
    sender: &Sender,
    raw: Option<&str>,
    facts: &Facts,
) -> Result<Decision, Refusal> {
    channel.must_exist_for(sender)?;
    let (person, _) =
        participant(channel, sender).ok_or_else(|| Refusal::usual(Condition::Forbidden))?;
    let nick = match (raw.filter(|raw| !raw.is_empty()), &person.reserved) {
        (Some(raw), _) => mix_nick(channel, raw, &person.jid, facts)?,
        (None, Some(reserved)) => reserved.clone(),
        (None, None) => return Err(Refusal::usual(Condition::NotAcceptable)),
    };
    let answer = Answer::NickSet(nick.clone());
    if person.nick.as_ref() == Some(&nick) {
        return Ok(Decision::answer(answer));
    }
    let altered = raw.is_some_and(|raw| nick.differs_from(raw));
    let person = Person {
        nick: Some(nick),
        ..(**person).clone()
    };
    Ok(Decision::event(Event::Renamed {
        person: Arc::new(person),
        altered,
    })
    .and_answer(answer))
}

/// The sender as a participant.
pub(crate) fn participant<'a>(
    channel: &'a Channel,
    sender: &Sender,
) -> Option<(&'a Arc<Person>, &'a Arc<Participation>)> {
    let person = channel.roster.person_of(&sender.bare)?;
    Some((person, channel.roster.participation(person.no)?))
}

/// Source: MIX-JOIN-10, 11; MAP-39.
fn may_join(channel: &Channel, sender: &Sender, facts: &Facts) -> Result<(), Refusal> {
    let affiliation = channel.affiliation(&sender.bare);
    let config = channel.roster.config();
    if affiliation == Affiliation::Outcast {
        return Err(Refusal::usual(Condition::Forbidden));
    }
    if affiliation >= Affiliation::Member || participant(channel, sender).is_some() {
        return Ok(());
    }
    if config.members_only {
        let muc = facts.service.muc;
        return Err(Refusal::usual(if muc {
            Condition::RegistrationRequired
        } else {
            Condition::NotAllowed
        }));
    }
    if config.password.is_some() {
        return Err(Refusal::usual(Condition::NotAuthorized));
    }
    Ok(())
}

/// The joiner with the nick that will hold: the one asked for, or the one it has (MIX-JOIN-12, 13, MAP-10).
fn named(
    channel: &Channel,
    sender: &Sender,
    nick: Option<&str>,
    facts: &Facts,
) -> Result<Person, Refusal> {
    let person = person_of(channel, &sender.bare, facts);
    if let Some(raw) = nick.filter(|raw| !raw.is_empty()) {
        let nick = mix_nick(channel, raw, &sender.bare, facts)?;
        return Ok(Person {
            nick: Some(nick),
            ..person
        });
    }
    let nick = person.nick.clone().or_else(|| person.reserved.clone());
    if nick.is_none() && channel.roster.config().mandatory_nicks {
        return Err(Refusal::usual(Condition::NotAcceptable).text("a nickname is needed here"));
    }
    Ok(Person { nick, ..person })
}

/// Errors: `not-acceptable` for a nick that is none (MIX-NICK-04), `conflict` (MIX-NICK-03).
fn mix_nick(
    channel: &Channel,
    raw: &str,
    bare: &crate::BareJid,
    facts: &Facts,
) -> Result<Nick, Refusal> {
    let nick = Nick::new(raw).filter(|nick| nick.as_str().len() <= facts.service.max_nick_bytes);
    let nick = nick.ok_or_else(|| Refusal::usual(Condition::NotAcceptable))?;
    nick_free(channel, &nick, bare)?;
    Ok(nick)
}
