//! Rows of the interleavings that need several processes, as directed cases (docs/adr/009).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::process::Command;

/// Some seeds of a case: each befalls another node and front-end.
fn holds(case: &str) {
    let ran = Command::new(env!("CARGO_BIN_EXE_simulate"))
        .args(["--seeds", "6", "--case", case])
        .output()
        .expect("the program runs");
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stdout)
    );
}

#[test]
fn il_11_a_node_is_stopped_before_it_asks_for_the_lease_of_a_holder_that_it_does_not_reach() {
    holds("il_11");
}

#[test]
fn il_14_one_link_is_cut() {
    holds("il_14");
}

#[test]
fn il_15_a_front_end_is_cut_from_the_store_only() {
    holds("il_15");
}

#[test]
fn il_16_the_store_loses_claim_and_commits_of_who_took_over() {
    holds("il_16");
}

#[test]
fn il_17_what_the_store_lost_is_appended_again_and_its_owner_dies() {
    holds("il_17");
}

#[test]
fn il_22_a_front_end_is_stopped_while_its_link_is_cut() {
    holds("il_22");
}

#[test]
fn il_23_a_front_end_is_stopped_past_the_end_of_its_session() {
    holds("il_23");
}

#[test]
fn il_06_il_27_a_front_end_takes_over_and_dies() {
    holds("il_27");
}

#[test]
fn il_29_a_fail_over_loses_all_sessions() {
    holds("il_29");
}

#[test]
fn il_33_what_a_closed_link_still_carries_comes_late() {
    holds("il_33");
}
