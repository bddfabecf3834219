//! Stanzas to rooms and channels, one a line: no panic, only good stanzas come out, and nobody learns an address that is
//! not for them. The first byte chooses how the views share domains.
#![no_main]

#[allow(dead_code)]
#[path = "../../crates/coven-xmpp/tests/common/mod.rs"]
mod common;

use common::{CRONE, HAG, WICCA, World, try_read};
use libfuzzer_sys::fuzz_target;

/// Lines of one input that are looked at.
const MAX_LINES: usize = 64;

fn world(kind: Option<&u8>) -> World {
    match kind.map(|kind| kind % 3) {
        Some(0) => World::muc(),
        Some(1) => World::pair(),
        _ => World::both(),
    }
}

fuzz_target!(|data: &[u8]| {
    let mut world = world(data.first()).with_room();
    world.join(HAG, "thirdwitch");
    let lines: Vec<&str> = data
        .get(1..)
        .unwrap_or_default()
        .split(|byte| *byte == b'\n')
        .take(MAX_LINES)
        .filter_map(|line| std::str::from_utf8(line).ok())
        // A lone carriage return is white space to XML; the tests' other parser refuses it.
        .filter(|line| !line.contains('\r') && try_read(line).is_some())
        .collect();
    // What people write about each other is theirs to tell.
    let bare = |full: &str| full.split('/').next().map(str::to_owned);
    world.watched = [CRONE, HAG, WICCA]
        .into_iter()
        .filter_map(bare)
        .filter(|bare| !lines.iter().any(|line| mentions(line, bare)))
        .collect();
    for line in lines {
        world.send(line);
    }
});

/// Whether the stanza names the address anywhere but as its sender, in whatever spelling.
fn mentions(line: &str, bare: &str) -> bool {
    let is_sender = try_read(line).is_some_and(|stanza| stanza.from.bare() == bare);
    let named = line.to_lowercase().matches(bare).count();
    line.contains("&#") || named > usize::from(is_sender)
}
