//! Configurations for the tests of other modules.
#![allow(clippy::expect_used, reason = "tests")]

use std::path::Path;

use super::{Config, Overrides, load_text};

/// The configuration in `text`, as if it were `/etc/coven.toml`, with an empty environment.
pub(crate) fn load(text: &str) -> Config {
    let loaded = load_text(
        Path::new("/etc/coven.toml"),
        text,
        [],
        &Overrides::default(),
    );
    loaded.expect("a correct configuration").config
}
