//! Fail points: named places where a crash test ends the process.
//!
//! With the cargo feature `fail-points`, and `COVEN_FAILPOINT=name` or `name:nth` in the environment, the process
//! aborts when it passes the place for the nth time (from 1). Without the feature there is nothing here. Places:
//! `front-mid-write` (half of a batch is with the system), `front-after-write-before-ack`.

#[cfg(not(feature = "fail-points"))]
mod off {
    use crate::connection::Piece;
    use crate::connection::WritingHalf;
    use std::collections::VecDeque;

    /// Passes the place `name`.
    #[inline(always)]
    pub(crate) const fn point(_name: &'static str) {}

    /// Passes the place in the middle of a write.
    #[inline(always)]
    pub(crate) async fn mid_write(_socket: &mut WritingHalf, _batch: &mut VecDeque<Piece>) {}
}

#[cfg(not(feature = "fail-points"))]
pub(crate) use off::{mid_write, point};

#[cfg(feature = "fail-points")]
mod on {
    use crate::connection::Piece;
    use crate::connection::WritingHalf;
    use bytes::Buf;
    use std::collections::VecDeque;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static CHOSEN: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);

    /// Passes the place `name`: comes back unless a crash test chose this passing of this place.
    pub(crate) fn point(name: &'static str) {
        let Some(nth) = chosen(name) else { return };
        if PASSED.fetch_add(1, Ordering::Relaxed) + 1 == nth {
            std::process::abort();
        }
    }

    /// Passes the place in the middle of a write: half of the first piece is written before it, if it is chosen.
    pub(crate) async fn mid_write(socket: &mut WritingHalf, batch: &mut VecDeque<Piece>) {
        const NAME: &str = "front-mid-write";
        let (Some(_), Some(first)) = (chosen(NAME), batch.front_mut()) else {
            return;
        };
        let half = first.bytes.split_to(first.bytes.len() / 2);
        let _ = socket.write_all(half.chunk()).await;
        point(NAME);
    }

    fn chosen(name: &str) -> Option<u64> {
        let chosen = CHOSEN.get_or_init(|| parse(&std::env::var("COVEN_FAILPOINT").ok()?));
        let (chosen, nth) = chosen.as_ref()?;
        (chosen == name).then_some(*nth)
    }

    /// `name` or `name:nth`; a count that is no number means nothing is chosen.
    fn parse(value: &str) -> Option<(String, u64)> {
        match value.split_once(':') {
            Some((name, nth)) => Some((name.to_owned(), nth.parse().ok()?)),
            None => Some((value.to_owned(), 1)),
        }
    }

    #[cfg(test)]
    mod tests {
        use super::parse;

        #[test]
        fn a_count_is_optional() {
            assert_eq!(parse("a-b"), Some(("a-b".to_owned(), 1)));
            assert_eq!(parse("a-b:3"), Some(("a-b".to_owned(), 3)));
            assert_eq!(parse("a-b:x"), None);
        }
    }
}

#[cfg(feature = "fail-points")]
pub(crate) use on::{mid_write, point};
