//! Several sessions of one person, and its one nick.

use crate::common::{CRONE, HAG, ROOM, WICCA};
use crate::witches::{HAG2, act, affiliate, leave, presence, witches};
use coven_core::{Affiliation, BareJid, Command};
use coven_xmpp::ns;

#[test]
fn muc_multi_01_muc_multi_06_muc_multi_07_muc_multi_08_a_second_session_is_one_occupant() {
    let mut w = witches();
    let out = w.join(HAG2, "thirdwitch");
    assert!(
        out.to(WICCA).is_empty() && out.to(HAG).is_empty(),
        "{out:?}"
    );
    assert_eq!(
        out.to(CRONE).one().item("jid"),
        Some(HAG2),
        "a moderator sees the address shown"
    );
    let burst = out.to(HAG2);
    assert_eq!(
        burst.froms(),
        [
            "coven@chat.example/firstwitch",
            "coven@chat.example/secondwitch",
            "coven@chat.example/thirdwitch",
            "coven@chat.example",
        ]
    );
    assert_eq!(burst[2].item("jid"), Some(HAG2));
    let out = presence(&mut w, HAG2, "thirdwitch", "<show>chat</show>");
    assert_eq!(out.to(CRONE).one().item("jid"), Some(HAG2), "the best one");
    let (one, two) = (out.to(HAG), out.to(HAG2));
    assert_eq!(
        (one.one().codes(), two.one().codes()),
        (vec![110], vec![110])
    );
    assert!(one.one().child("show", ns::CLIENT).is_none());
    assert_eq!(one.one().item("jid"), Some(HAG));
}

#[test]
fn muc_multi_05_map_08_map_21_the_best_session_is_shown() {
    let mut w = witches();
    w.join(HAG2, "thirdwitch");
    let out = presence(&mut w, HAG2, "thirdwitch", "<show>away</show>");
    assert_eq!(
        out.to(CRONE).one().item("jid"),
        Some(HAG),
        "available beats away"
    );
    let out = presence(&mut w, HAG2, "thirdwitch", "<show>xa</show>");
    assert!(out.to(CRONE).is_empty(), "the other one is shown: {out:?}");
    assert_eq!(out.to(HAG2).one().codes(), [110]);
    let out = presence(&mut w, HAG, "thirdwitch", "<show>dnd</show>");
    assert_eq!(
        out.to(CRONE)
            .one()
            .child("show", ns::CLIENT)
            .unwrap()
            .text(),
        "dnd"
    );
}

#[test]
fn muc_multi_02_muc_multi_03_all_sessions_get_messages() {
    let mut w = witches();
    w.join(HAG2, "thirdwitch");
    let out = w.say(HAG2, "m1", "hail");
    let mut tos = out.tos();
    tos.sort_unstable();
    assert_eq!(tos, [CRONE, HAG, HAG2, WICCA]);
    let out = w.send(&format!(
        "<message from='{CRONE}' to='{ROOM}/thirdwitch' type='chat'><body>psst</body></message>"
    ));
    assert_eq!(out.tos(), [HAG, HAG2]);
}

#[test]
fn muc_multi_09_one_of_several_sessions_leaves() {
    let mut w = witches();
    w.join(HAG2, "thirdwitch");
    let out = leave(&mut w, HAG, "thirdwitch");
    let own = out.to(HAG);
    assert_eq!(
        (own.one().kind(), own.one().codes()),
        ("unavailable", vec![110])
    );
    assert!(out.to(WICCA).is_empty());
    assert_eq!(own.one().item("role"), Some("none"));
    assert!(
        out.iter().all(|s| s.to() == HAG || s.kind().is_empty()),
        "{out:?}"
    );
    let out = leave(&mut w, HAG2, "thirdwitch");
    assert_eq!(out.to(CRONE).one().kind(), "unavailable");
}

#[test]
fn muc_nick_01_muc_nick_02_muc_nick_03_muc_status_13_a_new_nick() {
    let mut w = witches();
    let id = w.join(HAG, "thirdwitch").to(HAG)[2]
        .occupant_id()
        .map(str::to_owned);
    let out = presence(&mut w, HAG, "oldhag", "<show>away</show>");
    for to in [CRONE, HAG, WICCA] {
        let seen = out.to(to);
        let own = to == HAG;
        let old = &seen[0];
        assert_eq!(
            (old.kind(), old.from()),
            ("unavailable", "coven@chat.example/thirdwitch")
        );
        assert_eq!(old.item("nick"), Some("oldhag"));
        assert_eq!(old.item("role"), Some("participant"));
        assert_eq!(old.item("affiliation"), Some("none"));
        assert_eq!(old.codes(), if own { vec![110, 303] } else { vec![303] });
        let new = &seen[1];
        assert_eq!((new.kind(), new.from()), ("", "coven@chat.example/oldhag"));
        assert_eq!(new.codes(), if own { vec![110] } else { vec![] });
        assert!(
            seen.iter()
                .all(|s| s.is_presence() && s.occupant_id() == id.as_deref())
        );
    }
}

#[test]
fn muc_nick_04_a_taken_nick_is_conflict_and_the_old_one_holds() {
    let mut w = witches();
    let out = presence(&mut w, HAG, "secondwitch", "");
    assert_eq!(out.one().error(), ("cancel", "conflict"));
    assert_eq!(out.one().from(), "coven@chat.example/secondwitch");
    let out = w.say(HAG, "m", "still");
    assert_eq!(out.to(CRONE).one().from(), "coven@chat.example/thirdwitch");
}

#[test]
fn muc_nick_06_where_nicks_are_locked_a_change_is_not_acceptable() {
    let mut w = witches().with_service(|s| s.lock_nicks = true);
    let out = presence(&mut w, HAG, "oldhag", "");
    assert_eq!(out.one().error(), ("cancel", "not-acceptable"));
    assert_eq!(out.one().to(), HAG);
    let out = w.say(HAG, "m", "still");
    assert_eq!(out.to(CRONE).one().from(), "coven@chat.example/thirdwitch");
}

#[test]
fn muc_nick_14_muc_aff_28_a_reservation_is_shown_to_nobody() {
    let mut w = witches();
    affiliate(&mut w, HAG, Affiliation::Member);
    let reserve = Command::SetAffiliation(coven_core::command::Grant {
        jid: BareJid::parse(HAG).unwrap(),
        affiliation: Affiliation::Member,
        nick: Some("oldhag".into()),
        reason: None,
    });
    let out = act(&mut w, CRONE, &reserve);
    assert_eq!((out.one().to(), out.one().kind()), (CRONE, "result"));
    let out = presence(&mut w, WICCA, "oldhag", "");
    assert_eq!(out.one().error(), ("cancel", "conflict"));
    let node = "<query xmlns='http://jabber.org/protocol/disco#info' node='x-roomuser-item'/>";
    assert!(w.iq(HAG, "get", node).one().xml.contains("name='oldhag'"));
}

#[test]
fn muc_nick_05_map_23_another_nick_of_a_further_session_gives_way() {
    let mut w = witches();
    let out = w.join(HAG2, "hecate").to(HAG2);
    let own = out.iter().find(|s| s.codes().contains(&110)).unwrap();
    assert_eq!(own.from(), "coven@chat.example/thirdwitch");
    assert_eq!(own.codes(), [110, 210]);
}

#[test]
fn muc_multi_10_map_10_map_78_a_new_nick_moves_all_sessions() {
    let mut w = witches();
    w.join(HAG2, "thirdwitch");
    let out = presence(&mut w, HAG, "oldhag", "");
    for own in [HAG, HAG2] {
        let seen = out.to(own);
        assert_eq!(seen[0].codes(), [110, 303]);
        assert_eq!(
            (seen[1].codes(), seen[1].from()),
            (vec![110], "coven@chat.example/oldhag")
        );
        assert_eq!(seen[1].item("jid"), Some(own));
    }
    assert_eq!(
        out.to(CRONE).froms(),
        ["coven@chat.example/thirdwitch", "coven@chat.example/oldhag"]
    );
}
