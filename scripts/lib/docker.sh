# shellcheck shell=bash
# A Docker engine for tests, and base images where none can be pulled. Sourced after install.sh.

# need_docker - Debian's engine, its client and docker-compose, and what base images are made with.
need_docker() {
	need_packages dockerd=docker.io debootstrap=debootstrap docker-compose=docker-compose iptables=iptables ip=iproute2
	# Since Debian 13 the client is a package of its own.
	need_packages docker=docker-cli
}

# with_docker COMMAND... - runs a command with DOCKER_HOST set: to the engine that runs already, or to one of our own that
# ends with the command. What has to be where containers are reached is run by the command with in_engine.
with_docker() {
	local code=0
	if docker info >/dev/null 2>&1; then
		"$@"
		return
	fi
	need_bases
	if ! may_run_docker; then
		without_docker "none of our own may run (it needs namespaces, mounts, bridges and iptables)"
		return
	fi
	# shellcheck disable=SC2064  # the folder of now is meant
	trap "stop_docker; exit 143" TERM
	if start_docker; then
		# Not as a condition: `set -e` would not count inside of it.
		"$@" &
		wait $! || code=$?
		stop_docker
	else
		stop_docker
		without_docker "our own did not start: $(tail -n 3 "$SCRATCH/docker/log")" || code=$?
	fi
	trap - TERM
	return "$code"
}

# without_docker WHY - what needs an engine is left out, and that is said; with COVEN_REQUIRED it is an error.
without_docker() {
	[ -z "${COVEN_REQUIRED-}" ] || die "no Docker engine runs here, and $1"
	printf 'SKIPPED: no Docker engine runs here, and %s\n' "$1"
}

# Namespaces of its own for the engine: whatever it does to the network ends with it, and so do its containers. The process
# id that counts here goes to a file before `unshare` takes the place of the shell.
isolated() {
	local file=$1
	shift
	as_root env PATH="$PATH:/usr/sbin:/sbin" "COVEN_TEST_RUN=${COVEN_TEST_RUN-}" sh -c 'echo "$$" >"$0" && exec unshare --net --pid --fork --kill-child --mount --mount-proc -- "$@"' "$file" "$@"
}

# may_run_docker - whether the system lets an engine work: an ordinary container does not.
may_run_docker() {
	isolated /dev/null sh -c 'ip link set lo up && ip link add coven0 type bridge && iptables --list --numeric' >/dev/null 2>&1
}

start_docker() {
	local folder=$SCRATCH/docker tries=0
	mkdir -p "$folder"
	export DOCKER_HOST=unix://$folder/docker.sock
	# shellcheck disable=SC2016  # of the inner shell
	isolated "$folder/outer" sh -c 'ip link set lo up && exec dockerd "$@"' dockerd --host "$DOCKER_HOST" --group "$(id -gn)" \
		--data-root "$folder/data" --exec-root "$folder/exec" --pidfile "$folder/pid" >"$folder/log" 2>&1 &
	until docker info >/dev/null 2>&1; do
		tries=$((tries + 1))
		[ "$tries" -lt 120 ] || return 1
		sleep 0.5
	done
}

# in_engine COMMAND... - runs a command as ourselves where containers, and their published ports, are reached: within the
# namespaces of our own engine, or here if another one runs.
in_engine() {
	local file=$SCRATCH/docker/outer names=() name
	if [ ! -f "$file" ]; then
		"$@"
		return
	fi
	# What sudo would not let through.
	for name in PATH HOME DOCKER_HOST PYTHONPATH COVEN_TEST_RUN "${!COVEN_@}" "${!DEBIAN_@}" "${!REDIS_@}"; do
		[ -z "${!name-}" ] || names+=("$name=${!name}")
	done
	as_root nsenter --target "$(engine_process)" --net --pid --mount --wd="$PWD" -- \
		setpriv --reuid "$(id -u)" --regid "$(id -g)" --init-groups -- env "${names[@]}" "$@"
}

# The first process of the engine's namespaces, as it is called out here.
engine_process() {
	local outer
	outer=$(cat "$SCRATCH/docker/outer")
	# Not all kernels list children; a process that ends meanwhile is no error.
	grep -slx "PPid:[[:space:]]*$outer" /proc/[0-9]*/status | cut -d/ -f3 | head -n 1 || true
}

# The engine is asked to end; whatever is left ends with its namespaces.
stop_docker() {
	local outer inner tries=0
	outer=$(cat "$SCRATCH/docker/outer" 2>/dev/null) || return 0
	inner=$(engine_process 2>/dev/null)
	[ -z "$inner" ] || as_root kill "$inner" 2>/dev/null || true
	while [ -d "/proc/$outer" ] && [ "$tries" -lt 100 ]; do
		tries=$((tries + 1))
		sleep 0.2
	done
	as_root kill -KILL "$outer" 2>/dev/null || true
	as_root rm -rf "$SCRATCH/docker"
}

# The bases of docker/: what there is in Debian stands for them in tests.
readonly RUNTIME_BASE=gcr.io/distroless/cc-debian12:nonroot
readonly DEBIAN_BASE=docker.io/library/debian:bookworm-slim

# The Debian that the bases are made of: the one here, since the binary is for its C library.
base_suite() { (. /etc/os-release && printf '%s\n' "${VERSION_CODENAME:-bookworm}"); }

base_file() { printf '%s\n' "$COVEN_CACHE/images/$(base_suite)$1.tar"; }

# need_bases - a Debian of our own, kept in the cache, and one with Prosody and Redis, so that nothing has to be fetched
# while images are built.
need_bases() {
	mkdir -p "$COVEN_CACHE/images"
	(
		flock 9
		[ -f "$(base_file '')" ] && [ -f "$(base_file -servers)" ] || make_bases "$(base_file '')" "$(base_file -servers)"
	) 9>"$COVEN_CACHE/images/lock"
}

# import_bases - the bases under the names of those that docker/ asks for.
import_bases() {
	need_bases
	docker image inspect "$RUNTIME_BASE" >/dev/null 2>&1 || docker import "$(base_file '')" "$RUNTIME_BASE" >/dev/null
	docker image inspect "$DEBIAN_BASE" >/dev/null 2>&1 || docker import "$(base_file -servers)" "$DEBIAN_BASE" >/dev/null
}

# apt_site - where apt gets this Debian from.
apt_site() {
	local site
	# shellcheck disable=SC2016  # of apt
	site=$(apt-get indextargets --format '$(REPO_URI)' "Created-By: Packages" "Release: $(base_suite)" 2>/dev/null | grep -m 1 -E '^https?://') ||
		site=http://deb.debian.org/debian
	printf '%s\n' "$site"
}

make_bases() {
	local root=$SCRATCH/base proxy='' log=$SCRATCH/debootstrap.log
	say "making base images by debootstrap in $COVEN_CACHE/images"
	eval "$(apt-config shell proxy Acquire::http::Proxy)"
	proxy=${proxy:-${http_proxy-}}
	local with=(env DEBIAN_FRONTEND=noninteractive ${proxy:+"http_proxy=$proxy"})
	as_root "${with[@]}" debootstrap --variant=minbase --include=ca-certificates "$(base_suite)" "$root" "$(apt_site)" >"$log"
	as_root tar -C "$root" -cf - . >"$1.new"
	printf '#!/bin/sh\nexit 101\n' | as_root tee "$root/usr/sbin/policy-rc.d" >/dev/null
	as_root chmod 755 "$root/usr/sbin/policy-rc.d"
	as_root "${with[@]}" chroot "$root" apt-get install -y -qq --no-install-recommends prosody redis-server >>"$log" 2>&1
	as_root tar -C "$root" -cf - . >"$2.new"
	mv "$1.new" "$1"
	mv "$2.new" "$2"
	as_root rm -rf "$root"
}

# build_image BINARY TAG - the image of docker/Dockerfile around a binary that is built already.
build_image() {
	local context=$SCRATCH/image
	mkdir -p "$context/docker" "$context/target/release"
	cp docker/Dockerfile "$context/docker/"
	strip -o "$context/target/release/coven" "$1"
	# The builder that every engine has.
	DOCKER_BUILDKIT=0 docker build --quiet --build-arg VERSION="${VERSION:-0.1.0}" --file "$context/docker/Dockerfile" --target prebuilt --tag "$2" "$context"
}
