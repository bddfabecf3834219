//! Random requests to the SQLite store and to the memory store, which has to answer the same.
//!
//! The log is short, so that whatever is asked is spread over pages, snapshots, rows and the log in ever new ways.
//! `requests` says what may be asked, `pair` asks both stores, `writes` makes the commits, `reads` compares.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod pair;
mod reads;
mod requests;
mod writes;

use pair::Pair;
use proptest::prelude::*;
use requests::op;
use tempfile::TempDir;

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_answers_what_memory_answers(ops in prop::collection::vec(op(), 1..150)) {
        let folder = TempDir::new().unwrap();
        let mut pair = Pair::new(&folder);
        for (number, op) in ops.into_iter().enumerate() {
            pair.run(op);
            if number % 10 == 9 {
                pair.compare();
            }
        }
        pair.restart();
    }
}
