# shellcheck shell=bash
# An older coven, for upgrades and rollbacks with both versions in place. Sourced after common.sh.

# The first commit at which nodes and front-ends worked: the tag, or what was tagged where tags are not brought along.
OLDER_TAG=first-cluster
OLDER_SUBJECT='tests: nodes and front-ends over Prosody and Redis'

# Sets COVEN_OLDER_BIN to the binary of the revision $1 (default: the first with nodes and front-ends), which is built
# when it is not there. Without the history that takes (a shallow clone), or where that version does not build any more, it
# says so, and leaves it unset: stories about upgrades are skipped then.
need_older() {
	local revision folder
	[ -z "${COVEN_OLDER_BIN-}" ] || return 0
	if ! revision=$(older_revision "${1-}"); then
		say "NOT TESTED: upgrades. ${1:-$OLDER_TAG} is not in the history that is here (a shallow clone?)"
		return 0
	fi
	folder=$COVEN_CACHE/older/$revision
	mkdir -p "$folder"
	# One at a time; whoever comes second finds it built.
	(
		flock 9
		[ -x "$folder/coven" ] || build_older "$revision" "$folder"
	) 9>"$folder/lock" || say "NOT TESTED: upgrades. $revision does not build"
	[ -x "$folder/coven" ] || return 0
	export COVEN_OLDER_BIN=$folder/coven
}

# older_revision [REVISION] - the commit's id.
older_revision() {
	local git=(git -C "$COVEN_ROOT") found
	if [ -n "${1-}" ]; then
		"${git[@]}" rev-parse --quiet --verify "$1^{commit}"
		return
	fi
	"${git[@]}" rev-parse --quiet --verify "refs/tags/$OLDER_TAG^{commit}" && return
	found=$("${git[@]}" log --format='%H %s' | awk -v subject="$OLDER_SUBJECT" 'substr($0, 42) == subject { print $1 }' | tail -n 1)
	[ -n "$found" ] && printf '%s\n' "$found"
}

# build_older REVISION FOLDER - in a worktree and a target directory of its own, which are gone afterwards. Crates of others
# that are built already serve as they are, by hard links.
build_older() {
	local revision=$1 folder=$2 part
	say "building the coven of $revision, for upgrades: some minutes, once"
	rm -rf "$folder/source" "$folder/target"
	git -C "$COVEN_ROOT" worktree prune
	git -C "$COVEN_ROOT" worktree add --quiet --force --detach "$folder/source" "$revision"
	mkdir -p "$folder/target/debug"
	for part in deps build .fingerprint; do
		[ ! -d "$CARGO_TARGET_DIR/debug/$part" ] || cp -al "$CARGO_TARGET_DIR/debug/$part" "$folder/target/debug/"
	done
	# In a condition `set -e` does not count: each step says itself what becomes of it.
	(cd "$folder/source" && CARGO_TARGET_DIR=$folder/target cargo build --quiet --locked -p coven) || return
	mv "$folder/target/debug/coven" "$folder/coven"
	rm -rf "$folder/target"
	git -C "$COVEN_ROOT" worktree remove --force "$folder/source"
}
