//! People of a channel: who they are, what they are called, what they may do and who may see their address.

pub mod affiliation;
pub mod nick;
pub mod participation;
pub mod person;
mod resourceprep;
pub mod rights;
pub mod role;
pub mod visibility;
