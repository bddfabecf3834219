//! The channels of a transaction: what each request makes of one, and how that is written.

use hashbrown::hash_map::Entry as Slot;

use super::Stage;
use crate::sqlite::index::{Change, Overlay, Span};
use crate::sqlite::row::Core;
use crate::sqlite::{log, rows};
use crate::state::{self, ChannelState, Tip};
use crate::{
    ChannelCommit, ChannelKey, CommitNumber, Error, ProcessId, Receipts, ShardId, Snapshot,
};

/// A channel in a transaction.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) core: Option<Core>,
    pub(super) afresh: bool,
    pub(super) spans: Vec<Span>,
    pub(super) overlay: Vec<Overlay>,
    pub(super) logged: bool,
    pub(super) write: bool,
    pub(super) snapshot: Option<Snapshot>,
    /// The snapshot makes held entries superfluous.
    pub(super) releases: bool,
    /// Messages were moved into pages.
    pub(super) packed: bool,
    /// Rows whose channel is forgotten, with their pages.
    pub(super) deleted: Vec<i64>,
    /// The commit that named it last.
    pub(super) turn: u64,
}

impl Stage<'_> {
    /// Whether a commit's part for one channel fits; reads all that applying it needs.
    pub(super) fn check(&mut self, shard: ShardId, change: &ChannelCommit) -> Result<(), Error> {
        let turn = self.turn;
        let draft = self.draft(shard, &change.key)?;
        if std::mem::replace(&mut draft.turn, turn) == turn {
            return Err(Error::Invalid("a commit names a channel twice"));
        }
        state::check(
            draft.core.as_ref().map(|core| Tip::from(&core.state)),
            change,
        )?;
        if change.rewrites.is_empty() {
            return Ok(());
        }
        let Some(core) = draft.core.clone() else {
            return Ok(());
        };
        for rewrite in &change.rewrites {
            self.pages.find(self.db, &core, rewrite.sequence)?;
        }
        Ok(())
    }

    /// Logs and applies what passed [`Stage::check`].
    pub(super) fn append(
        &mut self,
        shard: ShardId,
        change: &ChannelCommit,
        number: CommitNumber,
    ) -> Result<(), Error> {
        let offset = u32::try_from(self.blob.position()).unwrap_or(u32::MAX);
        log::put_section(&mut self.blob, change);
        let at = self.log;
        let draft = self.draft(shard, &change.key)?;
        draft.logged = true;
        let core = draft.core.get_or_insert_with(|| Core::new(shard));
        core.state.apply(change, number);
        draft.spans.extend(Span::of(change, at, offset));
        let hidden = core.hide_pages();
        if let Some(row) = core.row {
            self.pages.doom(row, hidden);
        }
        self.rewrite(shard, change)
    }

    pub(super) fn rewrite(&mut self, shard: ShardId, change: &ChannelCommit) -> Result<(), Error> {
        let at = self.log;
        for rewrite in &change.rewrites {
            let Some(draft) = self.channels.get_mut(&(shard, change.key.clone())) else {
                break;
            };
            let Some(core) = &draft.core else { break };
            if rewrite.sequence > core.state.head || rewrite.sequence <= core.state.floor {
                continue;
            }
            if rewrite.sequence <= core.paging.packed {
                self.pages.rewrite(self.db, core, rewrite)?;
            } else {
                draft.overlay.push(Overlay {
                    log: at,
                    rewrite: rewrite.clone(),
                });
            }
        }
        Ok(())
    }

    /// Has the channels that receipts name at hand, so that nothing can fail half way.
    pub(super) fn find_all(&mut self, shard: ShardId, receipts: &Receipts) -> Result<(), Error> {
        receipts
            .keys()
            .try_for_each(|key| self.draft(shard, key).map(|_| ()))
    }

    pub(super) fn take_in(&mut self, shard: ShardId, receipts: &Receipts) -> Result<(), Error> {
        for ack in &receipts.acks {
            self.change(shard, &ack.key, |state| state.acknowledge(ack))?;
        }
        for (key, connection) in &receipts.gone {
            self.change(shard, key, |state| state.gone(connection))?;
        }
        for sent in &receipts.sent {
            self.change(shard, &sent.key, |state| state.sent(sent.commit))?;
        }
        for it in &receipts.answered {
            self.change(shard, &it.key, |state| state.answered(it.process, it.base))?;
        }
        Ok(())
    }

    pub(super) fn change(
        &mut self,
        shard: ShardId,
        key: &ChannelKey,
        change: impl FnOnce(&mut ChannelState),
    ) -> Result<(), Error> {
        let draft = self.draft(shard, key)?;
        if let Some(core) = &mut draft.core {
            change(&mut core.state);
            draft.logged = true;
        }
        Ok(())
    }

    pub(super) fn forget_all_over(&mut self, shard: ShardId, receipts: &Receipts) {
        receipts
            .keys()
            .for_each(|key| self.forget_if_over(shard, key));
    }

    /// Takes a channel out of which nothing is needed any more.
    pub(super) fn forget_if_over(&mut self, shard: ShardId, key: &ChannelKey) {
        let Some(draft) = self.channels.get_mut(&(shard, key.clone())) else {
            return;
        };
        let Some(core) = draft.core.take_if(|core| core.state.is_forgotten()) else {
            return;
        };
        let deleted = core
            .row
            .into_iter()
            .chain(draft.deleted.drain(..))
            .collect();
        *draft = Draft {
            afresh: true,
            deleted,
            turn: draft.turn,
            ..Draft::default()
        };
        if let Some(row) = core.row {
            self.pages.doom(row, core.paging.first..core.paging.next);
        }
        log::put_forget(&mut self.blob, shard, key);
    }

    /// The channels of a shard that keep outcomes of a process.
    pub(super) fn with_outcomes_of(
        &mut self,
        shard: ShardId,
        process: ProcessId,
    ) -> Result<Vec<ChannelKey>, Error> {
        let mut keys: Vec<ChannelKey> = rows::channels_of(self.db, shard)?
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        keys.extend(
            self.shared
                .index()
                .of_shard(shard)
                .map(|(key, _)| key.clone()),
        );
        keys.extend(
            self.channels
                .keys()
                .filter(|(of, _)| *of == shard)
                .map(|(_, key)| key.clone()),
        );
        keys.sort_unstable();
        keys.dedup();
        let mut found = Vec::new();
        for key in keys {
            let core = &self.draft(shard, &key)?.core;
            if core
                .as_ref()
                .is_some_and(|core| core.state.has_outcomes_of(process))
            {
                found.push(key);
            }
        }
        Ok(found)
    }

    pub(super) fn draft(&mut self, shard: ShardId, key: &ChannelKey) -> Result<&mut Draft, Error> {
        match self.channels.entry((shard, key.clone())) {
            Slot::Occupied(slot) => Ok(slot.into_mut()),
            Slot::Vacant(slot) => {
                let live = self
                    .shared
                    .index()
                    .live(shard, key)
                    .map(|live| live.core.clone());
                let core = match live {
                    Some(core) => Some(core),
                    None => rows::find_channel(self.db, shard, key)?.map(|(core, _)| core),
                };
                Ok(slot.insert(Draft {
                    core,
                    ..Draft::default()
                }))
            }
        }
    }

    pub(super) fn write_draft(
        &mut self,
        key: &ChannelKey,
        mut draft: Draft,
    ) -> Result<Change, Error> {
        for row in draft.deleted {
            rows::delete_channel(self.db, row)?;
        }
        let folded = draft.write && draft.core.is_some();
        if let Some(core) = draft.core.as_mut().filter(|_| folded) {
            let row = *core.row.get_or_insert_with(|| {
                *self.next_channel += 1;
                *self.next_channel - 1
            });
            // The row holds what the log says up to this transaction's own row, if that comes to be.
            let folded = if self.blob.is_empty() {
                self.log - 1
            } else {
                self.log
            };
            rows::write_channel(self.db, row, key, core, folded)?;
            if let Some(snapshot) = &draft.snapshot {
                crate::fail::point("store-during-snapshot");
                rows::write_snapshot(self.db, row, snapshot)?;
                if draft.releases {
                    rows::release_held(self.db, row, snapshot.sequence)?;
                }
            }
        }
        let Draft {
            core,
            afresh,
            spans,
            overlay,
            logged,
            ..
        } = draft;
        Ok(Change {
            core,
            afresh,
            spans,
            overlay,
            logged,
            folded,
        })
    }
}
