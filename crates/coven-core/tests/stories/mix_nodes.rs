//! Reading nodes (XEP-0369 §4.7, §6; XEP-0060 §6.5).

use crate::table::{HAG, OWNER, START, THANE, Table, WITCH, sender};
use coven_core::command::{Command, View};
use coven_core::people::participation::{Node, Nodes};
use coven_core::people::visibility::Visibility;
use coven_core::presence::participate::SUBSCRIBABLE;
use coven_core::query::{DirectoryPage, NodeItems, PAGE, ParticipantItem};
use coven_core::{Affiliation, Answer, Condition, ErrorType, Query, Refusal, Timestamp};
use smol_str::{SmolStr, format_smolstr};

fn read(t: &Table, jid: &str, node: Node) -> Result<NodeItems, Refusal> {
    read_some(t, jid, node, &[], 0, None)
}

fn read_some(
    t: &Table,
    jid: &str,
    node: Node,
    ids: &[SmolStr],
    max_items: u32,
    after: Option<SmolStr>,
) -> Result<NodeItems, Refusal> {
    let query = Query::NodeItems {
        node,
        ids: ids.to_vec(),
        max_items,
        page: after.map(|after| DirectoryPage {
            after: Some(after),
            ..DirectoryPage::default()
        }),
    };
    match t.asks(jid, query)? {
        Answer::Items(items) => Ok(items),
        answer => panic!("{answer:?}"),
    }
}

fn participants(items: &NodeItems) -> (&[ParticipantItem], usize, usize, bool) {
    match items {
        NodeItems::Participants {
            items,
            count,
            index,
            complete,
        } => (items, *count, *index, *complete),
        other => panic!("{other:?}"),
    }
}

fn names(items: &NodeItems) -> Vec<String> {
    let (items, ..) = participants(items);
    items
        .iter()
        .map(|i| i.person.shown_nick().into_owned())
        .collect()
}

fn here() -> Table {
    let mut t = Table::room();
    t.participates(HAG, "thirdwitch").ok();
    t.joins(WITCH, "secondwitch").ok();
    t
}

#[test]
// covers: MIX-PART-07
fn mix_node_01_mix_part_01_07_map_12_one_item_per_person_of_either_view() {
    let mut t = here();
    t.joins(HAG, "thirdwitch").ok();
    t.makes("absent@x.example", Affiliation::Member);
    let items = read(&t, HAG, Node::Participants).unwrap();
    assert_eq!(names(&items), ["thirdwitch", "secondwitch"]);
    t.leaves(WITCH).ok();
    let items = read(&t, HAG, Node::Participants).unwrap();
    assert_eq!(names(&items), ["thirdwitch"]);
}

#[test]
fn mix_node_02_messages_hold_nothing_to_be_read() {
    let refusal = read(&here(), HAG, Node::Messages).unwrap_err();
    assert_eq!(
        (refusal.condition, refusal.kind),
        (Condition::FeatureNotImplemented, ErrorType::Cancel)
    );
    let specific = refusal.specific.unwrap();
    assert_eq!(specific.name, "unsupported");
    assert_eq!(specific.attribute, Some(("feature", "persistent-items")));
}

#[test]
fn mix_node_03_info_has_one_item_of_the_time_of_its_change() {
    let mut t = here();
    let time = |t: &Table| match read(t, THANE, Node::Info).unwrap() {
        NodeItems::Info(time, config, _) => {
            assert_eq!(config, *t.roster().config());
            time
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(time(&t), START);
    t.passes(5_000);
    t.sets(|c| c.name = "A Dark Cave".into());
    t.says(HAG, "x").ok();
    assert_eq!(time(&t), Timestamp(START.0 + 5_000));
}

#[test]
fn mix_node_04_presence_is_not_readable() {
    let refusal = read(&here(), HAG, Node::Presence).unwrap_err();
    assert_eq!(
        (refusal.condition, refusal.kind),
        (Condition::Forbidden, ErrorType::Auth)
    );
}

#[test]
fn mix_node_09_selected_newest_and_paged_in_a_stable_order() {
    let mut t = Table::room();
    for i in 0..PAGE + 2 {
        t.participates(&format!("p{i}@x.example"), &format!("nick{i}"))
            .ok();
    }
    let all = read(&t, "p0@x.example", Node::Participants).unwrap();
    let (page, count, index, complete) = participants(&all);
    assert_eq!(
        (page.len(), count, index, complete),
        (PAGE, PAGE + 2, 0, false)
    );
    let last = format_smolstr!("{}", page.last().unwrap().person.id);
    let rest = read_some(&t, "p0@x.example", Node::Participants, &[], 0, Some(last)).unwrap();
    assert_eq!(
        names(&rest),
        [format!("nick{PAGE}"), format!("nick{}", PAGE + 1)]
    );
    let (_, count, index, complete) = participants(&rest);
    assert_eq!((count, index, complete), (PAGE + 2, PAGE, true));

    let newest = read_some(&t, "p0@x.example", Node::Participants, &[], 1, None).unwrap();
    assert_eq!(names(&newest), [format!("nick{}", PAGE + 1)]);
    let id = format_smolstr!("{}", t.seen("p7@x.example").person.id);
    let ids = [id, "none".into()];
    let one = read_some(&t, "p0@x.example", Node::Participants, &ids, 0, None).unwrap();
    assert_eq!(names(&one), ["nick7"]);
    let unknown = read_some(
        &t,
        "p0@x.example",
        Node::Participants,
        &[],
        0,
        Some("x".into()),
    );
    assert_eq!(unknown.unwrap_err().condition, Condition::ItemNotFound);
}

#[test]
fn mix_node_09_pages_of_items_forwards_and_backwards() {
    let mut t = Table::room();
    for i in 0..5 {
        t.participates(&format!("p{i}@x.example"), &format!("nick{i}"))
            .ok();
    }
    let id = |i: usize| format_smolstr!("{}", t.seen(&format!("p{i}@x.example")).person.id);
    let page = |after: Option<usize>, before: Option<Option<usize>>, max| {
        let page = DirectoryPage {
            after: after.map(id),
            before: before.map(|before| before.map(id)),
            max: Some(max),
        };
        let query = Query::NodeItems {
            node: Node::Participants,
            ids: Vec::new(),
            max_items: 0,
            page: Some(page),
        };
        let Answer::Items(items) = t.asks("p0@x.example", query).unwrap() else {
            panic!("no items");
        };
        let (_, count, index, complete) = participants(&items);
        assert_eq!(count, 5);
        (names(&items).join(" "), index, complete)
    };
    assert_eq!(page(None, None, 2), ("nick0 nick1".into(), 0, false));
    assert_eq!(
        page(Some(1), None, 9),
        ("nick2 nick3 nick4".into(), 2, true)
    );
    assert_eq!(page(None, Some(None), 2), ("nick3 nick4".into(), 3, true));
    assert_eq!(
        page(None, Some(Some(3)), 2),
        ("nick1 nick2".into(), 1, false)
    );
    assert_eq!(page(Some(0), Some(Some(2)), 9), ("nick1".into(), 1, false));
    assert_eq!(page(Some(4), Some(Some(1)), 9).0, "");
    assert_eq!(page(None, None, 0), (String::new(), 0, false));
}

#[test]
fn map_28_mix_node_03_the_info_item_has_the_subject_and_changes_with_it() {
    let mut t = here();
    t.makes(HAG, Affiliation::Admin);
    t.passes(1_000);
    t.posts(HAG, crate::table::acts::topic("Fire Burn")).ok();
    let info = |t: &Table, jid: &str| match read(t, jid, Node::Info).unwrap() {
        NodeItems::Info(time, _, subject) => (time, subject.is_some()),
        other => panic!("{other:?}"),
    };
    assert_eq!(info(&t, THANE), (Timestamp(START.0 + 1_000), true));
    t.sets(|c| c.password = Some("secret".into()));
    assert!(!info(&t, THANE).1 && info(&t, HAG).1);
}

#[test]
// covers: MIX-NODE-11
fn mix_node_10_11_who_may_read_participants() {
    let mut t = here();
    t.makes("admin@x.example", Affiliation::Admin);
    for jid in [HAG, WITCH, OWNER, "admin@x.example"] {
        read(&t, jid, Node::Participants).unwrap();
    }
    t.makes("member@x.example", Affiliation::Member);
    for jid in [THANE, "member@x.example"] {
        let refusal = read(&t, jid, Node::Participants).unwrap_err();
        assert_eq!(
            (refusal.condition, refusal.kind),
            (Condition::NotAllowed, ErrorType::Cancel)
        );
        assert_eq!(refusal.specific.unwrap().name, "closed-node");
    }
    t.makes(THANE, Affiliation::Outcast);
    for node in [Node::Info, Node::Participants, Node::Messages] {
        let refusal = read(&t, THANE, node).unwrap_err();
        assert_eq!(
            (refusal.condition, refusal.kind),
            (Condition::Forbidden, ErrorType::Auth)
        );
    }
    for node in [Node::Allowed, Node::Config, Node::AvatarData] {
        let refusal = read(&t, HAG, node).unwrap_err();
        assert_eq!(
            (refusal.condition, refusal.kind),
            (Condition::ItemNotFound, ErrorType::Cancel)
        );
    }
}

#[test]
// covers: MAP-48
fn mix_part_01_map_47_48_real_jids_are_for_those_entitled() {
    let mut t = here();
    let visible = |t: &Table, jid: &str| {
        let items = read(t, jid, Node::Participants).unwrap();
        let (items, ..) = participants(&items);
        items.iter().all(|item| item.jid_visible)
    };
    assert!(!visible(&t, HAG));
    assert!(visible(&t, OWNER));
    t.joins(OWNER, "firstwitch").ok();
    t.gives(OWNER, "secondwitch", coven_core::Role::Moderator)
        .ok();
    assert!(
        !visible(&t, WITCH),
        "a moderator by role sees them in MUC only"
    );
    t.sets(|c| c.visibility = Visibility::Visible);
    assert!(visible(&t, HAG));
}

#[test]
fn mix_node_14_own_subscriptions_and_affiliations() {
    let t = here();
    let own = |jid| match t.asks(jid, Query::OwnSubscriptions).unwrap() {
        Answer::Own {
            participation,
            affiliation,
            readable,
        } => (participation.map(|p| p.nodes), affiliation, readable),
        answer => panic!("{answer:?}"),
    };
    let info = Nodes::default().with(Node::Info);
    let people = info.with(Node::Participants);
    assert_eq!(
        own(HAG),
        (Some(SUBSCRIBABLE), Affiliation::None, SUBSCRIBABLE)
    );
    assert_eq!(own(WITCH), (None, Affiliation::None, people));
    assert_eq!(own(OWNER), (None, Affiliation::Owner, people));
    assert_eq!(own(THANE), (None, Affiliation::None, info));
}

#[test]
// covers: MIX-DSC-07
fn mix_dsc_06_07_mix_err_03_what_strangers_learn_of_a_channel() {
    let mut t = here();
    let conditions = |t: &Table, jid: &str| {
        let (view, ids, page) = (View::Mix, Vec::new(), None);
        let node = Node::Info;
        [
            Query::Info { view },
            Query::Items { view },
            Query::NodeItems {
                node,
                ids,
                max_items: 0,
                page,
            },
            Query::OwnSubscriptions,
        ]
        .map(|query| t.asks(jid, query).err().map(|r| r.condition))
    };
    assert_eq!(conditions(&t, THANE), [None; 4]);
    t.sets(|c| c.members_only = true);
    let forbidden = Some(Condition::Forbidden);
    assert_eq!(conditions(&t, THANE), [forbidden, forbidden, None, None]);
    t.sets(|c| c.public = false);
    assert_eq!(conditions(&t, THANE), [Some(Condition::ItemNotFound); 4]);
    assert_eq!(conditions(&t, HAG), [None; 4]);
    let Answer::Nodes(nodes) = t.asks(HAG, Query::Items { view: View::Mix }).unwrap() else {
        panic!("no nodes");
    };
    assert_eq!(nodes, SUBSCRIBABLE);
    assert_eq!(
        conditions(&Table::empty(), HAG),
        [Some(Condition::ItemNotFound); 4]
    );
}

/// A message to the channel.
fn post() -> Command {
    Command::Post(Box::new(crate::table::acts::post("x")))
}

#[test]
fn mix_err_03_no_request_tells_a_stranger_of_a_hidden_channel() {
    let asked = || {
        [
            post(),
            Command::Participate {
                nodes: SUBSCRIBABLE,
                nick: Some("nobody".into()),
            },
            Command::Subscribe {
                add: SUBSCRIBABLE,
                remove: Nodes::default(),
            },
            Command::SetNick { nick: None },
            Command::Destroy(coven_core::command::End {
                alternate: None,
                reason: None,
                password: None,
            }),
            Command::Depart,
        ]
    };
    let (mut hidden, mut nowhere) = (here(), Table::empty());
    hidden.sets(|c| (c.members_only, c.public) = (true, false));
    for table in [&mut hidden, &mut nowhere] {
        table.service.muc = false;
    }
    for (there, not) in asked().into_iter().zip(asked()) {
        let facts = hidden.facts();
        let there_ = hidden.channel.decide(&sender(THANE), &there, &facts);
        let not_ = nowhere.channel.decide(&sender(THANE), &not, &facts);
        assert_eq!(there_.err(), not_.err(), "{there:?}");
    }
    let view = View::Mix;
    for query in [Query::Ping { relay: None }, Query::ArchiveBounds { view }] {
        let there = hidden.asks(THANE, query.clone()).map(|_| ());
        assert_eq!(there, nowhere.asks(THANE, query).map(|_| ()));
    }
    let told = hidden.act(HAG, Command::SetNick { nick: None });
    told.refused(Condition::NotAcceptable, ErrorType::Modify);
}
