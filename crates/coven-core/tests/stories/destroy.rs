//! How channels are destroyed (XEP-0045 §10.9, XEP-0369 §7.3.4; MAP-41).

use crate::table::{HAG, OWNER, Table, WITCH, bare};
use coven_core::command::Command;
use coven_core::event::Event;
use coven_core::{Affiliation, Answer, Condition, ErrorType, Query};

#[test]
// covers: MUC-DEST-04
fn muc_dest_01_04_mix_des_01_an_owner_destroys_joined_or_not() {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    t.participates(WITCH, "secondwitch").ok();
    let command = Command::Destroy(coven_core::command::End {
        alternate: Some("heath@chat.example".into()),
        reason: Some("Macbeth doth come".into()),
        password: Some("drum".into()),
    });
    let outcome = t.act(OWNER, command);
    let expected = Event::Destroyed {
        alternate: Some("heath@chat.example".into()),
        reason: Some("Macbeth doth come".into()),
        password: Some("drum".into()),
    };
    assert_eq!(*outcome.event(), expected);
    assert_eq!(*outcome.answer(), Answer::Destroyed);
    let ended = outcome.delta().ended.as_ref().unwrap();
    assert_eq!((ended.exists(), ended.occupants()), (true, 2));
    let told: Vec<_> = outcome
        .delta()
        .everybody
        .iter()
        .filter(|v| v.present())
        .collect();
    assert_eq!(told.len(), 2);
    assert!(!t.roster().exists());
}

#[test]
fn mix_des_01_an_administrator_of_the_service_destroys_as_well() {
    let mut t = Table::room();
    t.service.admins = vec![bare(WITCH)];
    t.destroys(WITCH, None).ok();
    assert!(!t.roster().exists());
}

#[test]
fn muc_dest_02_mix_des_03_others_may_not() {
    let mut t = Table::room();
    t.makes(WITCH, Affiliation::Admin);
    for jid in [HAG, WITCH] {
        t.destroys(jid, None)
            .refused(Condition::Forbidden, ErrorType::Auth);
    }
    Table::empty()
        .destroys(HAG, None)
        .refused(Condition::ItemNotFound, ErrorType::Cancel);
}

#[test]
fn muc_dest_05_everything_is_gone_and_the_name_can_be_had_by_anyone() {
    let mut t = Table::with(|c| c.name = "A Dark Cave".into());
    t.makes(HAG, Affiliation::Outcast);
    t.joins(OWNER, "firstwitch").ok();
    t.posts(OWNER, crate::table::acts::topic("x")).ok();
    t.destroys(OWNER, None).ok();
    assert_eq!(t.roster().persons().len(), 0);
    assert_eq!(t.roster().subject(), None);
    t.joins(HAG, "thirdwitch").ok();
    assert_eq!(t.seen(HAG).affiliation(), Affiliation::Owner);
    assert_eq!(t.roster().config().name, "");
}

#[test]
fn numbers_go_on_after_a_channel_ended() {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    let (person, session, at) = (t.seen(HAG).person.no, t.session(HAG).no, t.roster().at());
    t.destroys(OWNER, None).ok();
    t.joins(HAG, "thirdwitch").ok();
    assert!(t.seen(HAG).person.no > person);
    assert!(t.session(HAG).no > session);
    assert!(t.roster().at() > at);
}

#[test]
fn numbers_go_on_after_a_reload() {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    let (person, session) = (t.seen(HAG).person.no, t.session(HAG).no);
    t.leaves(HAG).ok();
    let mut again = Table::from_snapshot(&t);
    again.joins(WITCH, "secondwitch").ok();
    assert!(again.seen(WITCH).person.no > person);
    assert!(again.session(WITCH).no > session);
}

#[test]
fn map_41_mix_des_06_afterwards_it_is_gone_or_not_found() {
    for alternate in [None, Some("heath@chat.example")] {
        let mut t = Table::room();
        t.destroys(OWNER, alternate).ok();
        let refusals = [
            t.says(HAG, "x").refusal.unwrap(),
            t.participates(HAG, "thirdwitch").refusal.unwrap(),
            t.asks(HAG, Query::OwnerForm).unwrap_err(),
        ];
        for refusal in refusals {
            let expected = match alternate {
                None => Condition::ItemNotFound,
                Some(_) => Condition::Gone,
            };
            assert_eq!(refusal.condition, expected);
            assert_eq!(refusal.kind, ErrorType::Cancel);
            assert_eq!(refusal.uri.as_deref(), alternate);
        }
        let again = t.reloaded();
        assert_eq!(again.roster().alternate().map(|a| a.as_str()), alternate);
    }
}

#[test]
fn muc_err_10_reason_too_long_violates_policy() {
    let mut t = Table::room();
    t.service.max_text_bytes = 8;
    let command = Command::Destroy(coven_core::command::End {
        alternate: None,
        reason: Some("123456789".into()),
        password: None,
    });
    t.act(OWNER, command)
        .refused(Condition::PolicyViolation, ErrorType::Modify);
    assert!(t.roster().exists());
}
