//! The field `event` of the log has no value but those that operators and tests rely on.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::{Path, PathBuf};

/// All `.rs` files below `folder`.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The values that `text` gives the field.
fn events(text: &str) -> Vec<&str> {
    let values = text.split("event = \"").skip(1);
    values.filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn events_of_the_log_have_known_names() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut given = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir(crates).unwrap() {
        for file in sources(&entry.unwrap().path().join("src")) {
            for event in events(&std::fs::read_to_string(&file).unwrap()) {
                assert!(
                    coven::log::EVENTS.contains(&event),
                    "{event} in {}",
                    file.display()
                );
                given.insert(event.to_owned());
            }
        }
    }
    for event in coven::log::EVENTS {
        assert!(given.contains(event), "nothing gives {event}");
    }
}
