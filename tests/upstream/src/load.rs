//! What clients do by themselves: enter rooms, speak, ask whether they are still in, read archives.
//!
//! Owns the stanzas and their pace. One task ticks; everything that is due is sent then. Who is where, and what came of
//! it, is `world.rs`.

use crate::archive::Reading;
use crate::history::{self, Kind, MessageNo, Record, Ticks};
use crate::world::{Room, Shared, World, nick};
use serde_json::{Value, json};
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{Instant, interval, sleep};

/// How often is looked at what is due.
const TICK: Duration = Duration::from_millis(5);
/// Joins of one room under way at the same time.
const JOINS: usize = 20;
/// Archives that are read at the same time.
const READINGS: usize = 8;
/// Self-pings in a tick.
const PINGS: usize = 25;
/// Behind by more than this a room leaves messages out: the load is what was ordered, never a burst.
const BEHIND: Duration = Duration::from_secs(1);
/// A room with its occupants needs two bytes for its number.
const MAX_ROOMS: usize = 60_000;

/// After a message that came back since nothing is attached, the next one is sent so soon.
const AGAIN: Duration = Duration::from_millis(50);

/// Sends what is due, for ever.
pub(crate) async fn run(world: Shared) {
    let mut ticks = interval(TICK);
    loop {
        let now = ticks.tick().await.max(Instant::now());
        let mut world = world.borrow_mut();
        for room in 0..u16::try_from(world.rooms.len()).unwrap_or(u16::MAX) {
            world.join(room);
            world.speak(room, now);
        }
        world.read_archives(now);
    }
}

/// Makes rooms with occupants: `groups` of (rooms, occupants). Each occupant is a client of its own.
///
/// # Errors
///
/// Too many rooms.
pub(crate) fn populate(world: &Shared, groups: &[(usize, usize)]) -> io::Result<()> {
    let world = &mut *world.borrow_mut();
    for (rooms, occupants) in groups {
        for _ in 0..*rooms {
            if world.rooms.len() >= MAX_ROOMS {
                return Err(io::Error::other("too many rooms"));
            }
            let members = (0..*occupants).map(|_| world.add_client()).collect();
            world.rooms.push(Room {
                members,
                ..Room::default()
            });
        }
    }
    let rooms: Vec<&Vec<u32>> = world.rooms.iter().map(|room| &room.members).collect();
    let about = json!({"domain": world.about().domain, "rooms": rooms});
    std::fs::write(world.about().folder.join("about.json"), about.to_string())
}

/// Waits until everybody is in.
pub(crate) async fn all_here(world: &Shared, patience: Duration) -> Value {
    let everybody = |world: &World| {
        world
            .rooms
            .iter()
            .all(|room| room.here >= room.members.len())
    };
    let done = until(world, patience, everybody).await;
    let mut world = world.borrow_mut();
    world.settled = done;
    let here: usize = world.rooms.iter().map(|room| room.here).sum();
    json!({"ok": done, "here": here})
}

/// Waits until each room that speaks has shown a sender a message that was sent after now. Tells how long it took.
pub(crate) async fn until_heard(world: &Shared, patience: Duration) -> Value {
    let begin = world.borrow().now();
    let heard = |room: &Room| room.rate == 0.0 || room.heard > begin;
    let done = until(world, patience, |world| world.rooms.iter().all(heard)).await;
    let world = world.borrow();
    let silent = world.rooms.iter().filter(|room| !heard(room)).count();
    let seconds = Ticks(world.now().0 - begin.0).millis() / 1000.0;
    json!({"ok": done, "silent": silent, "seconds": seconds})
}

/// Waits until no message is without an answer.
pub(crate) async fn until_answered(world: &Shared, patience: Duration) -> Value {
    let done = until(world, patience, |world| world.pending.is_empty()).await;
    let mut world = world.borrow_mut();
    let pending = world.pending.len();
    world.pending.clear();
    json!({"ok": done, "pending": pending})
}

/// Everybody asks whether they are still in (XEP-0410). Waits for the answers.
pub(crate) async fn self_ping(world: &Shared, patience: Duration) -> Value {
    let (asked, yes, no) = pings(&world.borrow());
    let places: Vec<(u16, u32)> = {
        let world = world.borrow();
        let rooms = world.rooms.iter().zip(0_u16..);
        let places =
            rooms.flat_map(|(room, no)| room.members.iter().map(move |client| (no, *client)));
        places.collect()
    };
    for some in places.chunks(PINGS) {
        for (room, client) in some {
            world.borrow_mut().ask(*room, *client);
        }
        sleep(TICK).await;
    }
    let wanted = |world: &World| {
        let (now_asked, now_yes, now_no) = pings(world);
        now_yes + now_no - yes - no >= now_asked - asked
    };
    let done = until(world, patience, wanted).await;
    let (now_asked, now_yes, now_no) = pings(&world.borrow());
    json!({"ok": done, "asked": now_asked - asked, "yes": now_yes - yes, "no": now_no - no})
}

fn pings(world: &World) -> (u64, u64, u64) {
    let counters = &world.counters;
    (counters.pings_asked, counters.pings_yes, counters.pings_no)
}

/// The first occupant of each room reads its archive, which goes to a file.
///
/// # Errors
///
/// Of the file system.
pub(crate) async fn read_archives(world: &Shared, patience: Duration) -> io::Result<Value> {
    {
        let mut world = world.borrow_mut();
        let rooms = u16::try_from(world.rooms.len()).unwrap_or(u16::MAX);
        world.readings = (0..rooms).map(|room| (room, Reading::default())).collect();
    }
    let done = until(world, patience, |world| {
        world.readings.values().all(|reading| reading.done)
    })
    .await;
    let readings = std::mem::take(&mut world.borrow_mut().readings);
    let world = world.borrow();
    let mut entries = 0;
    for (room, reading) in &readings {
        entries += reading.entries.len();
        write_archive(&world, *room, reading)?;
    }
    Ok(json!({"ok": done, "entries": entries}))
}

fn write_archive(world: &World, room: u16, reading: &Reading) -> io::Result<()> {
    let path = history::of_room(&world.about().folder, room);
    let mut writer = history::Writer::new(path.clone());
    // An archive that was read before is read anew.
    std::fs::write(path, "")?;
    for (message, archive) in &reading.entries {
        writer.add(Record {
            message: *message,
            archive: *archive,
            ..Record::new(Kind::Archived, room, world.now())
        })?;
    }
    writer.flush()
}

/// Waits for a condition; tells whether it came true in time.
async fn until(world: &Shared, patience: Duration, condition: impl Fn(&World) -> bool) -> bool {
    let world = Rc::clone(world);
    let deadline = Instant::now() + patience;
    while !condition(&world.borrow()) {
        if Instant::now() > deadline {
            return false;
        }
        sleep(TICK).await;
    }
    true
}

impl World {
    /// The creator enters first and takes the room as it is; then the others, some at a time.
    fn join(&mut self, room: u16) {
        let Some(state) = self.rooms.get(usize::from(room)) else {
            return;
        };
        let (asked, here, unlock) = (state.asked, state.here, state.unlock);
        let creator = state.members.first().copied().unwrap_or_default();
        if here >= state.members.len() {
            return;
        }
        if here > 0 && !unlock.0 {
            self.unlock(room, creator);
        }
        let limit = if unlock.1 { here + JOINS } else { 1 };
        for at in asked..limit.min(self.members(room)) {
            let member = self
                .rooms
                .get(usize::from(room))
                .and_then(|state| state.members.get(at).copied());
            self.enter(room, member.unwrap_or_default());
        }
    }

    fn members(&self, room: u16) -> usize {
        self.rooms
            .get(usize::from(room))
            .map_or(0, |room| room.members.len())
    }

    fn enter(&mut self, room: u16, client: u32) {
        let stanza = format!(
            "<presence from='{}' to='{}'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x></presence>",
            self.jid(client),
            self.occupant_jid(room, client)
        );
        if matches!(
            self.give(client, stanza.as_bytes()),
            crate::attach::Route::By(_)
        ) && let Some(room) = self.rooms.get_mut(usize::from(room))
        {
            room.asked += 1;
        }
    }

    /// The creator takes the defaults (XEP-0045 §10.1.2).
    fn unlock(&mut self, room: u16, creator: u32) {
        let stanza = format!(
            "<iq from='{}' to='{}' type='set' id='k{room}'><query xmlns='http://jabber.org/protocol/muc#owner'>\
             <x xmlns='jabber:x:data' type='submit'/></query></iq>",
            self.jid(creator),
            self.room_jid(room)
        );
        self.give(creator, stanza.as_bytes());
        if let Some(room) = self.rooms.get_mut(usize::from(room)) {
            room.unlock.0 = true;
        }
    }

    fn speak(&mut self, room: u16, now: Instant) {
        let Some(state) = self.rooms.get_mut(usize::from(room)) else {
            return;
        };
        let Some(mut due) = state.due.filter(|due| state.rate > 0.0 && *due <= now) else {
            return;
        };
        let step = Duration::from_secs_f64(1.0 / state.rate);
        let mut speakers = Vec::new();
        while due <= now {
            if due + BEHIND > now {
                speakers.extend(
                    state
                        .members
                        .get(state.speaker % state.members.len().max(1))
                        .copied(),
                );
                state.speaker += 1;
            } else {
                self.counters.skipped += 1;
            }
            due += step;
        }
        state.due = Some(due);
        for client in speakers {
            if !self.say(room, client) {
                self.again(room, now);
            }
        }
    }

    /// The server has said that nothing is attached: somebody tries again soon, as people do, and so it is seen how long
    /// that lasts.
    fn again(&mut self, room: u16, now: Instant) {
        if let Some(state) = self.rooms.get_mut(usize::from(room)) {
            state.due = state.due.map(|due| due.min(now + AGAIN));
        }
    }

    /// Tells whether the server has handed it over.
    fn say(&mut self, room: u16, client: u32) -> bool {
        let Some(speaker) = usize::try_from(client)
            .ok()
            .and_then(|at| self.clients.get_mut(at))
        else {
            return false;
        };
        let message = MessageNo::new(client, speaker.sent);
        speaker.sent += 1;
        let stanza = format!(
            "<message from='{}' to='{}' type='groupchat' id='{}'><body>{} says something that is as long as what people say.</body></message>",
            self.jid(client),
            self.room_jid(room),
            message.id(),
            nick(client)
        );
        self.send_message(client, room, message, stanza.as_bytes())
    }

    fn ask(&mut self, room: u16, client: u32) {
        let stanza = format!(
            "<iq from='{}' to='{}' type='get' id='p{room}'><ping xmlns='urn:xmpp:ping'/></iq>",
            self.jid(client),
            self.occupant_jid(room, client)
        );
        self.note(client, Record::new(Kind::Asked, room, self.now()));
        self.counters.pings_asked += 1;
        if !matches!(
            self.give(client, stanza.as_bytes()),
            crate::attach::Route::By(_)
        ) {
            self.counters.pings_no += 1;
        }
    }

    fn read_archives(&mut self, now: Instant) {
        let under_way = self
            .readings
            .iter_mut()
            .filter(|(_, reading)| !reading.done)
            .take(READINGS);
        let due = under_way.filter_map(|(room, reading)| Some((*room, reading.due(now)?)));
        let due: Vec<(u16, (String, String))> = due.collect();
        for (room, (id, query)) in due {
            let reader = self
                .rooms
                .get(usize::from(room))
                .and_then(|room| room.members.first().copied());
            let reader = reader.unwrap_or_default();
            let (from, to) = (self.jid(reader), self.room_jid(room));
            let stanza = format!("<iq from='{from}' to='{to}' type='set' id='{id}'>{query}</iq>");
            self.give(reader, stanza.as_bytes());
        }
    }

    /// From now on the rooms of each group speak so often a second; the groups are those of `populate`.
    pub(crate) fn set_rates(&mut self, groups: &[(usize, f64)], now: Instant) {
        let mut rates = groups
            .iter()
            .flat_map(|(rooms, rate)| std::iter::repeat_n(*rate, *rooms));
        let count = u32::try_from(self.rooms.len()).unwrap_or(1).max(1);
        for (room, no) in self.rooms.iter_mut().zip(0_u32..) {
            room.rate = rates.next().unwrap_or_default();
            // Rooms do not speak all at once.
            let step = Duration::from_secs_f64(if room.rate > 0.0 {
                1.0 / room.rate
            } else {
                0.0
            });
            room.due = Some(now + step * no / count);
        }
    }
}
