//! `docs/architecture.md` follows one thing through the house: it must not lose the way.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../../../docs/architecture.md");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
}

/// The files of the chapter on the subject, as they stand there.
fn listed() -> Vec<&'static str> {
    let (_, chapter) = PAGE.split_once("## A user changes the subject").unwrap();
    let (chapter, _) = chapter.split_once("\n## ").unwrap();
    let rows = chapter.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next()).collect()
}

/// All `.rs` files below `folder`.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Whether code, apart from comments and tests, has to do with the field.
fn touches_the_subject(text: &str) -> bool {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim().starts_with("//"));
    lines
        .flat_map(|line| line.split(".subject").skip(1))
        .any(|after| !after.starts_with(|next: char| next.is_alphanumeric() || next == '_'))
}

#[test]
fn every_file_on_the_way_of_a_subject_exists_once() {
    let files = listed();
    assert!(files.len() > 40, "{files:?}");
    for file in &files {
        assert!(root().join(file).is_file(), "{file} is not there");
    }
    let different: BTreeSet<_> = files.iter().collect();
    assert_eq!(different.len(), files.len(), "a file stands there twice");
}

#[test]
fn no_file_that_touches_the_subject_is_missing() {
    let files = listed();
    for entry in std::fs::read_dir(root().join("crates")).unwrap() {
        let mut found = Vec::new();
        sources(&entry.unwrap().path().join("src"), &mut found);
        for path in found {
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(
                !touches_the_subject(&text) || files.contains(&name),
                "{name} is not in docs/architecture.md"
            );
        }
    }
}
