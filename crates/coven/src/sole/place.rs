//! Which process of which machine it is, so that one that starts there again knows that the one before is gone.
//!
//! A process id says nothing after a reboot, in another namespace, or when it was given again: so those are named with it.
//! Where the system does not tell them, nobody is known to be gone.

use std::fs::{read_link, read_to_string};

/// This process.
pub(super) fn here() -> Option<String> {
    of(std::process::id())
}

/// Whether that process ran where this one runs, and has ended.
pub(super) fn is_gone(place_of_other: &str) -> bool {
    let Some((other, id)) = place_of_other
        .rsplit_once('/')
        .and_then(|(rest, _)| rest.rsplit_once('/'))
    else {
        return false;
    };
    let is_here = around().is_some_and(|around| around == other);
    let Ok(id) = id.parse() else { return false };
    is_here && of(id).as_deref() != Some(place_of_other)
}

/// A living process of this machine: `BOOT/NAMESPACE/ID/START`.
pub(super) fn of(id: u32) -> Option<String> {
    Some(format!("{}/{id}/{}", around()?, start(id)?))
}

fn around() -> Option<String> {
    let boot = read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{}/{}", boot.trim(), namespace.display()))
}

/// When it was started, in ticks since the boot (proc(5), field 22); nothing of one that has ended and is not waited for yet.
fn start(id: u32) -> Option<String> {
    let stat = read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name, in parentheses, may have any characters.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let state = fields.next()?;
    let is_over = matches!(state, "Z" | "X");
    fields.nth(18).filter(|_| !is_over).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use std::process::Command;

    #[test]
    fn who_lives_is_not_gone() {
        let here = here().unwrap();
        assert!(!is_gone(&here), "{here}");
    }

    #[test]
    fn who_has_ended_is_gone_and_so_is_one_whose_number_was_given_again() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let other = of(child.id()).unwrap();
        assert!(!is_gone(&other), "{other}");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(is_gone(&other), "{other}");
        let mut again = here().unwrap();
        again.push('0');
        assert!(is_gone(&again), "{again}");
    }

    #[test]
    fn of_another_machine_nothing_is_known() {
        for other in ["", "a/b", "a/b/1/1", "a/b/x/1", "////"] {
            assert!(!is_gone(other), "{other}");
        }
    }
}
