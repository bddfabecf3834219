//! A deterministic simulation of coven: the real node and front-end, each process in a runtime with a clock of its own, over a
//! store, XMPP servers and users in memory, with faults. All that happens follows from a seed.
//!
//! Owns the world around the processes and the judgement on what users saw ([`check`], invariants I1 to I7 of the design).
//! What a call of the store means is said by `coven_store::MemoryStore`; rules and stanzas are the real ones.
//!
//! Read next: [`world`] for the order of things, [`plan`] for what a seed means, [`check`] for what is wrong.

pub mod case;
pub mod check;
pub mod history;
pub mod host;
pub mod line;
pub mod link;
pub mod machines;
pub mod net;
pub mod os;
pub mod plan;
pub mod process;
pub mod registry;
pub mod rng;
pub mod roles;
pub mod rule;
pub mod server;
pub mod stanza;
pub mod store;
pub mod truth;
pub mod user;
pub mod wire;
pub mod world;
