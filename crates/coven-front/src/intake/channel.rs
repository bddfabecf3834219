//! What is asked of a channel: counted against the sender's rates, then given to the node, put off, or refused.

use std::sync::Arc;

use coven_cluster::trace::{self, Span, Step};
use coven_cluster::{Channel, Operation, Request, ToNode};
use coven_core::command::Bounce;
use coven_core::{ChannelName, Command, Origin, Sender};
use coven_xmpp::dispatch;
use coven_xmpp::stanza::Stanza;
use tokio::time::Instant;

use super::admit::{Admission, Gatekeeper, place};
use super::desk::{BUSY, Intake, lock};
use super::grace::{Verdict, has_grace};
use crate::connection::Connection;

/// What is asked of a channel.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) name: ChannelName,
    pub(super) sender: Sender,
    pub(super) request: dispatch::Request,
    pub(super) origin: Arc<Origin>,
}

impl Intake {
    /// Passes it on, puts it off, or says no.
    pub(super) fn ask(&self, mut asked: Asked, stanza: &Stanza, via: &Connection) {
        if let dispatch::Request::Command(Command::Bounce(_)) = &asked.request {
            if self.is_confirmed(&mut asked) {
                self.pass_bounce(asked);
            }
            return;
        }
        match self.admit(&asked) {
            Admission::Yes => self.pass_on(asked, stanza, via),
            Admission::Later => self.put_off(self.operation(asked), stanza, via),
            Admission::No(text) => {
                self.front.counters.refused_rate.add(1);
                self.refuse_for_now(stanza, asked.origin.view, text, via);
            }
        }
    }

    fn admit(&self, asked: &Asked) -> Admission {
        let Some(limiter) = &self.front.limiter else {
            return Admission::Yes;
        };
        let gatekeeper = Gatekeeper {
            limiter,
            joined: &self.front.joined,
            rosters: &self.front.rosters,
            visits: &self.front.visits,
        };
        gatekeeper.admit(&asked.sender, &asked.name, &asked.request)
    }

    fn pass_on(&self, asked: Asked, stanza: &Stanza, via: &Connection) {
        let view = asked.origin.view;
        let presence = Presence::of(&asked.request);
        if presence.is_some() {
            self.presence_changes(&asked);
        }
        let mut operation = self.operation(asked);
        let span = begin_trace(&operation);
        operation.trace = span.as_ref().map(Span::context);
        let Err(message) = self.node.try_send(ToNode::Operation(operation)) else {
            return self.front.counters.operations.add(1);
        };
        self.front.counters.refused_full.add(1);
        match message {
            ToNode::Operation(leave) if presence == Some(Presence::Gone) => self.keep(leave),
            ToNode::Operation(change) if presence == Some(Presence::Changed) => {
                self.put_off(change, stanza, via);
            }
            _ => self.refuse_for_now(stanza, view, BUSY, via),
        }
    }

    /// An error that came back. That of a probe is not lost where the node has no room: silence would prove nothing
    /// (MUC-LEAVE-12).
    fn pass_bounce(&self, asked: Asked) {
        let operation = self.operation(asked);
        let Err(ToNode::Operation(bounce)) = self.node.try_send(ToNode::Operation(operation))
        else {
            return self.front.counters.operations.add(1);
        };
        self.front.counters.refused_full.add(1);
        let of_probe = matches!(
            &bounce.request,
            Request::Command(Command::Bounce(bounce)) if bounce.probed.is_some()
        );
        if of_probe && let Some(place) = place(&bounce.sender, bounce.channel.name()) {
            lock(&self.deferred).offer(place, bounce);
            self.front.tend.notify_one();
        }
    }

    /// What waits is older than this.
    fn presence_changes(&self, asked: &Asked) {
        if let Some(place) = place(&asked.sender, &asked.name) {
            lock(&self.deferred).forget(&place);
        }
    }

    /// A change of presence above the rate, or one for which the node has no room: an error would say that its sender is
    /// not here.
    fn put_off(&self, operation: Box<Operation>, stanza: &Stanza, via: &Connection) {
        let view = operation.origin.view;
        let put = match place(&operation.sender, operation.channel.name()) {
            Some(place) => lock(&self.deferred).put(place, operation).is_ok(),
            None => false,
        };
        if put {
            self.front.counters.coalesced.add(1);
            self.front.tend.notify_one();
        } else {
            self.front.counters.refused_rate.add(1);
            self.refuse_for_now(stanza, view, "too many changes of presence at once", via);
        }
    }

    /// Leaving is never refused: where the node has no room it waits (MUC-ERR-08), and if too much waits, in the place of
    /// something else.
    fn keep(&self, leave: Box<Operation>) {
        let Some(place) = place(&leave.sender, leave.channel.name()) else {
            return;
        };
        let found = lock(&self.deferred).insist(place, leave, |other| !leaves(&other.request));
        if found {
            self.front.tend.notify_one();
        } else {
            self.front.counters.leaves_lost.add(1);
        }
    }

    /// Whether a bounce is to be believed. Those that say that a server is away have to hold for a minute (MUC-LEAVE-07).
    fn is_confirmed(&self, asked: &mut Asked) -> bool {
        let dispatch::Request::Command(Command::Bounce(bounce)) = &mut asked.request else {
            return true;
        };
        if !has_grace(bounce.condition) {
            return true;
        }
        let Some(place) = place(&asked.sender, &asked.name) else {
            return false;
        };
        bounce.confirmed = true;
        let probed = bounce.probed.is_some();
        let probe = Command::Bounce(Bounce {
            probed: None,
            ..bounce.clone()
        });
        let probe = || {
            self.operation(Asked {
                name: asked.name.clone(),
                sender: asked.sender.clone(),
                request: dispatch::Request::Command(probe),
                origin: Arc::clone(&asked.origin),
            })
        };
        let verdict = lock(&self.grace).bounce(place, probed, Instant::now(), probe);
        if verdict == Verdict::Wait {
            self.front.counters.bounces_waiting.add(1);
            self.front.tend.notify_one();
        }
        verdict == Verdict::Confirmed
    }

    fn operation(&self, asked: Asked) -> Box<Operation> {
        let known = self.front.rosters.get(&asked.name);
        Box::new(Operation {
            channel: known.unwrap_or_else(|| Channel::new(asked.name, self.front.shards)),
            sender: asked.sender,
            request: match asked.request {
                dispatch::Request::Command(command) => Request::Command(command),
                dispatch::Request::Query(query) => Request::Query(query),
            },
            origin: asked.origin,
            id: None,
            trace: None,
        })
    }
}

/// The first span of a trace, if there is telemetry and this one is sampled. Reads have none.
fn begin_trace(operation: &Operation) -> Option<Span> {
    matches!(operation.request, Request::Command(_))
        .then(|| trace::begin(Step::Read))
        .flatten()
}

/// Whether a request ends somebody's presence.
pub(super) const fn leaves(request: &Request) -> bool {
    matches!(
        request,
        Request::Command(Command::Leave { .. } | Command::Offline { .. })
    )
}

/// What a request says about its sender's presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Begins,
    Changed,
    Gone,
}

impl Presence {
    const fn of(request: &dispatch::Request) -> Option<Self> {
        let dispatch::Request::Command(command) = request else {
            return None;
        };
        match command {
            Command::Join(_) => Some(Self::Begins),
            Command::Update { .. } | Command::Online { .. } => Some(Self::Changed),
            Command::Leave { .. } | Command::Offline { .. } => Some(Self::Gone),
            _ => None,
        }
    }
}
