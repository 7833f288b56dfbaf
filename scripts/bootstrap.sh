#!/usr/bin/env bash
# Sets up what Le Bureau needs on Debian 12 or later, or Ubuntu 25.10 or later (unverified).
#
#   scripts/bootstrap.sh run     what serving needs
#   scripts/bootstrap.sh test    that, and what the tests need
#
# Says what it installs, installs only what is missing, and does nothing the second time.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV="$ROOT/.venv"
PURPOSE=${1:-run}
MIN_QEMU=10
HOST_PACKAGES=(ca-certificates socat)
TEST_PACKAGES=(chromium postgresql openssh-server tmux tcc libc6-dev)
SYSTEM_CA=/etc/ssl/certs/ca-certificates.crt

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
fail() { printf '\033[31mSet-up stopped:\033[0m %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else fail "this needs root: $*. Run it as root, or install sudo."
    fi
}

# Quiet while all is well; the end of apt's own words where it is not.
apt_get() {
    local log
    log=$(mktemp)
    as_root env DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes \
        apt-get -qq -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 "$@" </dev/null >"$log" 2>&1 \
        || { tail -n 20 "$log" >&2; rm -f "$log"; return 1; }
    rm -f "$log"
}

refresh_package_lists() {
    [ -z "${LISTS_FRESH:-}" ] || return 0
    say "Refreshing the package lists"
    apt_get update || say "Some package lists could not be refreshed; going on with those that could."
    LISTS_FRESH=1
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# install_missing PACKAGE... [-- APT OPTION...]
install_missing() {
    local missing=()
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        installed "$1" || missing+=("$1")
        shift
    done
    [ $# -eq 0 ] || shift
    [ ${#missing[@]} -gt 0 ] || return 0
    refresh_package_lists
    say "Installing with apt: ${missing[*]}"
    apt_get install --no-install-recommends "$@" "${missing[@]}" \
        || fail "apt could not install ${missing[*]}. Its message above says why."
}

check_distribution() {
    . /etc/os-release
    case "$ID:${ID_LIKE:-}" in
        debian:*) ;;
        ubuntu:*) say "On Ubuntu this set-up is written but unverified." ;;
        *debian*) say "On $PRETTY_NAME this set-up is unverified." ;;
        *) fail "this is $PRETTY_NAME; Le Bureau sets itself up on Debian 12 or later and Ubuntu." ;;
    esac
    [ "$(dpkg --print-architecture)" = amd64 ] || fail "desktops run on amd64 machines only."
}

trust_what_the_host_trusts() {
    [ -r "$SYSTEM_CA" ] || return 0
    export SSL_CERT_FILE=${SSL_CERT_FILE:-$SYSTEM_CA}
    export PIP_CERT=${PIP_CERT:-$SSL_CERT_FILE}
}

usable_python() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    local candidate
    for candidate in /usr/bin/python3 python3 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null && usable_python "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

ensure_python() {
    PYTHON=$(find_python) && return
    install_missing python3 python3-venv
    PYTHON=$(find_python) || fail "Python 3.11 or later is needed, and $(python3 --version) is what apt has."
}

qemu_major() {
    ! command -v qemu-system-x86_64 >/dev/null || qemu-system-x86_64 --version | sed -n 's/.*version \([0-9]*\).*/\1/p'
}

candidate_major() {
    apt-cache policy qemu-system-x86 | sed -n 's/ *Candidate: *\([0-9]*:\)\?\([0-9]*\).*/\2/p'
}

enable_backports() {
    local codename=$1 mirror
    ! apt-cache policy | grep -q "n=$codename-backports" || return 0
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' "Created-By: Packages" \
        | sed -n "s/ $codename\$//p" | head -n 1)
    [ -n "$mirror" ] || fail "no mirror of Debian $codename is in the apt sources, so its backports cannot be found."
    say "Adding $codename-backports of your own mirror to the apt sources"
    as_root tee /etc/apt/sources.list.d/lebureau-backports.sources >/dev/null <<SOURCES
Types: deb
URIs: $mirror
Suites: $codename-backports
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES
    LISTS_FRESH=
    refresh_package_lists
}

# QEMU 10 is the first whose software emulation (TCG) runs two CPUs reliably, and the pinned machine type.
ensure_qemu() {
    local major codename packages=(qemu-system-x86 qemu-utils)
    major=$(qemu_major)
    if [ "${major:-0}" -ge $MIN_QEMU ]; then install_missing qemu-utils; return; fi
    refresh_package_lists
    major=$(candidate_major)
    if [ "${major:-0}" -ge $MIN_QEMU ]; then install_missing "${packages[@]}"; return; fi
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    [ "$(. /etc/os-release && echo "$ID")" = debian ] \
        || fail "QEMU $MIN_QEMU or later is needed and apt has ${major:-none}. Ubuntu has it since 25.10."
    enable_backports "$codename"
    say "Installing with apt from $codename-backports: ${packages[*]}"
    apt_get install --no-install-recommends -t "$codename-backports" "${packages[@]}" \
        || fail "apt could not install ${packages[*]}. Its message above says why."
    major=$(qemu_major)
    [ "${major:-0}" -ge $MIN_QEMU ] || fail "QEMU $MIN_QEMU or later is needed; $codename-backports has ${major:-none}."
}

# The list has two columns: what the build calls, and the package that has it.
image_packages() {
    [ ! -r "$ROOT/image/host-packages.txt" ] || awk '!/^#/ && NF {print $2}' "$ROOT/image/host-packages.txt" | sort -u
}

# The stamp names the locks that .venv was made from; the tests' lock contains that of serving.
expected_stamp() {
    local purpose
    for purpose in "$@"; do echo "$purpose $(sha256sum <"$(lock_of "$purpose")")"; done
}

lock_of() {
    case "$1" in
        run) echo "$ROOT/requirements.lock" ;;
        test) echo "$ROOT/requirements-dev.lock" ;;
    esac
}

ensure_environment() {
    local lock
    lock=$(lock_of "$PURPOSE")
    ! grep -qsxF "$(expected_stamp "$PURPOSE")" "$VENV/lebureau.stamp" || return 0
    if ! usable_python "$VENV/bin/python"; then
        say "Making the Python environment .venv with $("$PYTHON" --version)"
        "$PYTHON" -m venv --clear "$VENV"
    fi
    say "Installing the Python packages of ${lock##*/} (hashes checked)"
    # The lock is whole, so nothing is resolved: pip before 23.1 looks at newer versions of what is
    # asked for with extras, and refuses them for want of a hash.
    PIP_DISABLE_PIP_VERSION_CHECK=1 "$VENV/bin/python" -m pip install --quiet --no-input \
        --require-hashes --no-deps --only-binary :all: -r "$lock" </dev/null
    install_command
    case "$PURPOSE" in
        run) expected_stamp run ;;
        test) expected_stamp run test ;;
    esac >"$VENV/lebureau.stamp"
}

# The project runs from its checkout: a path file and a command instead of a build step.
install_command() {
    "$VENV/bin/python" - "$ROOT" <<'PYTHON'
import sys, sysconfig
from pathlib import Path

root = sys.argv[1]
Path(sysconfig.get_path("purelib"), "lebureau.pth").write_text(f"{root}\n")
command = Path(sysconfig.get_path("scripts"), "lebureau")
command.write_text(f"#!{sys.executable}\nfrom lebureau_app.cli import main\n\nmain()\n")
command.chmod(0o755)
PYTHON
}

# Tests start an SSH server of their own, on the loopback: this machine shall not get one by that.
keep_ssh_server_off() {
    ! installed openssh-server && command -v systemctl >/dev/null || return 0
    say "Masking ssh.service and ssh.socket: the tests need OpenSSH's server, this machine need not serve"
    as_root systemctl --quiet mask ssh.service ssh.socket 2>/dev/null \
        || fail "systemctl could not mask ssh.service and ssh.socket. Install openssh-server yourself, then run this again."
}

main() {
    local packages=("${HOST_PACKAGES[@]}")
    case "$PURPOSE" in
        run) ;;
        test) packages+=("${TEST_PACKAGES[@]}") ;;
        *) fail "unknown purpose '$PURPOSE': run or test." ;;
    esac
    check_distribution
    trust_what_the_host_trusts
    ensure_python
    [ "$PURPOSE" = run ] || keep_ssh_server_off
    install_missing "${packages[@]}" $(image_packages)
    ensure_qemu
    ensure_environment
}

main
