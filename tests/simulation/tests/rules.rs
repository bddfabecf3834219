//! Each rule that the simulation guards, left out: some of the first seeds see it (docs/adr/009).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::process::Command;

/// Runs some seeds without a rule; tells what they say.
fn without(rule: &str) -> String {
    let ran = Command::new(env!("CARGO_BIN_EXE_simulate"))
        .args(["--seeds", "40", "--without", rule])
        .output()
        .expect("the program runs");
    assert!(!ran.status.success(), "nobody misses {rule}");
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn i2_without_the_output_gate_seeds_are_red() {
    assert!(without("gate").contains("I2 not durable when it was seen"));
}

#[test]
fn i3_without_the_replay_of_unsent_output_seeds_are_red() {
    assert!(without("unsent").contains("violation: I3"));
}

#[test]
fn i3_without_barriers_before_acknowledgements_seeds_are_red() {
    assert!(without("barrier").contains("violation: I3"));
}
