//! The rules of a channel: what a command leads to, and what an event changes.
//!
//! This crate is pure. It knows people, sessions, nicks, affiliations, messages and settings; it knows neither XML nor
//! sockets, neither clocks nor randomness (both come in as [`Facts`]). A channel is one thing with two views: a MUC
//! room (XEP-0045) and a MIX channel (XEP-0369 family).
//!
//! Three functions carry everything:
//!
//! * [`Channel::decide`]: state + command + facts → events, or a [`Refusal`]. All rules live behind it.
//! * [`Channel::apply`]: makes an event part of the state. Never decides, never fails.
//! * [`Roster::apply`]: the same for the part of the state that rendering needs; front-ends hold only that.
//!
//! The frame is in [`channel`], [`roster`], [`command`], [`event`], [`query`] and [`refusal`]; each feature is one file
//! below `people`, `presence`, `content`, `settings` or `life`. Start with [`content::subject`]: it is the pattern.

pub mod channel;
pub mod command;
pub mod content;
pub mod event;
pub mod ids;
pub mod jid;
pub mod life;
pub mod origin;
pub mod people;
pub mod presence;
pub mod query;
pub mod refusal;
pub mod roster;
pub mod settings;

pub use channel::{Channel, Decision, Facts};
pub use command::HistoryRequest;
pub use command::{Command, Sender, View};
pub use event::{Event, Record};
pub use ids::{
    ArchiveId, ChannelName, Epoch, IdText, PersonNo, ProbeMark, Sequence, SessionNo, StableId,
    Timestamp,
};
pub use jid::{BareJid, FullJid, Group};
pub use origin::{Origin, StanzaKind};
pub use people::affiliation::Affiliation;
pub use people::nick::Nick;
pub use people::person::Person;
pub use people::role::Role;
pub use presence::session::Session;
pub use query::{Answer, Query};
pub use refusal::{Condition, ErrorType, Refusal};
pub use roster::{Delta, PersonView, Roster};
pub use settings::config::Config;
pub use settings::service::Service;
