//! The judgement: what no history may show (design §4).
//!
//! * I2: what a user sees is durable. I3: each stay sees every message of its room once, in the journal's order; what comes
//!   again comes on a newer stream, was not known to be acknowledged, and is followed by all that followed it.
//! * I4: nothing is in the journal twice. I5: what was sent on a stream that lived on is answered; what was refused is not in
//!   the journal. I6: nobody leaves or joins who did not ask to, and who asks whether it is still there hears yes.
//! * I7: who is in the room, by what the store holds, is who is there, and whom everybody there sees.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use coven_core::{Channel, ChannelName, Epoch, Record, Sequence, Timestamp};
use coven_proto::{decode_event, decode_snapshot};
use coven_store::{ChannelKey, ShardId, Store};

use crate::history::{Event, History, What};
use crate::plan::SECOND;
use crate::process::SHARDS;
use crate::server::{DOMAIN, StreamNo};
use crate::store::Disk;
use crate::truth::Truth;
use crate::user::{HOST, User, nick, room_name};

/// On a stream that lives on, an answer takes no longer.
const ANSWER: u64 = 30 * SECOND;

/// What is left of a world.
#[derive(Debug)]
pub struct Found<'a> {
    /// What happened.
    pub history: &'a History,
    /// As they are at the end.
    pub users: &'a [User],
    /// As it is at the end.
    pub disk: &'a Disk,
    /// How many rooms there were.
    pub rooms: usize,
    /// When everybody was asked whether it is still there.
    pub asked: u64,
}

/// Everything that is wrong, one line for each.
#[must_use]
pub fn violations(found: &Found<'_>) -> Vec<String> {
    let truth = found.disk.truth();
    let mut wrong = truth.wrong.clone();
    for user in 0..found.users.len() {
        for room in 0..found.rooms {
            View::new(found, &truth, user, room).judge(&mut wrong);
        }
    }
    answers(found, &truth, &mut wrong);
    drop(truth);
    for room in 0..found.rooms {
        occupants(found, room, &mut wrong);
    }
    wrong
}

/// What one user saw of one room.
struct View<'a> {
    found: &'a Found<'a>,
    truth: &'a Truth,
    user: usize,
    room: usize,
    name: String,
    here: bool,
    /// Asked to leave, or its session ended, since it was last here.
    leaves: bool,
    /// The last message of this stay.
    last: Option<usize>,
    /// Messages that there were when it came.
    count: usize,
    /// Messages of this stay, with the newest stream by which they came.
    seen: BTreeMap<usize, StreamNo>,
    acknowledged: BTreeMap<StreamNo, usize>,
    /// On which streams it was told that it is out, and how many messages of the room came before that.
    departed: Vec<(StreamNo, usize)>,
    /// Who else has left by its own doing.
    left: BTreeSet<String>,
}

impl<'a> View<'a> {
    fn new(found: &'a Found<'a>, truth: &'a Truth, user: usize, room: usize) -> Self {
        Self {
            found,
            truth,
            user,
            room,
            name: room_name(room),
            here: false,
            leaves: false,
            last: None,
            count: 0,
            seen: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            departed: Vec::new(),
            left: BTreeSet::new(),
        }
    }

    fn judge(mut self, wrong: &mut Vec<String>) {
        for event in &self.found.history.events {
            if let Err(why) = self.event(event) {
                wrong.push(format!(
                    "{why}: u{} in {} at {}",
                    self.user,
                    self.name,
                    event.line()
                ));
            }
        }
        let all = self.truth.count(&self.name);
        let next = self.last.map_or(self.count, |last| last + 1);
        let stays = self.found.users[self.user].rooms[self.room].wanted;
        if self.here && stays && next < all {
            wrong.push(format!(
                "I3 lost: u{} in {} saw {next} of {all}",
                self.user, self.name
            ));
        }
    }

    fn event(&mut self, event: &Event) -> Result<(), String> {
        let own = event.user == self.user;
        match &event.what {
            What::Up {
                stream,
                acknowledged,
                ..
            } => {
                self.acknowledged.insert(*stream, acknowledged[self.room]);
            }
            What::Leave { room, .. } if *room == self.room => self.gone(event.user),
            What::Gone { .. } => {
                self.gone(event.user);
                if own {
                    self.here = false;
                }
            }
            // One that reached nobody begins nothing: what comes then may be the end of the stay before it, once more.
            What::Join {
                room, way: Some(_), ..
            } if own && *room == self.room && !self.here => {
                self.begin();
            }
            What::Own { room, here, stream } if own && *room == self.room => {
                return self.own(*here, *stream);
            }
            What::Presence {
                room, nick, here, ..
            } if own && *room == self.room && !here && !self.left.contains(nick) => {
                return Err(format!("I6 {nick} left without asking to"));
            }
            What::Message {
                room,
                id,
                delayed,
                durable,
                stream,
            } if own && *room == self.room => {
                if !durable {
                    return Err("I2 not durable when it was seen".to_owned());
                }
                return self.message(id, *delayed, *stream);
            }
            _ => {}
        }
        Ok(())
    }

    fn gone(&mut self, user: usize) {
        self.left.insert(nick(user));
        self.leaves |= user == self.user;
    }

    fn begin(&mut self) {
        self.leaves = false;
        self.last = None;
        self.seen.clear();
    }

    fn own(&mut self, here: bool, stream: StreamNo) -> Result<(), String> {
        if here && !self.here {
            self.here = true;
            self.count = self.last.map_or(0, |last| last + 1);
        }
        if !here {
            let was = std::mem::replace(&mut self.here, false);
            if was && !self.leaves && !self.is_departure_again(stream) {
                return Err("I6 left without asking to".to_owned());
            }
            let before = self.last.map_or(0, |last| last + 1);
            self.departed.push((stream, before));
        }
        Ok(())
    }

    /// It left and has come back; both come again, since nothing acknowledged them. That it is in is told behind it.
    fn is_departure_again(&self, stream: StreamNo) -> bool {
        let acknowledged = self.acknowledged.get(&stream).copied().unwrap_or(0);
        let mut departed = self.departed.iter();
        departed.any(|(on, before)| *on < stream && *before >= acknowledged)
    }

    fn message(&mut self, id: &str, delayed: bool, stream: StreamNo) -> Result<(), String> {
        let Some(at) = self.truth.position(&self.name, id) else {
            return Err("I3 never was".to_owned());
        };
        if delayed {
            self.last = self.last.max(Some(at));
            return Ok(());
        }
        if self.leaves || !self.here {
            return Ok(());
        }
        let before = self.seen.insert(at, stream);
        let last = self.last.replace(at);
        match (last, before) {
            (None, _) => Ok(()),
            (Some(last), None) if at == last + 1 => Ok(()),
            (Some(last), None) if at > last => Err(format!("I3 gap: {at} follows {last}")),
            (Some(last), None) => Err(format!("I3 order: {at} follows {last}")),
            (Some(last), Some(_)) if at > last + 1 => {
                Err(format!("I3 gap in a repetition: {at} follows {last}"))
            }
            (Some(_), Some(before)) if before == stream => {
                Err(format!("I3 twice on one stream: {at}"))
            }
            (Some(_), Some(_)) => {
                let acknowledged = self.acknowledged.get(&stream).copied().unwrap_or(0);
                if at < acknowledged {
                    return Err(format!("I3 again though acknowledged: {at}"));
                }
                Ok(())
            }
        }
    }
}

/// I5: answers are there, and true.
fn answers(found: &Found<'_>, truth: &Truth, wrong: &mut Vec<String>) {
    let events = &found.history.events;
    let mut downs = BTreeMap::new();
    let mut answered = BTreeSet::new();
    for event in events {
        match &event.what {
            What::Down { stream } => {
                downs.insert(*stream, event.at);
            }
            What::Message { id, .. } | What::Pong { id } => {
                answered.insert((event.user, id.as_str()));
            }
            What::Refused {
                id,
                room,
                condition,
                ..
            } => {
                answered.insert((event.user, id.as_str()));
                let is_there = truth.position(&room_name(*room), id).is_some();
                if is_there && condition != "remote-server-timeout" {
                    wrong.push(format!("I5 refused, but there: {}", event.line()));
                }
            }
            _ => {}
        }
    }
    for event in events {
        let (id, way, patience) = match &event.what {
            What::Say { id, way, .. } => (id, way, ANSWER),
            What::Ping { id, way, .. } => (id, way, 0),
            _ => continue,
        };
        let goes_away = |other: &&Event| {
            let gone = matches!(other.what, What::Gone { .. } | What::Leave { .. });
            other.user == event.user && gone && other.at >= event.at
        };
        let lived = |way: &StreamNo| downs.get(way).is_none_or(|at| *at > event.at + ANSWER);
        let expected = way.as_ref().is_some_and(lived)
            && (patience == 0 || event.at + patience <= found.asked)
            && !events.iter().any(|other| goes_away(&other));
        if expected && !answered.contains(&(event.user, id.as_str())) {
            wrong.push(format!("I5 no answer: {}", event.line()));
        }
    }
}

/// I6, I7: who is in a room by what the store holds, by what clients want, and by what they see.
fn occupants(found: &Found<'_>, room: usize, wrong: &mut Vec<String>) {
    let name = room_name(room);
    let stored = match stored_sessions(found.disk, &name) {
        Ok(stored) => stored,
        Err(why) => return wrong.push(format!("I7 {name}: {why}")),
    };
    let wanted: BTreeSet<String> = found
        .users
        .iter()
        .filter(|user| user.rooms[room].wanted)
        .filter_map(User::jid)
        .collect();
    if stored != wanted {
        wrong.push(format!(
            "I6 {name}: the store has {stored:?}, there are {wanted:?}"
        ));
    }
    let nicks: BTreeSet<String> = found
        .users
        .iter()
        .filter(|user| {
            stored
                .iter()
                .any(|jid| jid.starts_with(&format!("u{}@{HOST}/", user.no)))
        })
        .map(|user| nick(user.no))
        .collect();
    for user in found.users.iter().filter(|user| user.rooms[room].here) {
        let sees = &user.rooms[room].nicks;
        if *sees != nicks {
            wrong.push(format!(
                "I7 {name}: u{} sees {sees:?}, there are {nicks:?}",
                user.no
            ));
        }
    }
}

fn stored_sessions(disk: &Disk, room: &str) -> Result<BTreeSet<String>, String> {
    let (space, local) = (DOMAIN.into(), room.into());
    let name = ChannelName { space, local };
    let shard = coven_cluster::ShardId::of(&name, SHARDS);
    let key = ChannelKey::new(DOMAIN, room);
    let loaded = disk.model.load(ShardId(shard.0), &key).wait();
    let Some(loaded) = loaded.map_err(|error| error.to_string())? else {
        return Ok(BTreeSet::new());
    };
    let mut state = match loaded.snapshot {
        Some(snapshot) => {
            let s = decode_snapshot(snapshot.state).map_err(|error| error.to_string())?;
            Channel::from_parts(name, s.roster, s.key, s.lock)
        }
        None => Channel::new(name),
    };
    for entry in loaded.journal {
        let event = decode_event(entry.record).map_err(|error| error.to_string())?;
        state.apply(&Arc::new(Record {
            sequence: Sequence(entry.sequence.0),
            first_epoch: Epoch(entry.first_epoch.0),
            stamp: Timestamp(entry.stamp.0 as i64),
            event,
        }));
    }
    Ok(state
        .roster()
        .sessions()
        .map(|s| s.jid.to_string())
        .collect())
}
