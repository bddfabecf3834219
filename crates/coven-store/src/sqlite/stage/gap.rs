//! Over a gap: what a store that went back in time is told by the owner that lived on (design §5.11). A file never does;
//! this keeps the contract that all stores share.

use super::Stage;
use crate::sqlite::log;
use crate::sqlite::row::{Core, Shard};
use crate::state::{self, Tip};
use crate::{CommitNumber, Epoch, Error, Receipts, Restored, Sequence, ShardId};

impl Stage<'_> {
    /// Sets the number of the newest commit. The shard's row says so: the log does not go on from there.
    pub(in crate::sqlite) fn skip(
        &mut self,
        shard: ShardId,
        epoch: Epoch,
        to: CommitNumber,
    ) -> Result<(), Error> {
        let state = self.owned(shard, epoch)?;
        if to <= state.last_commit {
            return Err(Error::Diverged {
                shard,
                number: to,
                stored: state.last_commit,
            });
        }
        let last_commit = to;
        self.set_shard(
            shard,
            Shard {
                last_commit,
                ..state
            },
        );
        Ok(())
    }

    /// Puts a channel over a gap. Its row is written in the same transaction, so that nobody looks for what is missing.
    pub(in crate::sqlite) fn restore(
        &mut self,
        shard: ShardId,
        epoch: Epoch,
        restored: Restored,
    ) -> Result<(), Error> {
        let number = self.owned(shard, epoch)?.last_commit;
        let (key, sequence) = (restored.change.key.clone(), restored.snapshot.sequence);
        let core = self.draft(shard, &key)?.core.clone();
        let tip = core.as_ref().map(|core| Tip::from(&core.state));
        state::check_restored(tip, &restored)?;
        if let Some(core) = &core {
            for rewrite in &restored.change.rewrites {
                self.pages.find(self.db, core, rewrite.sequence)?;
            }
        }
        log::put_commit(&mut self.blob, shard, number, 1);
        let core = self
            .draft(shard, &key)?
            .core
            .get_or_insert_with(|| Core::new(shard));
        core.state.head = restored.change.expected;
        self.append(shard, &restored.change, number)?;
        log::put_receipts(&mut self.blob, &Receipts::default());
        let draft = self.draft(shard, &key)?;
        let mut doomed = None;
        if let Some(core) = draft.core.as_mut() {
            core.state.alive_over(restored.alive);
            let hidden = core.hide_pages();
            doomed = core.row.map(|row| (row, hidden));
            core.snapshot = Some(sequence);
            draft.releases |= core.held > Sequence(0);
            core.held = Sequence(0);
        }
        draft.snapshot = Some(restored.snapshot);
        draft.write = true;
        if let Some((row, pages)) = doomed {
            self.pages.doom(row, pages);
        }
        self.forget_if_over(shard, &key);
        Ok(())
    }
}
