//! Over a gap: commits that a fall back of the store has lost for good (design §5.11).

use super::{Channel, Content};
use crate::state::{self, Tip};
use crate::{CommitNumber, Epoch, Error, Restored, ShardId};

impl Content {
    pub(super) fn skip(
        &mut self,
        shard: ShardId,
        epoch: Epoch,
        to: CommitNumber,
    ) -> Result<(), Error> {
        let stored = &mut self.owned(shard, epoch)?.last_commit;
        if to <= *stored {
            return Err(Error::Diverged {
                shard,
                number: to,
                stored: *stored,
            });
        }
        *stored = to;
        Ok(())
    }

    pub(super) fn restore(
        &mut self,
        shard: ShardId,
        epoch: Epoch,
        restored: Restored,
    ) -> Result<(), Error> {
        let number = self.owned(shard, epoch)?.last_commit;
        let at = (shard, restored.change.key.clone());
        let tip = self.channels.get(&at).map(|it| Tip::from(&it.state));
        state::check_restored(tip, &restored)?;
        let channel = self.channels.entry(at.clone()).or_default();
        channel.restore(restored, number);
        if channel.state.is_forgotten() {
            self.channels.remove(&at);
        }
        Ok(())
    }
}

impl Channel {
    fn restore(&mut self, restored: Restored, number: CommitNumber) {
        self.state.restore_to(&restored, number);
        self.take(restored.change);
        if !restored.alive {
            self.archive.clear();
        }
        self.journal.clear();
        self.snapshot = Some(restored.snapshot);
    }
}
