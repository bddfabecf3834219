//! The coven binary: configuration, roles, HTTP, wiring.

fn main() {}
