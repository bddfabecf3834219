//! Creation: a MUC join to a room that does not exist, or MIX `<create/>` (MUC-CREATE, MIX-CRE, MAP-40).

use crate::channel::{Channel, Decision, Facts};
use crate::command::{Join, Sender, View};
use crate::event::{Entry, Event};
use crate::ids::ChannelKey;
use crate::people::nick::Nick;
use crate::people::{affiliation::Affiliation, person::Person};
use crate::presence::join::{joined, new_person};
use crate::query::Answer;
use crate::settings::config::Config;
use crate::{Condition, FullJid, Refusal};
use std::sync::Arc;

/// A join creates the room, locked until configured, and enters the creator (MUC-CREATE-01, 02, 03).
pub(crate) fn by_join(
    channel: &Channel,
    sender: &Sender,
    full: &FullJid,
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
    Ok(Decision {
        events: vec![
            created(creator, config, locked_until, View::Muc, facts),
            joined(channel, sender, full, person, join, entry, 1),
        ],
        outputs: Vec::new(),
    })
}

/// MIX `<create/>` of a named channel: unlocked at once, persistent, the creator is owner but no participant (MIX-CRE).
///
/// Errors: `conflict` if it exists, locked or not; `not-allowed` by policy.
pub fn mix(channel: &Channel, sender: &Sender, facts: &Facts) -> Result<Decision, Refusal> {
    if channel.roster.exists() {
        return Err(Refusal::usual(Condition::Conflict));
    }
    permitted(channel, sender, facts)?;
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
    Ok(Decision::event(event).and_answer(Answer::Created))
}

/// Source: MUC-CREATE-03, MIX-SVC-04; names with `#` are never created (MAP-04).
fn permitted(channel: &Channel, sender: &Sender, facts: &Facts) -> Result<(), Refusal> {
    if channel.name.local.contains('#') {
        return Err(Refusal::usual(Condition::NotAcceptable).text("names of rooms hold no #"));
    }
    if !facts.service.may_create(&sender.bare) {
        return Err(Refusal::usual(Condition::NotAllowed));
    }
    Ok(())
}

fn creator(channel: &Channel, sender: &Sender, facts: &Facts) -> Person {
    let person = new_person(channel, channel.roster.next_person(), &sender.bare, facts);
    Person {
        affiliation: Affiliation::Owner,
        ..person
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
