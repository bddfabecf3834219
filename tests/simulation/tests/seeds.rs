//! Seeds run in processes of their own, as `scripts/simulate` runs them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::process::Command;

/// What a run of the program says, and whether it is content.
fn simulate(arguments: &[&str]) -> (String, bool) {
    let ran = Command::new(env!("CARGO_BIN_EXE_simulate"))
        .args(arguments)
        .output()
        .expect("the program runs");
    let said = String::from_utf8(ran.stdout).unwrap() + &String::from_utf8(ran.stderr).unwrap();
    (said, ran.status.success())
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let first = simulate(&["--seed", "1"]).0;
    if first.contains("draws addresses at random") {
        println!("SKIPPED: addresses cannot be fixed here: {first}");
        return;
    }
    for seed in ["1", "2", "3", "8", "25"] {
        let (first, second) = (simulate(&["--seed", seed]), simulate(&["--seed", seed]));
        assert!(first.0.contains("hash "), "{}", first.0);
        assert_eq!(first, second);
    }
    let traced = simulate(&["--seed", "25", "--trace"]).0;
    assert_eq!(hash(&traced), hash(&simulate(&["--seed", "25"]).0));
    let other = simulate(&["--seed", "4"]).0;
    assert!(!other.contains(hash(&simulate(&["--seed", "1"]).0)));
}

#[test]
fn i1_to_i7_hold_in_the_fixed_seeds_of_one_process_and_of_a_cluster() {
    let (said, well) = simulate(&["--seeds", "24", "--from", "1"]);
    assert!(well, "{said}");
}

fn hash(said: &str) -> &str {
    let (_, rest) = said.rsplit_once("hash ").unwrap();
    &rest[..16]
}
