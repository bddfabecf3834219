//! MIX participation: join, subscriptions, nick, leave (XEP-0369 §7.1; MIX-JOIN, MIX-SUB, MIX-NICK, MIX-LEAVE).

use crate::channel::{Channel, Decision, Facts, Output};
use crate::command::Sender;
use crate::event::{Cause, Event};
use crate::life::persistence::{self, Ending};
use crate::people::affiliation::Affiliation;
use crate::people::nick::{self, Nick};
use crate::people::participation::{Node, Nodes, Participation};
use crate::people::person::{self, Person};
use crate::query::Answer;
use crate::settings::config::Config;
use crate::{Condition, ErrorType, Refusal};
use std::sync::Arc;

/// Nodes that every channel has for participants, without those of rights (MIX-NODE-01..04).
pub const SUBSCRIBABLE: Nodes = Nodes(
    1 << Node::Messages as u16
        | 1 << Node::Participants as u16
        | 1 << Node::Info as u16
        | 1 << Node::Presence as u16,
);

/// A join, or a second one as an update (MIX-JOIN-01..14, 18). A temporary room becomes persistent (MAP-42).
///
/// Errors: `item-not-found` (MIX-JOIN-19, MAP-40); those of [`may_join`]; that of the nodes, if none that was asked for is
/// granted (MIX-JOIN-07); `not-acceptable` without a nick that is needed (MIX-JOIN-12), `conflict` (MIX-JOIN-13).
pub fn join(
    channel: &Channel,
    sender: &Sender,
    nodes: Nodes,
    nick: Option<&str>,
    facts: &Facts,
) -> Result<Decision, Refusal> {
    channel.must_be_open()?;
    may_join(channel, sender, facts)?;
    let granted = granted(nodes)?;
    let known = person::known(channel, &sender.bare, facts);
    let person = named(channel, &known, nick, facts)?;
    person::has_place(channel, &sender.bare, facts)?;
    let answer = Answer::Participating {
        id: person.id,
        nodes: granted,
        nick: person.nick.clone(),
    };
    let dump = Output::PresenceDump { to: person.no };
    let mut decision = Decision {
        events: joining(channel, sender, granted, &known, person),
        outputs: vec![Output::Answer(answer)],
    };
    if granted.has(Node::Presence) {
        decision.outputs.push(dump);
    }
    Ok(decision)
}

/// `update-subscription`, or a direct PubSub subscription (MIX-SUB-01..04, MIX-NODE-13).
pub fn subscribe(
    channel: &Channel,
    sender: &Sender,
    add: Nodes,
    remove: Nodes,
) -> Result<Decision, Refusal> {
    channel.must_be_open()?;
    let (person, old) =
        participant(channel, sender).ok_or_else(|| Refusal::usual(Condition::NotAllowed))?;
    let added = add.and(SUBSCRIBABLE).minus(remove);
    let removed = remove.and(old.nodes);
    let participation = Participation {
        nodes: old.nodes.minus(removed).or(added),
        ..(**old).clone()
    };
    let mut decision = Decision::answer(Answer::Subscribed { added, removed });
    if participation != **old {
        decision.events.push(Event::Participated {
            person: Arc::clone(person),
            participation: Arc::new(participation),
        });
    }
    if added.minus(old.nodes).has(Node::Presence) {
        let to = person.no;
        decision.outputs.push(Output::PresenceDump { to });
    }
    Ok(decision)
}

/// Leave. Also of somebody who is no participant, or from an unknown channel, with the same result (MIX-LEAVE-05). MUC
/// sessions stay (MAP-46).
pub fn leave(channel: &Channel, sender: &Sender) -> Result<Decision, Refusal> {
    let Some((person, _)) = participant(channel, sender) else {
        return Ok(Decision::answer(Answer::Departed));
    };
    let mut decision = Decision::event(Event::Departed {
        person: person.no,
        cause: Cause::Left,
    });
    let ending = Ending::Participation(person.no);
    decision
        .events
        .extend(persistence::after(channel, &[ending]));
    Ok(decision.and_answer(Answer::Departed))
}

/// `setnick` (MIX-NICK-01..08). Errors: `forbidden` for others than participants (MIX-NICK-07), `not-acceptable`
/// (MIX-NICK-02, 04; where nicks are locked down), `conflict` (MIX-NICK-03).
pub fn set_nick(
    channel: &Channel,
    sender: &Sender,
    raw: Option<&str>,
    facts: &Facts,
) -> Result<Decision, Refusal> {
    channel.must_be_open()?;
    let (person, _) =
        participant(channel, sender).ok_or_else(|| Refusal::usual(Condition::Forbidden))?;
    let raw = raw.filter(|raw| !raw.is_empty());
    let nick = match raw {
        Some(raw) => cleaned(raw, facts)?,
        None => person
            .reserved
            .as_deref()
            .cloned()
            .ok_or_else(nick_needed)?,
    };
    nick::changeable(person, &nick, facts)?;
    nick::free(channel, &nick, person)?;
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
        return Err(Refusal::usual(if facts.service.shares_address() {
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

/// What of the nodes asked for is subscribed to (MIX-JOIN-03, 06). Nothing of something: the error of the nodes
/// (MIX-JOIN-07, MIX-NODE-11), with a `<join/>` in which the translator names them all, since all are refused for the
/// same reason.
fn granted(asked: Nodes) -> Result<Nodes, Refusal> {
    let granted = asked.and(SUBSCRIBABLE);
    if granted.is_empty() && !asked.is_empty() {
        let refusal = Refusal::usual(Condition::ItemNotFound);
        return Err(refusal.specific(MIX_CORE, "join", None));
    }
    Ok(granted)
}

/// The events of a join: only what changes anything.
fn joining(
    channel: &Channel,
    sender: &Sender,
    granted: Nodes,
    known: &Person,
    person: Person,
) -> Vec<Event> {
    let mut events = Vec::from_iter(made_persistent(channel));
    let renamed = channel.roster.is_present(known.no) && known.nick != person.nick;
    let person = Arc::new(person);
    if renamed {
        events.push(Event::Renamed {
            person: Arc::clone(&person),
            altered: false,
        });
    }
    let old = channel.roster.participation(person.no);
    let since = old.map_or_else(|| channel.sequence_of(events.len() as u64), |old| old.since);
    let had = old.map_or_else(Nodes::default, |old| old.nodes);
    let participation = Arc::new(Participation {
        nodes: had.or(granted),
        group: sender.group.clone(),
        since,
    });
    if old != Some(&participation) {
        events.push(Event::Participated {
            person,
            participation,
        });
    }
    events
}

/// A temporary room becomes persistent (MAP-42).
fn made_persistent(channel: &Channel) -> Option<Event> {
    let config = channel.roster.config();
    (!config.persistent).then(|| Event::Configured {
        config: Arc::new(Config {
            persistent: true,
            ..(**config).clone()
        }),
    })
}

/// The joiner with the nick that will hold: the one asked for, or the one it has (MIX-JOIN-12, 13, 14, MAP-10).
fn named(
    channel: &Channel,
    known: &Person,
    asked: Option<&str>,
    facts: &Facts,
) -> Result<Person, Refusal> {
    let asked = asked.filter(|raw| !raw.is_empty());
    let asked = asked.map(|raw| cleaned(raw, facts)).transpose()?;
    let held = || {
        known
            .nick
            .clone()
            .or_else(|| known.reserved.as_deref().cloned())
    };
    let imposed = nick::imposed(known, facts).cloned();
    let nick = imposed.or(asked).or_else(held);
    if nick.is_none() && channel.roster.config().mandatory_nicks {
        return Err(nick_needed());
    }
    let person = Person {
        nick,
        ..known.clone()
    };
    let shown = Nick::from_clean(&person.shown_nick());
    nick::free(channel, person.nick.as_ref().unwrap_or(&shown), known)?;
    Ok(person)
}

fn cleaned(raw: &str, facts: &Facts) -> Result<Nick, Refusal> {
    let nick = Nick::new(raw).filter(|nick| nick.as_str().len() <= facts.service.max_nick_bytes);
    nick.ok_or_else(|| Refusal::usual(Condition::NotAcceptable).text("this is no nickname"))
}

const MIX_CORE: &str = "urn:xmpp:mix:core:1";

fn nick_needed() -> Refusal {
    Refusal::new(Condition::NotAcceptable, ErrorType::Modify).text("a nickname is needed here")
}
