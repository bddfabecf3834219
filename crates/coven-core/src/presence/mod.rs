//! Being there: sessions, joining, leaving, presence, participation and ghosts.

pub mod ghost;
pub mod join;
pub mod leave;
pub mod listing;
pub mod participate;
pub mod selfping;
pub mod session;
pub mod subscription;
pub mod update;
