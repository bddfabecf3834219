//! Pages of the archive, as a node reads them from its store, in the simplest way.

use super::{Room, World};
use coven_core::event::Message;
use coven_core::query::{ArchivePage, ArchiveQuery, With};
use coven_core::{Answer, ChannelName, Condition, Event, Record, Refusal, Sender};
use std::sync::Arc;

impl World {
    pub(super) fn bounds(&mut self, name: &ChannelName) -> Answer {
        let archive = &self.room(name).archive;
        let end = |r: Option<&Arc<Record>>| r.map(|r| (message(r).archive_id, r.stamp));
        Answer::Bounds(end(archive.first()).zip(end(archive.last())))
    }

    /// A page in the simplest way: all that matches, then what RSM asks for.
    pub(super) fn page(
        &mut self,
        name: &ChannelName,
        sender: &Sender,
        query: &ArchiveQuery,
        page: ArchivePage,
    ) -> Result<ArchivePage, Refusal> {
        if page.count == Some(0) {
            return Ok(page);
        }
        let most = self.page;
        let archive = self.room(name).archive.clone();
        let place = |id| archive.iter().position(|r| message(r).archive_id == id);
        let mut named = query.ids.iter().chain(&query.after).chain(&query.after_id);
        let before = query.before.flatten().into_iter().chain(query.before_id);
        if named.any(|id| place(*id).is_none()) || before.clone().any(|id| place(id).is_none()) {
            return Err(Refusal::usual(Condition::ItemNotFound));
        }
        let after = query
            .after
            .and_then(place)
            .max(query.after_id.and_then(place));
        let before = before.filter_map(place).min().unwrap_or(usize::MAX);
        let mut entries: Vec<_> = archive
            .iter()
            .enumerate()
            .filter(|(i, _)| after.is_none_or(|after| *i > after) && *i < before)
            .map(|(_, record)| record)
            .filter(|record| matches(query, &page, sender, record))
            .cloned()
            .collect();
        let (count, max) = (
            entries.len(),
            query.max.map_or(most, |m| most.min(m as usize)),
        );
        let index = if query.before.is_some() {
            let index = count.saturating_sub(max);
            entries.drain(..index);
            index
        } else {
            entries.truncate(max);
            after.map_or(0, |after| after + 1)
        };
        Ok(ArchivePage {
            complete: entries.len() == count,
            count: Some(count as u64),
            index: Some(index as u64),
            entries,
            ..page
        })
    }
}

impl Room {
    pub(super) fn resolve(
        &self,
        sender: &Sender,
        id: &str,
    ) -> Option<coven_core::command::Resolved> {
        let said = self.archive.iter().rev().map(|r| message(r));
        let mut own = said.filter(|m| m.jid == sender.bare);
        own.find_map(|m| m.called(id))
    }
}

fn matches(query: &ArchiveQuery, page: &ArchivePage, sender: &Sender, record: &Record) -> bool {
    let message = message(record);
    let with = match &query.with {
        None => true,
        Some(With::Nick(nick)) => message.nick == *nick,
        Some(With::Id(id)) => message.id == *id,
        Some(With::Jid(jid)) if *jid != sender.bare => {
            message.jid == *jid && page.may_show_jid(message)
        }
        Some(With::Jid(jid)) => message.jid == *jid,
    };
    let ids = query.ids.is_empty() || query.ids.contains(&message.archive_id);
    with && ids
        && query.start.is_none_or(|start| record.stamp >= start)
        && query.end.is_none_or(|end| record.stamp <= end)
}

fn message(record: &Record) -> &Message {
    match &record.event {
        Event::Message(message) => message,
        other => panic!("no message: {other:?}"),
    }
}
