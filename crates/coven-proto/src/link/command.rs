//! Commands.

use super::nodes_from;
use super::stanza::{condition_from, mark_from, mark_to};
use crate::Error;
use crate::event::{history_from, history_to};
use crate::people::{
    affiliation_from, affiliation_to, presence_from, presence_to, role_from, role_to, smol, text,
    view_from, view_to,
};
use crate::settings::{config_from, config_to, visibility_from, visibility_to};
use crate::wire::link as wire;
use crate::wire::link::command::Body;
use coven_core::command::{
    Bounce, End, Grant, Join, Post, Private, Reference, Relay, RoleChange, Settings, Traits,
};
use coven_core::people::participation::Nodes;
use coven_core::{BareJid, Command};
use std::sync::Arc;

/// What somebody wants changed.
#[must_use]
pub fn command_to(command: &Command) -> wire::Command {
    let body = match command {
        Command::Join(join) => Body::Join(join_to(join)),
        Command::Update { nick, presence } => Body::Update(wire::Update {
            nick: text(nick.as_ref()),
            presence: Some(presence_to(presence)),
        }),
        Command::Leave { payload } => Body::Leave(wire::Leave {
            payload: payload.clone(),
        }),
        Command::Bounce(bounce) => Body::Bounce(wire::Bounce {
            probed: bounce.probed.as_ref().map(mark_to),
            condition: bounce.condition.name().into(),
            confirmed: bounce.confirmed,
        }),
        Command::Post(post) => Body::Post(post_to(post)),
        Command::Private(private) => Body::Private(private_to(private)),
        Command::Relay(relay) => Body::Relay(relay_to(relay)),
        Command::Participate { nodes, nick } => Body::Participate(wire::Participate {
            nodes: nodes.0.into(),
            nick: text(nick.as_ref()),
        }),
        Command::Subscribe { add, remove } => Body::Subscribe(subscribe_to(*add, *remove)),
        Command::Depart => Body::Depart(wire::Depart {}),
        Command::SetNick { nick } => Body::SetNick(wire::SetNick {
            nick: text(nick.as_ref()),
        }),
        Command::Online { presence } => Body::Online(presence_to(presence)),
        Command::Offline { payload } => Body::Offline(wire::Leave {
            payload: payload.clone(),
        }),
        Command::Create => Body::Create(wire::Create {}),
        Command::CreateAdHoc => Body::CreateAdHoc(wire::CreateAdHoc {}),
        Command::PresenceSubscription { wanted } => {
            Body::PresenceSubscription(wire::PresenceSubscription { wanted: *wanted })
        }
        Command::Destroy(end) => Body::Destroy(end_to(end)),
        Command::Configure(settings) => Body::Configure(settings_to(settings)),
        Command::CancelConfiguration => Body::CancelConfiguration(wire::CancelConfiguration {}),
        Command::SetAffiliation(grant) => Body::SetAffiliation(grant_to(grant)),
        Command::SetRole(change) => Body::SetRole(wire::RoleChange {
            nick: change.nick.as_str().into(),
            role: role_to(change.role),
            reason: text(change.reason.as_ref()),
        }),
        Command::Timer => Body::Timer(wire::Timer {}),
    };
    wire::Command { body: Some(body) }
}

/// What [`command_to`] made.
pub fn command_from(command: wire::Command) -> Result<Command, Error> {
    Ok(match command.body.ok_or(Error::Missing("command"))? {
        Body::Join(join) => Command::Join(Box::new(join_from(join)?)),
        Body::Update(update) => Command::Update {
            nick: smol(update.nick),
            presence: presence_from(update.presence)?,
        },
        Body::Leave(leave) => Command::Leave {
            payload: leave.payload,
        },
        Body::Bounce(bounce) => Command::Bounce(Bounce {
            probed: bounce.probed.as_deref().map(mark_from).transpose()?,
            condition: condition_from(&bounce.condition)?,
            confirmed: bounce.confirmed,
        }),
        Body::Post(post) => Command::Post(Box::new(post_from(post)?)),
        Body::Private(private) => Command::Private(Box::new(private_from(private))),
        Body::Relay(relay) => Command::Relay(Box::new(relay_from(relay))),
        Body::Participate(join) => Command::Participate {
            nodes: nodes_from(join.nodes)?,
            nick: smol(join.nick),
        },
        Body::Subscribe(subscribe) => {
            let (add, remove) = subscribe_from(&subscribe)?;
            Command::Subscribe { add, remove }
        }
        Body::Depart(_) => Command::Depart,
        Body::SetNick(set) => Command::SetNick {
            nick: smol(set.nick),
        },
        Body::Online(presence) => Command::Online {
            presence: presence_from(Some(presence))?,
        },
        Body::Offline(leave) => Command::Offline {
            payload: leave.payload,
        },
        Body::Create(_) => Command::Create,
        Body::CreateAdHoc(_) => Command::CreateAdHoc,
        Body::PresenceSubscription(s) => Command::PresenceSubscription { wanted: s.wanted },
        Body::Destroy(end) => Command::Destroy(end_from(end)),
        Body::Configure(settings) => Command::Configure(Box::new(settings_from(settings)?)),
        Body::CancelConfiguration(_) => Command::CancelConfiguration,
        Body::SetAffiliation(grant) => Command::SetAffiliation(grant_from(grant)?),
        Body::SetRole(change) => Command::SetRole(RoleChange {
            nick: change.nick.into(),
            role: role_from(change.role)?,
            reason: smol(change.reason),
        }),
        Body::Timer(_) => Command::Timer,
    })
}

fn join_to(join: &Join) -> wire::Join {
    wire::Join {
        nick: text(join.nick.as_ref()),
        password: text(join.password.as_ref()),
        history: Some(history_to(join.history)),
        presence: Some(presence_to(&join.presence)),
        stanza_id: text(join.stanza_id.as_ref()),
    }
}

fn join_from(join: wire::Join) -> Result<Join, Error> {
    Ok(Join {
        nick: smol(join.nick),
        password: smol(join.password),
        history: history_from(join.history.ok_or(Error::Missing("history"))?),
        presence: presence_from(join.presence)?,
        stanza_id: smol(join.stanza_id),
    })
}

fn post_to(post: &Post) -> wire::Post {
    wire::Post {
        view: post.view.map(view_to),
        own_id: text(post.own_id.as_ref()),
        lang: text(post.lang.as_ref()),
        payload: post.payload.clone(),
        traits: post.traits.0.into(),
        subject: post.subject.clone(),
        reference: post.reference.as_ref().map(|r| wire::Reference {
            start: r.start,
            end: r.end,
            id: r.id.as_str().into(),
        }),
    }
}

fn post_from(post: wire::Post) -> Result<Post, Error> {
    Ok(Post {
        view: post.view.map(view_from).transpose()?,
        own_id: smol(post.own_id),
        lang: smol(post.lang),
        payload: post.payload,
        traits: Traits(u16::try_from(post.traits).map_err(|_| Error::Invalid("traits"))?),
        subject: post.subject,
        reference: post.reference.map(|r| Reference {
            start: r.start,
            end: r.end,
            id: r.id.into(),
        }),
    })
}

fn private_to(private: &Private) -> wire::Private {
    wire::Private {
        nick: private.nick.as_str().into(),
        kind: text(private.kind.as_ref()),
        own_id: text(private.own_id.as_ref()),
        lang: text(private.lang.as_ref()),
        payload: private.payload.clone(),
        error: private.error,
    }
}

fn private_from(private: wire::Private) -> Private {
    Private {
        nick: private.nick.into(),
        kind: smol(private.kind),
        own_id: smol(private.own_id),
        lang: smol(private.lang),
        payload: private.payload,
        error: private.error,
    }
}

pub(super) fn relay_to(relay: &Relay) -> wire::Relay {
    wire::Relay {
        nick: relay.nick.as_str().into(),
        kind: relay.kind.as_str().into(),
        id: relay.id.as_str().into(),
        payload: relay.payload.clone(),
        to_bare: relay.to_bare,
    }
}

pub(super) fn relay_from(relay: wire::Relay) -> Relay {
    Relay {
        nick: relay.nick.into(),
        kind: relay.kind.into(),
        id: relay.id.into(),
        payload: relay.payload,
        to_bare: relay.to_bare,
    }
}

pub(super) fn subscribe_to(add: Nodes, remove: Nodes) -> wire::Subscribe {
    wire::Subscribe {
        add: add.0.into(),
        remove: remove.0.into(),
    }
}

pub(super) fn subscribe_from(subscribe: &wire::Subscribe) -> Result<(Nodes, Nodes), Error> {
    Ok((nodes_from(subscribe.add)?, nodes_from(subscribe.remove)?))
}

fn end_to(end: &End) -> crate::wire::Destroyed {
    crate::wire::Destroyed {
        alternate: text(end.alternate.as_ref()),
        reason: text(end.reason.as_ref()),
        password: text(end.password.as_ref()),
    }
}

fn end_from(end: crate::wire::Destroyed) -> End {
    End {
        alternate: smol(end.alternate),
        reason: smol(end.reason),
        password: smol(end.password),
    }
}

fn settings_to(s: &Settings) -> wire::Settings {
    wire::Settings {
        name: text(s.name.as_ref()),
        description: text(s.description.as_ref()),
        public: s.public,
        persistent: s.persistent,
        members_only: s.members_only,
        moderated: s.moderated,
        password_protected: s.password_protected,
        password: text(s.password.as_ref()),
        visibility: s.visibility.map(visibility_to),
        all: s.all.as_deref().map(config_to),
    }
}

fn settings_from(s: wire::Settings) -> Result<Settings, Error> {
    let all = s.all.map(|all| config_from(Some(all))).transpose()?;
    Ok(Settings {
        name: smol(s.name),
        description: smol(s.description),
        public: s.public,
        persistent: s.persistent,
        members_only: s.members_only,
        moderated: s.moderated,
        password_protected: s.password_protected,
        password: smol(s.password),
        visibility: s.visibility.map(visibility_from).transpose()?,
        all: all.map(|all| Box::new(Arc::unwrap_or_clone(all))),
    })
}

fn grant_to(grant: &Grant) -> wire::Grant {
    wire::Grant {
        jid: grant.jid.as_str().into(),
        affiliation: affiliation_to(grant.affiliation),
        nick: text(grant.nick.as_ref()),
        reason: text(grant.reason.as_ref()),
    }
}

fn grant_from(grant: wire::Grant) -> Result<Grant, Error> {
    Ok(Grant {
        jid: BareJid::from_normalised(grant.jid),
        affiliation: affiliation_from(grant.affiliation)?,
        nick: smol(grant.nick),
        reason: smol(grant.reason),
    })
}
