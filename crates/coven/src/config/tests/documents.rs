//! The documents say what the code does: every key occurs, every example parses, every default is the real one.

use std::collections::BTreeSet;

use serde::de::value::Error;
use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::super::archive::Archive;
use super::super::defaults::Defaults;
use super::super::domain::{Contacts, DomainSection};
use super::super::file::File;
use super::super::http::Http;
use super::super::limits::Limits;
use super::super::log::Log;
use super::super::node::Node;
use super::super::store::StoreSection;
use super::super::upstream::UpstreamSection;
use super::accepted;
use crate::log::EVENTS;

const REFERENCE: &str = include_str!("../../../../../docs/configuration.md");
const EXAMPLE: &str = include_str!("../../../../../docs/coven.example.toml");

/// The keys that serde takes for a section.
fn keys_of<T: for<'de> Deserialize<'de>>() -> Vec<&'static str> {
    let mut keys = Vec::new();
    assert!(T::deserialize(Keys(&mut keys)).is_err());
    assert!(!keys.is_empty());
    keys
}

/// Notes the names of the fields that are asked for, and fails.
struct Keys<'a>(&'a mut Vec<&'static str>);

impl<'de> Deserializer<'de> for Keys<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(de::Error::custom("not a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        self.0.extend(fields);
        Err(de::Error::custom("noted"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The part of the reference below a heading.
fn chapter(heading: &str) -> &'static str {
    let start = REFERENCE
        .find(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("no chapter {heading}"));
    let text = &REFERENCE[start + 1..];
    text[3..].find("\n## ").map_or(text, |end| &text[..end + 3])
}

/// Keys that the tables of a chapter explain: in backquotes in the first column.
fn explained(chapter: &'static str) -> BTreeSet<&'static str> {
    let rows = chapter
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    rows.flat_map(|keys| keys.split(", "))
        .map(|key| key.trim_matches(['`', ' ']))
        .collect()
}

fn assert_explains(heading: &str, keys: &[Vec<&'static str>]) {
    let keys: BTreeSet<&str> = keys.iter().flatten().copied().collect();
    assert_eq!(explained(chapter(heading)), keys, "chapter {heading}");
}

#[test]
fn every_key_is_explained_and_nothing_else() {
    assert_explains("The top of the file", &[keys_of::<File>()]);
    assert_explains("`[store]`", &[keys_of::<StoreSection>()]);
    assert_explains(
        "`[[domain]]`",
        &[keys_of::<DomainSection>(), keys_of::<Defaults>()],
    );
    assert_explains("`[[upstream]]`", &[keys_of::<UpstreamSection>()]);
    assert_explains("`[node]`", &[keys_of::<Node>()]);
    assert_explains("`[archive]`", &[keys_of::<Archive>()]);
    assert_explains("`[http]`", &[keys_of::<Http>()]);
    assert_explains("`[limits]`", &[keys_of::<Limits>()]);
    assert_explains("`[log]`", &[keys_of::<Log>()]);
    for kind in keys_of::<Contacts>() {
        assert!(
            chapter("`[[domain]]`").contains(&format!("`{kind}`")),
            "{kind}"
        );
    }
}

#[test]
fn every_event_is_named() {
    for event in EVENTS {
        assert!(
            chapter("`[log]`").contains(&format!("`{event}`")),
            "{event}"
        );
    }
}

/// The blocks of TOML in the reference.
fn examples() -> Vec<&'static str> {
    let blocks = REFERENCE.split("```toml\n").skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap())
        .collect()
}

#[test]
fn the_examples_are_accepted() {
    accepted(EXAMPLE);
    let examples = examples();
    assert_eq!(examples.len(), 3);
    accepted(examples[0]);
    accepted(&examples[1].replace("secret-file = \"secret\"", "secret = \"s\""));
}

#[test]
fn what_the_example_comments_out_is_accepted_too() {
    let all: Vec<&str> = EXAMPLE
        .lines()
        .map(|line| {
            line.strip_prefix('#')
                .filter(|l| !l.starts_with(' '))
                .unwrap_or(line)
        })
        .collect();
    accepted(&all.join("\n"));
}

/// A file with what must be given, and `more`.
fn with_needed(defaults: &str) -> String {
    defaults
        .replacen("[[domain]]", "[[domain]]\nname = 'a'", 1)
        .replacen(
            "[[upstream]]",
            "[[upstream]]\naddress = 'a:1'\ndomains = ['a']\nsecret = 's'",
            1,
        )
}

#[test]
fn the_documented_defaults_are_the_real_ones() {
    let documented = examples()[2];
    let written = accepted(&with_needed(documented));
    let unwritten = accepted(&with_needed("[[domain]]\n[[upstream]]\n"));
    assert_eq!(format!("{written:#?}"), format!("{unwritten:#?}"));
}

#[test]
fn every_default_is_documented() {
    let documented = examples()[2];
    let without_default = [
        "name",
        "mirror",
        "space",
        "max-users",
        "address",
        "domains",
        "secret",
        "secret-file",
        "max-count",
        "max-bytes",
        "durability",
        "prefix",
        "must-exist",
        "admin-token-file",
    ];
    // What is for the roles of a cluster, or for a later version.
    let later = ["cluster", "allow-invites"];
    let sections = [
        keys_of::<File>(),
        keys_of::<StoreSection>(),
        keys_of::<DomainSection>(),
        keys_of::<Defaults>(),
        keys_of::<UpstreamSection>(),
        keys_of::<Node>(),
        keys_of::<Archive>(),
        keys_of::<Http>(),
        keys_of::<Limits>(),
        keys_of::<Log>(),
        keys_of::<Contacts>(),
    ];
    for key in sections
        .iter()
        .flatten()
        .filter(|key| !without_default.contains(key) && !later.contains(key))
    {
        let here = |line: &str| {
            line.starts_with(&format!("{key} = "))
                || line.contains(&format!(" {key} = ["))
                || line.ends_with(&format!("{key}]"))
                || line.ends_with(&format!("{key}]]"))
        };
        assert!(documented.lines().any(here), "{key}");
    }
}

#[test]
fn the_defaults_of_the_example_are_the_real_ones() {
    let keys = ["contacts", "abuse", "max-count"];
    let real = accepted(EXAMPLE);
    let all: Vec<&str> = EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting)
                if !setting.starts_with(' ')
                    && !keys.iter().any(|key| setting.starts_with(key)) =>
            {
                setting
            }
            _ => line,
        })
        .collect();
    let written = accepted(&all.join("\n"));
    assert_eq!(format!("{written:#?}"), format!("{real:#?}"));
}
