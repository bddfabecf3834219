//! How many reads of the store are under way at a time for those who ask from outside (I9).
//!
//! Owns the places, as many for each kind of read ([`crate::Options::reads`]) and each kind apart: who browses, or asks whether
//! it is still in a room, holds up nobody's history. What is read is the business of [`crate::archive`],
//! [`crate::directory`] and [`crate::aside`].

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A place; free again when it is dropped.
pub(crate) type Place = OwnedSemaphorePermit;

/// Places for reads.
#[derive(Debug)]
pub(crate) struct Reads {
    archives: Arc<Semaphore>,
    listings: Arc<Semaphore>,
    channels: Arc<Semaphore>,
}

impl Reads {
    /// So many places for each kind.
    pub(crate) fn new(each: usize) -> Self {
        let places = || Arc::new(Semaphore::new(each));
        Self {
            archives: places(),
            listings: places(),
            channels: places(),
        }
    }

    /// For a page of an archive; `None` when all are taken.
    pub(crate) fn archive(&self) -> Option<Place> {
        Arc::clone(&self.archives).try_acquire_owned().ok()
    }

    /// For a page of the directory, of which a store may read few at a time; `None` when all are taken.
    pub(crate) fn listing(&self) -> Option<Place> {
        Arc::clone(&self.listings).try_acquire_owned().ok()
    }

    /// For a channel that answers self-pings: waits until one is free. `None` at the end of the node.
    pub(crate) async fn channel(&self) -> Option<Place> {
        Arc::clone(&self.channels).acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn i9_reads_of_one_kind_leave_the_places_of_the_others() {
        let reads = Reads::new(1);
        let _asks = reads.channel().await;
        let _browses = reads.listing();
        let reader = reads.archive();
        assert!(reader.is_some());
        assert!(reads.archive().is_none() && reads.listing().is_none());
        drop(reader);
        assert!(reads.archive().is_some());
    }
}
