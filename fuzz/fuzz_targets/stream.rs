//! A component stream from a hostile server, in one piece and in chunks.
#![no_main]

use coven_xmpp::stream::{Component, Event, Frame, Framer, Limits};
use libfuzzer_sys::fuzz_target;

const HEADER: &[u8] = b"<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='1'><handshake/>";

fn limits() -> Limits {
    Limits { stanza_bytes: 512, ..Limits::default() }
}

fn events<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<Event>, Vec<u8>) {
    let (mut events, mut out) = (Vec::new(), Vec::new());
    let mut component = Component::open("chat.example", "secret", limits(), &mut out);
    for chunk in chunks {
        component.handle_bytes(chunk, &mut events, &mut out);
    }
    (events, out)
}

fn memory_is_bounded(bytes: &[u8]) {
    let mut framer = Framer::new(&limits());
    for chunk in bytes.chunks(16) {
        let mut input = chunk;
        while let Ok(Some(frame)) = framer.next(&mut input) {
            assert!(matches!(frame, Frame::Close) || framer.held() == 0);
        }
        assert!(framer.held() <= 16 * 1024);
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    let whole = if first & 1 == 0 { rest.to_vec() } else { [HEADER, rest].concat() };
    let size = usize::from(first >> 1).max(1);
    let at_once = events(std::iter::once(whole.as_slice()));
    assert_eq!(at_once, events(whole.chunks(size)));
    for event in at_once.0 {
        if let Event::Stanza(stanza) = event {
            let _ = stanza.read(&limits());
        }
    }
    memory_is_bounded(&whole);
});
