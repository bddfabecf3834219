//! A way to something shared, over a connection of one process: slow, away, or gone after it has done what it was asked.
//!
//! Calls of one connection take effect in their order, some time after they were made; answers come back in order, some
//! time later. When the process dies, calls that were under way may still take effect. What calls mean is said by the thing
//! at the other end ([`crate::store`], [`crate::registry`]).

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use coven_store::{Error, Pending};

use crate::os;
use crate::rng::Rng;

/// What becomes of a call.
#[derive(Debug, Clone)]
enum Fate {
    Done,
    /// Done, but the answer is lost.
    Unknown,
    /// Not done.
    NotDone(Error),
}

type Answering = Box<dyn FnOnce() + Send>;
type Doing<D> = Box<dyn FnOnce(&D, Fate) -> Answering + Send>;

/// A connection of one process to a `D`.
pub struct Line<D>(Arc<Mutex<Queue<D>>>);

impl<D> Clone for Line<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D> fmt::Debug for Line<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line({} calls)", self.queue().calls.len())
    }
}

struct Queue<D> {
    calls: VecDeque<(u64, Doing<D>)>,
    answers: VecDeque<(u64, Answering)>,
    last_call: u64,
    last_answer: u64,
    /// Microseconds that a call usually takes, each way.
    usual: u64,
    /// Nothing takes effect before this time.
    away_until: u64,
    /// What is called until then is not done, or not known to be.
    fails_until: u64,
    /// What fails may have been done.
    loses_answers: bool,
    /// Whoever made the calls is dead.
    is_orphaned: bool,
    rng: Rng,
}

impl<D> Line<D> {
    /// A connection.
    #[must_use]
    pub fn new(rng: Rng) -> Self {
        Self(Arc::new(Mutex::new(Queue {
            calls: VecDeque::new(),
            answers: VecDeque::new(),
            last_call: 0,
            last_answer: 0,
            usual: 3_000,
            away_until: 0,
            fails_until: 0,
            loses_answers: false,
            is_orphaned: false,
            rng,
        })))
    }

    /// Calls under way, and answers.
    #[must_use]
    pub fn depth(&self) -> (usize, usize) {
        let queue = self.queue();
        (queue.calls.len(), queue.answers.len())
    }

    /// Does what is due.
    pub fn step(&self, to: &D, now: u64) {
        while let Some(doing) = self.due_call(now) {
            let fate = self.fate(now);
            let answer = doing(to, fate);
            let mut queue = self.queue();
            if queue.is_orphaned {
                continue;
            }
            let takes = queue.takes();
            queue.last_answer = queue.last_answer.max(now + takes);
            let at = queue.last_answer;
            queue.answers.push_back((at, answer));
        }
        while let Some(answer) = self.due_answer(now) {
            answer();
        }
    }

    /// Calls that are made from now on, or are under way, take effect after this time.
    pub fn away(&self, until: u64) {
        self.queue().away_until = until;
    }

    /// Calls that would take effect until this time are mostly not done; or they are, and their answers are lost.
    pub fn fail(&self, until: u64, loses_answers: bool) {
        let mut queue = self.queue();
        (queue.fails_until, queue.loses_answers) = (until, loses_answers);
    }

    /// How long calls take each way, mostly less, in microseconds.
    pub fn takes(&self, usual: u64) {
        self.queue().usual = usual;
    }

    /// The process is gone: of the calls under way the first so many arrive, some of them late; nobody hears of it. Those that
    /// arrive after the next owner's claim are to be refused (I1).
    pub fn orphan(&self, rng: &mut Rng, now: u64) {
        let mut queue = self.queue();
        let kept = rng.range(0, queue.calls.len() as u64 + 1) as usize;
        queue.calls.truncate(kept);
        queue.answers.clear();
        queue.is_orphaned = true;
        let (mut at, late) = (now, rng.skewed(1_000, 2_000_000));
        for (due, _) in &mut queue.calls {
            at += rng.range(0, late + 1);
            *due = at;
        }
    }

    /// Whether nothing is under way any more.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue().calls.is_empty()
    }

    fn due_call(&self, now: u64) -> Option<Doing<D>> {
        let mut queue = self.queue();
        if now < queue.away_until || queue.calls.front()?.0 > now {
            return None;
        }
        queue.calls.pop_front().map(|(_, doing)| doing)
    }

    fn due_answer(&self, now: u64) -> Option<Answering> {
        let mut queue = self.queue();
        if queue.answers.front()?.0 > now {
            return None;
        }
        queue.answers.pop_front().map(|(_, answer)| answer)
    }

    fn fate(&self, now: u64) -> Fate {
        let mut queue = self.queue();
        if now >= queue.fails_until {
            return Fate::Done;
        }
        match queue.rng.range(0, 3) {
            0 => Fate::Done,
            1 if queue.loses_answers => Fate::Unknown,
            _ => Fate::NotDone(Error::Io("the connection was lost".to_owned())),
        }
    }

    /// A call that may fail.
    pub(crate) fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&D) -> Result<T, Error> + Send + 'static,
    ) -> Pending<T> {
        let (reply, pending) = Pending::channel();
        let doing: Doing<D> = Box::new(move |to, fate| {
            let answer = match fate {
                Fate::Done => call(to),
                Fate::Unknown => {
                    let lost = Error::Unknown("the answer was lost".to_owned());
                    call(to).and(Err(lost))
                }
                Fate::NotDone(error) => Err(error),
            };
            Box::new(move || reply.send(answer))
        });
        let mut queue = self.queue();
        let takes = queue.takes();
        queue.last_call = queue.last_call.max(os::now() + takes);
        let at = queue.last_call;
        queue.calls.push_back((at, doing));
        pending
    }

    fn queue(&self) -> MutexGuard<'_, Queue<D>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D> Queue<D> {
    fn takes(&mut self) -> u64 {
        let usual = self.usual;
        self.rng.skewed(usual, usual * 5)
    }
}
