//! The front-ends that are attached: what they hold, and the ways to them.
//!
//! Owns the seats, one for each link, and the view of each space that follows from what they hold ([`crate::holding`]).
//! What a channel sends goes through the output gate (`commit/gate.rs`); words about operations and answers that need no
//! order go through the seat's own queue. Neither waits for one that does not take anything: it is detached, and gets what
//! it has missed when it comes back.

use crate::holding::{Holding, SeatNo};
use crate::responsible::Responsible;
use coven_cluster::{FrontLink, Held, LeaseNumber, ProcessId, ToFront};
use coven_core::Origin;
use hashbrown::HashMap;
use smol_str::SmolStr;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Answers that may wait for one front-end; words, before nothing more is taken from one in this process.
const WORDS: usize = 4096;
/// Words that may wait for one front-end: two for each of the operations that its table holds (`coven_cluster::operations`).
const MOST_WORDS: usize = 2 * coven_cluster::operations::OPERATIONS;
/// About so many bytes of answers may wait for one front-end.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// A [`FrontLink`] behind a pointer.
pub(crate) trait Front: std::fmt::Debug + Send + Sync {
    fn send(&self, message: ToFront) -> Sending;
}

/// A message on its way to a front-end.
pub(crate) type Sending = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Makes a [`Front`] of a link.
#[derive(Debug)]
struct Link<F>(Arc<F>);

impl<F: FrontLink + 'static> Front for Link<F> {
    fn send(&self, message: ToFront) -> Sending {
        let link = Arc::clone(&self.0);
        Box::pin(async move { link.send(message).await })
    }
}

/// One attached front-end.
#[derive(Debug)]
pub(crate) struct SeatState {
    pub(crate) no: SeatNo,
    pub(crate) process: ProcessId,
    /// In this process: it holds every connection, is never detached, and its back-pressure is felt.
    pub(crate) is_local: bool,
    link: Arc<dyn Front>,
    words: Words,
    /// Ended, or detached.
    pub(crate) gone: CancellationToken,
    /// About so many bytes of outputs wait for it.
    pub(crate) queued: AtomicUsize,
}

/// What is to be said to a front-end, beside the outputs of the gate.
#[derive(Debug, Default)]
struct Words {
    waiting: Mutex<VecDeque<ToFront>>,
    /// How many of them carry output.
    outputs: AtomicUsize,
    /// About what these weigh.
    bytes: AtomicUsize,
    some: Notify,
}

impl Words {
    /// Puts a word behind the others; tells whether more wait than may.
    fn push(&self, word: ToFront) -> bool {
        let (is_output, weight) = weight(&word);
        let outputs = self.outputs.fetch_add(is_output, Ordering::Relaxed) + is_output;
        let bytes = self.bytes.fetch_add(weight, Ordering::Relaxed) + weight;
        let mut waiting = self.lock();
        waiting.push_back(word);
        let count = waiting.len();
        drop(waiting);
        self.some.notify_one();
        outputs > WORDS || count > MOST_WORDS || bytes > MOST_BYTES
    }

    async fn next(&self) -> ToFront {
        loop {
            let word = self.lock().pop_front();
            match word {
                Some(word) => {
                    let (is_output, weight) = weight(&word);
                    self.outputs.fetch_sub(is_output, Ordering::Relaxed);
                    self.bytes.fetch_sub(weight, Ordering::Relaxed);
                    return word;
                }
                None => self.some.notified().await,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<ToFront>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a word carries output, and about what that weighs.
fn weight(word: &ToFront) -> (usize, usize) {
    match word {
        ToFront::Output(output) => (1, crate::commit::weight(&output.deliveries)),
        _ => (0, 0),
    }
}

/// Front-ends in an order.
pub(crate) type Seats = Arc<[Arc<SeatState>]>;

/// Who gets the output of a space's channels. Exchanged as a whole when anything changes.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) seats: Seats,
    /// In the same order: when a seat's changes, it needs rosters anew.
    pub(crate) since: Vec<u64>,
    /// All connections of the space that are known.
    pub(crate) connections: Vec<SmolStr>,
}

/// All attached front-ends.
#[derive(Debug)]
pub(crate) struct Fronts {
    inner: Mutex<Inner>,
    views: RwLock<HashMap<SmolStr, Arc<View>>>,
    /// The view of a space of which nobody holds a connection by name.
    other: RwLock<Arc<View>>,
    next: AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    seats: Vec<Arc<SeatState>>,
    holding: Holding,
    /// Connections of each space, as configured.
    configured: HashMap<SmolStr, Vec<SmolStr>>,
    /// Of these, who is responsible for whom.
    responsible: HashMap<SmolStr, Responsible>,
}

impl SeatState {
    /// Hands over one message; ends as well when the link does.
    pub(crate) fn send(self: &Arc<Self>, message: ToFront) -> Sending {
        self.link.send(message)
    }

    /// Says something without waiting. Whoever does not listen is detached, except for the one in this process: that hears
    /// it later, and nothing is taken from it meanwhile ([`SeatState::is_deaf`]).
    ///
    /// Words about operations are as many as those that the front-end has under way: all of them at once are no sign that it
    /// does not listen.
    pub(crate) fn tell(&self, word: ToFront) {
        if self.gone.is_cancelled() {
            return;
        }
        let too_many = self.words.push(word);
        if too_many && !self.is_local {
            warn!(process = %format_args!("{:032x}", self.process.0), "a front-end does not listen: detached");
            self.gone.cancel();
        }
    }

    /// Whether so many bytes wait for it.
    pub(crate) fn is_behind(&self, bytes: usize) -> bool {
        !self.gone.is_cancelled() && self.queued.load(Ordering::Relaxed) > bytes
    }

    /// Whether so many words wait that nothing more is taken from it.
    pub(crate) fn is_deaf(&self) -> bool {
        self.words.lock().len() > WORDS
    }
}

impl View {
    fn new(seats: Vec<(Arc<SeatState>, u64)>, connections: Vec<SmolStr>) -> Self {
        let since = seats.iter().map(|(_, since)| *since).collect();
        let seats = seats.into_iter().map(|(seat, _)| seat).collect();
        Self {
            seats,
            since,
            connections,
        }
    }

    /// The seats and what their state of knowledge is called.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&Arc<SeatState>, u64)> {
        self.seats.iter().zip(self.since.iter().copied())
    }
}

impl Fronts {
    pub(crate) fn new(configured: std::collections::HashMap<SmolStr, Vec<SmolStr>>) -> Self {
        let configured: HashMap<SmolStr, Vec<SmolStr>> = configured.into_iter().collect();
        let of = |(space, names): (&SmolStr, &Vec<_>)| (space.clone(), Responsible::new(names));
        let inner = Inner {
            responsible: configured.iter().map(of).collect(),
            configured,
            ..Inner::default()
        };
        let fronts = Self {
            inner: Mutex::new(inner),
            views: RwLock::default(),
            other: RwLock::new(Arc::new(View::new(Vec::new(), Vec::new()))),
            next: AtomicU64::new(1),
        };
        fronts.renew(&fronts.lock());
        fronts
    }

    /// Attaches a front-end. Its words are sent by the future, which ends with the seat.
    pub(crate) fn attach(
        &self,
        process: ProcessId,
        link: impl FrontLink + 'static,
        is_local: bool,
    ) -> (Arc<SeatState>, impl Future<Output = ()> + Send + 'static) {
        let seat = Arc::new(SeatState {
            no: self.next.fetch_add(1, Ordering::Relaxed),
            process,
            is_local,
            link: Arc::new(Link(Arc::new(link))),
            words: Words::default(),
            gone: CancellationToken::new(),
            queued: AtomicUsize::new(0),
        });
        let mut inner = self.lock();
        inner.seats.push(Arc::clone(&seat));
        self.renew(&inner);
        drop(inner);
        let of = Arc::clone(&seat);
        let saying = async move {
            let all = async {
                loop {
                    of.link.send(of.words.next().await).await;
                }
            };
            let _ended: Option<()> = of.gone.run_until_cancelled(all).await;
        };
        (seat, saying)
    }

    /// Detaches a front-end. Tells whether any view has changed.
    pub(crate) fn detach(&self, seat: &SeatState) -> bool {
        seat.gone.cancel();
        let mut inner = self.lock();
        inner.seats.retain(|other| other.no != seat.no);
        let changed = inner.holding.gone(seat.no);
        self.renew(&inner);
        changed
    }

    /// A front-end says what it holds. Tells whether any view has changed.
    pub(crate) fn says(&self, seat: &SeatState, held: Vec<Held>) -> bool {
        if seat.is_local {
            return false;
        }
        let mut inner = self.lock();
        if !inner.seats.iter().any(|other| other.no == seat.no) {
            return false;
        }
        let changed = inner.holding.says(seat.no, held);
        if changed {
            self.renew(&inner);
        }
        changed
    }

    /// Who gets the output of a space's channels now.
    pub(crate) fn view(&self, space: &SmolStr) -> Arc<View> {
        let views = self.views.read().unwrap_or_else(PoisonError::into_inner);
        match views.get(space) {
            Some(view) => Arc::clone(view),
            None => Arc::clone(&self.other.read().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// The one front-end that this answer of a channel of the space, or of a directory, is for; `None`: that cannot be told.
    pub(crate) fn responsible(
        &self,
        space: Option<&SmolStr>,
        origin: &Origin,
    ) -> Option<Arc<SeatState>> {
        let inner = self.lock();
        let mut ways = inner.responsible.iter();
        let (space, all, connection) = ways.find_map(|(of, all)| {
            let is_meant = space.is_none_or(|space| space == of);
            Some((of, all, all.connection(origin).filter(|_| is_meant)?))
        })?;
        let heard = inner.holding.connections();
        let mut heard = heard.iter().filter(|(of, _)| of == space);
        if heard.any(|(_, connection)| !all.knows(connection)) {
            return None;
        }
        let holder = inner.holding.holder(connection)?;
        let is_it = |seat: &&Arc<SeatState>| seat.no == holder && !seat.gone.is_cancelled();
        inner.seats.iter().find(is_it).cloned()
    }

    /// All attached front-ends.
    pub(crate) fn all(&self) -> Vec<Arc<SeatState>> {
        self.lock().seats.clone()
    }

    /// Says something to a process, if it is attached; all operations here are those of a front-end in this process.
    pub(crate) fn tell(&self, process: u128, word: ToFront) {
        let inner = self.lock();
        let mut seats = inner.seats.iter().rev();
        let is_it = |seat: &&Arc<SeatState>| seat.is_local || seat.process.0 == process;
        if let Some(seat) = seats.find(|seat| is_it(seat) && !seat.gone.is_cancelled()) {
            seat.tell(word);
        }
    }

    /// Says something to all.
    pub(crate) fn tell_all(&self, word: &ToFront) {
        for seat in &self.lock().seats {
            seat.tell(word.clone());
        }
    }

    /// Whether a lease is the newest of its connection.
    pub(crate) fn is_newest(&self, connection: &SmolStr, lease: LeaseNumber) -> bool {
        self.lock().holding.is_newest(connection, lease)
    }

    fn renew(&self, inner: &Inner) {
        let local = || inner.seats.iter().filter(|seat| seat.is_local);
        // One that is detached gets nothing, whatever its link still says.
        let is_there = |no, seat: &SeatState| seat.no == no && !seat.gone.is_cancelled();
        let find = |no: SeatNo| inner.seats.iter().find(|seat| is_there(no, seat));
        let heard = inner.holding.connections();
        let mut views = HashMap::new();
        let spaces = inner
            .configured
            .keys()
            .chain(inner.holding.members().keys());
        for space in spaces {
            let mut seats: Vec<_> = local().map(|seat| (Arc::clone(seat), 0)).collect();
            for (no, member) in inner.holding.members().get(space).into_iter().flatten() {
                seats.extend(find(*no).map(|seat| (Arc::clone(seat), member.since)));
            }
            let mut connections = inner.configured.get(space).cloned().unwrap_or_default();
            let of_space = heard.iter().filter(|(of, _)| of == space);
            connections.extend(of_space.map(|(_, name)| name.clone()));
            connections.sort();
            connections.dedup();
            views.insert(space.clone(), Arc::new(View::new(seats, connections)));
        }
        let other = local().map(|seat| (Arc::clone(seat), 0)).collect();
        *self.views.write().unwrap_or_else(PoisonError::into_inner) = views;
        *self.other.write().unwrap_or_else(PoisonError::into_inner) =
            Arc::new(View::new(other, Vec::new()));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coven_cluster::Channel;
    use coven_core::ChannelName;

    /// Takes nothing.
    #[derive(Debug)]
    struct Deaf;

    impl FrontLink for Deaf {
        fn send(&self, _message: ToFront) -> impl Future<Output = ()> + Send {
            std::future::pending()
        }
    }

    fn done(n: u64) -> ToFront {
        let (space, local) = ("chat.example".into(), "coven".into());
        let channel = Channel::new(ChannelName { space, local }, 4);
        ToFront::Done { channel, n }
    }

    fn fronts() -> Fronts {
        Fronts::new(std::collections::HashMap::default())
    }

    #[test]
    fn i9_the_front_end_in_this_process_is_never_detached() {
        let fronts = fronts();
        let (local, _saying) = fronts.attach(ProcessId(0), Deaf, true);
        for n in 0..=MOST_WORDS as u64 {
            local.tell(done(n));
        }
        assert!(!local.gone.is_cancelled());
        assert!(local.is_deaf(), "more is taken from it");
    }

    #[test]
    fn i9_all_words_about_operations_at_once_detach_nobody_but_more_do() {
        let fronts = fronts();
        let (seat, _saying) = fronts.attach(ProcessId(1), Deaf, false);
        for n in 0..MOST_WORDS as u64 {
            seat.tell(done(n));
        }
        assert!(!seat.gone.is_cancelled());
        seat.tell(done(0));
        assert!(seat.gone.is_cancelled());
    }

    #[test]
    fn i3_one_that_is_detached_is_in_no_view() {
        let fronts = fronts();
        let space: SmolStr = "chat.example".into();
        let hold = |process, connection: &str| {
            let (seat, _saying) = fronts.attach(ProcessId(process), Deaf, false);
            let (connection, space) = (connection.into(), space.clone());
            let lease = LeaseNumber(1);
            fronts.says(
                &seat,
                vec![Held {
                    connection,
                    lease,
                    space,
                }],
            );
            seat
        };
        let gone = hold(1, "c1");
        assert_eq!(fronts.view(&space).seats.len(), 1);
        gone.gone.cancel();
        hold(2, "c2");
        let view = fronts.view(&space);
        let there: Vec<_> = view.seats.iter().map(|seat| seat.process.0).collect();
        assert_eq!(there, [2]);
        assert!(fronts.detach(&gone) && !fronts.says(&gone, Vec::new()));
        assert_eq!(view.connections.len(), 2);
    }
}
