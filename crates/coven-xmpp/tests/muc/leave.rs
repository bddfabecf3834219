//! Leaving, being removed, ghosts.

use crate::common::{CRONE, HAG, ROOM, WICCA, World, coven};
use crate::witches::{HAG2, affiliate, give_role, leave, witches};
use coven_core::{Affiliation, Role};
use coven_xmpp::ns;

#[test]
fn muc_multi_04_muc_role_05_muc_status_14_a_kick_ends_all_sessions() {
    let mut w = witches();
    w.join(HAG2, "thirdwitch");
    let out = give_role(&mut w, "thirdwitch", Role::None).presences();
    for own in [HAG, HAG2] {
        let seen = out.to(own);
        let seen = seen.one();
        assert_eq!((seen.kind(), seen.codes()), ("unavailable", vec![110, 307]));
        assert_eq!(
            (seen.item("role"), seen.item("affiliation")),
            (Some("none"), Some("none"))
        );
    }
    assert_eq!(out.to(WICCA).one().codes(), [307]);
    assert!(
        out.to(WICCA)
            .one()
            .xml
            .contains("<reason>Avaunt, you cullion!</reason>")
    );
}

#[test]
fn i8_muc_anon_04_a_moderator_that_is_kicked_no_longer_learns_who_did_it() {
    let mut w = witches();
    give_role(&mut w, "thirdwitch", Role::Moderator);
    let out = give_role(&mut w, "thirdwitch", Role::None).presences();
    assert!(!out.to(HAG).one().xml.contains("crone1"), "{out:?}");
    assert!(out.to(CRONE).one().xml.contains("jid='crone1"));
}

#[test]
fn muc_leave_01_muc_leave_02_muc_pres_02_first_oneself_then_the_others() {
    let mut w = witches();
    let out = leave(&mut w, HAG, "thirdwitch");
    assert_eq!(out[0].to(), HAG);
    assert_eq!((out[0].kind(), out[0].codes()), ("unavailable", vec![110]));
    assert_eq!(out.len(), 3);
    for seen in &*out {
        assert_eq!(seen.item("role"), Some("none"));
        assert_eq!(seen.item("affiliation"), Some("none"));
        let status = seen.child("status", ns::CLIENT).unwrap();
        assert_eq!(status.text(), "gone where the goblins go");
        assert!(seen.occupant_id().is_some());
    }
    assert!(out[1].codes().is_empty());
}

#[test]
fn muc_leave_03_muc_leave_11_strangers_and_their_errors_are_ignored() {
    let mut w = witches();
    assert!(leave(&mut w, "duncan@shakespeare.example/x", "thirdwitch").is_empty());
    let out = w.send(&format!(
        "<presence from='duncan@shakespeare.example/x' to='{ROOM}/thirdwitch' type='error'>\
         <error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>"
    ));
    assert!(out.is_empty());
}

#[test]
fn muc_leave_05_the_address_decides_not_the_nick() {
    let mut w = witches();
    let out = leave(&mut w, HAG, "somebody-else");
    assert_eq!(out.to(CRONE).one().from(), "coven@chat.example/thirdwitch");
}

#[test]
fn muc_leave_07_muc_leave_08_muc_leave_10_muc_leave_12_muc_status_18_ghosts_are_probed_and_removed()
{
    let mut w = witches();
    for condition in [
        "gone",
        "service-unavailable",
        "recipient-unavailable",
        "item-not-found",
    ] {
        let error = format!(
            "<error type='cancel'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
        );
        let bounce = |id: &str| {
            format!(
                "<message from='{HAG}' to='{ROOM}/secondwitch' id='{id}' type='error'>{error}</message>"
            )
        };
        let out = w.send(&bounce("m1"));
        let probe = out.one();
        assert_eq!(
            (probe.to(), probe.from(), probe.kind()),
            (HAG, ROOM, "groupchat")
        );
        assert!(probe.body().is_none() && probe.x().is_some());
        let id = probe.id().to_owned();
        let out = w.send(&bounce(&id));
        assert_eq!(
            (out.to(HAG).one().codes(), out.to(HAG).one().kind()),
            (vec![110, 333], "unavailable")
        );
        assert_eq!(out.to(CRONE).one().codes(), [333], "{condition}");
        w.join(HAG, "thirdwitch");
        assert!(w.send(&bounce(&id)).is_empty(), "of an older session");
    }
}

/// Copies carry the id that their sender chose; what bounces at another must not be taken for the answer to a probe.
#[test]
fn muc_leave_12_muc_msg_03_no_message_of_a_user_passes_for_a_probe() {
    let mut w = witches();
    let probe = {
        let bounce = w.send(&format!(
            "<message from='{WICCA}' to='{ROOM}' id='x' type='error'><error type='cancel'>\
             <gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
        ));
        bounce.one().id().to_owned()
    };
    for id in ["coven-probe-999", &probe] {
        let copies = w.say(CRONE, id, "hello");
        for copy in [copies.to(WICCA).one(), copies.to(CRONE).one()] {
            assert!(!copy.id().starts_with("coven-probe"), "{copy:?}");
        }
        let private = w.send(&format!(
            "<message from='{CRONE}' to='{ROOM}/thirdwitch' id='{id}' type='chat'><body>psst</body></message>"
        ));
        assert!(!private.one().xml.contains("coven-probe"), "{private:?}");
    }
    for forged in ["coven-probe-999", "coven-probe-18446744073709551615"] {
        let out = w.send(&format!(
            "<message from='{WICCA}' to='{ROOM}' id='{forged}' type='error'><error type='cancel'>\
             <gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
        ));
        assert_eq!(out.one().kind(), "groupchat", "probed at most: {out:?}");
    }
}

#[test]
fn muc_multi_11_a_ghost_is_one_session_only() {
    let mut w = witches();
    w.join(HAG2, "thirdwitch");
    let bounce = |id: &str| {
        format!(
            "<message from='{HAG}' to='{ROOM}' id='{id}' type='error'><error type='cancel'>\
             <gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
        )
    };
    let id = w.send(&bounce("x")).one().id().to_owned();
    let out = w.send(&bounce(&id));
    assert_eq!(out.to(HAG).one().codes(), [110, 333]);
    assert!(
        out.to(HAG2).is_empty() && out.to(WICCA).is_empty(),
        "{out:?}"
    );
    assert_eq!(w.say(HAG2, "m", "still here").to(WICCA).len(), 1);
}

#[test]
fn muc_leave_09_muc_err_04_other_errors_remove_nobody_and_are_not_answered() {
    let mut w = witches();
    for condition in [
        "not-acceptable",
        "forbidden",
        "policy-violation",
        "resource-constraint",
        "bogus",
    ] {
        for kind in ["message", "presence", "iq"] {
            for to in [
                ROOM.to_owned(),
                format!("{ROOM}/thirdwitch"),
                format!("{ROOM}/nobody"),
            ] {
                let out = w.send(&format!(
                    "<{kind} from='{HAG}' to='{to}' id='e' type='error'><error type='modify'>\
                     <{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></{kind}>"
                ));
                assert!(out.is_empty(), "{kind} {condition} {to}: {out:?}");
            }
        }
    }
    assert_eq!(w.coven().channel.roster().sessions().len(), 3);
}

#[test]
fn muc_status_12_muc_aff_12_a_ban_is_told_to_all() {
    let mut w = witches();
    let out = affiliate(&mut w, HAG, Affiliation::Outcast).presences();
    let own = out.to(HAG);
    assert_eq!(
        (own.one().codes(), own.one().item("affiliation")),
        (vec![110, 301], Some("outcast"))
    );
    let seen = out.to(WICCA);
    assert_eq!(
        (seen.one().codes(), seen.one().item("role")),
        (vec![301], Some("none"))
    );
    assert_eq!(
        w.join(HAG, "thirdwitch").one().error(),
        ("auth", "forbidden")
    );
}

#[test]
fn muc_status_15_muc_status_16_muc_conf_11_members_only_rooms_lose_others() {
    let mut w = witches();
    affiliate(&mut w, WICCA, Affiliation::Member);
    let members = "<field var='muc#roomconfig_membersonly'><value>true</value></field>";
    let out = w.submit(CRONE, members);
    assert_eq!(out.to(HAG).presences().one().codes(), [110, 322]);
    assert_eq!(out.to(WICCA).presences().one().codes(), [322]);
    let out = affiliate(&mut w, WICCA, Affiliation::None);
    assert_eq!(out.to(WICCA).one().codes(), [110, 321]);
    assert_eq!(out.to(WICCA).one().item("affiliation"), Some("none"));
    assert_eq!(out.to(CRONE).presences().one().codes(), [321]);
}

#[test]
fn muc_leave_02_map_02_a_leave_by_the_bare_address_carries_its_status() {
    let mut w = World::both().with_room();
    w.join(HAG, "thirdwitch");
    let out = w.send(&format!(
        "<presence from='{HAG}' to='{ROOM}' type='unavailable'><status>gone to the heath</status></presence>"
    ));
    let seen = out.to(CRONE);
    let seen = seen.one();
    assert_eq!(seen.kind(), "unavailable");
    let status = seen.child("status", ns::CLIENT).unwrap();
    assert_eq!(status.text(), "gone to the heath");
}

#[test]
fn muc_leave_13_muc_status_17_a_final_shutdown_tells_each_session_once() {
    let mut w = witches();
    w.join(HAG2, "thirdwitch");
    let out = w.shut_down(&coven());
    assert_eq!(out.len(), 4, "{out:?}");
    for session in [CRONE, WICCA, HAG, HAG2] {
        let seen = out.to(session);
        let seen = seen.one();
        assert_eq!((seen.kind(), seen.codes()), ("unavailable", vec![110, 332]));
        // Whatever the session had: the owner's as well.
        assert_eq!(
            (seen.item("role"), seen.item("affiliation")),
            (Some("none"), Some("none"))
        );
    }
    assert!(w.shut_down(&coven()).is_empty());
}
