//! The subject, and the history on joining.

use crate::common::{CRONE, HAG, NOON, ROOM, WICCA, World};
use coven_core::Timestamp;
use coven_xmpp::ns;

fn witches() -> World {
    let mut w = World::muc().with_room();
    w.join(HAG, "thirdwitch");
    w.join(WICCA, "secondwitch");
    w
}

fn groupchat(from: &str, attributes: &str, children: &str) -> String {
    format!("<message from='{from}' to='{ROOM}' type='groupchat' {attributes}>{children}</message>")
}

fn join_with(w: &mut World, history: &str) -> Vec<String> {
    let from = "duncan@shakespeare.example/x";
    w.send(&format!(
        "<presence from='{from}' to='{ROOM}/king' type='unavailable'/>"
    ));
    let out = w.send(&format!(
        "<presence from='{from}' to='{ROOM}/king'><x xmlns='http://jabber.org/protocol/muc'>{history}</x></presence>"
    ));
    out.to(from).iter().filter_map(|s| s.body()).collect()
}

#[test]
fn muc_subj_01_muc_subj_02_muc_subj_08_a_subject_is_told_and_kept() {
    let mut w = witches();
    let subject =
        "<subject>Fire Burn and Cauldron Bubble!</subject><subject xml:lang='de'>Feuer</subject>";
    let out = w.send(&groupchat(CRONE, "id='s1'", subject));
    assert_eq!(out.tos(), [CRONE, HAG, WICCA]);
    assert!(out[0].xml.contains(subject) && out[0].stanza_id().is_some());
    let burst = w.join("duncan@shakespeare.example/x", "king");
    let with: Vec<_> = burst
        .iter()
        .filter(|s| s.child("subject", ns::CLIENT).is_some())
        .collect();
    assert_eq!(with.len(), 1, "not in the history as well");
    assert!(with[0].xml.contains(subject));
    let out = w.send(&groupchat(HAG, "", "<subject>x</subject><body>y</body>"));
    assert_eq!(out.len(), 4, "an ordinary message");
    let roster_subject = w
        .coven()
        .channel
        .roster()
        .subject()
        .unwrap()
        .message
        .own_id
        .clone();
    assert_eq!(roster_subject.as_deref(), Some("s1"));
}

#[test]
fn muc_subj_04_who_may_not_change_the_subject() {
    let mut w = witches();
    let out = w.send(&groupchat(HAG, "id='s1'", "<subject>mine</subject>"));
    assert_eq!(out.one().error(), ("auth", "forbidden"));
    let out = w.send(&groupchat(
        "duncan@shakespeare.example/x",
        "id='s1'",
        "<subject>mine</subject>",
    ));
    assert_eq!(out.one().error(), ("cancel", "not-acceptable"));
}

#[test]
fn muc_subj_05_muc_subj_06_muc_subj_07_subject_on_joining() {
    let mut w = World::muc().with_room();
    let last = |w: &mut World| {
        let out = w.join(HAG, "thirdwitch").to(HAG);
        out.last().unwrap().clone()
    };
    let none = last(&mut w);
    assert_eq!(none.from(), ROOM);
    assert_eq!(none.child("subject", ns::CLIENT).unwrap().text(), "");
    assert!(none.child("delay", ns::DELAY).is_none() && none.body().is_none());
    w.send(&groupchat(CRONE, "", "<subject>Fire!</subject>"));
    w.now = Timestamp(NOON + 60_000);
    let set = last(&mut w);
    assert_eq!(set.from(), "coven@chat.example/firstwitch");
    let delay = set.child("delay", ns::DELAY).unwrap();
    assert_eq!(delay.attr("from"), Some(ROOM));
    assert_eq!(delay.attr("stamp"), Some("2026-01-01T12:00:00.000Z"));
    let out = w.send(&groupchat(CRONE, "", "<subject/>"));
    assert!(out[0].xml.contains("<subject/>"));
    assert_eq!(
        last(&mut w).child("subject", ns::CLIENT).unwrap().text(),
        ""
    );
}

#[test]
fn muc_hist_01_muc_occid_02_history_keeps_what_a_message_was() {
    let mut w = witches();
    let live = w.send(&groupchat(
        HAG,
        "id='h1'",
        "<body>Thrice.</body><thread>t</thread>",
    ));
    w.now = Timestamp(NOON + 3_600_000);
    let burst = w.join("duncan@shakespeare.example/x", "king");
    let old = burst.iter().find(|s| s.body().is_some()).unwrap();
    assert_eq!(
        (old.from(), old.kind(), old.id()),
        ("coven@chat.example/thirdwitch", "groupchat", "h1")
    );
    assert_eq!(old.child("thread", ns::CLIENT).unwrap().text(), "t");
    assert_eq!(old.occupant_id(), live[0].occupant_id());
    assert_eq!(old.stanza_id(), live[0].stanza_id());
    let delay = old.child("delay", ns::DELAY).unwrap();
    assert_eq!(delay.attr("from"), Some(ROOM));
    assert_eq!(delay.attr("stamp"), Some("2026-01-01T12:00:00.000Z"));
    assert!(!old.xml.contains("ofrom"));
}

#[test]
fn muc_hist_04_muc_hist_06_muc_hist_07_muc_hist_08_muc_hist_09_limits_of_the_client() {
    let mut w = witches();
    for minute in 0..5 {
        w.now = Timestamp(NOON + minute * 60_000);
        w.say(HAG, "m", &format!("m{minute}"));
    }
    for (wanted, got) in [
        ("", "m0 m1 m2 m3 m4"),
        ("<history/>", "m0 m1 m2 m3 m4"),
        ("<history maxstanzas='2'/>", "m3 m4"),
        ("<history maxstanzas='0'/>", ""),
        ("<history seconds='60'/>", "m3 m4"),
        ("<history since='2026-01-01T12:02:00Z'/>", "m2 m3 m4"),
        ("<history since='2026-01-01T14:03:00+02:00'/>", "m3 m4"),
        (
            "<history since='2026-01-01T12:02:00Z' maxstanzas='1'/>",
            "m4",
        ),
        ("<history since='1970-01-01T00:00:00Z'/>", "m0 m1 m2 m3 m4"),
        (
            "<history maxstanzas='-1' seconds='many' since='yesterday'/>",
            "m0 m1 m2 m3 m4",
        ),
        ("<history maxstanzas='x' seconds='60'/>", "m3 m4"),
    ] {
        assert_eq!(join_with(&mut w, wanted).join(" "), got, "{wanted}");
    }
}

#[test]
fn muc_hist_05_as_many_whole_stanzas_as_there_are_characters_for() {
    let mut w = witches();
    for n in 0..3 {
        w.say(HAG, "m", &format!("ü{n}"));
    }
    let from = "duncan@shakespeare.example/x";
    let history = |w: &mut World, max: usize| {
        w.send(&format!(
            "<presence from='{from}' to='{ROOM}/king' type='unavailable'/>"
        ));
        let x =
            format!("<x xmlns='http://jabber.org/protocol/muc'><history maxchars='{max}'/></x>");
        let out = w.send(&format!(
            "<presence from='{from}' to='{ROOM}/king'>{x}</presence>"
        ));
        let lengths = out.to(from).keep(|s| s.body().is_some());
        lengths
            .iter()
            .map(|s| s.xml.chars().count())
            .collect::<Vec<_>>()
    };
    let all = history(&mut w, 100_000);
    assert_eq!(all.len(), 3);
    assert_eq!(history(&mut w, 0).len(), 0);
    assert_eq!(history(&mut w, all[2] - 1).len(), 0);
    assert_eq!(history(&mut w, all[2]).len(), 1);
    assert_eq!(history(&mut w, all[1] + all[2]).len(), 2);
    assert_eq!(history(&mut w, all[1] + all[2] - 1).len(), 1);
    let out = w.join(from, "king").to(from).keep(|s| s.body().is_some());
    assert_eq!(out.len(), 3, "no limit in a later join");
}
