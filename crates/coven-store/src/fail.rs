//! Fail points: named places where a crash test ends the process.
//!
//! With the cargo feature `fail-points`, and `COVEN_FAILPOINT=name` or `name:nth` in the environment, the process
//! aborts when it passes the place for the nth time (from 1). Without the feature [`point`] is nothing.
//!
//! With the feature, `COVEN_FAILPOINT_LOG_LIMIT=bytes` makes logs small, so that they are trimmed within a story.

/// Passes the place `name`: comes back unless a crash test chose this passing of this place.
#[cfg(not(feature = "fail-points"))]
#[inline(always)]
pub const fn point(_name: &'static str) {}

/// Passes the place `name`: comes back unless a crash test chose this passing of this place.
#[cfg(feature = "fail-points")]
pub fn point(name: &'static str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static CHOSEN: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let chosen = CHOSEN.get_or_init(|| parse(&std::env::var("COVEN_FAILPOINT").ok()?));
    let Some((chosen, nth)) = chosen else { return };
    if chosen == name && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *nth {
        std::process::abort();
    }
}

/// How large a log may be, unless something else is said: `usual`.
#[cfg(not(feature = "fail-points"))]
pub(crate) const fn log_limit(usual: u64) -> u64 {
    usual
}

/// How large a log may be, unless something else is said: what the environment says, else `usual`.
#[cfg(feature = "fail-points")]
pub(crate) fn log_limit(usual: u64) -> u64 {
    let said = std::env::var("COVEN_FAILPOINT_LOG_LIMIT").ok();
    said.and_then(|bytes| bytes.parse().ok()).unwrap_or(usual)
}

/// `name` or `name:nth`; a count that is no number means nothing is chosen.
#[cfg(feature = "fail-points")]
fn parse(value: &str) -> Option<(String, u64)> {
    match value.split_once(':') {
        Some((name, nth)) => Some((name.to_owned(), nth.parse().ok()?)),
        None => Some((value.to_owned(), 1)),
    }
}

#[cfg(all(test, feature = "fail-points"))]
mod tests {
    use super::parse;

    #[test]
    fn a_count_is_optional() {
        assert_eq!(parse("a-b"), Some(("a-b".to_owned(), 1)));
        assert_eq!(parse("a-b:3"), Some(("a-b".to_owned(), 3)));
        assert_eq!(parse("a-b:x"), None);
    }
}
