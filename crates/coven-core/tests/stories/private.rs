//! Private messages between occupants (XEP-0045 §7.5).

use crate::table::acts::private;
use crate::table::{HAG, OWNER, THANE, Table, WITCH};
use coven_core::command::{Command, Private};
use coven_core::event::Event;
use coven_core::settings::config::PrivateMessages;
use coven_core::{Affiliation, Condition, ErrorType};

fn two() -> Table {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    t.joins(WITCH, "secondwitch").ok();
    t
}

#[test]
fn muc_pm_01_it_goes_to_the_other_as_it_came_with_the_senders_nick_and_id() {
    let mut t = two();
    let outcome = t.whispers(HAG, "SecondWitch");
    let Event::Private(message) = outcome.event() else {
        panic!("{outcome:?}");
    };
    let sent = private("secondwitch");
    assert_eq!(message.to, t.seen(WITCH).person.no);
    assert_eq!(message.nick, "thirdwitch");
    assert_eq!(message.id, t.seen(HAG).person.id);
    assert_eq!(
        (&message.own_id, &message.payload),
        (&sent.own_id, &sent.payload)
    );
    assert_eq!(message.kind, sent.kind);
}

#[test]
fn muc_pm_04_the_sender_is_checked_before_the_addressee() {
    let mut t = two();
    t.whispers(THANE, "nobody")
        .refused(Condition::NotAcceptable, ErrorType::Cancel);
    t.whispers(HAG, "nobody")
        .refused(Condition::ItemNotFound, ErrorType::Cancel);
    t.reserve(THANE, "thane");
    t.whispers(HAG, "thane")
        .refused(Condition::ItemNotFound, ErrorType::Cancel);
}

#[test]
fn muc_pm_05_muc_cfg_12_who_may_send() {
    use PrivateMessages::{Anyone, Moderators, None, Participants};
    let mut t = two();
    t.joins(OWNER, "firstwitch").ok();
    t.sets(|c| c.moderated = true);
    t.makes(WITCH, Affiliation::Member);
    // a visitor, a participant, a moderator
    for (rule, may) in [
        (Anyone, [true, true, true]),
        (Participants, [false, true, true]),
        (Moderators, [false, false, true]),
        (None, [false, false, false]),
    ] {
        t.sets(|c| c.private_messages = rule);
        for ((jid, to), may) in [
            (HAG, "secondwitch"),
            (WITCH, "thirdwitch"),
            (OWNER, "thirdwitch"),
        ]
        .into_iter()
        .zip(may)
        {
            let outcome = t.whispers(jid, to);
            if may {
                outcome.ok();
            } else {
                outcome.refused(Condition::Forbidden, ErrorType::Auth);
            }
        }
    }
}

#[test]
fn muc_pm_06_mix_mam_17_it_is_no_message_of_the_room() {
    let mut t = two();
    let outcome = t.whispers(HAG, "secondwitch");
    assert_eq!(outcome.story(), ["private"]);
    assert_eq!(t.channel.tail().entries().len(), 0);
}

#[test]
fn muc_pm_07_an_error_goes_back_to_the_other_whatever_may_be_sent() {
    let mut t = two();
    t.sets(|c| c.private_messages = PrivateMessages::None);
    let error = |nick: &str| {
        Command::Private(Box::new(Private {
            kind: Some("error".into()),
            error: true,
            ..private(nick)
        }))
    };
    let outcome = t.act(WITCH, error("thirdwitch"));
    let Event::Private(message) = outcome.event() else {
        panic!("{outcome:?}");
    };
    assert_eq!(
        (message.to, message.nick.as_str()),
        (t.seen(HAG).person.no, "secondwitch")
    );
    assert_eq!(message.kind.as_deref(), Some("error"));
    // errors are dropped, never answered: MUC-ERR-04, MUC-LEAVE-11
    t.act(WITCH, error("nobody")).silent();
    t.act(THANE, error("thirdwitch")).silent();
}

#[test]
fn muc_comp_09_private_message_in_no_room_is_item_not_found() {
    let mut t = Table::empty();
    t.whispers(HAG, "thirdwitch")
        .refused(Condition::ItemNotFound, ErrorType::Cancel);
}

#[test]
fn i5_who_cannot_be_reached_yet_is_an_error_and_not_lost() {
    let mut t = two();
    t.participates(THANE, "thane").ok();
    t.whispers(HAG, "thane")
        .refused(Condition::ServiceUnavailable, ErrorType::Cancel);
}
