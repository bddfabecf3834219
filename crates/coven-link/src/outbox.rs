//! What waits to be sent on a link: bounded in messages and in bytes, in order.

use crate::Limits;
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// An encoded message, and the room that it takes up until it is in a frame.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) message: Bytes,
    _room: OwnedSemaphorePermit,
}

/// The end that messages go into.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    room: Arc<Semaphore>,
    bytes: u32,
    queue: mpsc::Sender<Queued>,
}

/// The end that messages come out of; dropping it closes the other.
#[derive(Debug)]
pub(crate) struct Outgoing {
    room: Arc<Semaphore>,
    queue: mpsc::Receiver<Queued>,
}

/// A queue within the bounds.
pub(crate) fn outbox(limits: &Limits) -> (Outbox, Outgoing) {
    let room = Arc::new(Semaphore::new(limits.queue_bytes as usize));
    let (sender, receiver) = mpsc::channel(limits.queue_messages);
    let outbox = Outbox {
        room: Arc::clone(&room),
        bytes: limits.queue_bytes,
        queue: sender,
    };
    let outgoing = Outgoing {
        room,
        queue: receiver,
    };
    (outbox, outgoing)
}

impl Outbox {
    /// Whether there is any room at all: what is full need not be encoded for.
    pub(crate) fn has_room(&self) -> bool {
        self.queue.capacity() > 0 && self.room.available_permits() > 0 && !self.queue.is_closed()
    }

    /// Puts a message in if there is room now. Whether it went in.
    pub(crate) fn try_put(&self, message: Bytes) -> bool {
        let size = self.size(&message);
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(size) else {
            return false;
        };
        let queued = Queued {
            message,
            _room: room,
        };
        self.queue.try_send(queued).is_ok()
    }

    /// Puts a message in when there is room; it is dropped if the link ends meanwhile.
    pub(crate) async fn put(&self, message: Bytes) {
        let size = self.size(&message);
        if let Ok(room) = Arc::clone(&self.room).acquire_many_owned(size).await {
            let queued = Queued {
                message,
                _room: room,
            };
            let _ = self.queue.send(queued).await;
        }
    }

    /// A message larger than the queue takes all of it.
    fn size(&self, message: &Bytes) -> u32 {
        u32::try_from(message.len())
            .unwrap_or(u32::MAX)
            .clamp(1, self.bytes)
    }
}

impl Outgoing {
    /// The next message; `None` when nobody can put one in any more.
    pub(crate) async fn next(&mut self) -> Option<Queued> {
        self.queue.recv().await
    }

    /// The next message if it is there.
    pub(crate) fn try_next(&mut self) -> Option<Queued> {
        self.queue.try_recv().ok()
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.room.close();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn small() -> Limits {
        Limits {
            queue_messages: 3,
            queue_bytes: 10,
            ..Limits::front()
        }
    }

    #[tokio::test]
    async fn i9_a_full_queue_gives_messages_back_by_number_and_by_bytes() {
        let (outbox, mut outgoing) = outbox(&small());
        assert!(outbox.try_put(Bytes::from_static(b"123456")));
        assert!(!outbox.try_put(Bytes::from_static(b"12345")));
        assert!(outbox.try_put(Bytes::from_static(b"1")));
        assert!(outbox.try_put(Bytes::from_static(b"1")));
        assert!(!outbox.try_put(Bytes::from_static(b"1")));
        assert_eq!(outgoing.next().await.unwrap().message.len(), 6);
        assert!(outbox.try_put(Bytes::from_static(b"12345")));
    }

    #[tokio::test]
    async fn a_message_larger_than_the_queue_waits_for_an_empty_one() {
        let (outbox, mut outgoing) = outbox(&small());
        outbox.put(Bytes::from_static(b"1")).await;
        assert!(!outbox.try_put(Bytes::from_static(b"0123456789abcdef")));
        assert_eq!(outgoing.next().await.unwrap().message.len(), 1);
        assert!(outbox.try_put(Bytes::from_static(b"0123456789abcdef")));
    }

    #[tokio::test]
    async fn who_waits_for_room_is_let_go_when_the_link_ends() {
        let (outbox, outgoing) = outbox(&small());
        outbox.put(Bytes::from_static(b"0123456789")).await;
        let waiting = tokio::spawn(async move { outbox.put(Bytes::from_static(b"1")).await });
        tokio::task::yield_now().await;
        drop(outgoing);
        waiting.await.unwrap();
    }
}
