//! Who may read the archive, and in which form (MUC-MAM-17..20, MIX-MAM-05, 06, 13, 15; MAP-06, MAP-64).

use super::{Answer, ArchivePage, ArchiveQuery, With, sees_jids};
use crate::channel::Channel;
use crate::presence::participate;
use crate::settings::service::Service;
use crate::{Affiliation, Condition, Refusal, Sender, View};

/// A page, empty until the node fills it. Who filters by a real JID without being entitled to see it finds nothing, so
/// that nobody learns who is who (MUC-MAM-20, MIX-MAM-13): such a page says that it is complete with a count of 0.
pub(super) fn page(
    channel: &Channel,
    sender: &Sender,
    query: &ArchiveQuery,
    service: &Service,
) -> Result<Answer, Refusal> {
    may_read(channel, sender)?;
    let view = view_of(channel, sender, query.view, service);
    let sees_jids = sees_jids(channel, sender, view);
    let nothing = match &query.with {
        Some(With::Jid(jid)) => *jid != sender.bare && !sees_jids,
        _ => false,
    };
    Ok(Answer::Archive(Box::new(ArchivePage {
        view,
        entries: Vec::new(),
        complete: true,
        count: nothing.then_some(0),
        index: None,
        flip: query.flip,
        sees_jids,
        visibility: channel.roster.config().visibility,
    })))
}

/// First and last entry: the same access (MUC-MAM-16).
pub(super) fn bounds(channel: &Channel, sender: &Sender) -> Result<Answer, Refusal> {
    may_read(channel, sender).map(|()| Answer::Bounds(None))
}

/// Source: MAP-06.
fn view_of(channel: &Channel, sender: &Sender, named: Option<View>, service: &Service) -> View {
    let participant = participate::participant(channel, sender).is_some();
    match named {
        Some(view) => view,
        None if !service.muc => View::Mix,
        None if service.mix && channel.muc_session(sender).is_none() && participant => View::Mix,
        None => View::Muc,
    }
}

/// Source: MUC-MAM-17, 18; MAP-64 (messages right `allowed`). As of now, whatever the reader was at the time.
fn may_read(channel: &Channel, sender: &Sender) -> Result<(), Refusal> {
    let config = channel.roster.config();
    let affiliation = channel.affiliation(&sender.bare);
    let person = channel.roster.person_of(&sender.bare);
    let here = person.is_some_and(|p| channel.roster.is_present(p.no));
    let shut = config.members_only && affiliation < Affiliation::Member;
    let secret = config.password.is_some() && affiliation < Affiliation::Member && !here;
    if affiliation == Affiliation::Outcast || shut || secret {
        return Err(Refusal::usual(Condition::Forbidden));
    }
    Ok(())
}
