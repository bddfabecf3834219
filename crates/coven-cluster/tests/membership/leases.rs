//! What front-ends plan to take and to give up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use coven_cluster::leases::{Attach, Connection, Elections, Limits, Step, Unreached, View};
use coven_cluster::rendezvous::{Candidate, Thing, ranking};
use coven_cluster::{LeaseNumber, Moment, ProcessId};
use coven_store::registry::{Role, Sight};
use coven_store::{ConnectionId, SessionId};
use proptest::prelude::*;

use super::world::{at, fronts, lease, nobody, seen, way};

/// A front-end, with what its agent knows.
struct Front {
    elections: Elections,
    session: SessionId,
    held: BTreeMap<ConnectionId, LeaseNumber>,
    linked: BTreeSet<ProcessId>,
    draining: bool,
}

impl Front {
    fn new(me: u128) -> Self {
        Self {
            elections: Elections::new(ProcessId(me), Limits::default()),
            session: SessionId(me),
            held: BTreeMap::new(),
            linked: BTreeSet::new(),
            draining: false,
        }
    }

    fn holding(me: u128, name: &str, number: u64) -> Self {
        let mut front = Self::new(me);
        front.held.insert(id(name), LeaseNumber(number));
        front
    }

    fn plan(&mut self, now: Moment, sight: &Sight, connections: &[Connection]) -> Vec<Step> {
        let busy = BTreeSet::new();
        self.elections.plan(
            connections,
            View {
                now,
                sight,
                session: self.session,
                held: &self.held,
                busy: &busy,
                linked: &self.linked,
                draining: self.draining,
            },
        )
    }
}

fn id(name: &str) -> ConnectionId {
    ConnectionId(name.into())
}

fn connection(name: &str, attach: Attach) -> Connection {
    Connection {
        id: id(name),
        way: way(),
        attach,
    }
}

fn standby() -> Vec<Connection> {
    vec![connection("c1", Attach::Standby)]
}

fn spread(count: usize) -> Vec<Connection> {
    (0..count)
        .map(|number| connection(&format!("c{number}"), Attach::Spread))
        .collect()
}

/// The names of the connections that are to be taken, with the holder judged dead.
fn taken(steps: &[Step]) -> Vec<(&str, Option<u128>)> {
    let each = steps.iter().filter_map(|step| match step {
        Step::Take(take) => Some((take.connection.0.as_str(), take.judged_dead.map(|it| it.0))),
        _ => None,
    });
    each.collect()
}

/// The first choice for a free connection of two front-ends, and the other.
fn ranked(name: &str) -> (u128, u128) {
    let both = [1, 2].map(|process| Candidate {
        process: ProcessId(process),
        weight: 1,
    });
    let ranks = ranking(Thing::name(name), &both);
    (ranks[0].0, ranks[1].0)
}

#[test]
fn a_free_connection_is_taken_by_the_first_and_later_by_the_next() {
    let sight = fronts(&[1, 2]);
    let (first, second) = ranked("c1");
    let steps = Front::new(first).plan(at(0.0), &sight, &standby());
    assert_eq!(taken(&steps), [("c1", None)]);
    let mut other = Front::new(second);
    assert_eq!(other.plan(at(0.0), &sight, &standby()), []);
    assert_eq!(other.plan(at(0.9), &sight, &standby()), []);
    let steps = other.plan(at(1.0), &sight, &standby());
    assert_eq!(taken(&steps), [("c1", None)]);
}

#[test]
fn with_standby_the_holder_keeps_it_whoever_is_preferred() {
    let (first, second) = ranked("c1");
    let mut sight = fronts(&[1, 2]);
    sight.leases.push(lease("c1", Some(second), 10));
    let mut holder = Front::holding(second, "c1", 10);
    assert_eq!(holder.plan(at(100.0), &sight, &standby()), []);
    assert_eq!(Front::new(first).plan(at(100.0), &sight, &standby()), []);
}

#[test]
fn a_living_holder_is_not_replaced_and_a_dead_one_is() {
    let (first, second) = ranked("c1");
    let mut sight = fronts(&[first]);
    sight.leases.push(lease("c1", Some(second), 10));
    let mut front = Front::new(first);
    let steps = front.plan(at(0.0), &sight, &standby());
    assert_eq!(taken(&steps), [("c1", Some(second))]);
    let Step::Take(take) = &steps[0] else {
        panic!("{steps:?}")
    };
    assert_eq!(
        (take.known, take.session),
        (LeaseNumber(10), SessionId(first))
    );
    sight.sessions.push(seen(second, Role::Front));
    assert_eq!(Front::new(first).plan(at(9.0), &sight, &standby()), []);
}

/// After a fail-over of the store no session is there. Each holder has a full TTL to come back.
#[test]
fn il_29_no_lease_is_taken_before_a_full_ttl_of_watching() {
    let mut sight = fronts(&[1]);
    sight.leases.push(lease("c1", Some(2), 10));
    sight.unbroken = Duration::from_millis(5999);
    let mut front = Front::new(1);
    assert_eq!(front.plan(at(0.0), &sight, &standby()), []);
    sight.unbroken = Duration::from_secs(6);
    let steps = front.plan(at(0.0), &sight, &standby());
    assert_eq!(taken(&steps), [("c1", Some(2))]);
}

/// The holder comes back under another session: it names its own as dead, and goes on under a new number.
#[test]
fn il_29_a_holder_takes_its_own_again() {
    let mut sight = fronts(&[1, 2]);
    sight.leases.push(lease("c1", Some(2), 10));
    let mut front = Front::holding(2, "c1", 10);
    assert_eq!(front.plan(at(0.0), &sight, &standby()), []);
    sight.sessions[1].session = SessionId(22);
    front.session = SessionId(22);
    sight.unbroken = Duration::ZERO;
    let steps = front.plan(at(1.0), &sight, &standby());
    assert_eq!(taken(&steps), [("c1", Some(2))]);
}

/// The front-end is cut from the store alone: its links live, its session is over. Nobody waits for the cut to heal.
#[test]
fn il_15_a_holder_cut_from_the_store_is_replaced_although_its_links_live() {
    let mut sight = fronts(&[1]);
    sight.leases.push(lease("c1", Some(2), 10));
    let mut front = Front::new(1);
    front.linked.insert(ProcessId(9));
    let steps = front.plan(at(0.0), &sight, &standby());
    assert_eq!(taken(&steps), [("c1", Some(2))]);
}

/// Redis lost that B has taken the connection: the record is A's, who was judged dead. B goes on, above its own number.
#[test]
fn il_11_a_lease_that_the_store_lost_is_taken_again() {
    let mut sight = fronts(&[1, 2]);
    sight.leases.push(lease("c1", Some(1), 10));
    let mut front = Front::holding(2, "c1", 20);
    let steps = front.plan(at(0.0), &sight, &standby());
    assert_eq!(taken(&steps), [("c1", Some(1))]);
    let Step::Take(take) = &steps[0] else {
        panic!("{steps:?}")
    };
    assert_eq!(take.known, LeaseNumber(20));
    sight.leases.clear();
    let steps = front.plan(at(0.0), &sight, &standby());
    assert_eq!(taken(&steps), [("c1", None)]);
}

#[test]
fn il_11_who_is_not_in_the_record_any_more_stops() {
    let mut sight = fronts(&[1, 2]);
    sight.leases.push(lease("c1", Some(2), 30));
    let mut front = Front::holding(1, "c1", 20);
    let steps = front.plan(at(0.0), &sight, &standby());
    assert_eq!(steps, [Step::Lost(id("c1"))]);
}

/// The answer to taking it was lost: nobody writes under a number that this process does not know.
#[test]
fn a_lease_taken_unawares_is_taken_again() {
    let mut sight = fronts(&[1, 2]);
    sight.leases.push(lease("c1", Some(1), 30));
    let steps = Front::new(1).plan(at(0.0), &sight, &standby());
    assert_eq!(taken(&steps), [("c1", Some(1))]);
}

#[test]
fn il_14_a_holder_that_a_node_does_not_reach_gives_up() {
    let mut sight = fronts(&[1, 2]);
    let mut asked = lease("c1", Some(1), 10);
    asked.asked_by = Some(ProcessId(70));
    sight.leases.push(asked);
    let mut front = Front::holding(1, "c1", 10);
    front.linked.insert(ProcessId(70));
    assert_eq!(
        front.plan(at(0.0), &sight, &standby()),
        [],
        "the link is up again"
    );
    front.linked.clear();
    let steps = front.plan(at(0.1), &sight, &standby());
    assert_eq!(steps, [Step::GiveUp(id("c1"), LeaseNumber(10))]);
    // It leaves it to the others for a while.
    front.held.clear();
    sight.leases = vec![lease("c1", None, 10)];
    assert_eq!(front.plan(at(5.0), &sight, &standby()), []);
    let steps = Front::new(2).plan(at(0.2), &sight, &standby());
    let rank_is_first = ranked("c1").0 == 2;
    assert_eq!(taken(&steps).len(), usize::from(rank_is_first));
}

/// Whoever is preferred: the one that has let go may leave it alone for a while, and nobody is to wait for that one.
#[test]
fn il_14_what_its_holder_let_go_of_is_for_the_next_at_once() {
    let (first, second) = ranked("c1");
    let mut sight = fronts(&[1, 2]);
    sight.leases.push(lease("c1", Some(first), 10));
    let mut other = Front::new(second);
    assert_eq!(other.plan(at(0.0), &sight, &standby()), []);
    sight.leases = vec![lease("c1", None, 10)];
    let steps = other.plan(at(0.1), &sight, &standby());
    assert_eq!(taken(&steps), [("c1", None)]);
    // If nobody else does, it takes it back.
    let mut holder = Front::new(first);
    sight.leases = vec![lease("c1", Some(first), 10)];
    holder.plan(at(0.0), &sight, &standby());
    sight.leases = vec![lease("c1", None, 10)];
    assert_eq!(holder.plan(at(0.1), &sight, &standby()), []);
    let steps = holder.plan(at(1.1), &sight, &standby());
    assert_eq!(taken(&steps), [("c1", None)]);
}

#[test]
fn il_14_the_only_front_end_keeps_what_it_is_asked_for() {
    let mut sight = fronts(&[1]);
    let mut asked = lease("c1", Some(1), 10);
    asked.asked_by = Some(ProcessId(70));
    sight.leases.push(asked);
    let mut front = Front::holding(1, "c1", 10);
    assert_eq!(front.plan(at(0.0), &sight, &standby()), []);
}

#[test]
fn il_14_a_node_asks_after_six_seconds_without_a_link() {
    let mut sight = fronts(&[1, 2]);
    sight.leases.push(lease("c1", Some(1), 10));
    let patience = Duration::from_secs(6);
    let mut watch = Unreached::default();
    let one = BTreeSet::from([ProcessId(2)]);
    let both = BTreeSet::from([ProcessId(1), ProcessId(2)]);
    let mut update = |seconds: f64, sight: &Sight, linked: &BTreeSet<ProcessId>| {
        watch.update(at(seconds), sight, linked, patience)
    };
    assert_eq!(update(0.0, &sight, &both), []);
    assert_eq!(update(1.0, &sight, &one), []);
    assert_eq!(update(6.9, &sight, &one), []);
    assert_eq!(update(7.0, &sight, &one), [(id("c1"), LeaseNumber(10))]);
    assert_eq!(update(7.1, &sight, &both), [], "the link is up again");
    assert_eq!(update(7.2, &sight, &one), [], "it counts anew");
    assert_eq!(
        update(99.0, &sight, &BTreeSet::new()),
        [],
        "this node is cut off"
    );
    sight.leases[0].asked_by = Some(ProcessId(70));
    assert_eq!(update(99.1, &sight, &one), [], "it is asked for");
    sight.sessions.remove(0);
    sight.leases[0].asked_by = None;
    assert_eq!(
        update(99.2, &sight, &one),
        [],
        "dead: whoever takes it needs no asking"
    );
}

#[test]
fn a_kicked_front_end_does_not_fight() {
    let mut sight = fronts(&[1, 2]);
    sight.leases.push(lease("c1", Some(1), 10));
    let mut front = Front::holding(1, "c1", 10);
    front.elections.kicked(id("c1"), at(0.0));
    let steps = front.plan(at(0.0), &sight, &standby());
    assert_eq!(steps, [Step::GiveUp(id("c1"), LeaseNumber(10))]);
    front.held.clear();
    sight = fronts(&[1]);
    sight.leases.push(lease("c1", None, 10));
    assert_eq!(front.plan(at(9.9), &sight, &standby()), []);
    let steps = front.plan(at(10.0), &sight, &standby());
    assert_eq!(taken(&steps), [("c1", None)]);
    // Again: twice as long.
    front.elections.kicked(id("c1"), at(11.0));
    assert_eq!(front.plan(at(30.9), &sight, &standby()), []);
    assert_eq!(
        taken(&front.plan(at(31.0), &sight, &standby())),
        [("c1", None)]
    );
}

#[test]
fn a_front_end_that_drains_gives_up_and_takes_nothing() {
    let mut sight = fronts(&[1, 2]);
    sight.sessions[0].member.draining = true;
    sight.leases.push(lease("c1", Some(1), 10));
    let mut front = Front::holding(1, "c1", 10);
    front.draining = true;
    let steps = front.plan(at(0.0), &sight, &standby());
    assert_eq!(steps, [Step::GiveUp(id("c1"), LeaseNumber(10))]);
    front.held.clear();
    sight.leases = vec![lease("c1", None, 10)];
    assert_eq!(front.plan(at(60.0), &sight, &standby()), []);
    let steps = Front::new(2).plan(at(0.1), &sight, &standby());
    assert_eq!(taken(&steps), [("c1", None)], "it is first now");
}

#[test]
fn connections_move_one_by_one_and_not_right_after_a_change() {
    let four = spread(4);
    let mut sight = fronts(&[1]);
    let mut front = Front::new(1);
    for (number, connection) in (10..).zip(&four) {
        sight.leases.push(lease(&connection.id.0, Some(1), number));
        front
            .held
            .insert(connection.id.clone(), LeaseNumber(number));
    }
    assert_eq!(front.plan(at(0.0), &sight, &four), []);
    sight.sessions.push(seen(2, Role::Front));
    assert_eq!(front.plan(at(20.0), &sight, &four), []);
    assert_eq!(front.plan(at(29.9), &sight, &four), []);
    let steps = front.plan(at(30.0), &sight, &four);
    assert_eq!(steps.len(), 1, "{steps:?}");
    assert!(matches!(steps[0], Step::GiveUp(..)));
}

proptest! {
    /// However front-ends come and go: shares differ by one at most, and nothing moves that need not.
    #[test]
    fn shares_are_even_and_few_move(
        count in 1_usize..12,
        before in proptest::collection::btree_set(1_u128..20, 1..5),
        after in proptest::collection::btree_set(1_u128..20, 1..5),
    ) {
        let connections = spread(count);
        let first = settle(&connections, &before, &BTreeMap::new());
        let second = settle(&connections, &after, &first);
        for (all, fronts) in [(&first, &before), (&second, &after)] {
            let shares: Vec<usize> = fronts.iter().map(|front| share(all, *front)).collect();
            let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
            prop_assert!(most - least <= 1, "{shares:?}");
        }
        let kept = first.iter().filter(|(id, front)| second[*id] == **front).count();
        let least = count / after.len();
        let can_stay: usize = before
            .intersection(&after)
            .map(|front| share(&first, *front).min(least))
            .sum();
        prop_assert!(kept >= can_stay, "{kept} of {can_stay} stay");
        let again = settle(&connections, &after, &second);
        prop_assert_eq!(again, second);
    }
}

fn share(all: &BTreeMap<ConnectionId, u128>, front: u128) -> usize {
    all.values().filter(|holder| **holder == front).count()
}

/// Lets front-ends act on their plans until nothing changes.
fn settle(
    connections: &[Connection],
    there: &BTreeSet<u128>,
    before: &BTreeMap<ConnectionId, u128>,
) -> BTreeMap<ConnectionId, u128> {
    let ids: Vec<u128> = there.iter().copied().collect();
    let mut sight = if ids.is_empty() {
        nobody()
    } else {
        fronts(&ids)
    };
    let mut all: Vec<Front> = ids.iter().map(|it| Front::new(*it)).collect();
    for (number, (connection, holder)) in (1..).zip(before) {
        sight
            .leases
            .push(lease(&connection.0, Some(*holder), number));
        if let Some(front) = all.iter_mut().find(|front| front.session.0 == *holder) {
            front.held.insert(connection.clone(), LeaseNumber(number));
        }
    }
    for round in 0..100 {
        let mut quiet = true;
        for front in &mut all {
            for step in front.plan(at(f64::from(round) * 20.0), &sight, connections) {
                quiet = false;
                carry_out(front, &mut sight, step);
            }
        }
        if quiet && round > 1 {
            break;
        }
    }
    let holders = sight.leases.iter();
    holders
        .map(|lease| (lease.connection.clone(), lease.holder.unwrap().0))
        .collect()
}

fn carry_out(front: &mut Front, sight: &mut Sight, step: Step) {
    match step {
        Step::Take(take) => {
            let number = take.known.0 + 1;
            sight
                .leases
                .retain(|lease| lease.connection != take.connection);
            let name = take.connection.0.as_str();
            sight
                .leases
                .push(lease(name, Some(front.session.0), number));
            front.held.insert(take.connection, LeaseNumber(number));
        }
        Step::GiveUp(connection, _) => {
            front.held.remove(&connection);
            let mut leases = sight.leases.iter_mut();
            leases
                .find(|it| it.connection == connection)
                .unwrap()
                .holder = None;
        }
        Step::Lost(connection) => {
            front.held.remove(&connection);
        }
    }
}

#[test]
fn what_leads_to_another_node_of_the_server_is_told_to_the_others() {
    let mut sight = fronts(&[1]);
    sight.leases.push(lease("c1", Some(1), 10));
    let mut front = Front::holding(1, "c1", 10);
    assert_eq!(front.plan(at(1.0), &sight, &standby()), []);
    let mut moved = standby();
    moved[0].way.server_node = "10.0.0.9:5347".into();
    let steps = front.plan(at(2.0), &sight, &moved);
    let [Step::Take(take)] = steps.as_slice() else {
        panic!("{steps:?}")
    };
    assert_eq!(take.way.server_node, "10.0.0.9:5347");
    assert_eq!(
        (take.judged_dead, take.known),
        (Some(SessionId(1)), LeaseNumber(10))
    );
}
