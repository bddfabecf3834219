//! Entering by MUC (XEP-0045 §7.2).

use crate::table::acts::{join, presence};
use crate::table::{HAG, HAG2, OWNER, THANE, Table, WITCH, bare};
use coven_core::channel::Output;
use coven_core::command::{Command, Join};
use coven_core::event::Event;
use coven_core::presence::session::Show;
use coven_core::{Affiliation, Condition, ErrorType, HistoryRequest, Role};

#[test]
fn muc_enter_06_join_without_nick_is_jid_malformed() {
    let mut t = Table::room();
    let nameless = Join {
        nick: None,
        ..join("")
    };
    t.joins_with(HAG, nameless)
        .refused(Condition::JidMalformed, ErrorType::Modify);
}

#[test]
fn muc_enter_07_empty_or_invisible_nick_is_jid_malformed() {
    let mut t = Table::room();
    for nick in ["", "  ", "\u{200b}", "\u{3164}", "a\u{7}b"] {
        t.joins(HAG, nick)
            .refused(Condition::JidMalformed, ErrorType::Modify);
    }
    assert!(!t.is_here(HAG));
}

#[test]
fn muc_enter_08_password_is_compared_exactly() {
    let mut t = Table::with(|c| c.password = Some("Cauldron burn".into()));
    for password in [
        None,
        Some("cauldron burn"),
        Some("Cauldron burn "),
        Some(""),
    ] {
        let wrong = Join {
            password: password.map(Into::into),
            ..join("thirdwitch")
        };
        t.joins_with(HAG, wrong)
            .refused(Condition::NotAuthorized, ErrorType::Auth);
    }
    let right = Join {
        password: Some("Cauldron burn".into()),
        ..join("thirdwitch")
    };
    t.joins_with(HAG, right).ok();
}

#[test]
fn muc_enter_09_members_only_room_lets_only_affiliates_in() {
    let mut t = Table::with(|c| c.members_only = true);
    t.joins(HAG, "thirdwitch")
        .refused(Condition::RegistrationRequired, ErrorType::Auth);
    for affiliation in [Affiliation::Member, Affiliation::Admin, Affiliation::Owner] {
        t.makes(HAG, affiliation);
        t.joins(HAG, "thirdwitch").ok();
        t.leaves(HAG).ok();
    }
}

#[test]
fn muc_enter_10_muc_aff_13_outcasts_and_those_of_a_banned_domain_are_forbidden() {
    let mut t = Table::room();
    t.makes(HAG, Affiliation::Outcast);
    t.makes("scotland.example", Affiliation::Outcast);
    for jid in [HAG, THANE] {
        t.joins(jid, "nick")
            .refused(Condition::Forbidden, ErrorType::Auth);
    }
    t.joins(WITCH, "nick").ok();
    // the bare JID's own entry comes first
    t.makes(THANE, Affiliation::Member);
    t.joins(THANE, "thane").ok();
}

#[test]
fn muc_enter_11_nick_of_another_or_reserved_for_another_is_conflict() {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    t.joins(WITCH, "ThirdWitch")
        .refused(Condition::Conflict, ErrorType::Cancel);
    t.reserve(WITCH, "secondwitch");
    t.joins(THANE, "secondwitch")
        .refused(Condition::Conflict, ErrorType::Cancel);
    t.joins(WITCH, "secondwitch").ok();
}

#[test]
fn muc_enter_12_full_room_waits_but_admins_get_in_up_to_a_reserve() {
    let mut t = Table::with(|c| c.max_users = Some(1));
    t.service.reserve = 1;
    t.joins(HAG, "thirdwitch").ok();
    t.joins(WITCH, "secondwitch")
        .refused(Condition::ServiceUnavailable, ErrorType::Wait);
    t.joins(OWNER, "firstwitch").ok();
    t.makes(THANE, Affiliation::Admin);
    t.joins(THANE, "thane")
        .refused(Condition::ServiceUnavailable, ErrorType::Wait);
}

#[test]
fn muc_enter_13_a_further_session_takes_no_place() {
    let mut t = Table::with(|c| c.max_users = Some(1));
    t.joins(HAG, "thirdwitch").ok();
    t.joins(HAG2, "thirdwitch").ok();
    assert_eq!(t.roster().occupants(), 1);
}

#[test]
fn map_43_people_without_client_take_no_place() {
    let mut t = Table::with(|c| c.max_users = Some(1));
    t.participates(WITCH, "secondwitch").ok();
    t.joins(HAG, "thirdwitch").ok();
    t.participates(THANE, "thane").ok();
    t.is_online(THANE, Show::Available).ok();
    assert_eq!((t.roster().online(), t.roster().occupants()), (2, 3));
}

#[test]
fn muc_enter_15_locked_room_does_not_exist_for_others() {
    let mut t = Table::empty();
    t.joins(OWNER, "firstwitch").ok();
    t.joins(HAG, "thirdwitch")
        .refused(Condition::ItemNotFound, ErrorType::Cancel);
    t.joins("crone1@shakespeare.example/phone", "firstwitch")
        .ok();
}

#[test]
fn muc_enter_17_the_first_of_several_refusals_is_given() {
    let mut t = Table::with(|c| {
        c.members_only = true;
        c.password = Some("secret".into());
        c.max_users = Some(1);
    });
    t.makes(WITCH, Affiliation::Member);
    let knowing = |nick: &str| Join {
        password: Some("secret".into()),
        ..join(nick)
    };
    t.joins_with(WITCH, knowing("secondwitch")).ok();
    t.makes(HAG, Affiliation::Outcast);

    t.joins(HAG, "")
        .refused(Condition::JidMalformed, ErrorType::Modify);
    t.joins(HAG, "secondwitch")
        .refused(Condition::Forbidden, ErrorType::Auth);
    t.makes(HAG, Affiliation::None);
    t.joins(HAG, "secondwitch")
        .refused(Condition::RegistrationRequired, ErrorType::Auth);
    t.makes(HAG, Affiliation::Member);
    t.joins(HAG, "secondwitch")
        .refused(Condition::NotAuthorized, ErrorType::Auth);
    t.joins_with(HAG, knowing("secondwitch"))
        .refused(Condition::Conflict, ErrorType::Cancel);
    t.joins_with(HAG, knowing("thirdwitch"))
        .refused(Condition::ServiceUnavailable, ErrorType::Wait);
}

#[test]
fn muc_enter_17_a_locked_room_hides_bans() {
    let mut t = Table::empty();
    t.joins(OWNER, "firstwitch").ok();
    t.makes(HAG, Affiliation::Outcast);
    t.joins(HAG, "")
        .refused(Condition::JidMalformed, ErrorType::Modify);
    t.joins(HAG, "firstwitch")
        .refused(Condition::ItemNotFound, ErrorType::Cancel);
}

#[test]
fn muc_enter_18_a_refused_join_leaves_no_trace() {
    let mut t = Table::with(|c| c.members_only = true);
    let before = t.parts();
    let refused = t.joins(HAG, "thirdwitch");
    assert!(refused.records.is_empty() && refused.outputs.is_empty());
    assert_eq!(t.parts(), before);
    assert_eq!(t.view(HAG), None);
}

#[test]
fn muc_enter_19_presence_without_join_is_answered_and_enters_nobody() {
    let mut t = Table::room();
    let outcome = t.shows(HAG, "thirdwitch", Show::Available);
    assert_eq!(outcome.output(), &Output::NotJoined);
    assert!(outcome.records.is_empty());
    assert!(!t.is_here(HAG));
}

#[test]
fn muc_enter_20_presence_without_join_creates_no_room() {
    let mut t = Table::empty();
    let outcome = t.shows(HAG, "thirdwitch", Show::Available);
    assert_eq!(outcome.output(), &Output::NotJoined);
    assert!(!t.roster().exists());
}

#[test]
fn muc_enter_21_joining_again_resynchronises_that_session() {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    let again = Join {
        history: HistoryRequest {
            max_stanzas: Some(3),
            ..HistoryRequest::default()
        },
        stanza_id: Some("j2".into()),
        ..join("thirdwitch")
    };
    let history = again.history;
    let outcome = t.joins_with(HAG, again);
    let expected = Output::Sync {
        session: t.session(HAG).no,
        history,
        altered: false,
        stanza_id: Some("j2".into()),
    };
    assert_eq!(outcome.output(), &expected);
}

#[test]
fn muc_enter_22_others_see_a_resync_only_if_the_presence_differs() {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    let same = t.joins(HAG, "thirdwitch");
    assert_eq!(same.story(), ["updated"], "it is here anew: MUC-LEAVE-12");
    let [before, after] = [&same.delta().before, &same.delta().after];
    let shown = |view: &Option<coven_core::PersonView>| view.as_ref().unwrap().shown().unwrap();
    assert!(shown(before).looks_like(&shown(after)));
    let away = Join {
        presence: presence(Show::Away, "stirring"),
        ..join("thirdwitch")
    };
    assert_eq!(t.joins_with(HAG, away).story(), ["updated"]);
}

#[test]
fn muc_enter_23_a_resync_is_not_refused_for_conditions_of_entry() {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    t.sets(|c| {
        c.password = Some("secret".into());
        c.max_users = Some(1);
    });
    t.joins(HAG, "thirdwitch").ok();
}

#[test]
fn muc_enter_24_joining_again_under_another_nick_is_a_nick_change_and_a_resync() {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    let outcome = t.joins(HAG, "oldhag");
    assert_eq!(outcome.story(), ["renamed", "updated"]);
    assert!(matches!(outcome.output(), Output::Sync { .. }));
    assert_eq!(t.nick(HAG), "oldhag");
    t.joins(WITCH, "secondwitch").ok();
    t.joins(HAG, "secondwitch")
        .refused(Condition::Conflict, ErrorType::Cancel);
    assert_eq!(t.nick(HAG), "oldhag");
}

#[test]
fn muc_enter_25_initial_roles() {
    let roles = |moderated, members_only| {
        let mut t = Table::with(|c| c.moderated = moderated);
        t.makes(WITCH, Affiliation::Member);
        t.makes(THANE, Affiliation::Admin);
        t.sets(|c| c.members_only = members_only);
        let mut roles = Vec::new();
        for (jid, nick) in [(WITCH, "b"), (THANE, "c"), (OWNER, "d")] {
            t.joins(jid, nick).ok();
            roles.push(t.seen(jid).role);
        }
        if !members_only {
            t.joins(HAG, "a").ok();
            roles.push(t.seen(HAG).role);
        }
        roles
    };
    let (moderator, voice) = (Role::Moderator, Role::Participant);
    assert_eq!(
        roles(true, false),
        [voice, moderator, moderator, Role::Visitor]
    );
    assert_eq!(roles(false, false), [voice, moderator, moderator, voice]);
    assert_eq!(roles(false, true), [voice, moderator, moderator]);
}

#[test]
fn muc_enter_26_joining_shows_the_stored_affiliation_and_stores_none() {
    let mut t = Table::room();
    t.makes(WITCH, Affiliation::Member);
    t.makes("scotland.example", Affiliation::Member);
    t.joins(WITCH, "secondwitch").ok();
    t.joins(HAG, "thirdwitch").ok();
    t.joins(THANE, "thane").ok();
    assert_eq!(t.seen(WITCH).affiliation(), Affiliation::Member);
    assert_eq!(t.seen(HAG).affiliation(), Affiliation::None);
    assert_eq!(t.seen(THANE).affiliation(), Affiliation::None);
    t.leaves(HAG).ok();
    assert_eq!(t.view(HAG), None);
}

#[test]
fn muc_enter_27_map_23_a_person_already_there_enters_under_its_nick() {
    let mut t = Table::room();
    t.participates(HAG, "thirdwitch").ok();
    let outcome = t.joins(HAG, "oldhag");
    let Event::Joined { person, entry, .. } = outcome.event() else {
        panic!("{outcome:?}");
    };
    assert_eq!(person.nick.as_ref().unwrap().as_str(), "thirdwitch");
    assert!(entry.altered);
}

#[test]
fn muc_enter_28_reserved_nick_need_not_be_used() {
    let mut t = Table::room();
    t.reserve(HAG, "thirdwitch");
    t.joins(HAG, "oldhag").ok();
    assert_eq!(t.nick(HAG), "oldhag");
    t.leaves(HAG).ok();
    assert_eq!(
        t.roster().reserver(&nick("thirdwitch")).unwrap().jid,
        bare(HAG)
    );
}

#[test]
fn muc_err_10_nick_longer_than_configured_is_not_acceptable() {
    let mut t = Table::room();
    t.service.max_nick_bytes = 10;
    t.joins(HAG, "elevenbytes")
        .refused(Condition::NotAcceptable, ErrorType::Modify);
    t.joins(HAG, "tenbytes10").ok();
    t.renames(HAG, "elevenbytes")
        .refused(Condition::NotAcceptable, ErrorType::Modify);
}

#[test]
fn people_and_sessions_beyond_the_bounds_are_resource_constraint() {
    let mut t = Table::room();
    t.service.max_sessions = 1;
    t.service.max_people = 2;
    t.joins(HAG, "thirdwitch").ok();
    let full = |outcome: crate::table::Outcome| {
        outcome.refused(Condition::ResourceConstraint, ErrorType::Wait)
    };
    full(t.joins(HAG2, "thirdwitch"));
    full(t.joins(WITCH, "secondwitch"));
    full(t.participates(WITCH, "secondwitch"));
    full(t.affiliates(OWNER, WITCH, Affiliation::Member));
    t.leaves(HAG).ok();
    t.joins(WITCH, "secondwitch").ok();
}

#[test]
fn a_join_without_resource_is_jid_malformed() {
    let mut t = Table::room();
    let command = Command::Join(Box::new(join("thirdwitch")));
    t.act("hag66@shakespeare.example", command)
        .refused(Condition::JidMalformed, ErrorType::Modify);
}

fn nick(text: &str) -> coven_core::Nick {
    coven_core::Nick::new(text).unwrap()
}
