//! What happened, as users and the server saw it: the checker's evidence, and what makes two runs the same.

use std::fmt::Write as _;

use crate::server::StreamNo;

/// Something that happened.
#[derive(Debug, Clone)]
pub struct Event {
    /// When, in microseconds.
    pub at: u64,
    /// To or by which user; `usize::MAX`: nobody in particular.
    pub user: usize,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone)]
#[allow(
    missing_docs,
    reason = "rooms, ids, nicks and streams are what they are called"
)]
pub enum What {
    /// The user sent a stanza. `way`: the stream that the server gave it to; `None`: the server bounced it.
    Join {
        room: usize,
        way: Option<StreamNo>,
    },
    Leave {
        room: usize,
        way: Option<StreamNo>,
    },
    Say {
        room: usize,
        id: String,
        way: Option<StreamNo>,
    },
    Ping {
        room: usize,
        id: String,
        way: Option<StreamNo>,
    },
    /// The user's session ended.
    Gone {
        way: Option<StreamNo>,
    },
    /// A groupchat message. `delayed`: of the history.
    Message {
        room: usize,
        id: String,
        delayed: bool,
        durable: bool,
        stream: StreamNo,
    },
    /// Own presence: the user is in the room, or no more.
    Own {
        room: usize,
        here: bool,
        stream: StreamNo,
    },
    /// Somebody's presence.
    Presence {
        room: usize,
        nick: String,
        here: bool,
        stream: StreamNo,
    },
    /// A stanza error to what the user sent.
    Refused {
        room: usize,
        kind: String,
        id: String,
        condition: String,
        stream: StreamNo,
    },
    /// The answer to a ping.
    Pong {
        id: String,
    },
    /// A stream is there; so many messages of each room were known to be acknowledged.
    Up {
        node: usize,
        stream: StreamNo,
        acknowledged: Vec<usize>,
    },
    /// A stream is over.
    Down {
        stream: StreamNo,
    },
    /// A fault, or its end.
    Fault(String),
}

/// All of it, in order.
#[derive(Debug, Default)]
pub struct History {
    /// In order.
    pub events: Vec<Event>,
    /// Written as it comes.
    pub is_traced: bool,
}

impl History {
    /// Notes something.
    pub fn note(&mut self, at: u64, user: usize, what: What) {
        let event = Event { at, user, what };
        if self.is_traced {
            println!("{}", event.line());
        }
        self.events.push(event);
    }

    /// One number for all of it.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for event in &self.events {
            for byte in event.line().bytes() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        hash
    }
}

impl Event {
    /// As a line of text.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = format!("{:>5}.{:06}", self.at / 1_000_000, self.at % 1_000_000);
        if self.user != usize::MAX {
            let _ = write!(line, " u{}", self.user);
        }
        let _ = write!(line, " {:?}", self.what);
        line
    }
}
