//! Who may learn whose real address (I8): every stanza that leaves is looked through.

use super::Sent;
use coven_core::people::visibility::Visibility;
use coven_core::{BareJid, Person, Roster, View};

/// Panics if a stanza holds an address of somebody else that its recipient may not see, by the state after the event.
///
/// `was`: the person that the event is about, as it was before: the channel may have forgotten it since, and in an open
/// channel it saw everybody's address anyway.
pub fn check(roster: &Roster, was: Option<&Person>, sent: &[Sent], watched: &[String]) {
    for stanza in sent {
        let to = stanza.to().split('/').next().unwrap();
        let others = watched.iter().filter(|bare| *bare != to);
        for bare in others.filter(|bare| stanza.xml.contains(bare.as_str())) {
            assert!(
                is_entitled(roster, was, to, stanza.view),
                "{bare} in {stanza:?}"
            );
        }
    }
}

fn is_entitled(roster: &Roster, was: Option<&Person>, to: &str, view: Option<View>) -> bool {
    let bare = BareJid::from_normalised(to);
    let open = roster.config().visibility == Visibility::Visible;
    let was = was.filter(|person| open && person.jid == bare);
    let now = roster.person_of(&bare).map(|person| &**person);
    let views = view.map_or_else(|| vec![View::Muc, View::Mix], |view| vec![view]);
    let sees = |person: &Person| views.iter().any(|view| roster.sees_jids(person, *view));
    [was, now].into_iter().flatten().any(sees)
}
