//! One stanza at a time, on behalf of all connections: read, dispatched, passed on or answered.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use coven_cluster::link::{DirectoryRequest, NodeLink};
use coven_cluster::{Operation, ToNode};
use coven_core::{Condition, Group, View};
use coven_xmpp::dispatch::{Context, Inbound, dispatch};
use coven_xmpp::stanza::{
    Condition as StanzaCondition, Echo, ErrorType, Kind, Outgoing, Stanza, StanzaError, error_reply,
};
use coven_xmpp::stream::RawStanza;
use smol_str::SmolStr;
use tokio::sync::Notify;
use tracing::{error, warn};

use super::channel::Asked;
use super::deferred::Deferred;
use super::grace::Grace;
use super::sweeps::Sweeps;
use crate::clock;
use crate::connection::{Connection, Ids, NotTaken};
use crate::front::Front;
use crate::options::Barrier;
use crate::routes::LastWay;

/// Bytes of payload that an error repeats at most.
const MAX_ECHO: usize = 64 * 1024;
/// Domains that are warned about, each once.
const WARNED_DOMAINS: usize = 64;

/// The way in.
#[derive(Debug)]
pub(crate) struct Intake {
    pub(super) front: Arc<Front>,
    pub(super) node: Arc<dyn NodeLink>,
    ids: Ids,
    pub(super) deferred: Mutex<Deferred<Box<Operation>>>,
    pub(super) grace: Mutex<Grace<Box<Operation>>>,
    pub(super) sweeps: Mutex<Sweeps>,
    /// Something is to be tended.
    pub(super) wake: Notify,
    warned_foreign: AtomicBool,
    warned_pam: Mutex<BTreeSet<SmolStr>>,
}

impl Intake {
    pub(crate) fn new(front: Arc<Front>, node: Arc<dyn NodeLink>, ids: Ids) -> Self {
        Self {
            front,
            node,
            ids,
            deferred: Mutex::default(),
            grace: Mutex::default(),
            sweeps: Mutex::default(),
            wake: Notify::new(),
            warned_foreign: AtomicBool::new(false),
            warned_pam: Mutex::default(),
        }
    }

    /// Takes one stanza that came through a connection. Never waits.
    pub(crate) fn take(&self, raw: &RawStanza, via: &Connection) {
        let counters = &self.front.counters;
        counters.stanzas_read.add(1);
        match raw.read(via.limits()) {
            Ok(stanza) if self.take_barrier(&stanza) => {}
            Ok(stanza) => {
                self.front.activity.touch();
                self.look_at_domain(&stanza, via);
                self.handle_safely(&stanza, via);
            }
            Err(rejected) => {
                counters.rejected.add(1);
                if let Some(reply) = rejected.reply(Echo::UpTo(MAX_ECHO)) {
                    self.answer(&reply, via.group());
                }
            }
        }
    }

    /// Says no, for a reason that the sender may wait for to pass.
    pub(super) fn refuse_for_now(
        &self,
        stanza: &Stanza,
        view: View,
        text: &'static str,
        via: &Connection,
    ) {
        let error = StanzaError::new(ErrorType::Wait, StanzaCondition::ResourceConstraint);
        self.refuse(stanza, view, error.with_text(text), via);
    }

    /// Gives something to the node; tells whether there was room.
    pub(super) fn send(&self, message: ToNode) -> bool {
        let sent = self.node.try_send(message).is_ok();
        if sent {
            self.front.counters.operations.add(1);
        } else {
            self.front.counters.refused_full.add(1);
        }
        sent
    }

    /// A barrier that comes back, on whatever stream: it counts for the one on which it was sent.
    fn take_barrier(&self, stanza: &Stanza) -> bool {
        if stanza.kind != Kind::Iq {
            return false;
        }
        let id = stanza.id.as_deref().unwrap_or_default();
        let Some((connection, no)) = self.ids.read(id) else {
            return false;
        };
        let sent = self.front.connections.get(connection);
        if let Some(sent) = sent.filter(|sent| may_answer(stanza, sent)) {
            sent.answered(no);
        }
        true
    }

    /// A fault of the program costs this stanza (I10).
    fn handle_safely(&self, stanza: &Stanza, via: &Connection) {
        let handled = catch_unwind(AssertUnwindSafe(|| self.handle(stanza, via)));
        if handled.is_err() {
            self.front.counters.panics.add(1);
            error!("a stanza could not be handled: a fault of the program");
            let error = StanzaError::from(StanzaCondition::InternalServerError);
            self.refuse(stanza, View::Muc, error, via);
        }
    }

    fn handle(&self, stanza: &Stanza, via: &Connection) {
        let context = Context {
            domains: &self.front.domains,
            group: via.group(),
            now: clock::now(),
            random,
        };
        match dispatch(stanza, &context) {
            Inbound::Channel {
                name,
                sender,
                request,
                origin,
            } => {
                let asked = Asked {
                    name,
                    sender,
                    request,
                    origin,
                };
                self.ask(asked, stanza, via);
            }
            Inbound::Directory {
                space,
                sender,
                page,
                origin,
            } => {
                let request = DirectoryRequest {
                    space,
                    sender,
                    page,
                    origin,
                };
                self.list(request, stanza, via);
            }
            Inbound::Answer(answer) => self.answer(&answer, via.group()),
            Inbound::MixBounce { domain, condition } => self.mix_bounce(domain, condition),
            Inbound::OwnIq { .. } | Inbound::Dropped(_) => self.front.counters.dropped.add(1),
        }
    }

    fn list(&self, request: DirectoryRequest, stanza: &Stanza, via: &Connection) {
        let view = request.origin.view;
        if !self.send(ToNode::Directory(Box::new(request))) {
            self.refuse_for_now(stanza, view, BUSY, via);
        }
    }

    fn refuse(&self, stanza: &Stanza, view: View, error: StanzaError, via: &Connection) {
        let echo = match view {
            View::Muc => Echo::UpTo(MAX_ECHO),
            View::Mix => Echo::Nothing,
        };
        let error = error.with_by(stanza.to.bare());
        match error_reply(stanza, &error, echo) {
            Some(reply) => self.answer(&reply, via.group()),
            None => self.front.counters.dropped.add(1),
        }
    }

    /// Answers without a node; by the connection that is responsible for the address.
    fn answer(&self, answer: &Outgoing, group: &Group) {
        let front = &self.front;
        front.counters.answered.add(1);
        let bare = answer.to.split_once('/');
        let bare = bare.map_or(&*answer.to, |(bare, _)| bare);
        let domain = answer.template.from_domain();
        let way = front
            .routes
            .find(group, domain, bare, &mut LastWay::default());
        let Some(connection) = way.and_then(|at| front.connections.get(at)) else {
            return front.counters.copies_unroutable.add(1);
        };
        match connection.direct().push(answer) {
            Ok(()) => connection.wake(),
            Err(NotTaken::Down | NotTaken::Full) => front.counters.answers_lost.add(1),
            Err(NotTaken::Refused(_)) => front.counters.oversized.add(1),
        }
    }

    /// One stream for each domain: another domain's stanzas would overtake each other (design §6).
    fn look_at_domain(&self, stanza: &Stanza, via: &Connection) {
        let raw = stanza.to.domain();
        if raw == via.domain() {
            return;
        }
        let normal = stanza.to.normal_domain().unwrap_or_default();
        if normal == *via.domain() || self.front.domains.get(&normal).is_none() {
            return;
        }
        self.front.counters.foreign_domain.add(1);
        if !self.warned_foreign.swap(true, Ordering::Relaxed) {
            warn!(
                upstream = via.upstream().address(),
                domain = %via.domain(),
                other = %normal,
                "a stanza for another domain came on this stream, and order is lost: set `global_routes: false` for \
                 the server's component listener, or give each domain a listener of its own",
            );
        }
    }

    /// A server that cannot take messages for MIX participants: said once for each (MIX-MSG-16).
    fn mix_bounce(&self, domain: SmolStr, condition: Condition) {
        self.front.counters.mix_bounces.add(1);
        let mut warned = lock(&self.warned_pam);
        let is_new = condition == Condition::ServiceUnavailable
            && warned.len() < WARNED_DOMAINS
            && warned.insert(domain.clone());
        drop(warned);
        if is_new {
            warn!(
                %domain,
                "messages to MIX participants come back: their server needs MIX-PAM, for Prosody \
                 contrib/prosody/mod_mix_pam.lua, for ejabberd mod_mix_pam, a domain for MIX alone (protocols = [\"mix\"], \
                 with mirror) and, in its [[upstream]], quirks = [\"ejabberd-pam\"] and hosts",
            );
        }
    }
}

/// For names that nobody can guess. Without random bytes there is no such name: a fault that costs this stanza.
#[expect(
    clippy::expect_used,
    reason = "the system gave random bytes at the start"
)]
fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the system has no random bytes");
    bytes
}

/// What a sender is told when the node has no room.
pub(super) const BUSY: &str = "the service is busy";

/// Whether a stanza may be the answer to a barrier of a connection: nobody else knows its id, but who it comes from shows
/// that the server has it from where it was sent to.
fn may_answer(stanza: &Stanza, connection: &Connection) -> bool {
    let from = stanza.from.raw();
    match &connection.upstream().barrier {
        Barrier::Host(host) => from == host,
        Barrier::OwnDomain | Barrier::Off => from == connection.domain(),
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
