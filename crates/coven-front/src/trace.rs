//! A trace of barriers, for the checker of histories in crash tests: what was written before an answered barrier has
//! been taken in by the server, and must never come again.
//!
//! With the cargo feature `fail-points` and `COVEN_BARRIER_TRACE=path`, each answered barrier appends one JSON object on
//! a line, at once: `stream` (the connection's name), `counter`, `sent` and `answered` (unix time in milliseconds).
//! Without the feature there is nothing here.

use std::time::Duration;

/// A barrier is answered, `took` after it was sent.
#[cfg(not(feature = "fail-points"))]
#[inline(always)]
pub(crate) const fn barrier(_stream: &str, _counter: u64, _took: Duration) {}

/// A barrier is answered, `took` after it was sent.
#[cfg(feature = "fail-points")]
pub(crate) fn barrier(stream: &str, counter: u64, took: Duration) {
    use std::fs::File;
    use std::io::Write;
    use std::sync::OnceLock;

    static TRACE: OnceLock<Option<File>> = OnceLock::new();
    let open = || {
        let path = std::env::var_os("COVEN_BARRIER_TRACE")?;
        File::options().append(true).create(true).open(path).ok()
    };
    let Some(mut file) = TRACE.get_or_init(open).as_ref() else {
        return;
    };
    let answered = crate::clock::now().0;
    let sent = answered - i64::try_from(took.as_millis()).unwrap_or_default();
    let line = format!(
        "{{\"stream\":\"{stream}\",\"counter\":{counter},\"sent\":{sent},\"answered\":{answered}}}\n"
    );
    let _ = file.write_all(line.as_bytes());
}
