//! Configurations.

use crate::people::{pair, smol, text};
use crate::{Error, wire};
use coven_core::Config;
use coven_core::people::visibility::Visibility;
use coven_core::settings::config::{Broadcast, PrivateMessages};
use std::sync::Arc;

pair!(
    visibility_to,
    visibility_from,
    Visibility,
    wire::Visibility,
    "visibility",
    [Hidden, Visible, Optional]
);
pair!(
    pm_to,
    pm_from,
    PrivateMessages,
    wire::PrivateMessages,
    "private messages",
    [Anyone, Participants, Moderators, None]
);

pub(crate) fn config_to(c: &Config) -> wire::Config {
    wire::Config {
        name: c.name.to_string(),
        description: c.description.to_string(),
        lang: c.lang.to_string(),
        public: c.public,
        persistent: c.persistent,
        members_only: c.members_only,
        moderated: c.moderated,
        password: text(c.password.as_ref()),
        visibility: visibility_to(c.visibility),
        change_subject: c.change_subject,
        private_messages: pm_to(c.private_messages),
        allow_invites: c.allow_invites,
        max_users: c.max_users,
        max_history: c.max_history,
        show_moderators: c.broadcast.moderators,
        show_participants: c.broadcast.participants,
        show_visitors: c.broadcast.visitors,
        logging: c.logging,
        mandatory_nicks: c.mandatory_nicks,
    }
}

pub(crate) fn config_from(c: Option<wire::Config>) -> Result<Arc<Config>, Error> {
    let c = c.ok_or(Error::Missing("config"))?;
    Ok(Arc::new(Config {
        name: c.name.into(),
        description: c.description.into(),
        lang: c.lang.into(),
        public: c.public,
        persistent: c.persistent,
        members_only: c.members_only,
        moderated: c.moderated,
        password: smol(c.password),
        visibility: visibility_from(c.visibility)?,
        change_subject: c.change_subject,
        private_messages: pm_from(c.private_messages)?,
        allow_invites: c.allow_invites,
        max_users: c.max_users,
        max_history: c.max_history,
        broadcast: Broadcast {
            moderators: c.show_moderators,
            participants: c.show_participants,
            visitors: c.show_visitors,
        },
        logging: c.logging,
        mandatory_nicks: c.mandatory_nicks,
    }))
}
