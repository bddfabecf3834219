//! In how many rooms one may be at once.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::time::Duration;

use common::room::{Room, sender};
use common::server::Server;
use common::{DOMAIN, Plan};
use coven_core::{Command, Group};
use coven_front::{Rate, Rates, Status};

/// Two rooms, and more of everything else than anybody here asks for.
const fn rates() -> Rates {
    let ample = Rate {
        count: 1,
        per: Duration::from_secs(3600),
        burst: 1000,
    };
    Rates {
        messages: ample,
        presence: ample,
        joins: ample,
        creations: ample,
        archive_pages: ample,
        rooms: 2,
    }
}

#[tokio::test]
async fn muc_err_09_who_is_in_as_many_rooms_as_allowed_joins_no_more() {
    let mut server = Server::start().await;
    let mut plan = Plan::new(&server);
    plan.rates = Some(rates());
    let bench = plan.start();
    let mut stream = server.accept().await;
    bench.status(Status::is_up).await;
    let join = format!(
        "<presence from='hag66@shakespeare.example/pda' to='coven@{DOMAIN}/hag66'>\
         <x xmlns='http://jabber.org/protocol/muc'/></presence>"
    );
    let mut rooms = Vec::new();
    for name in ["coven", "heath"] {
        let (mut room, base) = Room::with(name, &["crone1"]);
        bench.send(&room, base).await;
        let joined = room.join("hag66");
        bench.send(&room, joined).await;
        stream.stanzas(4).await;
        rooms.push(room);
    }
    let elsewhere = join.replace("coven@", "cauldron@");
    stream.send(&elsewhere).await;
    let error = stream.stanza().await;
    assert!(
        error.contains("<resource-constraint ") && error.contains("type='wait'"),
        "{error}"
    );
    assert!(error.contains("cauldron") && error.contains("you are in too many rooms"));
    // a further session where one is in is no further room, and who has left has a place
    let again = join.replace("/pda", "/phone");
    stream.send(&again).await;
    bench.node.wait_commands(1).await;
    let leave = Command::Leave {
        payload: bytes::Bytes::new(),
    };
    let sender = sender("hag66", Group("main".into()));
    let left = rooms[1].act(&sender, &leave);
    bench.send(&rooms[1], left).await;
    stream.stanzas(2).await;
    stream.send(&elsewhere).await;
    bench.node.wait_commands(2).await;
}
