//! Notifications of the participants node: what is told together, and how it is written (MAP-12, MIX-NODE-19).

use crate::channel::{Mix, all, bare, event, pair, retracted, told};
use crate::common::{HAG, ROOM, Stanzas, WICCA, coven};
use coven_core::people::participation::Node;
use coven_core::presence::listing::{LINGER_MS, TOGETHER_MS};

/// `WICCA` takes part, in a world whose time does not leap.
fn watched(w: Mix) -> Mix {
    let mut w = w.visible();
    w.participates(WICCA, "secondwitch");
    w.leaps = false;
    w
}

/// Time passes, and the timer fires.
fn later(w: &mut Mix, ms: i64) -> Stanzas {
    w.now = w.now.plus_ms(ms);
    w.tick(&coven())
}

fn leave(w: &mut Mix, from: &str, nick: &str) -> Stanzas {
    w.send(&format!(
        "<presence from='{from}' to='{ROOM}/{nick}' type='unavailable'/>"
    ))
}

fn items(of: &[&str]) -> (String, Vec<String>) {
    let node = Node::Participants.name();
    let items = of.iter().map(|item| (*item).to_owned()).collect();
    (format!("items {node}"), items)
}

#[test]
fn map_12_what_happens_within_a_second_is_one_notification() {
    let mut w = watched(pair());
    let crowd: Vec<_> = (0..3).map(|n| format!("witch{n}@x.example/a")).collect();
    for (n, jid) in crowd.iter().enumerate() {
        let out = w.join(jid, &format!("witch{n}"));
        assert!(out.to(bare(WICCA)).messages().is_empty(), "{out:?}");
    }
    assert!(later(&mut w, TOGETHER_MS - 1).is_empty());
    let out = later(&mut w, 1);
    let mut expected: Vec<_> = crowd
        .iter()
        .enumerate()
        .map(|(n, jid)| format!("+{} witch{n} {}", w.id(jid), bare(jid)))
        .collect();
    expected.sort();
    let (_, told_of) = event(out.one());
    assert_eq!((out.one().to(), told_of), (bare(WICCA), expected));
    // covers: MIX-NODE-19
    assert!(out.one().kind().is_empty() && out.one().xml.contains("<no-store "));
}

#[test]
fn map_12_items_and_retracts_are_two_and_what_is_gone_is_first() {
    let mut w = watched(pair());
    w.join(HAG, "thirdwitch");
    later(&mut w, TOGETHER_MS);
    let id = w.id(HAG);
    leave(&mut w, HAG, "thirdwitch");
    w.join("a@x.example/a", "thirdwitch");
    let out = later(&mut w, TOGETHER_MS);
    let new = format!("+{} thirdwitch a@x.example", w.id("a@x.example/a"));
    assert_eq!(
        told(&out, WICCA),
        [retracted(&id).remove(0), items(&[&new])]
    );
}

#[test]
fn map_12_map_77_who_leaves_by_muc_stays_listed_for_a_while() {
    let mut w = watched(pair());
    w.join(HAG, "thirdwitch");
    later(&mut w, TOGETHER_MS);
    let id = w.id(HAG);
    let out = leave(&mut w, HAG, "thirdwitch");
    let mine = out.to(bare(WICCA));
    assert_eq!(mine.one().kind(), "unavailable", "the client, at once");
    assert!(later(&mut w, LINGER_MS).is_empty());
    let read = |w: &mut Mix| w.reads(WICCA, Node::Participants.name(), "");
    assert!(read(&mut w).one().xml.contains(&id));
    let out = later(&mut w, TOGETHER_MS);
    assert_eq!(told(&out, WICCA), retracted(&id));
    assert!(!read(&mut w).one().xml.contains(&id));
}

#[test]
fn mix_join_08_mix_leave_02_what_mix_clients_do_is_told_at_once() {
    for w in all() {
        let mut w = watched(w);
        let out = w.participates(HAG, "thirdwitch");
        let item = format!("+{} thirdwitch {}", w.id(HAG), bare(HAG));
        assert_eq!(told(&out, WICCA), [items(&[&item])]);
        let id = w.id(HAG);
        let out = w.leaves(HAG);
        assert_eq!(told(&out, WICCA), retracted(&id));
        assert!(later(&mut w, TOGETHER_MS).is_empty());
    }
}

#[test]
fn map_12_i9_a_crowd_is_told_in_as_few_stanzas_as_fit() {
    let mut w = watched(pair());
    w.max_stanza = 10_000;
    for n in 0..60 {
        let nick = format!("{}{n}", "w".repeat(240));
        w.join(&format!("witch{n}@x.example/a"), &nick);
    }
    let out = later(&mut w, TOGETHER_MS);
    let told = told(&out, WICCA);
    let count: usize = told.iter().map(|(_, items)| items.len()).sum();
    assert_eq!(count, 60);
    assert!((2..6).contains(&told.len()), "{} stanzas", told.len());
}
