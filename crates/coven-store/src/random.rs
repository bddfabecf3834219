//! Fresh random ids. The only place of this crate that draws random bytes.

use crate::StoreId;

/// A new store's id. Without a source of random bytes the time has to do: two stores must only not be mixed up.
pub(crate) fn store_id() -> StoreId {
    StoreId(number())
}

/// A number that nobody else draws.
pub(crate) fn number() -> u128 {
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        let since = std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap_or_default();
        bytes = since.as_nanos().to_le_bytes();
    }
    u128::from_le_bytes(bytes)
}
