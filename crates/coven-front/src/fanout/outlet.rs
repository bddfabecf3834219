//! A worker's end of one connection: what it packs for it, and what of that the server has not yet taken in.
//!
//! Owns the open chunk and the ledger: for each written event, and each stored refusal, the chunk that holds its last byte.
//! When a barrier acknowledges chunks, the ledger says which those were; when a stream is lost, which are to come again.
//!
//! Owns the patience with a server that takes less than is for it: while its lane is full the worker waits, but no longer
//! than `hold.rs` says. Then the connection is behind: its events are left out, and asked for again when half of the lane
//! has been written. Answers and refusals cannot come again: they go on until twice as much waits, and may so precede
//! events that were left out. Beyond that they are counted as lost, but for stored refusals, which are asked for again. Relayed IQs go on as long, but only while no event of
//! their channel is left out. Private messages are events, and come again like all others.
//!
//! While the process's session is over, nothing at all is packed; what was handed over and is not written is told as such.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use coven_cluster::{Channel, LeaseNumber, ProcessId};
use coven_core::Group;
use coven_xmpp::stanza::Template;
use coven_xmpp::stream::{Chunk, Refused, Writer};
use tokio::time::{Instant, timeout};

use super::cursor::Mark;
use super::hold::Hold;
use crate::connection::{Connection, LANE_BYTES, Lane, StreamNo, Tenure};

/// A worker's end of one connection.
#[derive(Debug)]
pub(crate) struct Outlet {
    connection: Arc<Connection>,
    worker: usize,
    writer: Writer,
    /// The stream as the worker knows it.
    stream: StreamNo,
    /// The number of the last chunk that was handed over.
    handed: u64,
    ledger: VecDeque<Entry>,
    /// Something was packed since it was last looked whether there is room.
    is_used: bool,
    hold: Hold,
    /// Too much has waited for too long, or nothing may be written: events are left out until there is room.
    is_behind: bool,
    /// Output of nodes may not be written now.
    is_fenced: bool,
    tenure: Tenure,
    /// The change of tenure that is acted by.
    tenure_change: u64,
    /// Groups whose sessions were to be probed when too much waited.
    missed_probes: BTreeSet<Group>,
    /// The chunk that holds the first byte of what is being packed.
    begun: Option<u64>,
    /// Stored refusals that were noted, and are lost or not written.
    lost_refusals: Vec<(ProcessId, u64)>,
}

/// What has become of a written event.
#[derive(Debug)]
pub(crate) enum Fate<'a> {
    /// The server has it.
    TakenIn(&'a Channel, Mark),
    /// Its stream is gone.
    Lost(&'a Channel),
    /// It was not written, nor was what came after it; the last event of the channel that was, and is not acknowledged yet.
    Unwritten(&'a Channel, Option<Mark>),
}

/// A written event, or a stored refusal.
#[derive(Debug)]
struct Entry {
    /// The chunk of its first byte ...
    first: u64,
    /// ... and of its last.
    chunk: u64,
    channel: Channel,
    mark: Mark,
    /// The stored refusal that it is.
    refusal: Option<(ProcessId, u64)>,
}

impl Outlet {
    pub(crate) fn new(connection: Arc<Connection>, worker: usize) -> Self {
        let max = connection.upstream().max_stanza_bytes;
        Self {
            writer: Writer::new(connection.domain(), max),
            connection,
            worker,
            stream: StreamNo::default(),
            handed: 0,
            ledger: VecDeque::new(),
            is_used: false,
            hold: Hold::default(),
            is_behind: false,
            is_fenced: false,
            tenure: Tenure::No,
            tenure_change: 0,
            missed_probes: BTreeSet::new(),
            begun: None,
            lost_refusals: Vec::new(),
        }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether there is a stream, as far as the worker knows.
    pub(crate) const fn is_up(&self) -> bool {
        self.stream.is_up()
    }

    /// Whether events are left out for now.
    pub(crate) const fn is_behind(&self) -> bool {
        self.is_behind || !self.tenure.takes_events()
    }

    /// Whether what is no event may be packed too.
    pub(crate) fn takes_passing(&self) -> bool {
        let has_room = !self.is_behind || self.waiting() < 2 * LANE_BYTES;
        self.is_up() && has_room && !self.is_fenced
    }

    /// Whether this front-end holds the connection, as far as the worker knows.
    pub(crate) fn is_held(&self) -> bool {
        self.tenure != Tenure::No
    }

    /// The lease under which it is held.
    pub(crate) const fn lease(&self) -> Option<LeaseNumber> {
        self.tenure.lease()
    }

    /// Takes notice of a change of tenure: tells whether cursors of this connection are to begin anew, or to end. They go on
    /// only while the stream does: without one somebody else may have written in between.
    pub(crate) fn observe_tenure(&mut self) -> Option<bool> {
        if self.connection.tenure_changes() == self.tenure_change {
            return None;
        }
        let (tenure, change) = self.connection.tenure();
        self.tenure_change = change;
        let before = std::mem::replace(&mut self.tenure, tenure);
        let goes_on = match (before, tenure) {
            (Tenure::No, _) | (_, Tenure::No) => false,
            (_, Tenure::Held(_)) => {
                let is_same = self.stream == self.connection.stream();
                before.takes_events() && self.is_up() && is_same
            }
            _ => true,
        };
        if !goes_on {
            let lost = self.ledger.drain(..).filter_map(|entry| entry.refusal);
            self.lost_refusals.extend(lost);
            self.writer.clear();
        }
        Some(!goes_on)
    }

    /// The worker acts by the last change of tenure: what it had packed is handed over.
    pub(crate) fn acts_by_tenure(&mut self) {
        self.flush();
        self.connection.saw_tenure(self.worker, self.tenure_change);
    }

    /// Whether the stream was closed because the connection is given up, and nodes are to be told what is left to tell.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.tenure, Tenure::Closing(_)) && !self.is_up()
    }

    /// Nodes have been told all.
    pub(crate) fn told_all(&self) {
        self.connection.told_all(self.worker, self.tenure_change);
    }

    /// Output of nodes may be written, or not.
    pub(crate) const fn fence(&mut self, is_open: bool) {
        self.is_fenced = !is_open;
        self.is_behind |= self.is_fenced;
    }

    /// A probe was not packed, since too much waits.
    pub(crate) fn misses_probe(&mut self, group: &Group) {
        if !self.missed_probes.contains(group) {
            self.missed_probes.insert(group.clone());
        }
    }

    /// The groups of which probes were missed.
    pub(crate) fn take_missed_probes(&mut self) -> BTreeSet<Group> {
        std::mem::take(&mut self.missed_probes)
    }

    /// The stream as the worker knows it.
    pub(crate) const fn stream(&self) -> StreamNo {
        self.stream
    }

    /// Packs one stanza.
    ///
    /// Errors: it would break the stream (MUC-COMP-03, I9); nothing was packed.
    pub(crate) fn push(&mut self, template: &Template, to: &str) -> Result<(), Refused> {
        self.is_used = true;
        self.begun.get_or_insert(self.handed + 1);
        self.writer.push(template, to)
    }

    /// All that was packed so far for a channel is up to `mark`. `refusal`: it is a stored one.
    pub(crate) fn note(
        &mut self,
        channel: &Channel,
        mark: Mark,
        refusal: Option<(ProcessId, u64)>,
    ) {
        self.hand_over();
        let is_open = self.writer.pending() > 0;
        let chunk = self.handed + u64::from(is_open);
        self.ledger.push_back(Entry {
            first: self.begun.take().unwrap_or(chunk).min(chunk),
            chunk,
            channel: channel.clone(),
            mark,
            refusal,
        });
    }

    /// Stored refusals that were noted, and are lost or not written.
    pub(crate) fn take_lost_refusals(&mut self) -> Vec<(ProcessId, u64)> {
        std::mem::take(&mut self.lost_refusals)
    }

    /// What was noted last stands for a whole commit, if it is of this channel.
    pub(crate) fn commit(&mut self, channel: &Channel, mark: Mark) {
        let last = self.ledger.back_mut();
        let same = |last: &&mut Entry| last.mark.no == mark.no && last.channel == *channel;
        if let Some(last) = last.filter(same) {
            last.mark = mark;
        }
    }

    /// Hands over full chunks.
    fn hand_over(&mut self) {
        while let Some(chunk) = self.writer.take_full() {
            self.send(chunk);
        }
    }

    /// Hands over all there is.
    pub(crate) fn flush(&mut self) {
        while let Some(chunk) = self.writer.take() {
            self.send(chunk);
        }
    }

    /// Hands over full chunks, and waits while too much waits for this connection; if others wait for that, only as long
    /// as they can be asked to. Tells whether it has fallen behind by that.
    pub(crate) async fn relieve(&mut self, others_wait: bool) -> bool {
        if !std::mem::take(&mut self.is_used) {
            return false;
        }
        self.begun = None;
        self.hand_over();
        let Some(lane) = self.connection.lane(self.worker) else {
            return false;
        };
        if self.is_behind || lane.bytes() < LANE_BYTES {
            return false;
        }
        if !others_wait {
            lane.room().await;
            return false;
        }
        let since = Instant::now();
        let left = self.hold.left(since);
        self.is_behind = timeout(left, lane.room()).await.is_err();
        self.hold.held(since.elapsed());
        self.is_behind
    }

    /// Tells whether it was behind and now has room again.
    pub(crate) fn catches_up(&mut self) -> bool {
        let has_room = self.waiting() < LANE_BYTES / 2 && !self.is_fenced;
        let catches_up = self.is_behind && has_room;
        self.is_behind &= !catches_up;
        catches_up
    }

    fn waiting(&self) -> usize {
        self.lane().map_or(0, Lane::bytes)
    }

    /// Tells what has become of written events since the last time, in order; whether the stream is another.
    pub(crate) fn observe(&mut self, mut tell: impl FnMut(Fate<'_>)) -> bool {
        let Some(view) = self.lane().map(Lane::view) else {
            return false;
        };
        let taken_in = |entry: &mut Entry| entry.chunk <= view.acknowledged;
        while let Some(entry) = self.ledger.pop_front_if(taken_in) {
            tell(Fate::TakenIn(&entry.channel, entry.mark));
        }
        if view.stream == self.stream {
            if let Some(torn) = view.torn {
                self.unwritten(torn, tell);
            }
            return false;
        }
        self.stream = view.stream;
        self.is_behind = false;
        self.writer.clear();
        for entry in self.ledger.drain(..) {
            self.lost_refusals.extend(entry.refusal);
            tell(Fate::Lost(&entry.channel));
        }
        true
    }

    /// Nothing was written from this chunk on. An event of which some copies are with the server already would come twice
    /// to whom they are for: then the stream is closed, and nothing more goes into it.
    fn unwritten(&mut self, torn: u64, mut tell: impl FnMut(Fate<'_>)) {
        self.writer.clear();
        self.is_behind = true;
        let written = self.ledger.partition_point(|entry| entry.chunk < torn);
        let lost = self.ledger.split_off(written);
        let is_cut = lost.front().is_some_and(|entry| entry.first < torn);
        let refusals = lost.iter().filter_map(|entry| entry.refusal);
        self.lost_refusals.extend(refusals);
        let mut channels: BTreeMap<Channel, Option<Mark>> = BTreeMap::new();
        channels.extend(lost.into_iter().map(|entry| (entry.channel, None)));
        for entry in &self.ledger {
            if let Some(last) = channels.get_mut(&entry.channel) {
                *last = Some(entry.mark);
            }
        }
        for (channel, last) in &channels {
            tell(Fate::Unwritten(channel, *last));
        }
        if is_cut {
            self.connection.cut(self.stream);
        } else if let Some(lane) = self.lane().filter(|_| !self.connection.is_cut()) {
            lane.mend();
        }
    }

    fn lane(&self) -> Option<&Lane> {
        self.connection.lane(self.worker)
    }

    fn send(&mut self, chunk: Chunk) {
        if let Some(lane) = self.connection.lane(self.worker) {
            self.handed = lane.push(self.stream, chunk);
            self.connection.wake();
        }
        if let Some(written) = self.connection.take_written() {
            self.writer.recycle(written);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::options::{Barrier, Secrets, Upstream};
    use coven_core::ChannelName;
    use coven_xmpp::render::Quirks;
    use coven_xmpp::stanza::{Builder, Head, Kind};
    use coven_xmpp::stream::CHUNK_BYTES;

    const DOMAIN: &str = "chat.example";

    fn outlet() -> (Outlet, Arc<Connection>) {
        let upstream = Upstream {
            host: "127.0.0.1".to_owned(),
            port: 5347,
            domains: vec![DOMAIN.into()],
            secrets: Secrets::given(Vec::new()),
            group: Group("main".into()),
            barrier: Barrier::OwnDomain,
            hosts: Vec::new(),
            max_stanza_bytes: 256 * 1024,
            quirks: Quirks::default(),
            slots: crate::Slots::default(),
        };
        let workers = [tokio::sync::Notify::new()].into();
        let named = (DOMAIN.into(), "main/127.0.0.1:5347/chat.example".into());
        let connection = Connection::new(0, named, (Arc::new(upstream), None), workers);
        let connection = Arc::new(connection);
        connection.begin_for_test();
        let mut outlet = Outlet::new(Arc::clone(&connection), 0);
        assert!(outlet.observe(|_| {}));
        (outlet, connection)
    }

    fn channel() -> Channel {
        let name = ChannelName {
            space: DOMAIN.into(),
            local: "coven".into(),
        };
        Channel::new(name, 1024)
    }

    /// Packs an event of so many chunks.
    fn write(outlet: &mut Outlet, chunks: usize, mark: Mark) {
        let mut body = Builder::new();
        body.leaf("body", &"x".repeat(CHUNK_BYTES / 4));
        let template = Template::new(&Head::new(Kind::Message, DOMAIN), &body.finish());
        let (from, mut copies) = (outlet.handed, 0);
        while copies < 4 * chunks {
            outlet.push(&template, "hag66@shakespeare.example").unwrap();
            copies += 1;
        }
        outlet.note(&channel(), mark, None);
        outlet.flush();
        assert!(outlet.handed >= from + chunks as u64);
    }

    /// So many chunks are written, then the session ends. Tells what has become of how many channels.
    fn fenced_after(outlet: &mut Outlet, chunks: usize) -> usize {
        let (mut batch, mut told) = (Vec::new(), 0);
        for _ in 0..chunks {
            outlet.lane().unwrap().take(0, &mut batch, &mut 0, 1);
        }
        outlet.lane().unwrap().tear(None);
        outlet.observe(|fate| told += usize::from(matches!(fate, Fate::Unwritten(..))));
        told
    }

    #[test]
    fn i3_il_23_a_fence_between_the_copies_of_an_event_closes_the_stream() {
        let (mut outlet, connection) = outlet();
        write(&mut outlet, 3, Mark::default());
        assert_eq!(fenced_after(&mut outlet, 1), 1);
        assert!(connection.is_cut());
        let lane = connection.lane(0).unwrap();
        assert!(lane.view().torn.is_some(), "nothing more goes into it");
    }

    #[test]
    fn il_23_a_fence_between_events_leaves_the_stream() {
        let (mut outlet, connection) = outlet();
        write(&mut outlet, 1, Mark::default());
        let written = outlet.handed as usize;
        write(&mut outlet, 2, Mark::default());
        assert_eq!(fenced_after(&mut outlet, written), 1);
        assert!(!connection.is_cut());
        assert!(connection.lane(0).unwrap().view().torn.is_none());
    }
}
