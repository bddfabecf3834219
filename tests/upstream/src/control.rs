//! Orders, as lines of JSON on a TCP connection; each is answered by a line of JSON.
//!
//! Owns the words. One connection at a time, one order after the other; `{"order": NAME, ...}`:
//!
//! * `join`: `groups` [{`rooms`, `occupants`}], `timeout`: makes rooms and lets everybody enter.
//! * `load`: `groups` [{`rooms`, `rate`}]: from now on so many messages a second in each room of a group; 0 is none.
//! * `heard`: waits until every room that speaks has carried a message that was sent after the order.
//! * `answered`: waits until no message is without an answer, and forgets those that are.
//! * `self-ping`: everybody asks whether they are still in.
//! * `archive`: reads all archives into the histories.
//! * `mark`: writes `fault`, `phase` (`begin`, `end`) and what else is in it into the histories.
//! * `cut`, `stall`: break a stream, or read nothing from it for `seconds`; `place` names it, else it is all.
//! * `away`: from now on the client of that number is not there, and nobody is told.
//! * `counters`, `flush` (histories to files), `quit`.
//!
//! What waits does so for `timeout` seconds at most (default 60) and says `"ok": false` then.

use crate::history::Ticks;
use crate::load;
use crate::world::Shared;
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// Takes orders until `quit`.
///
/// # Errors
///
/// The listener is broken, or histories could not be written.
pub(crate) async fn run(world: &Shared, listener: TcpListener) -> io::Result<()> {
    loop {
        let (socket, _) = listener.accept().await?;
        match obey(world, socket).await {
            Ok(true) => return world.borrow_mut().flush(),
            Ok(false) => {}
            Err(error) => eprintln!("coven-upstream: {error}"),
        }
    }
}

/// Takes the orders of one connection; tells whether the last one was to quit.
async fn obey(world: &Shared, socket: TcpStream) -> io::Result<bool> {
    socket.set_nodelay(true)?;
    let (reader, mut writer) = socket.into_split();
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await? {
        let order: Value = serde_json::from_str(&line).unwrap_or_default();
        let name = order
            .get("order")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let answer = match follow(world, name, &order).await {
            Ok(answer) => answer,
            Err(error) => json!({"ok": false, "error": error.to_string()}),
        };
        writer.write_all(format!("{answer}\n").as_bytes()).await?;
        if name == "quit" {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn follow(world: &Shared, name: &str, order: &Value) -> io::Result<Value> {
    let patience = Duration::from_secs_f64(number(order, "timeout").unwrap_or(60.0).max(0.0));
    match name {
        "join" => {
            let groups = groups(order, "occupants");
            load::populate(
                world,
                &groups
                    .iter()
                    .map(|(rooms, n)| (*rooms, whole(*n)))
                    .collect::<Vec<_>>(),
            )?;
            Ok(load::all_here(world, patience).await)
        }
        "load" => {
            world
                .borrow_mut()
                .set_rates(&groups(order, "rate"), Instant::now());
            Ok(json!({"ok": true}))
        }
        "heard" => Ok(load::until_heard(world, patience).await),
        "answered" => Ok(load::until_answered(world, patience).await),
        "self-ping" => Ok(load::self_ping(world, patience).await),
        "archive" => load::read_archives(world, patience).await,
        "mark" => mark(world, order),
        "cut" | "stall" => Ok(disturb(world, order)),
        "away" => Ok(away(world, order)),
        "counters" => Ok(world.borrow().to_json()),
        "flush" => world.borrow_mut().flush().map(|()| json!({"ok": true})),
        "quit" => Ok(json!({"ok": true})),
        _ => Err(io::Error::other(format!("there is no order {name:?}"))),
    }
}

fn number(value: &Value, key: &str) -> Option<f64> {
    value.get(key).and_then(Value::as_f64)
}

/// A number of things; what is none is 0.
fn whole(number: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "numbers of things"
    )]
    let whole = number.clamp(0.0, 1e9) as usize;
    whole
}

/// The groups of an order: how many rooms, and the number of that name.
fn groups(order: &Value, key: &str) -> Vec<(usize, f64)> {
    let groups = order.get("groups").and_then(Value::as_array);
    let group = |group: &Value| {
        let rooms = whole(number(group, "rooms").unwrap_or_default());
        (rooms, number(group, key).unwrap_or_default())
    };
    groups.into_iter().flatten().map(group).collect()
}

/// Marks go to the file at once: they tell the checker what was done.
fn mark(world: &Shared, order: &Value) -> io::Result<Value> {
    let world = world.borrow();
    let Ticks(at) = world.now();
    let mut line = order.clone();
    if let Some(fields) = line.as_object_mut() {
        fields.insert("at".into(), at.into());
    }
    let path = world.about().folder.join("marks.jsonl");
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    writeln!(file, "{line}")?;
    Ok(json!({"ok": true, "at": at}))
}

fn disturb(world: &Shared, order: &Value) -> Value {
    let wanted = number(order, "place").map(whole);
    let stall = number(order, "seconds")
        .map(|seconds| Instant::now() + Duration::from_secs_f64(seconds.max(0.0)));
    let streams = world.borrow().streams();
    let chosen = streams
        .into_iter()
        .filter(|(place, ..)| wanted.is_none_or(|wanted| wanted == *place));
    let mut count = 0;
    for (_, _, outbox) in chosen {
        count += 1;
        match stall {
            Some(until) => outbox.stall(until),
            None => outbox.cut(),
        }
    }
    json!({"ok": count > 0, "streams": count})
}

fn away(world: &Shared, order: &Value) -> Value {
    let no = number(order, "client").map(whole).unwrap_or_default();
    let mut world = world.borrow_mut();
    let client = world.clients.get_mut(no);
    let there = client.map(|client| client.present = false).is_some();
    json!({"ok": there})
}
