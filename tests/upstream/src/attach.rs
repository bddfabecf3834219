//! Which stream of a component a stanza leaves by.
//!
//! Owns how servers treat several streams of one component domain, in three kinds: as Prosody (one stream, the newest
//! wins), as a cluster of MongooseIM or ejabberd (one per server node), as ejabberd with `domain_balancing` (slots).
//! Pure: it does not know sockets.

use std::hash::{DefaultHasher, Hash, Hasher};

/// The kind of server that is played (design §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mode {
    /// One stream at a time: a new one with the right secret kicks the old one (Prosody's `kick_old`).
    Standby,
    /// One stream per server node; what has none goes by another node's.
    PerServerNode,
    /// Slots on one server node, chosen by the sender's bare JID; an empty slot swallows stanzas.
    Balanced,
}

/// A stream, numbered in the order of the handshakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StreamNo(pub(crate) u32);

/// What a stream has for its handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attached {
    /// It is in, and this one is out.
    Kicks(Option<StreamNo>),
    /// There is no place for it.
    Refused,
}

/// Where a stanza goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// Out by this stream.
    By(StreamNo),
    /// Back: nothing is attached.
    Nowhere,
    /// Nowhere, and nobody is told.
    Swallowed,
}

/// The streams of one component domain.
#[derive(Debug)]
pub(crate) struct Places {
    mode: Mode,
    /// By server node, or by slot.
    places: Vec<Option<StreamNo>>,
}

impl Places {
    /// No stream yet; `count` server nodes or slots.
    pub(crate) fn new(mode: Mode, count: usize) -> Self {
        let count = if mode == Mode::Standby { 1 } else { count };
        Self {
            mode,
            places: vec![None; count],
        }
    }

    /// A stream of server node `node` has given the right secret.
    pub(crate) fn attach(&mut self, node: usize, stream: StreamNo) -> Attached {
        let at = match self.mode {
            Mode::Standby => Some(0),
            Mode::PerServerNode => Some(node),
            Mode::Balanced => self.places.iter().position(Option::is_none),
        };
        match at.and_then(|at| self.places.get_mut(at)) {
            Some(place) => Attached::Kicks(place.replace(stream)),
            None => Attached::Refused,
        }
    }

    /// A stream has ended.
    pub(crate) fn detach(&mut self, stream: StreamNo) {
        for place in &mut self.places {
            if *place == Some(stream) {
                *place = None;
            }
        }
    }

    /// The way of a stanza that comes from `bare` on server node `node`.
    pub(crate) fn route(&self, node: usize, bare: &str) -> Route {
        if self.places.iter().all(Option::is_none) {
            return Route::Nowhere;
        }
        let found = match self.mode {
            Mode::Standby | Mode::PerServerNode => self.at(node).or_else(|| self.any()),
            Mode::Balanced => self.at(self.slot(bare)),
        };
        found.map_or(Route::Swallowed, Route::By)
    }

    /// The streams, in order of their places.
    pub(crate) fn streams(&self) -> impl Iterator<Item = (usize, StreamNo)> {
        let places = self.places.iter().enumerate();
        places.filter_map(|(at, stream)| Some((at, (*stream)?)))
    }

    fn at(&self, place: usize) -> Option<StreamNo> {
        self.places.get(place).copied().flatten()
    }

    fn any(&self) -> Option<StreamNo> {
        self.places.iter().flatten().next().copied()
    }

    fn slot(&self, bare: &str) -> usize {
        let mut hasher = DefaultHasher::new();
        bare.hash(&mut hasher);
        let count = u64::try_from(self.places.len()).unwrap_or(1).max(1);
        usize::try_from(hasher.finish() % count).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: StreamNo = StreamNo(1);
    const B: StreamNo = StreamNo(2);

    #[test]
    fn standby_the_newest_stream_wins() {
        let mut places = Places::new(Mode::Standby, 3);
        assert_eq!(places.route(0, "u1@localhost"), Route::Nowhere);
        assert_eq!(places.attach(0, A), Attached::Kicks(None));
        assert_eq!(places.attach(0, B), Attached::Kicks(Some(A)));
        places.detach(A);
        assert_eq!(places.route(0, "u1@localhost"), Route::By(B));
        places.detach(B);
        assert_eq!(places.route(0, "u1@localhost"), Route::Nowhere);
    }

    #[test]
    fn per_server_node_a_node_without_a_stream_uses_another() {
        let mut places = Places::new(Mode::PerServerNode, 2);
        assert_eq!(places.attach(1, B), Attached::Kicks(None));
        assert_eq!(places.route(0, "u1@localhost"), Route::By(B));
        assert_eq!(places.attach(0, A), Attached::Kicks(None));
        assert_eq!(places.route(0, "u1@localhost"), Route::By(A));
        assert_eq!(places.route(1, "u1@localhost"), Route::By(B));
    }

    #[test]
    fn balanced_a_sender_keeps_its_slot_and_an_empty_slot_swallows() {
        let mut places = Places::new(Mode::Balanced, 2);
        assert_eq!(places.attach(0, A), Attached::Kicks(None));
        let users: Vec<String> = (0..64).map(|n| format!("u{n}@localhost")).collect();
        let by_a = users.iter().filter(|u| places.route(0, u) == Route::By(A));
        let by_a: Vec<&String> = by_a.collect();
        let swallowed = users
            .iter()
            .filter(|u| places.route(0, u) == Route::Swallowed);
        assert_eq!(
            (by_a.is_empty(), swallowed.count()),
            (false, 64 - by_a.len())
        );
        assert_eq!(places.attach(0, B), Attached::Kicks(None));
        assert!(by_a.iter().all(|u| places.route(0, u) == Route::By(A)));
        assert_eq!(places.attach(0, StreamNo(3)), Attached::Refused);
    }
}
