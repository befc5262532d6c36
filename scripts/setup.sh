#!/usr/bin/env bash
# Set up this checkout: system packages, .venv, pinned requirements. Quick when nothing changed.
#   scripts/setup.sh run   what the product needs        scripts/setup.sh dev   and what the tests need
set -euo pipefail
cd "$(dirname "$0")/.."

profile=${1:-run}
case "$profile" in
  run) requirements="requirements.txt" ;;
  dev) requirements="requirements-dev.txt" ;;
  *) echo "usage: scripts/setup.sh run|dev" >&2; exit 2 ;;
esac

say() { printf '%s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

has_library() { PATH="$PATH:/sbin:/usr/sbin" ldconfig -p | grep -qF "$1"; }

has_browser() {
  command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null
}

find_python() {
  local candidate
  for candidate in python3.11 python3 python; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

missing_packages() {
  command -v ffmpeg >/dev/null || echo ffmpeg
  command -v redis-server >/dev/null || echo redis-server
  has_library libGL.so.1 || echo libgl1            # OpenCV
  has_library libgthread-2.0.so.0 || echo libglib2.0-0
  local python
  if python=$(find_python); then
    "$python" -c 'import ensurepip' 2>/dev/null || echo python3.11-venv
  else
    echo python3.11-venv
  fi
  if [ "$profile" = dev ]; then
    command -v espeak-ng >/dev/null || echo espeak-ng
    command -v flite >/dev/null || echo flite
    has_browser || echo chromium
  fi
}

install_packages() {
  local packages=("$@") as_root=()
  local advice="install these system packages, then run this again: ${packages[*]}"
  command -v apt-get >/dev/null || fail "$advice"
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "$advice (no sudo here)"
    if [ -t 0 ]; then
      read -r -p "Install ${packages[*]} with sudo apt-get? [y/N] " answer
      [[ "$answer" =~ ^[Yy] ]] || fail "$advice"
      as_root=(sudo)
    else
      sudo -n true 2>/dev/null || fail "$advice (sudo needs a password and nobody can be asked)"
      as_root=(sudo -n)
    fi
  fi
  say "Installing system packages: ${packages[*]}"
  local log=.run/setup-apt.log
  if ! {
    "${as_root[@]}" apt-get -o DPkg::Lock::Timeout=300 update -q &&
      "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -o DPkg::Lock::Timeout=300 install -q -y --no-install-recommends "${packages[@]}"
  } >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    fail "apt-get could not install ${packages[*]}; the whole log is $log"
  fi
}

tell_progress() { sed -u -n -e 's/^Collecting \([^ ]*\).*/  \1/p' -e 's/^Installing collected.*/Unpacking them .../p'; }

install_requirements() {
  local python log=.run/setup-pip.log
  python=$(find_python) || fail "Python 3.11 is needed (mediapipe and the pins are for it); no python3.11 was found"
  # A .venv that was moved with its folder, or that an interrupted run left half made, is made anew.
  if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    "$python" -m venv --clear .venv
  fi
  say "Installing Python packages into .venv (about 7 GB on disk, some minutes the first time)"
  if ! .venv/bin/python -m pip install --disable-pip-version-check --no-input --progress-bar off \
    -r "$requirements" 2>"$log.err" </dev/null | tee "$log" | tell_progress; then
    tail -n 20 "$log.err" >&2
    fail "pip failed; the whole log is $log and $log.err"
  fi
}

mkdir -p .run
mapfile -t packages < <(missing_packages)
fingerprint=$(cat requirements*.txt constraints.txt | sha256sum | cut -d' ' -f1)
stamp=.venv/.set-up-$profile
is_installed() { [ "$(cat "$stamp" 2>/dev/null)" = "$fingerprint" ]; }

if [ "${#packages[@]}" -eq 0 ] && is_installed; then
  exit 0
fi

exec 9>.run/setup.lock
flock 9 # two makes at once: the second waits and then finds everything done
mapfile -t packages < <(missing_packages)
if [ "${#packages[@]}" -gt 0 ]; then install_packages "${packages[@]}"; fi
if ! is_installed; then
  install_requirements
  # dev holds everything that run holds
  for done_profile in run "$profile"; do printf '%s\n' "$fingerprint" >".venv/.set-up-$done_profile"; done
fi
say "Set up: .venv holds $requirements"
