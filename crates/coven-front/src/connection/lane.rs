//! The way of one worker's output to one connection.
//!
//! Owns chunks that wait to be written, and up to which of them the server has taken in. A lane holds the output of one
//! stream at a time: what was handed over for an earlier one is dropped, and the worker finds out by the number of the
//! stream. Bound: a worker waits (`room`) while more than [`LANE_BYTES`] are here, or gives the connection up for a time
//! (`outlet.rs`), so that there is at most that and what one delivery makes.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use coven_xmpp::stream::Chunk;
use tokio::sync::Notify;

use super::StreamNo;

/// Bytes that may wait before the worker does.
pub(crate) const LANE_BYTES: usize = 4 * 1024 * 1024;

/// The way of one worker's output to one connection.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    state: Mutex<State>,
    room: Notify,
}

#[derive(Debug, Default)]
struct State {
    stream: StreamNo,
    chunks: VecDeque<(u64, Chunk)>,
    bytes: usize,
    /// Chunks ever handed over, or dropped here: the number of the last.
    counted: u64,
    /// The last of which the server has said that it has taken it in.
    acknowledged: u64,
}

/// What a worker wants to know of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LaneView {
    /// The present stream.
    pub(crate) stream: StreamNo,
    /// The chunk up to which the server has taken in all of it.
    pub(crate) acknowledged: u64,
}

impl Lane {
    /// Hands over a chunk for a stream. Tells its number; nothing happens if that stream is over.
    pub(crate) fn push(&self, stream: StreamNo, chunk: Chunk) -> u64 {
        let mut state = self.state();
        state.counted += 1;
        let number = state.counted;
        if state.stream == stream && stream.is_up() {
            state.bytes += chunk.len();
            state.chunks.push_back((number, chunk));
        }
        number
    }

    /// Moves chunks into `batch`, in order, until it has `max` bytes. Tells the number of the last chunk taken.
    pub(crate) fn take(&self, batch: &mut Vec<Bytes>, held: &mut usize, max: usize) -> Option<u64> {
        let mut taken = None;
        let mut state = self.state();
        while *held < max
            && let Some((number, chunk)) = state.chunks.pop_front()
        {
            state.bytes -= chunk.len();
            *held += chunk.len();
            add(batch, chunk);
            taken = Some(number);
        }
        let has_room = state.bytes < LANE_BYTES;
        drop(state);
        if has_room {
            self.room.notify_one();
        }
        taken
    }

    /// The server has taken in everything up to that chunk, which was taken from here for the present stream.
    pub(crate) fn acknowledge(&self, chunk: u64) {
        let mut state = self.state();
        state.acknowledged = state.acknowledged.max(chunk);
    }

    /// Begins or ends a stream: what waits for the one before is dropped.
    pub(crate) fn switch(&self, stream: StreamNo) {
        let mut state = self.state();
        state.stream = stream;
        state.chunks.clear();
        state.bytes = 0;
        drop(state);
        self.room.notify_one();
    }

    /// The present stream and its acknowledgements.
    pub(crate) fn view(&self) -> LaneView {
        let state = self.state();
        LaneView {
            stream: state.stream,
            acknowledged: state.acknowledged,
        }
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.state().bytes
    }

    /// Waits until fewer than [`LANE_BYTES`] wait. Only the lane's one worker may call it.
    pub(crate) async fn room(&self) {
        while self.bytes() >= LANE_BYTES {
            self.room.notified().await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pieces of a chunk, which nothing may come between.
pub(super) fn add(batch: &mut Vec<Bytes>, chunk: Chunk) {
    let pieces = [chunk.packed, chunk.shared];
    batch.extend(pieces.into_iter().filter(|piece| !piece.is_empty()));
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: StreamNo = StreamNo::FIRST;

    fn chunk(text: &'static str) -> Chunk {
        Bytes::from(text).into()
    }

    fn taken(lane: &Lane, max: usize) -> (Vec<Bytes>, Option<u64>) {
        let (mut batch, mut held) = (Vec::new(), 0);
        let last = lane.take(&mut batch, &mut held, max);
        (batch, last)
    }

    #[test]
    fn chunks_leave_in_order_and_by_number() {
        let lane = Lane::default();
        lane.switch(UP);
        assert_eq!(lane.push(UP, chunk("a")), 1);
        assert_eq!(lane.push(UP, chunk("b")), 2);
        assert_eq!(taken(&lane, 1), (vec!["a".into()], Some(1)));
        assert_eq!(taken(&lane, 9), (vec!["b".into()], Some(2)));
        assert_eq!(taken(&lane, 9), (vec![], None));
    }

    #[test]
    fn a_chunk_of_two_pieces_stays_together() {
        let lane = Lane::default();
        lane.switch(UP);
        let chunk = Chunk {
            packed: "head".into(),
            shared: "tail".into(),
        };
        lane.push(UP, chunk);
        assert_eq!(lane.bytes(), 8);
        assert_eq!(
            taken(&lane, 1),
            (vec!["head".into(), "tail".into()], Some(1))
        );
    }

    #[test]
    fn il_05_what_is_for_a_lost_stream_goes_nowhere() {
        let lane = Lane::default();
        lane.switch(UP);
        lane.push(UP, chunk("waits"));
        lane.switch(UP.next());
        assert_eq!(lane.bytes(), 0);
        lane.push(UP, chunk("late"));
        lane.switch(UP.next().next());
        assert_eq!(lane.push(UP, chunk("too late")), 3);
        assert_eq!(taken(&lane, 9), (vec![], None));
        assert_eq!(lane.view().acknowledged, 0);
    }

    #[tokio::test]
    async fn i9_a_full_lane_makes_its_worker_wait() {
        let lane = Lane::default();
        lane.switch(UP);
        lane.push(UP, Bytes::from(vec![0; LANE_BYTES]).into());
        let soon = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, lane.room()).await.is_err());
        taken(&lane, 1);
        lane.room().await;
    }
}
