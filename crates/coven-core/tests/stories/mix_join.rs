//! Joining and leaving by MIX, and subscriptions (XEP-0369 §7.1).

use crate::table::{HAG, HAG2, OWNER, THANE, Table, WITCH, bare};
use coven_core::channel::Output;
use coven_core::command::Command;
use coven_core::event::{Cause, Event};
use coven_core::people::participation::{Node, Nodes};
use coven_core::presence::participate::SUBSCRIBABLE;
use coven_core::presence::session::Show;
use coven_core::{Affiliation, Answer, Condition, ErrorType, Nick};

const ACCOUNT: &str = "hag66@shakespeare.example";

fn nodes<const N: usize>(nodes: [Node; N]) -> Nodes {
    nodes.into_iter().collect()
}

fn subscriptions(t: &Table, jid: &str) -> Nodes {
    t.seen(jid).participation.unwrap().nodes
}

#[test]
// covers: MIX-JOIN-02
fn mix_join_01_02_the_bare_jid_joins_from_wherever_it_is_sent() {
    for from in [ACCOUNT, HAG] {
        let mut t = Table::room();
        let outcome = t.participates(from, "thirdwitch");
        assert_eq!(outcome.story(), ["participated"]);
        assert_eq!(t.seen(HAG).person.jid, bare(ACCOUNT));
        assert!(t.seen(HAG).sessions.is_empty());
    }
}

#[test]
// covers: MIX-JOIN-04, MIX-JOIN-06
fn mix_join_03_04_06_only_what_is_asked_for_and_exists_is_subscribed_to() {
    let mut t = Table::room();
    let asked = nodes([Node::Messages, Node::Config, Node::JidMap]);
    let outcome = t.participates_in(ACCOUNT, asked, Some("thirdwitch"));
    let expected = Answer::Participating {
        id: t.seen(HAG).person.id,
        nodes: nodes([Node::Messages]),
        nick: Nick::new("thirdwitch"),
    };
    assert_eq!(*outcome.answer(), expected);
    assert_eq!(subscriptions(&t, HAG), nodes([Node::Messages]));
    // a join to nothing makes a participant too
    t.participates_in(WITCH, Nodes::default(), Some("secondwitch"))
        .ok();
    assert!(t.is_here(WITCH));
    assert!(subscriptions(&t, WITCH).is_empty());
}

#[test]
fn mix_join_07_all_nodes_refused_is_an_error_and_no_join() {
    let mut t = Table::room();
    for asked in [
        Nodes::UNKNOWN,
        nodes([Node::Config]),
        nodes([Node::Allowed]).or(Nodes::UNKNOWN),
    ] {
        t.participates_in(ACCOUNT, asked, Some("thirdwitch"))
            .refused(Condition::ItemNotFound, ErrorType::Cancel);
    }
    assert_eq!(t.view(HAG), None);
    t.participates_in(ACCOUNT, Nodes::UNKNOWN.or(SUBSCRIBABLE), Some("thirdwitch"))
        .ok();
    assert_eq!(subscriptions(&t, HAG), SUBSCRIBABLE);
}

#[test]
// covers: MIX-JOIN-18
fn mix_join_08_18_events_come_before_the_result_and_presence_after_it() {
    let mut t = Table::room();
    let outcome = t.participates(ACCOUNT, "thirdwitch");
    assert_eq!(outcome.records.len(), 1);
    let to = t.seen(HAG).person.no;
    assert!(matches!(
        outcome.outputs[..],
        [Output::Answer(_), Output::PresenceDump { to: dumped }] if dumped == to
    ));
    let outcome = t.participates_in(WITCH, nodes([Node::Messages]), Some("secondwitch"));
    assert_eq!(outcome.outputs.len(), 1, "no presence was asked for");
}

#[test]
fn a_join_is_seen_as_somebody_who_was_not_there_before() {
    let mut t = Table::room();
    let outcome = t.participates(ACCOUNT, "thirdwitch");
    let delta = outcome.delta();
    assert_eq!(delta.before, None);
    assert!(delta.after.as_ref().unwrap().present());
}

#[test]
fn mix_join_10_the_banned_and_those_not_allowed() {
    let mut t = Table::room();
    t.makes(WITCH, Affiliation::Outcast);
    t.makes("scotland.example", Affiliation::Outcast);
    for jid in [WITCH, THANE] {
        t.participates(jid, "nick")
            .refused(Condition::Forbidden, ErrorType::Auth);
    }
    t.sets(|c| c.members_only = true);
    t.participates(HAG, "thirdwitch")
        .refused(Condition::RegistrationRequired, ErrorType::Auth);
    for (muc, one_domain) in [(false, true), (true, false)] {
        (t.service.muc, t.service.one_domain) = (muc, one_domain);
        t.participates(HAG, "thirdwitch")
            .refused(Condition::NotAllowed, ErrorType::Cancel);
    }
    t.makes("shakespeare.example", Affiliation::Member);
    t.participates(HAG, "thirdwitch").ok();
}

#[test]
fn mix_join_11_map_39_owners_admins_and_members_may_always_join() {
    for affiliation in [Affiliation::Member, Affiliation::Admin, Affiliation::Owner] {
        let mut t = Table::with(|c| {
            c.members_only = true;
            c.password = Some("secret".into());
        });
        t.makes(HAG, affiliation);
        t.participates(HAG, "thirdwitch").ok();
    }
}

#[test]
fn map_39_strangers_do_not_pass_a_password_by_mix() {
    let mut t = Table::with(|c| c.password = Some("secret".into()));
    t.participates(HAG, "thirdwitch")
        .refused(Condition::NotAuthorized, ErrorType::Auth);
}

#[test]
fn mix_join_12_a_nick_is_needed_unless_there_is_one() {
    let mut t = Table::room();
    for nick in [None, Some("")] {
        t.participates_in(HAG, SUBSCRIBABLE, nick)
            .refused(Condition::NotAcceptable, ErrorType::Modify);
    }
    t.reserve(HAG, "thirdwitch");
    t.participates_in(HAG, SUBSCRIBABLE, None).ok();
    assert_eq!(t.nick(HAG), "thirdwitch");
    t.joins(WITCH, "secondwitch").ok();
    t.participates_in(WITCH, SUBSCRIBABLE, None).ok();
    assert_eq!(t.nick(WITCH), "secondwitch");
}

#[test]
fn mix_join_13_map_22_a_nick_of_anybody_else_is_conflict() {
    let mut t = Table::room();
    t.joins(WITCH, "secondwitch").ok();
    t.participates(THANE, "thane").ok();
    t.reserve(OWNER, "firstwitch");
    for taken in ["secondwitch", "Thane", "firstwitch"] {
        t.participates(HAG, taken)
            .refused(Condition::Conflict, ErrorType::Cancel);
    }
    assert_eq!(t.view(HAG), None);
}

#[test]
// covers: MIX-PART-06, MIX-PART-07
fn mix_join_14_mix_part_05_06_07_a_second_join_is_an_update() {
    let mut t = Table::room();
    t.participates_in(HAG, nodes([Node::Messages]), Some("thirdwitch"))
        .ok();
    let before = t.seen(HAG);
    let outcome = t.participates_in(HAG, nodes([Node::Info]), Some("oldhag"));
    assert_eq!(outcome.story(), ["renamed", "participated"]);
    let after = t.seen(HAG);
    assert_eq!(after.person.id, before.person.id);
    assert_eq!(subscriptions(&t, HAG), nodes([Node::Messages, Node::Info]));
    assert_eq!(
        after.participation.unwrap().since,
        before.participation.unwrap().since
    );
    assert_eq!(t.roster().participants(), 1);
    // the same again changes nothing, and is answered
    let outcome = t.participates_in(HAG, nodes([Node::Info]), None);
    assert!(outcome.events().is_empty());
    assert!(matches!(outcome.answer(), Answer::Participating { .. }));
}

#[test]
fn mix_join_19_no_channel_is_item_not_found() {
    let mut t = Table::empty();
    t.participates(HAG, "thirdwitch")
        .refused(Condition::ItemNotFound, ErrorType::Cancel);
    t.sets_nick(HAG, "thirdwitch")
        .refused(Condition::ItemNotFound, ErrorType::Cancel);
}

#[test]
fn mix_leave_01_a_leave_ends_participation_subscriptions_and_presence() {
    let mut t = Table::room();
    t.participates(HAG, "thirdwitch").ok();
    for client in [HAG, HAG2] {
        t.is_online(client, Show::Available).ok();
    }
    let outcome = t.departs(ACCOUNT);
    let Event::Departed { cause, .. } = outcome.event() else {
        panic!("{outcome:?}");
    };
    assert_eq!(*cause, Cause::Left);
    assert_eq!(*outcome.answer(), Answer::Departed);
    assert_eq!(
        outcome
            .delta()
            .before
            .as_ref()
            .unwrap()
            .mix_sessions()
            .count(),
        2
    );
    assert_eq!(outcome.delta().after, None);
    assert_eq!(t.roster().subscribers(Node::Messages).count(), 0);
    assert_eq!(t.roster().sessions().len(), 0);
}

#[test]
fn mix_leave_04_mix_part_06_muc_occid_04_the_id_is_the_same_for_ever() {
    let mut t = Table::room();
    t.participates(HAG, "thirdwitch").ok();
    let id = t.seen(HAG).person.id;
    t.departs(HAG).ok();
    assert_eq!(t.view(HAG), None);
    t.joins(WITCH, "secondwitch").ok();
    assert_ne!(t.seen(WITCH).person.id, id);
    t.joins(HAG2, "thirdwitch").ok();
    assert_eq!(t.seen(HAG).person.id, id);
}

#[test]
fn mix_leave_05_leaving_succeeds_for_anybody_anywhere() {
    for mut t in [Table::room(), Table::empty()] {
        for jid in [HAG, ACCOUNT] {
            let outcome = t.departs(jid);
            assert!(outcome.events().is_empty());
            assert_eq!(*outcome.answer(), Answer::Departed);
        }
    }
}

#[test]
fn who_is_removed_is_still_known_to_what_is_told_about_it() {
    let mut t = Table::room();
    t.participates(HAG, "thirdwitch").ok();
    let outcome = t.affiliates(OWNER, HAG, Affiliation::Outcast);
    let before = outcome.delta().before.clone().unwrap();
    assert!(before.participation.unwrap().nodes.has(Node::Participants));
}

#[test]
// covers: MIX-SUB-02
fn mix_sub_01_02_subscriptions_change_as_asked_and_the_result_says_what_took_effect() {
    let mut t = Table::room();
    t.participates_in(HAG, nodes([Node::Messages, Node::Info]), Some("thirdwitch"))
        .ok();
    let command = Command::Subscribe {
        add: nodes([Node::Participants, Node::Config]),
        remove: nodes([Node::Info, Node::Presence]),
    };
    let outcome = t.act(HAG2, command.clone());
    let expected = Answer::Subscribed {
        added: nodes([Node::Participants]),
        removed: nodes([Node::Info]),
    };
    assert_eq!(*outcome.answer(), expected);
    assert_eq!(
        subscriptions(&t, HAG),
        nodes([Node::Messages, Node::Participants])
    );
    assert!(t.act(HAG, command).events().is_empty(), "the second time");
    let listed: Vec<_> = t.roster().subscribers(Node::Participants).collect();
    assert_eq!(listed.len(), 1);
    assert_eq!(t.roster().subscribers(Node::Info).count(), 0);
}

#[test]
fn mix_sub_03_a_later_subscription_to_presence_gets_all_of_it_once() {
    let mut t = Table::room();
    t.participates_in(HAG, Nodes::default(), Some("thirdwitch"))
        .ok();
    let command = Command::Subscribe {
        add: nodes([Node::Presence]),
        remove: Nodes::default(),
    };
    let dumps = |outcome: &crate::table::Outcome| {
        let is_dump = |o: &&Output| matches!(o, Output::PresenceDump { .. });
        outcome.outputs.iter().filter(is_dump).count()
    };
    assert_eq!(dumps(&t.act(HAG, command.clone())), 1);
    assert_eq!(dumps(&t.act(HAG, command)), 0);
}

#[test]
fn mix_sub_04_others_than_participants_are_not_allowed() {
    let mut t = Table::room();
    t.joins(WITCH, "secondwitch").ok();
    for jid in [HAG, WITCH] {
        let command = Command::Subscribe {
            add: nodes([Node::Participants]),
            remove: Nodes::default(),
        };
        t.act(jid, command)
            .refused(Condition::NotAllowed, ErrorType::Cancel);
    }
}

#[test]
fn mix_part_08_a_nick_change_is_no_leave_and_join() {
    let mut t = Table::room();
    t.participates(HAG, "thirdwitch").ok();
    let outcome = t.sets_nick(HAG, "oldhag");
    let delta = outcome.delta();
    assert!(delta.before.as_ref().unwrap().present() && delta.after.as_ref().unwrap().present());
}

#[test]
fn mix_part_09_a_participant_without_client_stays() {
    let mut t = Table::room();
    t.participates(HAG, "thirdwitch").ok();
    t.is_online(HAG, Show::Available).ok();
    t.is_offline(HAG).ok();
    t.passes(365 * 86_400_000);
    assert!(t.is_here(HAG));
    assert!(Table::from_snapshot(&t).is_here(HAG));
}
