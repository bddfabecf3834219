# shellcheck shell=bash
# Runs named steps one after the other, each with a heading and the time it took, and ends
# whatever a step started when the script is stopped. Sourced after common.sh.

# The process id, and process group, of the running step.
STEP_PID=
# The exit code of the last step, and the name of a step that failed.
STEP_CODE=0
STEP_FAILED=
# A folder for what steps write. It stays if a step fails: the logs of servers are in there.
SCRATCH=

# run_step NAME DESCRIPTION COMMAND... - runs a command; the script ends with its exit code if it fails.
run_step() {
	local name=$1 description=$2 started=$SECONDS code
	shift 2
	printf '\n=== %s: %s\n' "$name" "$description"
	run_group logged "$SCRATCH/$name.log" "$@"
	code=$STEP_CODE
	if [ "$code" -ne 0 ]; then
		printf '=== %s FAILED with exit code %s after %s s; logs: %s\n' "$name" "$code" "$((SECONDS - started))" "$SCRATCH"
		STEP_FAILED=$name
		exit "$code"
	fi
	printf '=== %s: done in %s s\n' "$name" "$((SECONDS - started))"
}

# logged FILE COMMAND... - shows the output and keeps it; the exit code is the command's. A process that the
# command left behind and that still holds the output is not waited for.
logged() {
	local file=$1
	shift
	exec 3>&1 > >(exec tee "$file" >&3) 2>&1 3>&-
	# shellcheck disable=SC2064  # the tee of now is meant
	trap "finish_log $!" EXIT
	"$@"
}

# Lets tee write what is still in the pipe.
finish_log() {
	local tries=0
	exec >/dev/null 2>&1
	while kill -0 "$1" && [ "$tries" -lt 20 ]; do
		tries=$((tries + 1))
		sleep 0.05
	done
}

# Prints the summary lines of the test runners again, as they wrote them.
print_summaries() {
	local file
	for file in "$SCRATCH"/*.log; do
		grep -hE '^test result: .*[1-9][0-9]* (passed|failed)|^(=+ )?[0-9]+ (passed|failed|skipped).* in [0-9]|^Ran [0-9]+ tests in|^SKIPPED: |^smoke: ' "$file" || true
	done
}

# Runs a command as a process group of its own (job control does that), so that all of it can be ended at
# once; sets STEP_CODE. Not to be called in a condition: there `set -e` would not count inside of the step.
run_group() {
	set -m
	"$@" </dev/null &
	STEP_PID=$!
	set +m
	set +e
	wait "$STEP_PID"
	STEP_CODE=$?
	set -e
	STEP_PID=
}

# Ends the running step: by SIGTERM, and after 20 s by SIGKILL.
stop_step() {
	local tries=0
	[ -n "$STEP_PID" ] || return 0
	kill -TERM -- "-$STEP_PID" 2>/dev/null || true
	while kill -0 -- "-$STEP_PID" 2>/dev/null && [ "$tries" -lt 200 ]; do
		tries=$((tries + 1))
		sleep 0.1
	done
	kill -KILL -- "-$STEP_PID" 2>/dev/null || true
	STEP_PID=
}

# stop_steps_at_exit MARK - sets the traps: however the script ends, what carries MARK ends with it.
stop_steps_at_exit() {
	SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/coven-test.XXXXXX")
	# shellcheck disable=SC2064  # the mark of now is meant
	trap "end_of_steps '$1'" EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
}

end_of_steps() {
	local pid
	stop_step
	left_behind "$1" | while read -r pid _; do kill -KILL "$pid" 2>/dev/null || true; done
	[ -n "$STEP_FAILED" ] || rm -rf "$SCRATCH"
}

# left_behind MARK - prints the processes that have MARK in their environment, except this shell's own.
# What a test run starts inherits the run's mark, so strangers are never named.
left_behind() {
	local dir pid
	for dir in /proc/[0-9]*; do
		pid=${dir#/proc/}
		case $pid in "$$" | "$BASHPID") continue ;; esac
		if tr '\0' '\n' 2>/dev/null <"$dir/environ" | grep -qxF -- "$1"; then
			printf '%s %s\n' "$pid" "$(tr '\0' ' ' <"$dir/cmdline" 2>/dev/null)"
		fi
	done 2>/dev/null
}
