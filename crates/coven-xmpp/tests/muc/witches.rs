//! A room with three witches, and what they do most.

use crate::common::{CRONE, HAG, ROOM, Stanzas, WICCA, World, coven};
use coven_core::{Affiliation, BareJid, Command, Group, Origin, Role, Sender, StanzaKind, View};

pub(super) const HAG2: &str = "hag66@shakespeare.example/tower";

pub(super) fn presence(w: &mut World, from: &str, nick: &str, children: &str) -> Stanzas {
    w.send(&format!(
        "<presence from='{from}' to='{ROOM}/{nick}'>{children}</presence>"
    ))
}

pub(super) fn leave(w: &mut World, from: &str, nick: &str) -> Stanzas {
    w.send(&format!(
        "<presence from='{from}' to='{ROOM}/{nick}' type='unavailable'><status>gone where the goblins go</status></presence>"
    ))
}

pub(super) fn witches() -> World {
    let mut w = World::muc().with_room();
    w.join(HAG, "thirdwitch");
    w.join(WICCA, "secondwitch");
    w
}

/// Acts of moderators and admins, whose stanzas belong to another part of the service.
pub(super) fn act(w: &mut World, from: &str, command: &Command) -> Stanzas {
    let bare = BareJid::parse(from).unwrap();
    let sender = Sender {
        full: coven_core::FullJid::parse(from),
        bare,
        group: Group("main".into()),
    };
    let origin = Origin {
        kind: StanzaKind::Iq,
        from: from.into(),
        to: ROOM.into(),
        id: Some("act".into()),
        lang: None,
        view: View::Muc,
        group: Group("main".into()),
        payload: bytes::Bytes::new(),
    };
    w.command(&coven(), &sender, command, &origin)
}

pub(super) fn affiliate(w: &mut World, jid: &str, affiliation: Affiliation) -> Stanzas {
    let command = Command::SetAffiliation(coven_core::command::Grant {
        jid: BareJid::parse(jid).unwrap(),
        affiliation,
        nick: None,
        reason: Some("Avaunt, you cullion!".into()),
    });
    act(w, CRONE, &command)
}

pub(super) fn give_role(w: &mut World, nick: &str, role: Role) -> Stanzas {
    let command = Command::SetRole(coven_core::command::RoleChange {
        nick: nick.into(),
        role,
        reason: Some("Avaunt, you cullion!".into()),
    });
    act(w, CRONE, &command)
}
