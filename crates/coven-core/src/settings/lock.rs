//! The lock of a room that its creator has not configured yet (XEP-0045 §10.1; MUC-CREATE-01..09, MAP-40).

use crate::ids::{PersonNo, Timestamp};

/// A new room that only its creator may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock {
    /// Who made it.
    pub creator: PersonNo,
    /// When it is destroyed if nobody has configured it (MUC-CREATE-09).
    pub until: Timestamp,
}
