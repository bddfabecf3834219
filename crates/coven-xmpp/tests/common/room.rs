//! One room of the small world: a real channel, and what it makes of events and outputs.

use super::recorder::Recorder;
use coven_core::channel::Output;
use coven_core::{Channel, ChannelName, Delta, Event, HistoryRequest, Origin, Record, Timestamp};
use coven_xmpp::domains::{Domains, Names};
use coven_xmpp::render::{self, Renderer, Sync};
use std::sync::Arc;

/// A channel with its renderer and its archive.
pub struct Room {
    pub channel: Channel,
    pub renderer: Renderer,
    pub archive: Vec<Arc<Record>>,
}

impl Room {
    pub(super) fn new(name: ChannelName, names: &Names) -> Self {
        Self {
            channel: Channel::new(name),
            renderer: Renderer::new(names),
            archive: Vec::new(),
        }
    }

    pub(super) fn apply(
        &mut self,
        record: &Arc<Record>,
        max_history: u32,
        sink: &mut Recorder<'_>,
    ) -> Delta {
        let history = match &record.event {
            Event::Joined { entry, .. } => self.history(entry.history, max_history, record.stamp),
            _ => Vec::new(),
        };
        let delta = self.channel.apply(record);
        match &record.event {
            Event::Message(_) => self.archive.push(Arc::clone(record)),
            Event::Destroyed { .. } => self.archive.clear(),
            _ => {}
        }
        let roster = self.channel.roster();
        self.renderer.event(roster, &delta, record, &history, sink);
        delta
    }

    fn history(&self, wanted: HistoryRequest, max: u32, now: Timestamp) -> Vec<Arc<Record>> {
        let max = max.min(self.channel.roster().config().max_history);
        let until = self.channel.roster().at();
        self.channel.tail().select(wanted, max, now, until)
    }

    pub(super) fn output(
        &mut self,
        output: Output,
        domains: &Domains,
        origin: &Origin,
        max: u32,
        now: Timestamp,
        sink: &mut Recorder<'_>,
    ) {
        let names = domains.names(self.channel.name());
        let roster = self.channel.roster();
        match output {
            Output::Answer(answer) => render::answer(domains, origin, &answer, sink),
            Output::Sync {
                session,
                history,
                altered,
                stanza_id,
            } => {
                let entries = self.history(history, max, now);
                let sync = Sync {
                    session,
                    history: &entries,
                    altered,
                    stanza_id: stanza_id.as_deref(),
                    max_chars: history.max_chars,
                };
                self.renderer.sync(roster, &sync, sink);
            }
            Output::PresenceDump { to } => self.renderer.presence_dump(roster, to, sink),
            Output::Passing(message) => self.renderer.passing(roster, &message, sink),
            Output::Relay(relayed) => self.renderer.relay(&relayed, sink),
            Output::NotJoined => render::not_joined(origin, sink),
            Output::Probe(probe) => render::probe(&names, &probe, sink),
        }
    }
}
