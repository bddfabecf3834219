//! The owner form (XEP-0045 §10.2; MAP-16, MAP-49).

use crate::table::{HAG, OWNER, THANE, Table, WITCH};
use coven_core::command::Command;
use coven_core::event::{Cause, Event};
use coven_core::people::visibility::Visibility;
use coven_core::{Affiliation, Answer, Condition, ErrorType, Query, Role};

#[test]
fn muc_conf_01_an_owner_gets_the_form_with_current_values() {
    let t = Table::with(|c| c.name = "A Dark Cave".into());
    let Answer::Form(config) = t.asks(OWNER, Query::OwnerForm).unwrap() else {
        panic!("no form");
    };
    assert_eq!(config.name, "A Dark Cave");
}

#[test]
fn muc_conf_02_others_may_neither_see_nor_set_it() {
    let mut t = Table::room();
    t.makes(WITCH, Affiliation::Admin);
    for jid in [HAG, WITCH] {
        let refusal = t.asks(jid, Query::OwnerForm).unwrap_err();
        assert_eq!(
            (refusal.condition, refusal.kind),
            (Condition::Forbidden, ErrorType::Auth)
        );
        t.configures(jid, |_| ())
            .refused(Condition::Forbidden, ErrorType::Auth);
        t.act(jid, Command::CancelConfiguration)
            .refused(Condition::Forbidden, ErrorType::Auth);
    }
    let mut nowhere = Table::empty();
    nowhere
        .configures(HAG, |_| ())
        .refused(Condition::ItemNotFound, ErrorType::Cancel);
    let refusal = nowhere.asks(HAG, Query::OwnerForm).unwrap_err();
    assert_eq!(refusal.condition, Condition::ItemNotFound);
}

#[test]
fn muc_conf_03_only_what_is_named_changes() {
    let mut t = Table::with(|c| {
        c.description = "The best spells".into();
        c.max_history = 7;
    });
    let mut expected = (**t.roster().config()).clone();
    expected.name = "A Dark Cave".into();
    t.configures(OWNER, |s| s.name = Some("A Dark Cave".into()))
        .ok();
    assert_eq!(**t.roster().config(), expected);
}

#[test]
fn muc_conf_04_muc_err_11_a_refused_form_changes_nothing() {
    let mut t = Table::room();
    t.service.max_text_bytes = 8;
    let before = t.parts();
    t.configures(OWNER, |s| {
        s.moderated = Some(true);
        s.name = Some("123456789".into());
    })
    .refused(Condition::NotAcceptable, ErrorType::Modify);
    assert_eq!(t.parts(), before);
}

#[test]
fn muc_conf_05_a_cancelled_form_changes_nothing_later() {
    let mut t = Table::room();
    let outcome = t.act(OWNER, Command::CancelConfiguration);
    assert!(outcome.events().is_empty());
    assert_eq!(*outcome.answer(), Answer::Done);
}

#[test]
fn muc_conf_10_nothing_is_told_if_no_value_changed() {
    let mut t = Table::room();
    let outcome = t.configures(OWNER, |s| s.public = Some(true));
    assert!(outcome.events().is_empty());
    let outcome = t.configures(OWNER, |s| s.public = Some(false));
    assert_eq!(outcome.story(), ["configured"]);
    let before = outcome.delta().config_before.as_ref().unwrap();
    assert!(before.public && !t.roster().config().public);
}

#[test]
fn muc_conf_11_map_16_members_only_removes_strangers_and_adopts_participants() {
    let mut t = Table::room();
    t.makes("scotland.example", Affiliation::Member);
    t.joins(OWNER, "firstwitch").ok();
    t.joins(HAG, "thirdwitch").ok();
    t.joins(THANE, "thane").ok();
    t.participates(WITCH, "secondwitch").ok();
    let outcome = t.configures(OWNER, |s| s.members_only = Some(true));
    assert_eq!(outcome.story(), ["changed", "configured", "removed"]);
    let Event::Removed { cause, person, .. } = outcome.events()[2] else {
        panic!("{outcome:?}");
    };
    assert_eq!(
        (*cause, person.affiliation),
        (Cause::MembersOnly, Affiliation::None)
    );
    assert!(!t.is_here(HAG));
    assert_eq!(t.seen(WITCH).affiliation(), Affiliation::Member);
    assert!(t.is_here(THANE), "let in by domain");
    t.joins(HAG, "thirdwitch")
        .refused(Condition::RegistrationRequired, ErrorType::Auth);
    // switched off, the list is kept
    t.configures(OWNER, |s| s.members_only = Some(false)).ok();
    assert_eq!(t.seen(WITCH).affiliation(), Affiliation::Member);
    t.joins(HAG, "thirdwitch").ok();
}

#[test]
fn muc_conf_12_muc_role_16_moderated_takes_voice_and_gives_it_back() {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    t.participates(WITCH, "secondwitch").ok();
    t.makes(THANE, Affiliation::Member);
    t.joins(THANE, "thane").ok();
    let outcome = t.configures(OWNER, |s| s.moderated = Some(true));
    assert_eq!(outcome.story(), ["configured"]);
    let roles = |t: &Table| [HAG, WITCH, THANE].map(|jid| t.seen(jid).role);
    let (voice, visitor) = (Role::Participant, Role::Visitor);
    assert_eq!(roles(&t), [visitor, visitor, voice]);
    t.gives(OWNER, "thirdwitch", voice).ok();
    t.gives(OWNER, "thane", visitor).ok();
    assert_eq!(roles(&t), [voice, visitor, visitor]);
    let outcome = t.configures(OWNER, |s| s.moderated = Some(false));
    assert_eq!(outcome.story(), ["configured", "changed"]);
    assert_eq!(roles(&t), [voice, voice, voice]);
    // remembered voice
    t.configures(OWNER, |s| s.moderated = Some(true)).ok();
    assert_eq!(roles(&t), [voice, visitor, voice]);
}

#[test]
// covers: MUC-CONF-12
fn muc_conf_11_12_a_muted_participant_is_adopted_and_has_voice() {
    let mut t = Table::with(|c| c.moderated = true);
    t.participates(WITCH, "secondwitch").ok();
    t.gives(OWNER, "secondwitch", Role::Participant).ok();
    t.gives(OWNER, "secondwitch", Role::Visitor).ok();
    t.sets(|c| c.moderated = false);
    t.gives(OWNER, "secondwitch", Role::Visitor).ok();
    t.sets(|c| c.moderated = true);
    t.joins(HAG, "thirdwitch").ok();
    t.sets(|c| {
        c.moderated = false;
        c.members_only = true;
    });
    let witch = t.seen(WITCH);
    assert_eq!(
        (witch.affiliation(), witch.role),
        (Affiliation::Member, Role::Participant)
    );
    assert_eq!(t.view(HAG), None);
}

#[test]
fn muc_conf_14_a_persistent_room_made_temporary_while_empty_ends() {
    let mut t = Table::room();
    let outcome = t.configures(OWNER, |s| s.persistent = Some(false));
    assert_eq!(outcome.story(), ["configured", "destroyed"]);
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    t.configures(OWNER, |s| s.persistent = Some(false)).ok();
    assert!(t.roster().exists());
    t.leaves(HAG).ok();
    assert!(!t.roster().exists());
}

#[test]
fn muc_conf_15_a_lower_limit_removes_nobody() {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    t.joins(WITCH, "secondwitch").ok();
    t.sets(|c| c.max_users = Some(1));
    assert_eq!(t.roster().occupants(), 2);
}

#[test]
// covers: MUC-CFG-02, MUC-CFG-04, MUC-CFG-05, MUC-CFG-06, MUC-CFG-07, MUC-CFG-09
fn muc_cfg_01_02_04_05_06_07_09_fields_are_kept() {
    let mut t = Table::room();
    t.joins(OWNER, "firstwitch").ok();
    t.configures(OWNER, |s| {
        s.name = Some("A Dark Cave".into());
        s.description = Some("The best spells".into());
        s.persistent = Some(false);
        s.public = Some(false);
        s.members_only = Some(true);
        s.moderated = Some(true);
        s.visibility = Some(Visibility::Visible);
    })
    .ok();
    let c = t.roster().config();
    assert_eq!(
        (c.name.as_str(), c.description.as_str()),
        ("A Dark Cave", "The best spells")
    );
    assert!(!c.persistent && !c.public && c.members_only && c.moderated);
    assert_eq!(c.visibility, Visibility::Visible);
}

#[test]
fn muc_cfg_08_protection_and_secret() {
    let mut t = Table::room();
    let mut set = |protected, secret: Option<&str>| {
        let outcome = t.configures(OWNER, |s| {
            s.password_protected = protected;
            s.password = secret.map(Into::into);
        });
        match outcome.refusal {
            Some(refusal) => Err(refusal.condition),
            None => Ok(t.roster().config().password.clone()),
        }
    };
    let some = |text: &str| Ok(Some(text.into()));
    assert_eq!(set(Some(true), None), Err(Condition::NotAcceptable));
    assert_eq!(set(Some(true), Some("")), Err(Condition::NotAcceptable));
    assert_eq!(set(None, Some("a")), some("a"));
    assert_eq!(set(Some(true), None), some("a"), "the one there is");
    assert_eq!(set(Some(true), Some("")), Err(Condition::NotAcceptable));
    assert_eq!(set(Some(true), Some("b")), some("b"));
    assert_eq!(set(None, None), some("b"));
    assert_eq!(set(Some(false), Some("c")), Ok(None));
    assert_eq!(set(None, Some("d")), some("d"));
    assert_eq!(set(None, Some("")), Ok(None));
}

#[test]
fn map_39_a_later_password_does_not_touch_participants() {
    let mut t = Table::room();
    t.participates(WITCH, "secondwitch").ok();
    t.sets(|c| c.password = Some("secret".into()));
    assert!(t.is_here(WITCH));
    t.says(WITCH, "x").ok();
    t.participates(WITCH, "secondwitch").ok();
}

#[test]
// covers: MAP-48, MAP-49
fn map_47_48_49_whois_and_jid_visibility_are_one_setting() {
    use Visibility::{Hidden, Optional, Visible};
    let mut t = Table::room();
    for (before, form, after) in [
        (Hidden, Visible, Visible),
        (Visible, Hidden, Hidden),
        (Optional, Hidden, Optional),
        (Optional, Visible, Visible),
    ] {
        t.sets(|c| c.visibility = before);
        t.configures(OWNER, |s| s.visibility = Some(form)).ok();
        assert_eq!(t.roster().config().visibility, after);
    }
}

#[test]
fn muc_disco_16_subject_of_closed_rooms_is_for_those_who_belong() {
    let mut t = Table::room();
    t.joins(OWNER, "firstwitch").ok();
    t.posts(OWNER, crate::table::acts::topic("x")).ok();
    let subject = |t: &Table, jid| {
        let query = Query::Info {
            view: coven_core::View::Muc,
        };
        match t.asks(jid, query).unwrap() {
            Answer::Info(info) => info.subject.is_some(),
            answer => panic!("{answer:?}"),
        }
    };
    assert!(subject(&t, HAG));
    t.sets(|c| c.public = false);
    assert!(!subject(&t, HAG));
    assert!(subject(&t, OWNER));
    t.joins(HAG, "thirdwitch").ok();
    assert!(subject(&t, HAG));
}
