//! How channels begin (XEP-0045 §10.1, XEP-0369 §7.3; MAP-40, MAP-85).

use crate::table::acts::join;
use crate::table::{HAG, OWNER, START, Table, WITCH, bare};
use coven_core::command::{Command, Join, View};
use coven_core::event::Event;
use coven_core::life::create::fresh_name;
use coven_core::people::visibility::Visibility;
use coven_core::settings::service::Creation;
use coven_core::{Affiliation, Answer, Condition, ErrorType, Query, Role, Timestamp};

#[test]
// covers: MUC-CREATE-02
fn muc_create_01_02_a_join_creates_a_locked_room_of_its_owner() {
    let mut t = Table::empty();
    t.service.defaults.moderated = true;
    let outcome = t.joins(OWNER, "firstwitch");
    assert_eq!(outcome.story(), ["created", "joined"]);
    let [_, Event::Joined { entry, .. }] = outcome.events()[..] else {
        panic!("{outcome:?}");
    };
    assert!(entry.created, "status 201");
    let owner = t.seen(OWNER);
    assert_eq!(
        (owner.affiliation(), owner.role),
        (Affiliation::Owner, Role::Moderator)
    );
    assert!(t.channel.lock().is_some());
    assert_eq!(**t.roster().config(), t.service.defaults);
    // 201 for nobody else and never later
    let again = t.joins("crone1@shakespeare.example/phone", "firstwitch");
    let Event::Joined { entry, .. } = again.event() else {
        panic!("{again:?}");
    };
    assert!(!entry.created);
}

#[test]
fn muc_create_03_muc_enter_16_creation_refused_by_policy() {
    let mut t = Table::empty();
    t.service.creation = Creation::Listed(vec![bare("scotland.example"), bare(WITCH)]);
    t.joins(HAG, "thirdwitch")
        .refused(Condition::NotAllowed, ErrorType::Cancel);
    assert!(!t.roster().exists());
    t.joins(WITCH, "secondwitch").ok();
    let mut t = Table::empty();
    t.service.creation = Creation::Admins;
    t.service.admins = vec![bare(HAG)];
    t.joins(WITCH, "secondwitch")
        .refused(Condition::NotAllowed, ErrorType::Cancel);
    t.joins(HAG, "thirdwitch").ok();
}

#[test]
fn muc_create_04_an_empty_form_makes_an_instant_room() {
    let mut t = Table::empty();
    t.joins(OWNER, "firstwitch").ok();
    let outcome = t.configures(OWNER, |_| ());
    assert_eq!(outcome.story(), ["unlocked"]);
    assert_eq!(*outcome.answer(), Answer::Done);
    t.joins(HAG, "thirdwitch").ok();
}

#[test]
fn muc_create_05_a_form_makes_a_reserved_room() {
    let mut t = Table::empty();
    t.joins(OWNER, "firstwitch").ok();
    let form = t.asks(OWNER, Query::OwnerForm).unwrap();
    assert_eq!(form, Answer::Form(t.roster().config().clone()));
    let outcome = t.configures(OWNER, |s| s.name = Some("A Dark Cave".into()));
    assert_eq!(outcome.story(), ["configured", "unlocked"]);
    assert_eq!(t.roster().config().name, "A Dark Cave");
}

#[test]
fn muc_create_06_a_refused_form_leaves_the_room_locked() {
    let mut t = Table::empty();
    t.joins(OWNER, "firstwitch").ok();
    t.configures(OWNER, |s| s.password_protected = Some(true))
        .refused(Condition::NotAcceptable, ErrorType::Modify);
    assert!(t.channel.lock().is_some());
    t.configures(OWNER, |_| ()).ok();
}

#[test]
fn muc_create_07_a_cancelled_form_destroys_a_locked_room() {
    let mut t = Table::empty();
    t.joins(OWNER, "firstwitch").ok();
    let outcome = t.act(OWNER, Command::CancelConfiguration);
    assert_eq!(outcome.story(), ["destroyed"]);
    assert_eq!(outcome.delta().everybody.len(), 1, "the creator is told");
}

#[test]
fn muc_create_08_a_locked_room_ends_with_its_creators_last_session() {
    let mut t = Table::empty();
    t.service.defaults.persistent = true;
    t.joins(OWNER, "firstwitch").ok();
    t.joins("crone1@shakespeare.example/phone", "firstwitch")
        .ok();
    assert_eq!(t.leaves(OWNER).story(), ["left"]);
    let outcome = t.leaves("crone1@shakespeare.example/phone");
    assert_eq!(outcome.story(), ["left", "destroyed"]);
}

#[test]
fn muc_create_09_a_locked_room_times_out() {
    let mut t = Table::empty();
    t.service.lock_timeout_ms = Some(60_000);
    t.joins(OWNER, "firstwitch").ok();
    assert_eq!(t.channel.next_timer(), Some(Timestamp(START.0 + 60_000)));
    t.passes(59_999);
    t.tick().silent();
    t.passes(1);
    assert_eq!(t.tick().story(), ["destroyed"]);
    assert_eq!(t.channel.next_timer(), None);
    // a configured one does not
    t.joins(OWNER, "firstwitch").ok();
    t.configures(OWNER, |_| ()).ok();
    assert_eq!(t.channel.next_timer(), None);
    t.passes(1_000_000);
    t.tick().silent();
}

#[test]
fn muc_create_10_the_second_of_two_creators_finds_a_locked_room() {
    let mut t = Table::empty();
    t.joins(OWNER, "firstwitch").ok();
    t.joins(HAG, "thirdwitch")
        .refused(Condition::ItemNotFound, ErrorType::Cancel);
    assert_eq!(t.roster().owners(), 1);
}

#[test]
fn muc_create_11_rooms_may_be_created_unlocked() {
    let mut t = Table::empty();
    t.service.lock_timeout_ms = None;
    let outcome = t.joins(OWNER, "firstwitch");
    assert!(matches!(outcome.events()[1], Event::Joined { entry, .. } if entry.created));
    t.joins(HAG, "thirdwitch").ok();
    assert!(t.configures(OWNER, |_| ()).events().is_empty());
}

#[test]
// covers: MIX-CRE-02, MIX-CRE-08
fn mix_cre_01_02_08_create_makes_a_channel_whose_owner_does_not_take_part() {
    let mut t = Table::empty();
    let outcome = t.act(OWNER, Command::Create);
    assert_eq!(outcome.story(), ["created"]);
    assert_eq!(*outcome.answer(), Answer::Created("coven".into()));
    let owner = t.seen(OWNER);
    assert_eq!(owner.affiliation(), Affiliation::Owner);
    assert!(!owner.present());
    assert!(t.channel.lock().is_none());
    let config = t.roster().config();
    assert!(config.persistent && config.visibility == Visibility::Hidden);
}

#[test]
fn mix_cre_03_an_ad_hoc_channel_is_closed_unlisted_and_has_an_unguessable_name() {
    let (a, b) = (fresh_name([1; 32]), fresh_name([2; 32]));
    assert_ne!(a, b);
    assert_eq!(a.len(), 32);
    let mut t = Table::named(&a);
    t.act(OWNER, Command::CreateAdHoc).ok();
    assert!(!t.roster().config().public);
    for query in [
        Query::Info { view: View::Mix },
        Query::Items { view: View::Mix },
    ] {
        let refusal = t.asks(HAG, query.clone()).unwrap_err();
        assert_eq!(refusal.condition, Condition::ItemNotFound);
        t.asks(OWNER, query).unwrap();
    }
}

#[test]
fn mix_cre_04_map_40_map_85_a_name_that_exists_is_conflict_locked_or_not() {
    let mut t = Table::empty();
    t.joins(OWNER, "firstwitch").ok();
    for command in [Command::Create, Command::CreateAdHoc] {
        t.act(HAG, command.clone())
            .refused(Condition::Conflict, ErrorType::Cancel);
        t.act(OWNER, command)
            .refused(Condition::Conflict, ErrorType::Cancel);
    }
}

#[test]
fn map_40_a_locked_room_does_not_exist_for_mix() {
    let mut t = Table::empty();
    t.joins(OWNER, "firstwitch").ok();
    t.participates(OWNER, "firstwitch")
        .refused(Condition::ItemNotFound, ErrorType::Cancel);
    t.sets_nick(OWNER, "firstwitch")
        .refused(Condition::ItemNotFound, ErrorType::Cancel);
    for view in [View::Mix] {
        for query in [
            Query::Info { view },
            Query::Items { view },
            Query::OwnSubscriptions,
        ] {
            let refusal = t.asks(OWNER, query).unwrap_err();
            assert_eq!(refusal.condition, Condition::ItemNotFound);
        }
    }
    t.asks(OWNER, Query::Info { view: View::Muc }).unwrap();
    let refusal = t.asks(HAG, Query::Info { view: View::Muc }).unwrap_err();
    assert_eq!(refusal.condition, Condition::ItemNotFound);
}

#[test]
fn mix_cre_05_mix_anon_07_map_04_muc_err_10_names_that_no_channel_can_have() {
    for name in ["a#b", "#", "", &"x".repeat(257)] {
        let mut t = Table::named(name);
        for command in [
            Command::Create,
            Command::CreateAdHoc,
            Command::Join(Box::new(Join { ..join("nick") })),
        ] {
            t.act(OWNER, command)
                .refused(Condition::NotAcceptable, ErrorType::Modify);
        }
    }
    Table::named(&"x".repeat(256))
        .act(OWNER, Command::Create)
        .ok();
}

#[test]
fn mix_cre_06_creation_that_is_not_permitted_is_forbidden() {
    let mut t = Table::empty();
    t.service.creation = Creation::Admins;
    for command in [Command::Create, Command::CreateAdHoc] {
        t.act(HAG, command)
            .refused(Condition::Forbidden, ErrorType::Auth);
    }
}

#[test]
fn muc_err_09_who_owns_as_many_as_allowed_creates_no_more() {
    let attempt = |jid: &str, owned: u32, command: Command| {
        let mut t = Table::empty();
        t.service.max_owned = Some(3);
        t.service.admins = vec![bare(OWNER)];
        let facts = coven_core::Facts { owned, ..t.facts() };
        let outcome = t.act_with(jid, &command, &facts);
        outcome.refusal.map(|r| (r.condition, r.kind))
    };
    let enter = || Command::Join(Box::new(join("thirdwitch")));
    let not_allowed = Some((Condition::NotAllowed, ErrorType::Cancel));
    assert_eq!(attempt(HAG, 2, enter()), None);
    assert_eq!(attempt(HAG, 3, enter()), not_allowed);
    let forbidden = Some((Condition::Forbidden, ErrorType::Auth));
    assert_eq!(attempt(HAG, 3, Command::Create), forbidden);
    assert_eq!(attempt(HAG, 9, Command::CreateAdHoc), forbidden);
    assert_eq!(attempt(OWNER, 9, enter()), None, "an administrator");
}
