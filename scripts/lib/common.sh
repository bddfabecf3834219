# shellcheck shell=bash
# What all scripts share: where things are, and how they speak. Sourced, never run.
# Next: install.sh (packages, Python), steps.sh (steps with headings and times).

# The root of the working copy.
COVEN_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# Everything that is made once and kept: the Python environment, cargo's output.
COVEN_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/coven
# One target directory outside of the clone: a second clone builds in seconds.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$COVEN_CACHE/target}
export COVEN_ROOT COVEN_CACHE

say() { printf '%s\n' "$*" >&2; }

die() {
	say "error: $*"
	exit 1
}

# Runs a command as root: directly, or through sudo (which may ask for a password).
as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo -- "$@"
	else
		die "root is needed for: $* (run it as root, or install sudo)"
	fi
}

need_cargo() {
	local wanted found
	command -v cargo >/dev/null || die "cargo not found: install a Rust toolchain (https://rustup.rs)"
	wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$COVEN_ROOT/Cargo.toml")
	found=$(cargo --version | cut -d' ' -f2)
	[ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ] ||
		die "Rust $wanted or newer is needed, this is $found (https://rustup.rs)"
}
