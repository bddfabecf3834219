//! IQs between occupants, and pings (XEP-0045 §17.4, XEP-0410).

use crate::table::acts::iq;
use crate::table::{HAG, HAG2, THANE, Table, WITCH};
use coven_core::channel::Output;
use coven_core::command::Relay;
use coven_core::content::relay::Relayed;
use coven_core::presence::session::Show;
use coven_core::{Affiliation, Answer, Condition, ErrorType, Query};

fn two() -> Table {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    t.joins(WITCH, "secondwitch").ok();
    t
}

fn passed(t: &mut Table, jid: &str, relay: Relay) -> Relayed {
    match t.relays(jid, relay).output() {
        Output::Relay(relayed) => relayed.clone(),
        output => panic!("{output:?}"),
    }
}

fn answer(relayed: &Relayed, from: &str) -> Relay {
    Relay {
        nick: from.into(),
        kind: "result".into(),
        id: relayed.id.clone(),
        payload: bytes::Bytes::from_static(b"<query/>"),
        to_bare: false,
    }
}

#[test]
// covers: MUC-IQ-02
fn muc_iq_01_02_a_request_and_its_answer_pass_without_addresses() {
    let mut t = two();
    let request = passed(&mut t, HAG, iq("secondwitch"));
    assert_eq!(
        (request.to.as_str(), request.from_nick.as_str()),
        (WITCH, "thirdwitch")
    );
    assert_ne!(request.id, "iq-1");
    assert!(!request.id.contains("hag66"), "{}", request.id);
    let reply = answer(&request, "thirdwitch");
    let back = passed(&mut t, WITCH, reply);
    assert_eq!(
        (back.to.as_str(), back.from_nick.as_str()),
        (HAG, "secondwitch")
    );
    assert_eq!((back.id.as_str(), back.kind.as_str()), ("iq-1", "result"));
}

#[test]
// covers: MUC-IQ-06
fn muc_iq_02_an_answer_finds_its_way_after_nicks_have_changed_and_an_error_after_people_left() {
    let mut t = two();
    let request = passed(&mut t, HAG, iq("secondwitch"));
    t.renames(WITCH, "oldwitch").ok();
    let error = Relay {
        kind: "error".into(),
        ..answer(&request, "thirdwitch")
    };
    let comes_back = |t: &mut Table, relay| {
        let back = passed(t, WITCH, relay);
        assert_eq!(
            (back.to.as_str(), back.from_nick.as_str()),
            (HAG, "secondwitch")
        );
    };
    comes_back(&mut t, answer(&request, "thirdwitch"));
    t.leaves(WITCH).ok();
    comes_back(&mut t, error);
}

#[test]
fn s_27_muc_iq_02_who_was_asked_is_not_heard_for_ever() {
    let mut t = two();
    let request = passed(&mut t, HAG, iq("secondwitch"));
    t.leaves(WITCH).ok();
    t.relays(WITCH, answer(&request, "thirdwitch")).silent();
    t.makes(WITCH, Affiliation::Outcast);
    for kind in ["result", "error"] {
        let late = Relay {
            kind: kind.into(),
            ..answer(&request, "thirdwitch")
        };
        t.relays(WITCH, late).silent();
    }
}

#[test]
fn muc_iq_02_muc_comp_08_forged_and_late_answers_are_dropped() {
    let mut t = two();
    t.joins(THANE, "thane").ok();
    let request = passed(&mut t, HAG, iq("secondwitch"));
    // by another occupant, or by another client of the one that was asked
    t.relays(THANE, answer(&request, "thirdwitch")).silent();
    t.relays(
        "wiccarocks@shakespeare.example/x",
        answer(&request, "thirdwitch"),
    )
    .silent();
    for id in [
        "",
        "iq-1",
        "0-0-0-",
        "1-ffffffffffffffffffff-3-abciq-1",
        "0--99-x",
    ] {
        let forged = Relay {
            id: id.into(),
            ..answer(&request, "thirdwitch")
        };
        t.relays(WITCH, forged).silent();
    }
    t.leaves(HAG).ok();
    t.relays(WITCH, answer(&request, "thirdwitch")).silent();
    t.joins(HAG, "thirdwitch").ok();
    t.relays(WITCH, answer(&request, "thirdwitch")).silent();
}

#[test]
fn muc_iq_02_ids_do_not_tell_of_one_another() {
    let mut t = two();
    let a = passed(&mut t, HAG, iq("secondwitch")).id;
    let b = passed(&mut t, WITCH, iq("thirdwitch")).id;
    let other = Relay {
        id: "iq-2".into(),
        ..iq("secondwitch")
    };
    let c = passed(&mut t, HAG, other).id;
    let proof = |id: &str| id.split('-').nth(1).unwrap().to_owned();
    assert!(proof(&a) != proof(&b) && proof(&a) != proof(&c));
    assert_eq!(proof(&a).len(), 20);
}

#[test]
fn muc_iq_03_vcards_come_from_the_account() {
    let mut t = two();
    let vcard = Relay {
        to_bare: true,
        ..iq("secondwitch")
    };
    let request = passed(&mut t, HAG, vcard);
    assert_eq!(request.to, "wiccarocks@shakespeare.example");
    t.relays(WITCH, answer(&request, "thirdwitch")).silent();
    let back = passed(
        &mut t,
        "wiccarocks@shakespeare.example",
        answer(&request, "thirdwitch"),
    );
    assert_eq!((back.to.as_str(), back.id.as_str()), (HAG, "iq-1"));
}

#[test]
fn muc_iq_01_the_session_that_is_shown_is_asked() {
    let mut t = two();
    t.joins(HAG2, "thirdwitch").ok();
    t.shows(HAG, "thirdwitch", Show::Chat).ok();
    assert_eq!(passed(&mut t, WITCH, iq("thirdwitch")).to, HAG);
    t.shows(HAG, "thirdwitch", Show::Away).ok();
    assert_eq!(passed(&mut t, WITCH, iq("thirdwitch")).to, HAG2);
}

#[test]
fn muc_iq_04_muc_comp_09_requests_of_strangers_or_for_nobody() {
    let mut t = two();
    for jid in [THANE, HAG2] {
        t.relays(jid, iq("secondwitch"))
            .refused(Condition::NotAcceptable, ErrorType::Cancel);
    }
    t.reserve(THANE, "thane");
    for nick in ["nobody", "thane", ""] {
        t.relays(HAG, iq(nick))
            .refused(Condition::ItemNotFound, ErrorType::Cancel);
    }
}

fn ping(t: &Table, jid: &str, nick: Option<&str>) -> Result<Answer, Condition> {
    let relay = nick.map(|nick| Box::new(iq(nick)));
    let asked = t.asks(jid, Query::Ping { relay });
    asked.map_err(|refusal| {
        assert_eq!(refusal.kind, ErrorType::Cancel);
        refusal.condition
    })
}

#[test]
fn muc_ping_01_a_self_ping_is_answered_by_the_room() {
    let mut t = two();
    assert_eq!(ping(&t, HAG, Some("thirdwitch")), Ok(Answer::Done));
    t.joins(HAG2, "thirdwitch").ok();
    assert_eq!(ping(&t, HAG2, Some("ThirdWitch")), Ok(Answer::Done));
}

#[test]
// covers: MUC-PING-04
fn muc_ping_02_04_who_is_not_joined_is_told_so_whatever_nick_is_named() {
    let t = two();
    for jid in [HAG2, THANE, "hag66@shakespeare.example"] {
        for nick in ["thirdwitch", "secondwitch", "nobody", ""] {
            assert_eq!(ping(&t, jid, Some(nick)), Err(Condition::NotAcceptable));
        }
    }
    let nowhere = Table::empty();
    assert_eq!(
        ping(&nowhere, HAG, Some("thirdwitch")),
        Err(Condition::NotAcceptable)
    );
}

#[test]
fn muc_ping_04_a_ping_to_another_is_passed_on_and_to_nobody_not_found() {
    let t = two();
    let Ok(Answer::Relayed(relayed)) = ping(&t, HAG, Some("secondwitch")) else {
        panic!("not passed on");
    };
    assert_eq!(
        (relayed.to.as_str(), relayed.from_nick.as_str()),
        (WITCH, "thirdwitch")
    );
    assert_eq!(ping(&t, HAG, Some("nobody")), Err(Condition::ItemNotFound));
}

#[test]
fn muc_disco_33_a_ping_to_the_room_is_answered_if_there_is_one() {
    assert_eq!(ping(&two(), THANE, None), Ok(Answer::Done));
    assert_eq!(
        ping(&Table::empty(), THANE, None),
        Err(Condition::ItemNotFound)
    );
}

#[test]
fn i6_a_self_ping_succeeds_after_a_reload() {
    let t = two();
    let channel = t.reloaded();
    let relay = Some(Box::new(iq("thirdwitch")));
    let asked = channel.query(
        &crate::table::sender(HAG),
        &Query::Ping { relay },
        &t.service,
    );
    assert_eq!(asked, Ok(Answer::Done));
}
