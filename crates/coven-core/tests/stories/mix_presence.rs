//! Presence of MIX clients (XEP-0403, XEP-0405 §2.9; MAP-11, MAP-72..78).

use crate::table::acts::presence;
use crate::table::{HAG, HAG2, OWNER, Table, WITCH, full};
use coven_core::Answer;
use coven_core::channel::Output;
use coven_core::command::{Command, View};
use coven_core::people::participation::{Node, Nodes};
use coven_core::presence::session::Show;
use coven_core::roster::Shown;

const ACCOUNT: &str = "hag66@shakespeare.example";

fn joined() -> Table {
    let mut t = Table::room();
    t.participates(HAG, "thirdwitch").ok();
    t
}

#[test]
fn mix_pres_01_a_clients_presence_is_kept_and_replaced() {
    let mut t = joined();
    let outcome = t.is_online(HAG, Show::Away);
    assert_eq!(outcome.story(), ["online"]);
    assert_eq!(outcome.delta().session.as_ref().unwrap().jid.as_str(), HAG);
    assert_eq!(t.is_online(HAG, Show::Dnd).story(), ["updated"]);
    assert_eq!(t.seen(HAG).sessions.len(), 1);
    let same = t.is_online(HAG, Show::Dnd);
    assert_eq!(same.story(), ["updated"], "it is here anew: MUC-LEAVE-12");
    assert_eq!(t.seen(HAG).sessions.len(), 1);
}

#[test]
fn mix_pres_13_each_client_has_its_own_under_one_nick_and_id() {
    let mut t = joined();
    for (client, show) in [(HAG, Show::Away), (HAG2, Show::Chat)] {
        t.is_online(client, show).ok();
    }
    let view = t.seen(HAG);
    let shows: Vec<_> = view.mix_sessions().map(|s| s.presence.show).collect();
    assert_eq!(shows, [Show::Away, Show::Chat]);
    assert_eq!(t.roster().occupants(), 1);
}

#[test]
fn mix_pres_05_map_73_offline_ends_the_presence_and_not_the_participation() {
    let mut t = joined();
    t.is_online(HAG, Show::Available).ok();
    let outcome = t.is_offline(HAG);
    assert_eq!(outcome.story(), ["left"]);
    let after = outcome.delta().after.clone().unwrap();
    assert!(after.present());
    assert_eq!(after.shown().unwrap().show(), Show::Xa);
}

#[test]
fn mix_pres_06_mix_pamc_06_a_bare_jid_asks_for_all_presence() {
    let mut t = joined();
    let outcome = t.is_online(ACCOUNT, Show::Available);
    assert!(outcome.records.is_empty());
    let to = t.seen(HAG).person.no;
    assert_eq!(*outcome.output(), Output::PresenceDump { to });
    assert!(t.seen(HAG).sessions.is_empty());
    // only subscribers of the presence node
    let remove = Nodes::default().with(Node::Presence);
    let add = Nodes::default();
    t.act(HAG, Command::Subscribe { add, remove }).ok();
    t.is_online(ACCOUNT, Show::Available).silent();
    t.is_online("wiccarocks@shakespeare.example", Show::Available)
        .silent();
}

#[test]
fn mix_pres_07_presence_of_strangers_is_ignored() {
    let mut t = joined();
    t.is_online(WITCH, Show::Available).silent();
    let command = Command::Update {
        nick: None,
        presence: presence(Show::Available, ""),
    };
    t.act(WITCH, command).silent();
    t.is_offline(WITCH).silent();
    Table::empty().is_online(WITCH, Show::Available).silent();
}

#[test]
fn mix_pres_11_participants_may_subscribe_to_presence() {
    let mut t = joined();
    t.joins(WITCH, "secondwitch").ok();
    let mut subscribes = |jid: &str| {
        let outcome = t.act(jid, Command::PresenceSubscription { wanted: true });
        assert!(outcome.events().is_empty());
        outcome.answer().clone()
    };
    assert_eq!(subscribes(ACCOUNT), Answer::PresenceSubscription(true));
    assert_eq!(
        subscribes("wiccarocks@shakespeare.example"),
        Answer::PresenceSubscription(false)
    );
    assert_eq!(
        subscribes("stranger@x.example"),
        Answer::PresenceSubscription(false)
    );
}

#[test]
fn mix_pres_12_without_subscription_presence_ends_but_not_participation() {
    let mut t = joined();
    t.is_online(HAG, Show::Available).ok();
    t.is_online(HAG2, Show::Available).ok();
    t.joins("hag66@shakespeare.example/muc", "thirdwitch").ok();
    let outcome = t.act(ACCOUNT, Command::PresenceSubscription { wanted: false });
    assert_eq!(outcome.story(), ["left", "left"]);
    let view = t.seen(HAG);
    assert!(view.participation.is_some());
    assert_eq!(view.sessions.len(), 1);
    t.act(
        "stranger@x.example",
        Command::PresenceSubscription { wanted: false },
    )
    .silent();
}

#[test]
fn map_11_map_52_participants_without_client_are_occupants() {
    let mut t = joined();
    assert_eq!(t.seen(HAG).shown(), Some(Shown::Absent { xa: true }));
    t.is_online(HAG, Show::Chat).ok();
    assert_eq!(t.seen(HAG).shown().unwrap().show(), Show::Chat);
    t.participates_in(
        WITCH,
        Nodes::default().with(Node::Messages),
        Some("secondwitch"),
    )
    .ok();
    assert_eq!(
        t.seen(WITCH).shown().unwrap().show(),
        Show::Available,
        "shares no presence"
    );
    assert_eq!(t.roster().occupants(), 2);
}

#[test]
fn map_12_map_75_muc_occupants_are_participants_while_they_are_here() {
    let mut t = joined();
    let outcome = t.joins(WITCH, "secondwitch");
    let after = outcome.delta().after.clone().unwrap();
    assert!(after.present() && after.participation.is_none());
    assert_eq!(t.roster().present().count(), 2);
    assert_eq!(t.roster().participants(), 1);
    let outcome = t.leaves(WITCH);
    assert!(outcome.delta().before.as_ref().unwrap().present());
    assert_eq!(outcome.delta().after, None);
}

#[test]
fn map_76_a_muc_session_is_a_presence_of_its_own_to_mix() {
    let mut t = joined();
    t.is_online(HAG, Show::Available).ok();
    let outcome = t.joins(HAG2, "thirdwitch");
    let session = outcome.delta().session.clone().unwrap();
    assert_eq!((session.view, session.jid.as_str()), (View::Muc, HAG2));
    assert_eq!(outcome.delta().after.as_ref().unwrap().sessions.len(), 2);
}

#[test]
fn map_77_the_last_muc_session_of_a_participant_leaves_an_absent_occupant() {
    let mut t = joined();
    t.joins(HAG, "thirdwitch").ok();
    let outcome = t.leaves(HAG);
    let after = outcome.delta().after.clone().unwrap();
    assert_eq!(after.shown(), Some(Shown::Absent { xa: true }));
}

#[test]
fn map_45_i6_sessions_and_presence_outlive_a_reload() {
    let mut t = joined();
    t.is_online(HAG, Show::Away).ok();
    t.joins(WITCH, "secondwitch").ok();
    let again = Table::from_snapshot(&t);
    assert_eq!(again.seen(HAG), t.seen(HAG));
    assert_eq!(again.session(WITCH), t.session(WITCH));
}

#[test]
fn bounds_on_clients_of_a_participant_hold() {
    let mut t = joined();
    t.service.max_sessions = 1;
    t.is_online(HAG, Show::Available).ok();
    t.is_online(HAG2, Show::Available).refused(
        coven_core::Condition::ResourceConstraint,
        coven_core::ErrorType::Wait,
    );
}

#[test]
fn map_02_where_the_views_have_domains_of_their_own_bare_presence_is_not_of_the_other() {
    let mut t = joined();
    t.joins(WITCH, "secondwitch").ok();
    t.service.one_domain = false;
    assert!(t.is_online(WITCH, Show::Away).story().is_empty());
    assert!(t.is_offline(WITCH).story().is_empty());
    let update = Command::Update {
        nick: None,
        presence: presence(Show::Away, ""),
    };
    assert_eq!(t.act(WITCH, update.clone()).story(), ["updated"]);
    assert!(t.act(HAG, update).story().is_empty());
}

#[test]
fn mix_anon_08_map_51_generated_resources_last_with_the_session_and_differ_by_channel() {
    let channel = |draws: usize| {
        let mut t = Table::empty();
        (0..draws).for_each(|_| drop(t.facts()));
        t.act(OWNER, Command::Create).ok();
        t.participates(HAG, "thirdwitch").ok();
        t.is_online(HAG, Show::Available).ok();
        t
    };
    let of = |t: &Table, jid: &str| {
        let no = t.roster().session_of(View::Mix, &full(jid)).unwrap().no;
        (no, t.roster().generated_resource(no))
    };
    let mut t = channel(0);
    let (no, shown) = of(&t, HAG);
    assert!(shown.len() == 16 && shown.bytes().all(|b| b.is_ascii_hexdigit()));
    t.is_online(HAG, Show::Away).ok();
    t.is_online(HAG2, Show::Away).ok();
    assert_eq!(of(&t, HAG).1, shown);
    assert_ne!(of(&t, HAG2).1, shown);
    assert_eq!(t.reloaded().roster().generated_resource(no), shown);
    let other = channel(1);
    assert_eq!(of(&other, HAG).0, no);
    assert_ne!(of(&other, HAG).1, shown);
    t.is_offline(HAG).ok();
    t.is_online(HAG, Show::Available).ok();
    assert_ne!(of(&t, HAG).1, shown, "the next time another one");
}
