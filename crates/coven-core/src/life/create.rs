//! Creation: a MUC join to a room that does not exist, or MIX `<create/>` (MUC-CREATE, MIX-CRE, MAP-40).

use crate::channel::{Channel, Decision, Facts};
use crate::command::{Join, Sender, View};
use crate::event::{Entry, Event};
use crate::ids::{ChannelKey, StableId};
use crate::people::affiliation::Affiliation;
use crate::people::nick::Nick;
use crate::people::person::{self, Person};
use crate::presence::join::joined;
use crate::query::Answer;
use crate::settings::config::Config;
use crate::{Condition, Refusal};
use smol_str::SmolStr;
use std::sync::Arc;

/// A join creates the room, locked until configured, and enters the creator (MUC-CREATE-01, 02, 03).
pub(crate) fn by_join(
    channel: &Channel,
    sender: &Sender,
    join: &Join,
    nick: Nick,
    facts: &Facts,
) -> Result<Decision, Refusal> {
    permitted(channel, sender, facts)?;
    let altered = join
        .nick
        .as_deref()
        .is_some_and(|raw| nick.differs_from(raw));
    let creator = creator(channel, sender, facts);
    let person = Person {
        nick: Some(nick),
        ..creator.clone()
    };
    let locked_until = facts
        .service
        .lock_timeout_ms
        .map(|ms| facts.now.plus_ms(ms));
    let config = facts.service.defaults.clone();
    let entry = Entry {
        created: true,
        altered,
        ..Entry::default()
    };
    let mut decision = Decision::event(created(creator, config, locked_until, View::Muc, facts));
    let joined = joined(channel, sender, person, join, entry, 1);
    decision.events.extend(joined);
    Ok(decision)
}

/// MIX `<create/>` of a named channel: unlocked at once, persistent, the creator is owner but no participant (MIX-CRE).
///
/// Errors: `conflict` if it exists, locked or not; `not-allowed` by policy.
pub fn mix(channel: &Channel, sender: &Sender, facts: &Facts) -> Result<Decision, Refusal> {
    if channel.roster.exists() {
        return Err(Refusal::usual(Condition::Conflict));
    }
    permitted(channel, sender, facts).map_err(as_mix)?;
    let config = Config {
        persistent: true,
        ..facts.service.defaults.clone()
    };
    let event = created(
        creator(channel, sender, facts),
        config,
        None,
        View::Mix,
        facts,
    );
    Ok(Decision::event(event).and_answer(made(channel)))
}

/// MIX `<create/>` without a name: closed and not listed, so that nobody but those let in learns of it (MIX-CRE-03).
pub fn ad_hoc(channel: &Channel, sender: &Sender, facts: &Facts) -> Result<Decision, Refusal> {
    if channel.roster.exists() {
        return Err(Refusal::usual(Condition::Conflict));
    }
    permitted(channel, sender, facts).map_err(as_mix)?;
    let config = Config {
        persistent: true,
        public: false,
        members_only: true,
        ..facts.service.defaults.clone()
    };
    let creator = creator(channel, sender, facts);
    let event = created(creator, config, None, View::Mix, facts);
    Ok(Decision::event(event).and_answer(made(channel)))
}

fn made(channel: &Channel) -> Answer {
    Answer::Created(channel.name.local.clone())
}

/// A name of 160 fresh random bits, which nobody has had or can guess: of an ad hoc channel (MIX-CRE-03), or for who asks
/// for one (MUC-CREATE-12).
#[must_use]
pub fn fresh_name(random: [u8; 32]) -> SmolStr {
    let [_, _, _, _, _, _, _, _, _, _, _, _, id @ ..] = random;
    SmolStr::from(StableId(id).to_string())
}

/// Creation that is not permitted is `forbidden` in MIX (MIX-CRE-06).
fn as_mix(refusal: Refusal) -> Refusal {
    match refusal.condition {
        Condition::NotAllowed => Refusal::usual(Condition::Forbidden),
        _ => refusal,
    }
}

/// Source: MUC-CREATE-03, MUC-ERR-09, MIX-SVC-04. Names that hold `#` or nothing, or are too long, are never created (MAP-04,
/// MUC-ERR-10, MIX-CRE-05).
fn permitted(channel: &Channel, sender: &Sender, facts: &Facts) -> Result<(), Refusal> {
    let name = channel.name.local.as_str();
    if name.is_empty() || name.contains('#') || name.len() > facts.service.max_name_bytes {
        return Err(Refusal::usual(Condition::NotAcceptable).text("no room can have this name"));
    }
    if !facts.service.may_create(&sender.bare) {
        return Err(Refusal::usual(Condition::NotAllowed));
    }
    if !facts.service.may_own_more(&sender.bare, facts.owned) {
        return Err(Refusal::usual(Condition::NotAllowed).text("you own too many rooms"));
    }
    Ok(())
}

fn creator(channel: &Channel, sender: &Sender, facts: &Facts) -> Person {
    Person {
        affiliation: Affiliation::Owner,
        ..person::new(channel, &sender.bare, facts)
    }
}

fn created(
    creator: Person,
    config: Config,
    locked_until: Option<crate::Timestamp>,
    view: View,
    facts: &Facts,
) -> Event {
    let key = ChannelKey(facts.random);
    Event::Created {
        key,
        config: Arc::new(config),
        creator: Arc::new(creator),
        locked_until,
        view,
    }
}
