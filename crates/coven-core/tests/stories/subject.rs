//! The subject (XEP-0045 §8.1; MAP-28).

use crate::table::acts::topic;
use crate::table::{HAG, OWNER, START, THANE, Table, WITCH};
use coven_core::{Affiliation, Condition, ErrorType, Timestamp};

fn three() -> Table {
    let mut t = Table::room();
    t.joins(OWNER, "firstwitch").ok();
    t.joins(HAG, "thirdwitch").ok();
    t.participates(WITCH, "secondwitch").ok();
    t
}

#[test]
fn muc_subj_02_a_change_is_kept_with_changer_and_time_and_archived() {
    let mut t = three();
    t.passes(5_000);
    let outcome = t.posts(OWNER, topic("<subject>Fire Burn</subject>"));
    assert_eq!(outcome.story(), ["message"]);
    let message = outcome.message();
    assert!(message.archived);
    assert_eq!(message.nick, "firstwitch");
    let subject = t.roster().subject().unwrap();
    assert_eq!(subject.message, message);
    assert_eq!(subject.stamp, Timestamp(START.0 + 5_000));
}

#[test]
// covers: MUC-SUBJ-04
fn muc_subj_03_04_map_28_only_moderators_may_change_it_by_default() {
    let mut t = three();
    for jid in [HAG, WITCH] {
        t.posts(jid, topic("x"))
            .refused(Condition::Forbidden, ErrorType::Auth);
    }
    t.makes(WITCH, Affiliation::Admin);
    t.posts(WITCH, topic("x")).ok();
}

#[test]
fn muc_subj_03_muc_cfg_10_participants_may_if_configured_visitors_never() {
    let mut t = three();
    t.sets(|c| c.change_subject = true);
    for jid in [HAG, WITCH] {
        t.posts(jid, topic("x")).ok();
    }
    t.sets(|c| c.moderated = true);
    for jid in [HAG, WITCH] {
        t.posts(jid, topic("y"))
            .refused(Condition::Forbidden, ErrorType::Auth);
    }
}

#[test]
fn muc_subj_04_others_may_not_change_it() {
    let mut t = three();
    t.posts(THANE, topic("x"))
        .refused(Condition::NotAcceptable, ErrorType::Cancel);
}

#[test]
fn muc_subj_05_an_empty_subject_removes_it() {
    let mut t = three();
    t.posts(OWNER, topic("<subject>x</subject>")).ok();
    let outcome = t.posts(OWNER, topic("<subject/>"));
    assert_eq!(
        outcome.message().subject.as_deref(),
        Some(&b"<subject/>"[..])
    );
    let subject = t.roster().subject().unwrap();
    assert_eq!(subject.message.subject.as_deref(), Some(&b"<subject/>"[..]));
}

#[test]
fn muc_subj_08_subjects_are_no_history() {
    let mut t = three();
    t.posts(OWNER, topic("x")).ok();
    t.says(OWNER, "y").ok();
    assert_eq!(t.channel.tail().entries().len(), 1);
}

#[test]
fn muc_err_10_a_subject_too_long_violates_policy() {
    let mut t = three();
    t.service.max_subject_bytes = 8;
    t.posts(OWNER, topic("123456789"))
        .refused(Condition::PolicyViolation, ErrorType::Modify);
    assert_eq!(t.roster().subject(), None);
}
