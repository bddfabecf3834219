# shellcheck shell=bash
# A Docker engine for tests, and base images where none can be pulled. Sourced after install.sh.

# need_docker - Debian's engine, and what base images are made with.
need_docker() {
	# The client alone may be there.
	need_packages dockerd=docker.io debootstrap=debootstrap docker-compose=docker-compose
	command -v docker >/dev/null || die "docker not found"
}

# with_docker COMMAND... - runs a command with DOCKER_HOST set: to the engine that runs already, or to one of our own that
# ends with the command.
with_docker() {
	local code=0
	if docker info >/dev/null 2>&1; then
		"$@"
		return
	fi
	if ! may_run_docker; then
		say "SKIPPED: no Docker engine runs here, and none of our own may (it needs to mount, and iptables)"
		return 0
	fi
	start_docker
	# Not as a condition: `set -e` would not count inside of it.
	"$@" &
	wait $! || code=$?
	stop_docker
	return "$code"
}

# may_run_docker - whether the system lets an engine work: an ordinary container does not.
may_run_docker() {
	as_root env PATH="$PATH:/usr/sbin:/sbin" sh -c 'unshare --mount true && iptables --list --numeric' >/dev/null 2>&1
}

start_docker() {
	local folder=$SCRATCH/docker tries=0
	mkdir -p "$folder"
	export DOCKER_HOST=unix://$folder/docker.sock
	as_root env PATH="$PATH:/usr/sbin:/sbin" dockerd --host "$DOCKER_HOST" --group "$(id -gn)" --data-root "$folder/data" --exec-root "$folder/exec" \
		--pidfile "$folder/pid" >"$folder/log" 2>&1 &
	until docker info >/dev/null 2>&1; do
		tries=$((tries + 1))
		[ "$tries" -lt 60 ] || die "the Docker engine did not start: $folder/log"
		sleep 0.5
	done
}

stop_docker() {
	local pid tries=0
	pid=$(cat "$SCRATCH/docker/pid")
	as_root kill "$pid" 2>/dev/null || true
	while [ -d "/proc/$pid" ] && [ "$tries" -lt 100 ]; do
		tries=$((tries + 1))
		sleep 0.2
	done
	# The engine mounts its folder on itself, and leaves it so when it ends.
	as_root umount --recursive "$SCRATCH/docker/data" 2>/dev/null || true
	as_root rm -rf "$SCRATCH/docker/data" "$SCRATCH/docker/exec"
}

# The bases of docker/: what there is in Debian stands for them in tests.
readonly RUNTIME_BASE=gcr.io/distroless/cc-debian12:nonroot
readonly DEBIAN_BASE=docker.io/library/debian:bookworm-slim

# import_bases - a Debian of our own under the names of the base images, kept in the cache. With Prosody and Redis, so that
# nothing has to be fetched while images are built.
import_bases() {
	local small=$COVEN_CACHE/images/bookworm.tar full=$COVEN_CACHE/images/bookworm-servers.tar
	mkdir -p "$COVEN_CACHE/images"
	[ -f "$small" ] && [ -f "$full" ] || make_bases "$small" "$full"
	docker image inspect "$RUNTIME_BASE" >/dev/null 2>&1 || docker import "$small" "$RUNTIME_BASE" >/dev/null
	docker image inspect "$DEBIAN_BASE" >/dev/null 2>&1 || docker import "$full" "$DEBIAN_BASE" >/dev/null
}

make_bases() {
	local root=$SCRATCH/base
	say "making base images by debootstrap in $COVEN_CACHE/images"
	as_root debootstrap --variant=minbase --include=ca-certificates bookworm "$root" >"$SCRATCH/debootstrap.log"
	as_root tar -C "$root" -cf "$1.new" .
	printf '#!/bin/sh\nexit 101\n' | as_root tee "$root/usr/sbin/policy-rc.d" >/dev/null
	as_root chmod 755 "$root/usr/sbin/policy-rc.d"
	as_root env DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get install -y -qq --no-install-recommends prosody redis-server \
		>>"$SCRATCH/debootstrap.log" 2>&1
	as_root tar -C "$root" -cf "$2.new" .
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
