//! What each request counts as, and whether its sender may send it now.
//!
//! Owns the step from a command or query to a rate (MUC-ERR-07 to 09). Leaving, bounces, and reads other than archives are
//! always free.

use coven_core::{BareJid, ChannelName, Command, FullJid, Query, Sender};
use coven_xmpp::dispatch::Request;

use super::rates::{Kind, Limiter};
use super::recent::{Recent, Rosters};
use super::visits::Visits;

/// Whether a request may be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Yes.
    Yes,
    /// Not now: it may be put off, since only the last of its kind counts.
    Later,
    /// No; what the sender is told.
    No(&'static str),
}

/// Decides by rates.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gatekeeper<'a> {
    pub(crate) limiter: &'a Limiter,
    pub(crate) joined: &'a Recent,
    pub(crate) rosters: &'a Rosters,
    pub(crate) visits: &'a Visits,
}

impl Gatekeeper<'_> {
    /// Whether the request may be made now; takes from the sender's rates if so.
    pub(crate) fn admit(
        &self,
        sender: &Sender,
        channel: &ChannelName,
        request: &Request,
    ) -> Admission {
        match request {
            Request::Query(Query::Archive(_)) => self.take(
                sender,
                Kind::ArchivePage,
                "too many pages of archives at once",
            ),
            Request::Query(_) => Admission::Yes,
            Request::Command(command) => self.command(sender, channel, command),
        }
    }

    fn command(&self, sender: &Sender, channel: &ChannelName, command: &Command) -> Admission {
        match command {
            Command::Leave { .. }
            | Command::Offline { .. }
            | Command::Depart
            | Command::Bounce(_)
            | Command::PresenceSubscription { .. }
            | Command::Timer => Admission::Yes,
            Command::Join(_) if !self.visits.may_join(sender.bare.as_str(), channel) => {
                Admission::No("you are in too many rooms")
            }
            Command::Join(_) | Command::Participate { .. } => self.join(sender, channel),
            Command::Update { .. } | Command::Online { .. } => {
                match self.limiter.take(&sender.bare, Kind::Presence) {
                    true => Admission::Yes,
                    false => Admission::Later,
                }
            }
            Command::Create | Command::CreateAdHoc => self.create(&sender.bare),
            _ => self.take(sender, Kind::Message, "too many messages at once"),
        }
    }

    fn take(&self, sender: &Sender, kind: Kind, refusal: &'static str) -> Admission {
        if self.limiter.take(&sender.bare, kind) {
            Admission::Yes
        } else {
            Admission::No(refusal)
        }
    }

    /// Joining again counts as well, since it makes the whole burst of presences once more. Who is in the channel creates
    /// none by it; else a channel that is not in memory may be one that the join creates.
    fn join(&self, sender: &Sender, channel: &ChannelName) -> Admission {
        let full = sender.full.as_ref();
        let is_in = full.is_some_and(|full| self.joined.contains(&(full, channel)));
        if !is_in && !self.rosters.contains(channel) && !self.limiter.may_create(&sender.bare) {
            return Admission::No(TOO_MANY_CHANNELS);
        }
        self.take(sender, Kind::Join, "too many joins at once")
    }

    fn create(&self, who: &BareJid) -> Admission {
        if self.limiter.may_create(who) {
            Admission::Yes
        } else {
            Admission::No(TOO_MANY_CHANNELS)
        }
    }
}

const TOO_MANY_CHANNELS: &str = "too many new channels";

/// Where a session is, if the request came from one.
pub(crate) fn place(sender: &Sender, channel: &ChannelName) -> Option<(FullJid, ChannelName)> {
    Some((sender.full.clone()?, channel.clone()))
}
