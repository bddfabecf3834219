//! Random lives of a channel: a few people with few clients and nicks, so that they meet, doing anything of both protocols.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test crate uses a part of it"
)]

pub mod check;
mod commands;

use crate::table::{OWNER, Outcome, Table, sender};
use coven_core::{Command, ErrorType, View};
use proptest::prelude::*;

/// Somebody does something at some time.
#[derive(Debug, Clone)]
pub struct Step {
    /// A full JID, or a bare one.
    pub jid: String,
    pub command: Command,
    /// How far the clock has moved; it may be set back.
    pub ms: i64,
}

/// How many lives a property is tried on, unless the environment says otherwise.
pub fn lives() -> ProptestConfig {
    let mut config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 64;
    }
    config
}

/// A life of a channel: first how it is made, then what happens.
pub fn life() -> impl Strategy<Value = Vec<Step>> {
    (start(), prop::collection::vec(step(), 1..80)).prop_map(|(mut start, steps)| {
        start.extend(steps);
        start
    })
}

/// By MUC, configured or not, or by MIX; or not at all yet.
fn start() -> impl Strategy<Value = Vec<Step>> {
    let step = |command| Step {
        jid: OWNER.into(),
        command,
        ms: 1,
    };
    let join = Command::Join(Box::new(crate::table::acts::join("firstwitch")));
    let configure = Command::Configure(Box::default());
    prop_oneof![
        3 => Just(vec![step(Command::Create)]),
        3 => Just(vec![step(join.clone()), step(configure)]),
        1 => Just(vec![step(join)]),
        1 => Just(Vec::new()),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let ms = prop_oneof![8 => 0..5_000i64, 1 => -10_000..0i64, 1 => 0..4_000_000i64];
    (commands::act(), ms).prop_map(|((jid, command), ms)| Step { jid, command, ms })
}

/// Lives it, calling `each` after every step with the outcome. Some of the services lock new rooms.
pub fn live(
    steps: &[Step],
    mut each: impl FnMut(&Table, &Step, &Outcome) -> Result<(), TestCaseError>,
) -> Result<Table, TestCaseError> {
    let mut table = Table::empty();
    if !steps.len().is_multiple_of(4) {
        table.service.lock_timeout_ms = None;
    }
    for step in steps {
        table.passes(step.ms);
        let outcome = table.act(&step.jid, genuine(&table, step));
        each(&table, step, &outcome)?;
    }
    Ok(table)
}

/// The command, with the mark of a probe that was really sent where it means one.
fn genuine(table: &Table, step: &Step) -> Command {
    let mut command = step.command.clone();
    if let Command::Bounce(bounce) = &mut command
        && bounce.probed == Some(commands::GENUINE)
        && let Some(full) = sender(&step.jid).full
    {
        let views = [View::Muc, View::Mix].into_iter();
        let mut sessions = views.filter_map(|view| table.roster().session_of(view, &full));
        bounce.probed = sessions
            .next()
            .map(|session| table.channel.probe(session).mark);
    }
    command
}

/// Whether the command is of those that are never refused, because errors are not answered and leaving always succeeds.
pub fn never_refused(command: &Command) -> bool {
    match command {
        Command::Leave { .. } | Command::Bounce(_) | Command::Depart | Command::Offline { .. } => {
            true
        }
        Command::Private(private) => private.error,
        Command::Relay(relay) => matches!(relay.kind.as_str(), "result" | "error"),
        Command::Timer | Command::PresenceSubscription { .. } => true,
        _ => false,
    }
}

/// Whether the command enters, so that an outsider may cause events by it.
pub fn enters(command: &Command) -> bool {
    matches!(
        command,
        Command::Join(_)
            | Command::Participate { .. }
            | Command::Create
            | Command::CreateAdHoc
            | Command::Timer
    )
}

/// Whether the sender has no part in the channel: not there, and without affiliation.
pub fn is_outsider(table: &Table, jid: &str) -> bool {
    let sender = sender(jid);
    let known = table.roster().person_of(&sender.bare);
    known.is_none_or(|p| {
        !table.roster().is_present(p.no) && p.affiliation <= coven_core::Affiliation::None
    })
}

/// A refusal says what a stanza error can say.
pub fn sound(outcome: &Outcome) -> bool {
    outcome
        .refusal
        .as_ref()
        .is_none_or(|refusal| refusal.kind != ErrorType::Continue)
}
