# shellcheck shell=bash
# What the scripts share: messages, what must be installed, where builds go.
#
# Sourced, never run. Everything here may be called twice: a step that finds its work done says
# nothing and returns at once. Nothing outside the tree is written except packages installed by
# apt (said first) and the two caches:
#   EVS_CACHE_DIR     programs and Python packages          (.cache in the tree)
#   EVS_SERVICES_DIR  downloaded servers, shared by checkouts (~/.cache/evstream/services)
#
# Functions for other scripts:
#   evs_deps GROUP...            install what is missing of these groups
#   evs_maven_copy POM DIR       the jars of a POM, once per machine
#   evs_venv LIST DIR            the Python packages of a list in a venv
#   evs_python_venv              the same for tests/requirements.txt
#   evs_setup DIR CC [OPTION...] configure a build directory, or keep it when nothing changed
#   evs_compile DIR [TARGET...]  build it
#   evs_build                    the two above for build/ with the default compiler

evs_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
evs_cache=${EVS_CACHE_DIR:-$evs_root/.cache}
evs_services_dir=${EVS_SERVICES_DIR:-${HOME:-/root}/.cache/evstream/services}

# ---- messages -----------------------------------------------------------------------------------

evs_say() {
    printf '%s\n' "$*"
}

evs_warn() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

evs_die() {
    evs_warn "$*"
    exit 1
}

# The comment block at the top of the calling script is its help text.
evs_help() {
    sed -n '2,/^[^#]/{/^#/!q;s/^# \{0,1\}//;p}' "$0"
}

# ---- packages -----------------------------------------------------------------------------------

# Packages of a group, one name a word. "check" is what a quick test run needs, "test" the rest.
evs_packages() {
    case $1 in
    build)
        echo gcc libc6-dev meson ninja-build pkg-config librdkafka-dev libavro-dev \
            libjansson-dev libhiredis-dev libsqlite3-dev libzstd-dev zlib1g-dev sqlite3
        ;;
    check)
        echo libcmocka-dev clang-format python3 shellcheck
        ;;
    test)
        echo clang libclang-rt-14-dev g++ valgrind libc6-dbg abigail-tools binutils
        ;;
    services)
        echo ca-certificates openjdk-17-jre-headless maven redis-tools
        ;;
    python)
        echo ca-certificates python3-venv
        ;;
    bench)
        echo g++ libjemalloc2 libsimdjson-dev ca-certificates python3-venv
        ;;
    *)
        evs_die "no package group \"$1\" (build, check, test, services, python, bench)"
        ;;
    esac
}

# Programs whose package would also start a daemon: the package is unpacked into the cache, not
# installed. "program package..." a line.
evs_programs() {
    case $1 in
    services) echo "redis-server redis-server redis-tools" ;; # a link to redis-tools' redis-check-rdb
    test) echo "promtool prometheus" ;;
    esac
}

# Run a command as root: directly, or with sudo.
evs_as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

evs_missing_packages() {
    local package
    for package in "$@"; do
        if [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
            printf '%s ' "$package"
        fi
    done
}

evs_apt_update() {
    [ -z "${evs_apt_updated:-}" ] || return 0
    evs_as_root apt-get -q -o DPkg::Lock::Timeout=300 update >"$evs_cache/apt.log" 2>&1 ||
        evs_warn "apt-get update failed, going on with the package lists that are here" \
            "(log: $evs_cache/apt.log)"
    evs_apt_updated=yes
}

evs_install_packages() {
    local missing how
    # shellcheck disable=SC2046
    missing=$(evs_missing_packages $(printf '%s\n' "$@" | sort -u))
    missing=${missing% }
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -eq 0 ]; then
        how="as root"
    elif command -v sudo >/dev/null; then
        how="with sudo"
    else
        evs_die "missing packages, and neither root nor sudo to install them:" \
            "apt-get install $missing"
    fi
    evs_say "installing by apt, $how: $missing"
    evs_apt_update
    # The names are words of our own lists.
    # shellcheck disable=SC2086
    evs_as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
        install --no-install-recommends $missing >>"$evs_cache/apt.log" 2>&1 </dev/null || {
        tail -n 20 "$evs_cache/apt.log" >&2
        evs_die "apt could not install: $missing (log: $evs_cache/apt.log)"
    }
}

# evs_unpack_program PROGRAM PACKAGE...: put PROGRAM into the cache when it is not on the PATH.
evs_unpack_program() {
    local program=$1 scratch file
    shift
    ! command -v "$program" >/dev/null || return 0
    evs_say "unpacking $program by apt-get download $* into $evs_cache/programs"
    evs_apt_update
    scratch=$(mktemp -d "$evs_cache/unpack.XXXXXX")
    # apt's sandbox user may not write here, and says so: harmless.
    (
        cd "$scratch"
        apt-get -q download "$@" >>"$evs_cache/apt.log" 2>&1 || exit 1
        for file in ./*.deb; do
            dpkg-deb -x "$file" "$evs_cache/programs" || exit 1
        done
    ) || {
        rm -rf "$scratch"
        evs_die "could not get $* (log: $evs_cache/apt.log)"
    }
    rm -rf "$scratch"
    command -v "$program" >/dev/null || evs_die "$* without a program $program"
}

# evs_deps GROUP...: install what these groups need and is not there.
evs_deps() {
    local group packages="" program from
    mkdir -p "$evs_cache"
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        evs_warn "not a Debian system: nothing is installed, taking what is there"
        return 0
    fi
    for group in "$@"; do
        packages+=" $(evs_packages "$group")"
    done
    # shellcheck disable=SC2086
    evs_install_packages $packages
    for group in "$@"; do
        while read -r program from; do
            # shellcheck disable=SC2086
            evs_unpack_program "$program" $from
        done < <(evs_programs "$group")
    done
}

# evs_venv LIST DIR: Python packages in a venv. Rebuilt when the list changes; EVS_PYTHON points to it
# afterwards.
evs_venv() {
    local list=$1 venv=$2 sum
    sum=$(sha256sum "$list" | cut -d' ' -f1)
    if [ "$(cat "$venv/.requirements" 2>/dev/null)" != "$sum" ]; then
        evs_say "installing Python packages into $venv: $(grep -v '^#' "$list" | tr '\n' ' ')"
        rm -rf "$venv"
        python3 -m venv "$venv" &&
            "$venv/bin/pip" install -q --no-input -r "$list" >"$evs_cache/pip.log" 2>&1 || {
            tail -n 5 "$evs_cache/pip.log" >&2
            evs_warn "pip could not install the list (log: $evs_cache/pip.log)"
            return 1
        }
        echo "$sum" >"$venv/.requirements"
    fi
    export EVS_PYTHON=$venv/bin/python3
}

# The Python packages that tests use as oracles.
evs_python_venv() {
    evs_venv "$evs_root/tests/requirements.txt" "$evs_cache/venv"
}

# evs_maven_copy POM DIR: the dependencies of POM as jars in DIR. DIR appears complete or not at all;
# checkouts that start at the same time wait for each other.
evs_maven_copy() {
    local pom=$1 dir=$2 scratch
    [ ! -d "$dir" ] || return 0
    mkdir -p "$(dirname "$dir")"
    (
        flock 8
        [ ! -d "$dir" ] || exit 0
        evs_say "fetching $(basename "$dir") by Maven into $dir"
        scratch=$(mktemp -d "$dir.XXXXXX")
        if ! mvn -B -q -f "$pom" -DoutputDirectory="$scratch" \
            org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
            >"$dir.log" 2>&1 </dev/null; then
            tail -n 20 "$dir.log" >&2
            rm -rf "$scratch"
            evs_die "Maven could not fetch $(basename "$dir") (log: $dir.log)"
        fi
        mv "$scratch" "$dir"
    ) 8>"$dir.lock"
}

# ---- builds -------------------------------------------------------------------------------------

# With ccache on the machine a second checkout builds in seconds; it is not required.
evs_compiler() {
    if command -v ccache >/dev/null; then
        echo "ccache $1"
    else
        echo "$1"
    fi
}

# evs_setup DIR CC [OPTION...]: DIR is relative to the tree. A directory that is there keeps its
# objects: other options are set in it; only another compiler starts anew.
evs_setup() {
    local dir=$evs_root/$1 cc=$2 had_cc="" had_options=""
    shift 2
    if [ -f "$dir/build.ninja" ]; then
        IFS='|' read -r had_cc had_options 2>/dev/null <"$dir/.evs-setup" || had_cc=$cc
        if [ "$had_cc" = "$cc" ]; then
            [ "$had_options" != "$*" ] || return 0
            meson setup --reconfigure "$dir" "$evs_root" "$@" || return 1
            echo "$cc|$*" >"$dir/.evs-setup"
            return 0
        fi
    fi
    rm -rf "$dir"
    CC=$(evs_compiler "$cc") CXX=$(evs_compiler "$(evs_cxx "$cc")") \
        meson setup "$dir" "$evs_root" "$@" || return 1
    echo "$cc|$*" >"$dir/.evs-setup"
}

evs_cxx() {
    case $1 in
    clang) echo clang++ ;;
    *) echo g++ ;;
    esac
}

evs_compile() {
    local dir=$1
    shift
    ninja -C "$evs_root/$dir" "$@"
}

# The build directory that people use, as they configured it; with default options if it is new.
evs_build() {
    [ -f "$evs_root/build/build.ninja" ] || evs_setup build gcc
    evs_compile build
}

export PATH=$PATH:$evs_cache/programs/usr/bin
