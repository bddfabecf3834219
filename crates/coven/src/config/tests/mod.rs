//! Whole files in, configurations or problems out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod checks;
mod cluster;
mod documents;
mod environment;
mod reading;

use std::path::Path;

use super::{Config, Loaded, Overrides, load_text};

/// The smallest file that is accepted.
const SMALL: &str = "[[domain]]\nname = 'chat.localhost'\n\
    [[upstream]]\naddress = '127.0.0.1:5347'\ndomains = ['chat.localhost']\nsecret = 'canary'\n";

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, Vec<String>> {
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let loaded = load_text(
        Path::new("/etc/coven.toml"),
        text,
        variables,
        &Overrides::default(),
    );
    loaded.map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn accepted(text: &str) -> Config {
    load(text, &[]).expect("accepted").config
}

/// The problems of a file, without the name of the file.
fn refused(text: &str) -> Vec<String> {
    let problems = load(text, &[]).expect_err("refused");
    problems
        .iter()
        .map(|problem| problem.replacen("/etc/coven.toml", "", 1))
        .collect()
}

/// A file with both kinds of domains to build on: `domain` and `upstream` are added to the sections.
fn file(domain: &str, upstream: &str, more: &str) -> String {
    format!(
        "[[domain]]\nname = 'chat.localhost'\n{domain}\n\
         [[upstream]]\naddress = '127.0.0.1:5347'\ndomains = ['chat.localhost']\nsecret = 'canary'\n{upstream}\n{more}\n"
    )
}
