//! How channels begin and end.

pub mod create;
pub mod destroy;
pub mod persistence;
pub mod shutdown;
