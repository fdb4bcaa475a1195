#!/usr/bin/env bash
# Installs the Debian packages that building and testing need and that are missing; with arguments, those packages instead.
# Without anything missing it asks dpkg, does nothing and needs no network.
set -euo pipefail

packages=(
  g++ cmake ninja-build ccache pkg-config
  libboost1.81-dev libboost-json1.81-dev libboost-url1.81-dev
  libopenmpi-dev openmpi-bin
  libyaml-cpp-dev protobuf-compiler libprotobuf-dev libssl-dev libpcre2-dev libutf8proc-dev
  libspdlog-dev libfmt-dev libcli11-dev prometheus-cpp-dev libzstd-dev zstd libxxhash-dev
  libgtest-dev libgmock-dev libbenchmark-dev
  curl openssl python3 python3-venv  # the tests' clients
)
if [ $# -gt 0 ]; then packages=("$@"); fi

if ! command -v dpkg-query >/dev/null; then
  echo "deps: not a Debian system; needed, under your system's names: ${packages[*]}" >&2
  exit 0
fi

missing=()
for package in "${packages[@]}"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "deps: missing packages, and neither root nor sudo to install them: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "deps: installing ${missing[*]}"
"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
