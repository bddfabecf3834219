//! A run of child elements, as it comes back from an archive or a journal.
#![no_main]

use bytes::Bytes;
use coven_xmpp::stanza::Payload;
use coven_xmpp::stream::Limits;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let limits = Limits::default();
    let Ok(payload) = Payload::read(Bytes::copy_from_slice(data), &limits) else { return };
    assert_eq!(Payload::read(payload.bytes().clone(), &limits).as_ref(), Ok(&payload));
    let mut together = Vec::new();
    for child in payload.children() {
        together.extend_from_slice(child.xml);
        let alone = Payload::read(Bytes::copy_from_slice(child.xml), &limits).expect("a child stands for itself");
        assert_eq!(alone.children().next(), Some(child));
        child.to_element().expect("a tree");
        let _ = (child.text(), child.attr("id"), child.lang());
    }
    assert_eq!(together, *payload.bytes());
    let (even, odd) = (payload.without(|child| child.name.len() % 2 == 0), payload.without(|child| child.name.len() % 2 == 1));
    assert_eq!(even.bytes().len() + odd.bytes().len(), payload.bytes().len());
});
