//! The way in: what becomes of stanzas, and what happens at each bound.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::time::Duration;

use common::room::Room;
use common::server::{Server, attribute, message};
use common::{Bench, DOMAIN, Plan, domain, upstream};
use coven_cluster::{Request, ToNode};
use coven_core::presence::session::Show;
use coven_core::{Command, Query, Sequence};
use coven_front::{Rate, Rates, Status};

#[tokio::test]
async fn a_message_becomes_a_command_for_its_channel() {
    let (bench, _server, mut stream) = Bench::attached().await;
    stream.send(&message("hag66", "coven", "hello")).await;
    let posts = bench.node.wait_commands(1).await;
    assert!(matches!(&posts[0], Command::Post(post) if post.payload.starts_with(b"<body>hello")));
    let channels = bench.node.all(|m| match m {
        ToNode::Operation(operation) => Some(operation.channel.name().clone()),
        _ => None,
    });
    assert_eq!(
        (&*channels[0].space, &*channels[0].local),
        (DOMAIN, "coven")
    );
}

#[tokio::test]
async fn muc_comp_11_stanzas_are_given_to_the_node_in_order() {
    let (bench, _server, mut stream) = Bench::attached().await;
    for n in 0..200 {
        stream
            .send(&message("hag66", "coven", &format!("{n}.")))
            .await;
    }
    let posts = bench.node.wait_commands(200).await;
    for (n, post) in posts.iter().enumerate() {
        let body = format!("<body>{n}.");
        assert!(matches!(post, Command::Post(post) if post.payload.starts_with(body.as_bytes())));
    }
}

#[tokio::test]
async fn i10_a_bad_stanza_costs_its_sender_an_error_and_nothing_else() {
    let (bench, _server, mut stream) = Bench::attached().await;
    let bad =
        format!("<iq from='hag66@shakespeare.example/pda' to='coven@{DOMAIN}' type='get' id='b'/>");
    stream.send(&bad).await;
    let error = stream.stanza().await;
    assert!(
        error.contains("<bad-request ") && error.contains("type='error'"),
        "{error}"
    );
    stream.send(&message("hag66", "coven", "hello")).await;
    bench.node.wait_commands(1).await;
    assert_eq!(bench.handle.snapshot().rejected, 1);
}

#[tokio::test]
async fn muc_err_06_s_03_a_huge_stanza_is_refused_without_being_kept() {
    let (bench, _server, mut stream) = Bench::attached().await;
    let start = message("hag66", "coven", "");
    let start = start.strip_suffix("</body></message>").unwrap();
    stream.send(start).await;
    let piece = "x".repeat(1024 * 1024);
    for _ in 0..64 {
        stream.send(&piece).await;
    }
    stream.send("</body></message>").await;
    let error = stream.stanza().await;
    assert!(
        error.contains("<policy-violation ") && error.len() < 1000,
        "{error}"
    );
    stream.send(&message("hag66", "coven", "hello")).await;
    bench.node.wait_commands(1).await;
}

#[tokio::test]
async fn i9_a_full_node_is_said_to_be_full_at_once() {
    let (bench, _server, mut stream) = Bench::attached().await;
    common::until("a sweep", || bench.node.sweeps() == 1).await;
    bench.node.is_full(true);
    stream.send(&message("hag66", "coven", "hello")).await;
    let error = stream.stanza().await;
    assert!(
        error.contains("<resource-constraint ") && error.contains("type='wait'"),
        "{error}"
    );
    assert!(error.contains("<body>hello</body>"), "MUC-ERR-03: {error}");
    assert_eq!(
        attribute(&error, "from").unwrap(),
        format!("coven@{DOMAIN}")
    );
    assert_eq!(bench.handle.snapshot().refused_full, 1);
}

#[tokio::test]
async fn muc_err_04_an_error_is_never_answered_even_by_a_full_node() {
    let (bench, _server, mut stream) = Bench::attached().await;
    common::until("a sweep", || bench.node.sweeps() == 1).await;
    bench.node.is_full(true);
    stream.send(&bounce("service-unavailable", "x")).await;
    let private = message("hag66", "coven/crone1", "no").replace("'groupchat'", "'error'");
    stream.send(&private).await;
    common::until("both are read", || {
        bench.handle.snapshot().stanzas_read >= 2
    })
    .await;
    assert_eq!(stream.drain().await, [""; 0]);
}

#[tokio::test]
async fn muc_err_08_presence_waits_where_the_node_has_no_room() {
    let (bench, _server, mut stream) = Bench::attached().await;
    common::until("a sweep", || bench.node.sweeps() == 1).await;
    bench.node.is_full(true);
    for show in ["away", "xa"] {
        let show = format!("<show>{show}</show>");
        stream.send(&presence("", &show)).await;
    }
    common::until("they are read", || {
        bench.handle.snapshot().refused_full == 2
    })
    .await;
    bench.node.is_full(false);
    let commands = bench.node.wait_commands(1).await;
    let Command::Update { presence, .. } = &commands[0] else {
        panic!("{commands:?}");
    };
    assert_eq!(presence.show, Show::Xa);
    assert_eq!(
        stream.drain().await,
        [""; 0],
        "an error would mean: not in the room"
    );
}

#[tokio::test]
async fn creations_that_come_again_are_not_charged_again() {
    let mut server = Server::start().await;
    let mut plan = Plan::new(&server);
    let ample = Rate {
        count: 1,
        per: Duration::from_secs(3600),
        burst: 1000,
    };
    plan.rates = Some(Rates {
        messages: ample,
        presence: ample,
        joins: ample,
        creations: Rate { burst: 2, ..ample },
        archive_pages: ample,
        rooms: 100,
    });
    let bench = plan.start();
    let mut stream = server.accept().await;
    bench.status(Status::is_up).await;
    let (before, mut room) = (Room::with("before", &["hag66"]).0, Room::new("coven"));
    room.now = 4_000_000_000_000;
    room.join("hag66");
    for room in [&before, &room, &room, &room] {
        bench.send(room, room.again(Sequence(0), &[])).await;
    }
    stream.drain().await;
    for (name, may) in [("second", true), ("third", false)] {
        let join = "<x xmlns='http://jabber.org/protocol/muc'/>";
        let join = presence("", join).replace("coven@", &format!("{name}@"));
        stream.send(&join).await;
        if may {
            bench.node.wait_commands(1).await;
            let mut created = Room::new(name);
            created.now = room.now;
            created.join("hag66");
            bench.send(&created, created.again(Sequence(0), &[])).await;
            stream.stanza().await;
        } else {
            let error = stream.drain().await.concat();
            assert!(error.contains("too many new channels"), "{error}");
        }
    }
}

#[tokio::test]
async fn muc_err_08_leaving_waits_where_the_node_has_no_room() {
    let (bench, _server, mut stream) = Bench::attached().await;
    common::until("a sweep", || bench.node.sweeps() == 1).await;
    bench.node.is_full(true);
    stream.send(&presence("type='unavailable'", "")).await;
    common::until("it is read", || bench.handle.snapshot().refused_full == 1).await;
    bench.node.is_full(false);
    let commands = bench.node.wait_commands(1).await;
    assert!(matches!(commands[0], Command::Leave { .. }));
    assert_eq!(stream.drain().await, [""; 0]);
}

/// The id of a probe.
const PROBE: &str = "coven-probe-abcdefghijklmnopqrstuvwxya";

/// Whoever is gone is probed once: its bounce must not be lost.
#[tokio::test]
async fn muc_leave_12_i9_the_bounce_of_a_probe_waits_where_the_node_has_no_room() {
    let (bench, _server, mut stream) = Bench::attached().await;
    common::until("a sweep", || bench.node.sweeps() == 1).await;
    bench.node.is_full(true);
    let bounces = [PROBE, "m1"].map(|id| bounce("recipient-unavailable", id));
    stream.send(&bounces.concat()).await;
    common::until("they are read", || {
        bench.handle.snapshot().refused_full == 2
    })
    .await;
    bench.node.is_full(false);
    let commands = bench.node.wait_commands(1).await;
    assert!(
        matches!(&*commands, [Command::Bounce(bounce)] if bounce.probed.is_some()),
        "{commands:?}"
    );
}

#[tokio::test]
async fn muc_err_07_s_52_a_flood_of_messages_is_refused_above_the_rate() {
    let (bench, mut stream, _server) = limited_for(20, HOUR).await;
    for n in 0..100 {
        stream
            .send(&message("hag66", "coven", &n.to_string()))
            .await;
    }
    stream
        .send(&message("crone1", "coven", "somebody else"))
        .await;
    let refused = stream.stanzas(80).await;
    assert!(
        refused
            .iter()
            .all(|e| e.contains("<resource-constraint ") && e.contains("'wait'"))
    );
    assert_eq!(bench.node.wait_commands(21).await.len(), 21);
}

#[tokio::test]
async fn muc_err_08_presence_above_the_rate_is_put_off_and_the_last_wins() {
    let (bench, mut stream, _server) = limited(2).await;
    // At once: what came later could find the rate renewed.
    let shows = ["away", "xa", "dnd", "chat"].map(|show| format!("<show>{show}</show>"));
    let all = shows.map(|show| presence("", &show)).concat();
    stream.send(&all).await;
    common::until("they are read", || bench.handle.snapshot().coalesced == 2).await;
    let commands = bench.node.wait_commands(3).await;
    let last = match &commands[2] {
        Command::Update { presence, .. } => presence.show,
        other => panic!("{other:?}"),
    };
    assert_eq!(last, coven_core::presence::session::Show::Chat);
    assert_eq!(
        stream.drain().await,
        [""; 0],
        "no errors: clients would think they are out"
    );
}

#[tokio::test]
async fn muc_err_08_leaving_is_never_limited() {
    let (bench, mut stream, _server) = limited(1).await;
    let away = presence("", "<show>away</show>").repeat(5);
    let all = away + &presence("type='unavailable'", "");
    stream.send(&all).await;
    let commands = bench.node.wait_commands(2).await;
    assert!(matches!(commands[1], Command::Leave { .. }));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(bench.node.commands().len(), 2, "what waited is forgotten");
}

#[tokio::test]
async fn s_50_joining_counts_also_for_who_is_in_it() {
    let (bench, mut stream, _server) = limited_for(2, HOUR).await;
    let (mut room, base) = Room::with("coven", &["crone1"]);
    bench.send(&room, base).await;
    let joined = room.join("hag66");
    bench.send(&room, joined).await;
    stream.stanzas(4).await;
    let join = presence("", "<x xmlns='http://jabber.org/protocol/muc'/>");
    for _ in 0..5 {
        stream.send(&join).await;
    }
    // Each would make the whole burst again.
    for error in stream.stanzas(3).await {
        assert!(error.contains("<resource-constraint "), "{error}");
        assert!(error.contains("'wait'"), "{error}");
    }
    assert_eq!(bench.node.wait_commands(2).await.len(), 2);
    // Elsewhere each attempt counts, also one that the room refuses: nobody tries passwords without end.
    stream.send(&join.replace("coven@", "cauldron@")).await;
    let error = stream.stanza().await;
    assert!(error.contains("<resource-constraint "), "{error}");
    assert!(error.contains("cauldron"), "{error}");
}

#[tokio::test]
async fn i9_a_flood_of_questions_is_answered_or_refused_and_never_waited_for() {
    let (bench, _server, mut stream) = Bench::attached().await;
    common::until("a sweep", || bench.node.sweeps() == 1).await;
    bench.node.is_full(true);
    let ask = |n| {
        format!(
            "<iq from='hag66@shakespeare.example/pda' to='coven@{DOMAIN}' type='get' id='{n}'>\
             <query xmlns='http://jabber.org/protocol/disco#items'/></iq>"
        )
    };
    let all: String = (0..5000).map(ask).collect();
    // Nobody reads the answers while the questions come: the front-end must go on reading.
    stream.send(&all).await;
    common::until("they are read", || {
        bench.handle.snapshot().stanzas_read >= 5000
    })
    .await;
    let snapshot = bench.handle.snapshot();
    assert_eq!(snapshot.answered, 5000);
    assert_eq!(
        stream.stanzas(5000 - snapshot.answers_lost as usize).await[0]
            .matches("<iq")
            .count(),
        1
    );
}

#[tokio::test]
async fn a_query_goes_to_the_channel() {
    let (bench, _server, mut stream) = Bench::attached().await;
    let ask = format!(
        "<iq from='hag66@shakespeare.example/pda' to='coven@{DOMAIN}' type='get' id='q'>\
         <query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
    );
    stream.send(&ask).await;
    let queries = bench.node.first(1, |m| match m {
        ToNode::Operation(operation) => match &operation.request {
            Request::Query(query) => Some(query.clone()),
            Request::Command(_) => None,
        },
        _ => None,
    });
    assert!(matches!(queries.await[0], Query::Info { .. }));
}

#[tokio::test]
async fn the_service_itself_is_answered_here() {
    let (bench, _server, mut stream) = Bench::attached().await;
    let ask = format!(
        "<iq from='hag66@shakespeare.example/pda' to='{DOMAIN}' type='get' id='q'>\
         <query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
    );
    stream.send(&ask).await;
    let answer = stream.stanza().await;
    assert!(answer.contains("http://jabber.org/protocol/muc") && answer.contains("id='q'"));
    assert!(bench.node.commands().is_empty());
}

#[tokio::test]
async fn a_stanza_for_another_domain_is_served_and_counted() {
    let mut server = Server::start().await;
    let mut plan = Plan::new(&server);
    plan.domains.push(domain("other.example"));
    plan.upstreams = vec![upstream(&server, &[DOMAIN, "other.example"])];
    let bench = plan.start();
    let (mut one, mut two) = (server.accept().await, server.accept().await);
    bench.status(Status::is_up).await;
    let (chat, other) = if one.domain == DOMAIN {
        (&mut one, &mut two)
    } else {
        (&mut two, &mut one)
    };
    let ask = "<iq from='hag66@shakespeare.example/pda' to='other.example' type='get' id='q'>\
               <ping xmlns='urn:xmpp:ping'/></iq>";
    chat.send(ask).await;
    let answer = other.stanza().await;
    assert_eq!(
        attribute(&answer, "from").unwrap(),
        "other.example",
        "MUC-COMP-03"
    );
    assert_eq!(bench.handle.snapshot().foreign_domain, 1);
}

#[tokio::test]
async fn muc_leave_07_a_server_that_is_away_is_given_time() {
    let (bench, _server, mut stream) = Bench::attached().await;
    stream.send(&bounce("remote-server-timeout", "m")).await;
    stream.send(&bounce("service-unavailable", "m")).await;
    let commands = bench.node.wait_commands(1).await;
    let Command::Bounce(bounced) = &commands[0] else {
        panic!("{commands:?}")
    };
    assert_eq!(bounced.condition, coven_core::Condition::ServiceUnavailable);
    assert_eq!(bench.handle.snapshot().bounces_waiting, 1);
}

#[tokio::test]
async fn s_11_answers_that_nobody_asked_for_are_dropped() {
    let (bench, _server, mut stream) = Bench::attached().await;
    for type_ in ["result", "error"] {
        let answer = format!(
            "<iq from='hag66@shakespeare.example/pda' to='{DOMAIN}' type='{type_}' id='coven-barrier-1-0-1'/>"
        );
        stream.send(&answer).await;
    }
    common::until("they are read", || {
        bench.handle.snapshot().stanzas_read >= 2
    })
    .await;
    assert_eq!(stream.drain().await, [""; 0]);
}

/// A front-end where each rate is `burst` at once and one in two seconds.
async fn limited(burst: u32) -> (Bench, common::server::Stream, Server) {
    limited_for(burst, Duration::from_secs(2)).await
}

/// Longer than any test takes.
const HOUR: Duration = Duration::from_secs(3600);

/// One more is allowed after `per`.
async fn limited_for(burst: u32, per: Duration) -> (Bench, common::server::Stream, Server) {
    let mut server = Server::start().await;
    let mut plan = Plan::new(&server);
    let rate = Rate {
        count: 1,
        per,
        burst,
    };
    plan.rates = Some(Rates {
        messages: rate,
        presence: rate,
        joins: rate,
        creations: Rate {
            burst: 1000,
            ..rate
        },
        archive_pages: rate,
        rooms: 100,
    });
    let bench = plan.start();
    let stream = server.accept().await;
    bench.status(Status::is_up).await;
    (bench, stream, server)
}

fn presence(attributes: &str, payload: &str) -> String {
    format!(
        "<presence from='hag66@shakespeare.example/pda' to='coven@{DOMAIN}/hag66' {attributes}>{payload}</presence>"
    )
}

fn bounce(condition: &str, id: &str) -> String {
    format!(
        "<message from='hag66@shakespeare.example/pda' to='coven@{DOMAIN}/crone1' type='error' id='{id}'>\
         <error type='cancel'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
    )
}
