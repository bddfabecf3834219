//! Entering a room (MUC-ENTER, MUC-CREATE, MUC-STATUS).

use crate::common::{CRONE, HAG, ROOM, WICCA, World};
use coven_xmpp::ns;

const VISIBLE: &str = "<field var='muc#roomconfig_whois'><value>anyone</value></field>";

fn password(secret: &str) -> String {
    format!("<field var='muc#roomconfig_roomsecret'><value>{secret}</value></field>")
}

fn flag(name: &str) -> String {
    format!("<field var='muc#roomconfig_{name}'><value>1</value></field>")
}

#[test]
fn muc_create_01_muc_create_02_muc_status_10_the_first_join_creates_the_room() {
    let mut w = World::muc();
    let out = w.join(CRONE, "firstwitch");
    let own = out.presences();
    let own = own.one();
    assert_eq!(
        (own.to(), own.from()),
        (CRONE, "coven@chat.example/firstwitch")
    );
    assert_eq!(own.codes(), [110, 201]);
    assert_eq!(own.item("affiliation"), Some("owner"));
    assert_eq!(own.item("role"), Some("moderator"));
    w.submit(CRONE, "");
    let later = w.join(HAG, "thirdwitch").presences();
    assert!(later.iter().all(|s| !s.codes().contains(&201)));
    let again = w.join(CRONE, "firstwitch").to(CRONE).presences();
    assert!(again.iter().all(|s| !s.codes().contains(&201)));
}

#[test]
fn muc_enter_02_muc_enter_04_muc_hist_03_muc_subj_06_occupants_self_history_subject() {
    let mut w = World::muc().with_room();
    w.join(HAG, "thirdwitch");
    w.say(HAG, "m1", "Thrice the brinded cat hath mew'd.");
    let out = w.join(WICCA, "secondwitch").to(WICCA);
    assert_eq!(
        out.froms(),
        [
            "coven@chat.example/firstwitch",
            "coven@chat.example/thirdwitch",
            "coven@chat.example/secondwitch",
            "coven@chat.example/thirdwitch",
            "coven@chat.example",
        ]
    );
    assert_eq!(out[2].codes(), [110]);
    assert!(out[0].codes().is_empty() && out[1].codes().is_empty());
    assert_eq!(
        out[3].body().as_deref(),
        Some("Thrice the brinded cat hath mew'd.")
    );
    assert!(out[4].child("subject", ns::CLIENT).is_some() && out[4].body().is_none());
}

#[test]
fn muc_enter_03_what_was_said_before_is_history_and_what_follows_comes_once() {
    let mut w = World::muc().with_room();
    w.say(CRONE, "m1", "before");
    let burst = w.join(HAG, "thirdwitch").to(HAG);
    let after = w.say(CRONE, "m2", "after").to(HAG);
    let bodies: Vec<_> = burst
        .iter()
        .chain(&*after)
        .filter_map(|s| s.body())
        .collect();
    assert_eq!(bodies, ["before", "after"]);
}

#[test]
fn muc_enter_05_self_presence_has_the_id_of_the_join() {
    let mut w = World::muc().with_room();
    let out = w.send(&format!(
        "<presence from='{HAG}' to='{ROOM}/thirdwitch' id='join-7'>\
         <x xmlns='http://jabber.org/protocol/muc'/></presence>"
    ));
    let with_id: Vec<_> = out.iter().filter(|s| s.id() == "join-7").collect();
    assert_eq!(with_id.len(), 1);
    assert_eq!((with_id[0].to(), with_id[0].codes()), (HAG, vec![110]));
}

#[test]
fn muc_enter_01_presence_with_a_type_is_no_join() {
    let mut w = World::muc().with_room();
    for kind in [
        "unavailable",
        "probe",
        "subscribe",
        "subscribed",
        "unsubscribe",
        "bogus",
        "error",
    ] {
        let out = w.send(&format!(
            "<presence from='{HAG}' to='{ROOM}/thirdwitch' type='{kind}'>\
             <x xmlns='http://jabber.org/protocol/muc'/></presence>"
        ));
        assert!(out.is_empty(), "{kind}: {out:?}");
    }
    assert_eq!(w.coven().channel.roster().sessions().len(), 1);
}

#[test]
fn muc_enter_06_a_join_without_nick_is_jid_malformed() {
    let mut w = World::muc().with_room();
    for to in [ROOM.to_owned(), format!("{ROOM}/")] {
        let out = w.send(&format!(
            "<presence from='{HAG}' to='{to}'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
        ));
        assert_eq!(out.one().error(), ("modify", "jid-malformed"));
    }
}

#[test]
fn muc_enter_07_muc_nick_08_a_nick_of_nothing_is_jid_malformed() {
    let mut w = World::muc().with_room();
    for nick in ["&#x200B;", "   ", "a&#x202E;b"] {
        let out = w.join(HAG, nick);
        assert_eq!(out.one().error(), ("modify", "jid-malformed"), "{nick:?}");
    }
}

#[test]
fn muc_enter_08_muc_enter_30_the_password_is_compared_exactly_and_stays_inside() {
    let mut w = World::muc().with_room();
    w.submit(CRONE, &password(" Cauldron "));
    let join = |secret: &str| {
        format!(
            "<presence from='{HAG}' to='{ROOM}/thirdwitch'><show>away</show>\
             <x xmlns='http://jabber.org/protocol/muc'>{secret}\
             <history maxstanzas='0'/><other xmlns='urn:example'/></x></presence>"
        )
    };
    for wrong in [
        "",
        "<password>Cauldron</password>",
        "<password> cauldron </password>",
    ] {
        let out = w.send(&join(wrong));
        assert_eq!(out.one().error(), ("auth", "not-authorized"), "{wrong}");
        assert!(!out.one().xml.contains("auldron"));
    }
    let out = w.send(&join("<password> Cauldron </password>"));
    let shown = out.to(CRONE);
    assert_eq!(shown.one().from(), "coven@chat.example/thirdwitch");
    let inside = ["password", "Cauldron", "history", "urn:example"];
    assert!(
        out.iter()
            .all(|s| inside.iter().all(|word| !s.xml.contains(word)))
    );
}

#[test]
fn muc_enter_09_muc_err_01_muc_err_02_muc_err_03_members_only_room_refuses_strangers() {
    let mut w = World::muc().with_room();
    w.submit(CRONE, &flag("membersonly"));
    let out = w.send(&format!(
        "<presence from='{HAG}' to='{ROOM}/thirdwitch' id='j1'><show>away</show>\
         <x xmlns='http://jabber.org/protocol/muc'><password>x</password></x></presence>"
    ));
    let refusal = out.one();
    assert_eq!(refusal.error(), ("auth", "registration-required"));
    assert_eq!(refusal.error_by(), Some(ROOM));
    assert_eq!(
        (refusal.from(), refusal.to(), refusal.id()),
        ("coven@chat.example/thirdwitch", HAG, "j1")
    );
    let x = refusal.child("x", ns::MUC).unwrap();
    assert_eq!(x.children().count(), 0);
    assert_eq!(refusal.tree.children().count(), 2);
}

#[test]
fn muc_enter_11_muc_enter_18_nick_held_by_other_is_conflict_and_leaves_no_trace() {
    let mut w = World::muc().with_room();
    let out = w.join(HAG, "FirstWitch");
    assert_eq!(out.one().error(), ("cancel", "conflict"));
    assert_eq!(out.one().to(), HAG);
    assert_eq!(w.coven().channel.roster().sessions().len(), 1);
}

#[test]
fn muc_enter_15_muc_msg_10_a_locked_room_is_not_there_for_others() {
    let mut w = World::muc();
    w.join(CRONE, "firstwitch");
    assert_eq!(
        w.join(HAG, "thirdwitch").one().error(),
        ("cancel", "item-not-found")
    );
    let out = w.say(HAG, "m1", "hello?");
    assert_eq!(out.one().error(), ("cancel", "item-not-found"));
    w.submit(CRONE, "");
    assert!(w.join(HAG, "thirdwitch").to(HAG).len() > 2);
}

#[test]
fn muc_create_03_who_may_not_create_gets_not_allowed() {
    let admins = coven_core::settings::service::Creation::Admins;
    let mut w = World::muc().with_service(|s| s.creation = admins);
    assert_eq!(
        w.join(HAG, "thirdwitch").one().error(),
        ("cancel", "not-allowed")
    );
    assert!(!w.coven().channel.roster().exists());
}

#[test]
fn muc_enter_19_muc_enter_20_muc_status_14_presence_of_a_stranger_is_answered_as_removal() {
    let mut w = World::muc().with_room();
    let update =
        |to: &str| format!("<presence from='{HAG}' to='{to}'><show>away</show></presence>");
    let out = w.send(&update("coven@chat.example/thirdwitch"));
    let answer = out.one();
    assert_eq!(
        (answer.kind(), answer.from()),
        ("unavailable", "coven@chat.example/thirdwitch")
    );
    assert_eq!(answer.codes(), [110, 307, 333]);
    assert_eq!(answer.item("affiliation"), Some("none"));
    assert_eq!(answer.item("role"), Some("none"));
    w.send(&update("heath@chat.example/thirdwitch"));
    assert!(
        !w.coven()
            .channel
            .roster()
            .sessions()
            .any(|s| s.jid.as_str() == HAG)
    );
    let heath = coven_core::ChannelName {
        local: "heath".into(),
        ..crate::common::coven()
    };
    assert!(!w.room(&heath).channel.roster().exists());
}

#[test]
fn muc_enter_21_muc_enter_22_muc_enter_23_a_second_join_sends_all_of_it_again() {
    let mut w = World::muc().with_room();
    w.join(HAG, "thirdwitch");
    w.say(HAG, "m1", "Thrice.");
    w.submit(CRONE, &password("cauldron"));
    let out = w.join(HAG, "thirdwitch");
    assert_eq!(
        out.to(HAG).froms(),
        [
            "coven@chat.example/firstwitch",
            "coven@chat.example/thirdwitch",
            "coven@chat.example/thirdwitch",
            "coven@chat.example",
        ]
    );
    assert!(out.to(CRONE).is_empty(), "{out:?}");
    let away = w.send(&format!(
        "<presence from='{HAG}' to='{ROOM}/thirdwitch'><show>away</show>\
         <x xmlns='http://jabber.org/protocol/muc'/></presence>"
    ));
    let update = away.to(CRONE);
    assert_eq!(update.one().kind(), "");
    assert_eq!(
        update.one().child("show", ns::CLIENT).unwrap().text(),
        "away"
    );
}

#[test]
fn muc_enter_24_a_second_join_with_another_nick_renames_and_sends_all() {
    let mut w = World::muc().with_room();
    w.join(HAG, "thirdwitch");
    let out = w.join(HAG, "hecate");
    assert_eq!(out.to(CRONE)[0].codes(), [303]);
    assert_eq!(out.to(CRONE)[1].from(), "coven@chat.example/hecate");
    let own = out.to(HAG);
    assert_eq!(own[0].codes(), [110, 303]);
    assert!(own.last().unwrap().child("subject", ns::CLIENT).is_some());
}

#[test]
fn muc_enter_29_muc_status_01_muc_status_06_muc_status_19_entering_tells_of_visibility_and_logging()
{
    let mut w = World::muc()
        .with_service(|s| s.defaults.logging = true)
        .with_room();
    w.submit(CRONE, VISIBLE);
    let own = w.join(HAG, "thirdwitch").to(HAG);
    let own = own.iter().find(|s| s.codes().contains(&110)).unwrap();
    assert_eq!(own.codes(), [100, 110, 170]);
}

#[test]
fn muc_nick_07_muc_nick_11_muc_status_11_an_altered_nick_has_status_210() {
    let mut w = World::muc().with_room();
    let out = w.join(HAG, " third   witch ").to(HAG);
    let own = out.iter().find(|s| s.codes().contains(&110)).unwrap();
    assert_eq!(own.from(), "coven@chat.example/third witch");
    assert_eq!(own.codes(), [110, 210]);
}

#[test]
fn muc_enter_25_muc_enter_26_roles_on_entering() {
    let mut w = World::muc().with_room();
    let role = |w: &mut World, from: &str, nick: &str| {
        let own = w.join(from, nick).to(from);
        let own = own.iter().find(|s| s.codes().contains(&110)).unwrap();
        (
            own.item("affiliation").unwrap().to_owned(),
            own.item("role").unwrap().to_owned(),
        )
    };
    assert_eq!(
        role(&mut w, HAG, "thirdwitch"),
        ("none".into(), "participant".into())
    );
    w.submit(CRONE, &flag("moderatedroom"));
    assert_eq!(
        role(&mut w, WICCA, "secondwitch"),
        ("none".into(), "visitor".into())
    );
    assert_eq!(
        role(&mut w, CRONE, "firstwitch"),
        ("owner".into(), "moderator".into())
    );
}

#[test]
fn muc_comp_04_equivalent_spellings_reach_the_same_room_and_occupant() {
    let mut w = World::muc().with_room();
    let out = w.send(&format!(
        "<presence from='{HAG}' to='CoVen@CHAT.Example/thirdwitch'>\
         <x xmlns='http://jabber.org/protocol/muc'/></presence>"
    ));
    assert_eq!(out.to(CRONE).one().from(), "coven@chat.example/thirdwitch");
    let out = w.send(
        "<message from='HAG66@Shakespeare.example/pda' to='coven@chat.example' type='groupchat'>\
         <body>x</body></message>",
    );
    assert_eq!(out.to(CRONE).one().from(), "coven@chat.example/thirdwitch");
}
