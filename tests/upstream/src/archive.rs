//! One client reads the archive of its room to the end (XEP-0313, XEP-0059).
//!
//! Owns the pages: what an answered page brought is kept, and what came of one that has failed is dropped, so that the
//! archive is read once whatever happens meanwhile. The clock and the sending are `load.rs`.

use crate::history::{ArchiveNo, Condition, MessageNo};
use std::time::Duration;
use tokio::time::Instant;

/// How long a page may take before it is asked for again.
const PATIENCE: Duration = Duration::from_secs(5);
/// Entries of a page.
const PAGE: usize = 100;

/// How far the reading of one archive is.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// What is known.
    pub(crate) entries: Vec<(MessageNo, ArchiveNo)>,
    /// The end is known.
    pub(crate) done: bool,
    /// What the page that was asked for has brought so far.
    coming: Vec<(MessageNo, ArchiveNo)>,
    last: Option<String>,
    tries: u32,
    asked: Option<Instant>,
}

impl Reading {
    /// The query that is due now, to be sent with its id.
    pub(crate) fn due(&mut self, now: Instant) -> Option<(String, String)> {
        let waits = self.asked.is_some_and(|asked| now < asked + PATIENCE);
        if self.done || waits {
            return None;
        }
        self.tries += 1;
        self.asked = Some(now);
        self.coming.clear();
        let id = self.id();
        let after = self
            .last
            .as_ref()
            .map(|last| format!("<after>{last}</after>"))
            .unwrap_or_default();
        let query = format!(
            "<query xmlns='urn:xmpp:mam:2' queryid='{id}'><set xmlns='http://jabber.org/protocol/rsm'>\
             <max>{PAGE}</max>{after}</set></query>"
        );
        Some((id, query))
    }

    /// An entry has come.
    pub(crate) fn entry(&mut self, query: &str, message: MessageNo, archive: ArchiveNo) {
        if query == self.id() {
            self.coming.push((message, archive));
        }
    }

    /// The page is over.
    pub(crate) fn page(
        &mut self,
        id: &str,
        condition: Condition,
        (complete, last): (bool, Option<&str>),
    ) {
        if id != self.id() || condition != Condition::NONE {
            return;
        }
        self.entries.append(&mut self.coming);
        self.done = complete || last.is_none();
        self.last = last.map(str::to_owned);
        self.asked = None;
    }

    fn id(&self) -> String {
        format!("a{}", self.tries)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const A: (MessageNo, ArchiveNo) = (MessageNo(1), ArchiveNo(11));
    const B: (MessageNo, ArchiveNo) = (MessageNo(2), ArchiveNo(12));

    #[tokio::test(start_paused = true)]
    async fn what_a_failed_page_brought_is_not_counted_twice() {
        let mut reading = Reading::default();
        let (id, query) = reading.due(Instant::now()).unwrap();
        assert!(!query.contains("<after>"));
        reading.entry(&id, A.0, A.1);
        assert!(reading.due(Instant::now()).is_none());
        tokio::time::advance(PATIENCE).await;
        let (again, _) = reading.due(Instant::now()).unwrap();
        reading.entry(&id, A.0, A.1);
        reading.entry(&again, A.0, A.1);
        reading.page(&id, Condition::NONE, (true, Some("x")));
        assert!(!reading.done);
        reading.page(&again, Condition::NONE, (false, Some("x")));
        let (third, query) = reading.due(Instant::now()).unwrap();
        assert!(query.contains("<after>x</after>"));
        reading.entry(&third, B.0, B.1);
        reading.page(&third, Condition::NONE, (true, Some("y")));
        assert_eq!(
            (reading.entries.as_slice(), reading.done),
            ([A, B].as_slice(), true)
        );
        assert!(reading.due(Instant::now()).is_none());
    }
}
