//! The MIX view (XEP-0369 family): stanzas to commands, events to stanzas.
//!
//! The functions here are all that the rest of the crate asks of this view. On the way in: [`request`], [`pubsub`]. On
//! the way out: [`mod@message`], [`events`] (PubSub notifications), [`mod@presence`], [`mod@answer`], [`mod@refused`].
//!
//! What subscribers of participants are told when is the core's ([`coven_core::presence::listing`]); all else is rendered
//! from the event that it is of.

mod addresses;
mod answer;
mod disco;
mod events;
mod items;
mod message;
mod presence;
mod pubsub;
mod refused;
mod request;

pub(crate) use refused::refused;
pub(crate) use request::{encoded, iq, message, participant, presence, service};

use crate::both::disco::Disco;
use crate::domains::{Domain, Names};
use crate::incoming::stanza_of;
use crate::render::{Change, Recipient, Sink};
use crate::stanza::{Address, Builder, Echo, Head, Kind, Outgoing, Template, error_reply};
use addresses::Addresses;
use coven_core::event::{Event, Message};
use coven_core::people::participation::Participation;
use coven_core::query::{ArchivePage, Info};
use coven_core::{Answer, Origin, Person, PersonNo, Record, Roster, Session, View};

/// Renders one channel for its MIX participants.
#[derive(Debug)]
pub(crate) struct Mix {
    names: Addresses,
}

impl Mix {
    /// `None` where MIX is not spoken.
    pub(crate) fn new(names: &Names) -> Option<Self> {
        addresses(names).map(|names| Self { names })
    }

    /// What subscribers and sharing clients get of an event.
    pub(crate) fn event(&mut self, change: &Change<'_>, sink: &mut impl Sink) {
        match &change.record.event {
            Event::Message(m) => self.message(change.roster, m, sink),
            Event::Configured { .. } => self.configured(change, sink),
            Event::Destroyed { alternate, .. } => {
                self.destroyed(change, alternate.as_deref(), sink);
            }
            _ => {
                events::told(&self.names, change, sink);
                events::removed(&self.names, change, sink);
                presence::changed(&self.names, change, sink);
            }
        }
    }

    fn message(&self, roster: &Roster, message: &Message, sink: &mut impl Sink) {
        message::distribute(&self.names, roster, message, sink);
        if message.subject.is_some() {
            events::info(&self.names, roster, sink);
        }
    }

    fn configured(&self, change: &Change<'_>, sink: &mut impl Sink) {
        events::settings(&self.names, change, sink);
        if let Some(before) = &change.delta.config_before {
            presence::revealed(&self.names, change.roster, before.visibility, sink);
        }
    }

    fn destroyed(&self, change: &Change<'_>, alternate: Option<&str>, sink: &mut impl Sink) {
        let Some(ended) = &change.delta.ended else {
            return;
        };
        let alternate = alternate.map(|jid| self.names.of.in_view(jid, View::Mix));
        presence::destroyed(&self.names, ended, sink);
        events::destroyed(&self.names, ended, alternate.as_deref(), sink);
    }

    /// A message that is neither archived nor journaled.
    pub(crate) fn passing(&mut self, roster: &Roster, message: &Message, sink: &mut impl Sink) {
        message::distribute(&self.names, roster, message, sink);
    }

    /// All items of the presence node, to a participant's bare JID (MIX-JOIN-18, MIX-SUB-03).
    pub(crate) fn presence_dump(&mut self, roster: &Roster, to: PersonNo, sink: &mut impl Sink) {
        presence::dump(&self.names, roster, to, sink);
    }

    /// Drops what can be made again: nothing is kept.
    pub(crate) fn shrink(&mut self) {}
}

/// What MIX adds to disco#info on the service (MIX-SVC).
pub(crate) fn service_info(domain: &Domain, may_create: bool, disco: &mut Disco) {
    disco::service(domain, may_create, disco);
}

/// What MIX adds to disco#info on a channel: all of it with node `mix`, its part of the merged one without (MIX-DSC,
/// MIX-MUC-04).
pub(crate) fn channel_info(names: &Names, info: &Info, disco: &mut Disco) {
    disco::channel(names, info, disco);
}

/// Answers that only MIX has, of IQs ([`crate::both::result`] sends one) and of presence subscriptions.
pub(crate) fn answer(names: &Names, origin: &Origin, answer: &Answer, sink: &mut impl Sink) {
    let Some(names) = addresses(names) else {
        return;
    };
    if let Answer::PresenceSubscription(granted) = answer {
        return subscription(&names, origin, *granted, sink);
    }
    let max_stanza = sink.max_stanza(&origin.group);
    match answer::payload(&names, origin, answer, max_stanza) {
        Ok(payload) => crate::both::result(origin, &payload, sink),
        Err(error) => {
            let error = error_reply(&stanza_of(origin), &error, Echo::Nothing);
            if let Some(error) = error {
                sink.answer(error, &origin.group);
            }
        }
    }
}

/// A participant, at its bare JID (MIX-PAMC-01).
pub(crate) fn subscriber<'a>(
    person: &'a Person,
    participation: &'a Participation,
) -> Recipient<'a> {
    let bare = person.jid.as_str();
    Recipient {
        to: bare,
        bare,
        group: &participation.group,
        view: View::Mix,
    }
}

/// Writes the archived message as it stands inside of `<forwarded/>`: one `<message xmlns='jabber:client'/>`
/// (MIX-MAM-10..15).
pub(crate) fn archived(names: &Names, page: &ArchivePage, record: &Record, xml: &mut Builder) {
    if let (Some(names), Event::Message(m)) = (addresses(names), &record.event) {
        message::archived(&names, m, page.visibility, xml);
    }
}

/// See [`crate::render::probe`].
pub(crate) fn probe(names: &Names, session: &Session, id: &str, sink: &mut impl Sink) {
    let Some(names) = addresses(names) else {
        return;
    };
    let head = Head::new(Kind::Message, &names.bare)
        .with_type("groupchat")
        .with_id(Some(id));
    let mut xml = Builder::new();
    xml.empty("mix", crate::ns::MIX_CORE)
        .empty("no-store", crate::ns::HINTS);
    let template = Template::new(&head, &xml.finish());
    sink.send(&template, Recipient::session(session));
}

/// `subscribed` for participants, `unsubscribed` for others (MIX-PRES-11).
fn subscription(names: &Addresses, origin: &Origin, granted: bool, sink: &mut impl Sink) {
    let word = if granted {
        "subscribed"
    } else {
        "unsubscribed"
    };
    let head = Head::new(Kind::Presence, &names.bare).with_type(word);
    let to = Address::new(origin.from.clone());
    sink.answer(Outgoing::new(&head, to.bare(), b""), &origin.group);
}

fn addresses(names: &Names) -> Option<Addresses> {
    let bare = names.bare(View::Mix)?;
    Some(Addresses {
        bare,
        of: names.clone(),
    })
}
