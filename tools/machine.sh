# Sourced by ./run and ./test: what the machine needs, and how it comes there. Says what it does; does nothing twice.

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
note() { printf '    %s\n' "$*"; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

[ -t 1 ] || say() { printf '==> %s\n' "$*"; }

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=$ROOT/.venv

need_root() {
  [ "$(id -u)" = 0 ] || die "needs root: sudo ./$(basename "$0") $*"
}

# install_packages PROGRAM:PACKAGE… : the packages whose program (or file, when it has a slash) is missing, in one go.
install_packages() {
  local missing=() pair program package
  for pair in "$@"; do
    program=${pair%%:*} package=${pair##*:}
    case $program in
      */*) [ -e "$program" ] || compgen -G "$program" >/dev/null || missing+=("$package") ;;
      *) PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null || missing+=("$package") ;;
    esac
  done
  [ ${#missing[@]} = 0 ] && return
  say "installing ${missing[*]}"
  command -v apt-get >/dev/null || die "no apt-get here; install by hand: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update
  apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
}

# The first Python between 3.11 and 3.13 that can make environments.
find_python() {
  local candidate
  for candidate in python3.13 python3.12 python3.11 python3; do
    if command -v "$candidate" >/dev/null &&
      "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

ENGINE_PACKAGES=(
  crun:crun conmon:conmon skopeo:skopeo zstd:zstd ps:procps ip:iproute2 nsenter:util-linux mount:mount
  '/usr/lib/*/libnftables.so.1:libnftables1' busybox:busybox-static tini-static:tini
  /etc/ssl/certs/ca-certificates.crt:ca-certificates
)

install_engine() {
  install_packages "${ENGINE_PACKAGES[@]}"
  find_python >/dev/null || install_packages /usr/share/python3/nothing:python3-venv /usr/share/python3/nothing:python3
  find_python >/dev/null || die "needs Python 3.11, 3.12 or 3.13 with venv"
}

# make_venv [EXTRA]: .venv with this checkout installed, again only when pyproject.toml or the extra changed. What
# changed since is compiled: where Python may not write beside its sources every start would, for 0.2 s.
make_venv() {
  install_fairlead "$@"
  "$VENV/bin/python" -m compileall -q "$ROOT/src" >/dev/null 2>&1 || true
}

install_fairlead() {
  local extra=${1:-} python stamp=$VENV/.installed mark
  mark="$(sha256sum <"$ROOT/pyproject.toml") $ROOT"
  if [ ! -x "$VENV/bin/python" ]; then
    python=$(find_python)
    say "making $VENV with $("$python" --version)"
    "$python" -m venv "$VENV"
  fi
  # The developers' extra includes the plain installation.
  if grep -qsxF "$mark" "$stamp$extra" || grep -qsxF "$mark" "${stamp}dev"; then return; fi
  say "installing fairlead${extra:+[$extra]} into $VENV"
  "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check -e "$ROOT${extra:+[$extra]}"
  printf '%s\n' "$mark" >"$stamp$extra"
}
