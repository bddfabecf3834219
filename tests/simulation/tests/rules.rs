//! Each rule that the simulation guards, left out: some seed sees it (docs/adr/009).
//!
//! Which seed sees it changes with any change of the code; so each search goes on until the first red one, over far more
//! seeds than it takes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::process::Command;

/// Runs seeds without a rule until one is red; tells what it says.
fn without(rule: &str) -> String {
    let ran = Command::new(env!("CARGO_BIN_EXE_simulate"))
        .args(["--seeds", "600", "--first", "--without", rule])
        .output()
        .expect("the program runs");
    assert!(!ran.status.success(), "nobody misses {rule}");
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn i2_without_the_output_gate_a_seed_is_red() {
    assert!(without("gate").contains("violation: I"));
}

#[test]
fn i3_without_the_replay_of_unsent_output_a_seed_is_red() {
    assert!(without("unsent").contains("violation: I3"));
}

#[test]
fn i3_without_barriers_before_acknowledgements_a_seed_is_red() {
    assert!(without("barrier").contains("violation: I3"));
}

#[test]
fn i1_without_the_check_of_the_epoch_a_seed_is_red() {
    assert!(without("epoch").contains("violation: I1"));
}

#[test]
fn i3_without_the_check_of_number_and_sequence_a_seed_is_red() {
    assert!(without("sequence").contains("violation: I"));
}

#[test]
fn i4_without_outcomes_of_operations_a_seed_is_red() {
    assert!(without("operation").contains("violation: I4"));
}

#[test]
fn i3_without_the_catch_up_roster_a_seed_is_red() {
    assert!(without("roster").contains("violation: I3"));
}

#[test]
fn i3_without_the_filter_by_sequence_and_first_epoch_a_seed_is_red() {
    assert!(without("filter").contains("violation: I3"));
}
