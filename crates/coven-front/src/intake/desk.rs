//! One stanza at a time, on behalf of all connections: read, dispatched, passed on or answered.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use coven_cluster::link::{DirectoryRequest, NodeLink};
use coven_cluster::{Operation, ProcessId, Relay, ToNode};
use coven_core::{Condition, Group, View};
use coven_xmpp::dispatch::{Context, Inbound, dispatch};
use coven_xmpp::stanza::{
    Condition as StanzaCondition, Echo, ErrorType, Kind, Outgoing, Stanza, StanzaError, error_reply,
};
use coven_xmpp::stream::RawStanza;
use smol_str::SmolStr;
use tracing::{error, warn};

use super::channel::Asked;
use super::deferred::Deferred;
use super::grace::Grace;
use crate::clock;
use crate::connection::{Connection, Whose};
use crate::front::Front;
pub(super) use crate::front::lock;

/// Bytes of payload that an error repeats at most.
const MAX_ECHO: usize = 64 * 1024;
/// Domains that are warned about, each once.
const WARNED_DOMAINS: usize = 64;

/// The way in.
#[derive(Debug)]
pub(crate) struct Intake {
    pub(crate) front: Arc<Front>,
    pub(super) node: Arc<dyn NodeLink>,
    pub(super) deferred: Mutex<Deferred<Box<Operation>>>,
    pub(super) grace: Mutex<Grace<Box<Operation>>>,
    warned_foreign: AtomicBool,
    warned_pam: Mutex<BTreeSet<SmolStr>>,
}

impl Intake {
    pub(crate) fn new(front: Arc<Front>, node: Arc<dyn NodeLink>) -> Self {
        Self {
            front,
            node,
            deferred: Mutex::default(),
            grace: Mutex::default(),
            warned_foreign: AtomicBool::new(false),
            warned_pam: Mutex::default(),
        }
    }

    /// Takes one stanza that came through a connection. Never waits.
    pub(crate) fn take(&self, raw: &RawStanza, via: &Connection) {
        let counters = &self.front.counters;
        counters.stanzas_read.add(1);
        match raw.read(via.limits()) {
            Ok(stanza) if self.take_barrier(&stanza, via) => {}
            Ok(stanza) => {
                self.front.activity.touch();
                self.look_at_domain(&stanza, via);
                if self.front.has_several {
                    let (order, from) = (&self.front.order, stanza.from.raw());
                    order.hear(from, via, &self.front.counters.reordered);
                }
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

    /// A barrier that comes back, on whatever stream. Another front-end's is passed on to it: a server with several streams
    /// answers on any (design §6). Only what a server itself says is one: what people send takes the usual way, whatever its
    /// id (I5). One to ourselves comes back as the ping that it was.
    fn take_barrier(&self, stanza: &Stanza, via: &Connection) -> bool {
        if stanza.kind != Kind::Iq || !self.front.answers_barriers(stanza.from.raw(), via) {
            return false;
        }
        let id = stanza.id.as_deref().unwrap_or_default();
        match self.front.ids.read(id) {
            Some(Whose::Ours(connection, no)) => {
                let from = stanza.from.raw();
                self.front
                    .barrier_answered(connection, no, from, Some(via.index()));
            }
            Some(Whose::Of(process)) if self.front.is_clustered() => {
                let relay = ToNode::Relay {
                    to: ProcessId(process),
                    relay: Relay {
                        id: id.into(),
                        from: stanza.from.raw().into(),
                    },
                };
                let sent = self.node.try_send(relay).is_ok();
                self.front.counters.relayed.add(u64::from(sent));
            }
            _ => return false,
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

    /// Answers without a node.
    fn answer(&self, answer: &Outgoing, group: &Group) {
        self.front.answer(answer, group);
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
