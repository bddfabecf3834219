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
    /// From this chunk on nothing was written, nor will be until the worker has taken notice: what follows would overtake it.
    torn: Option<u64>,
}

/// What a worker wants to know of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LaneView {
    /// The present stream.
    pub(crate) stream: StreamNo,
    /// The chunk up to which the server has taken in all of it.
    pub(crate) acknowledged: u64,
    /// The first chunk that was not written, and never will be.
    pub(crate) torn: Option<u64>,
}

impl Lane {
    /// Hands over a chunk for a stream. Tells its number; nothing happens if that stream is over.
    pub(crate) fn push(&self, stream: StreamNo, chunk: Chunk) -> u64 {
        let mut state = self.state();
        state.counted += 1;
        let number = state.counted;
        if state.stream == stream && stream.is_up() && state.torn.is_none() {
            state.bytes += chunk.len();
            state.chunks.push_back((number, chunk));
        }
        number
    }

    /// Moves chunks into `batch`, in order, until it has `max` bytes, as those of the lane with this number. Tells the number
    /// of the last chunk taken.
    pub(crate) fn take(
        &self,
        lane: usize,
        batch: &mut Vec<Piece>,
        held: &mut usize,
        max: usize,
    ) -> Option<u64> {
        let mut taken = None;
        let mut state = self.state();
        while *held < max
            && let Some((number, chunk)) = state.chunks.pop_front()
        {
            state.bytes -= chunk.len();
            *held += chunk.len();
            batch.extend(pieces(chunk, Some((lane, number))));
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
        state.torn = None;
        state.chunks.clear();
        state.bytes = 0;
        drop(state);
        self.room.notify_one();
    }

    /// Drops what waits, and what was taken from `taken` on and not written. Tells how much waited.
    pub(crate) fn tear(&self, taken: Option<u64>) -> usize {
        let mut state = self.state();
        let waits = state.chunks.front().map(|(number, _)| *number);
        state.torn = [state.torn, taken, waits].into_iter().flatten().min();
        state.chunks.clear();
        let dropped = std::mem::take(&mut state.bytes);
        drop(state);
        self.room.notify_one();
        dropped
    }

    /// The worker has taken notice of what was dropped.
    pub(crate) fn mend(&self) {
        self.state().torn = None;
    }

    /// The present stream and its acknowledgements.
    pub(crate) fn view(&self) -> LaneView {
        let state = self.state();
        LaneView {
            stream: state.stream,
            acknowledged: state.acknowledged,
            torn: state.torn,
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

/// Bytes to be written, and where they come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) bytes: Bytes,
    /// Lane and chunk; none for what the front-end says itself.
    pub(crate) of: Option<(usize, u64)>,
}

/// The pieces of a chunk, which nothing may come between.
pub(super) fn pieces(chunk: Chunk, of: Option<(usize, u64)>) -> impl Iterator<Item = Piece> {
    let pieces = [chunk.packed, chunk.shared].into_iter();
    let pieces = pieces.filter(|bytes| !bytes.is_empty());
    pieces.map(move |bytes| Piece { bytes, of })
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
        let last = lane.take(0, &mut batch, &mut held, max);
        let bytes = batch.into_iter().map(|piece: Piece| piece.bytes);
        (bytes.collect(), last)
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

    #[test]
    fn il_23_behind_what_was_dropped_nothing_is_taken_until_its_worker_knows() {
        let lane = Lane::default();
        lane.switch(UP);
        lane.push(UP, chunk("a"));
        lane.push(UP, chunk("b"));
        assert_eq!(taken(&lane, 1).1, Some(1));
        assert_eq!(lane.tear(None), 1);
        lane.push(UP, chunk("c"));
        assert_eq!(taken(&lane, 9), (vec![], None), "it would overtake b");
        assert_eq!(lane.view().torn, Some(2));
        assert_eq!(lane.tear(Some(1)), 0);
        assert_eq!(lane.view().torn, Some(1), "taken, and not written");
        lane.mend();
        lane.push(UP, chunk("b"));
        assert_eq!(taken(&lane, 9), (vec!["b".into()], Some(4)));
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
