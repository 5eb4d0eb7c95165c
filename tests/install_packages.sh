# install_packages KIND...: installs the Debian packages of these kinds (tests/packages.txt) that are missing, and says which.
# Without root, or without apt, it prints the one line to run and stops. Sourced by tests/run.sh and examples/quickstart.sh.
install_packages() {
  local list missing=() name kinds
  list=${BASH_SOURCE[0]%/*}/packages.txt
  kinds=$(printf '%s|' "$@")
  command -v dpkg-query >/dev/null || { echo "not a Debian system: these packages are assumed to be there: $(sed -nE "s/^(${kinds%|}) //p" "$list" | tr '\n' ' ')"; return 0; }
  for name in $(sed -nE "s/^(${kinds%|}) //p" "$list"); do
    dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'install ok installed' || missing+=("$name")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  local line="apt-get install -y --no-install-recommends ${missing[*]}"
  if [ "$(id -u)" != 0 ]; then
    echo "missing packages; run:  sudo $line" >&2
    exit 2
  fi
  echo "installing: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq || { echo "apt-get update failed" >&2; exit 2; }
  apt-get -o DPkg::Lock::Timeout=500 install -y -qq --no-install-recommends "${missing[@]}" >/dev/null || { echo "failed: $line" >&2; exit 2; }
}
