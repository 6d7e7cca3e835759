#!/bin/sh
# Installs what the benchmarks need (Debian, as root or with sudo), builds them and runs them.
#     bench/run.sh [--quick | --full]
# The figures go to standard output and to build/release/side_by_side.json, into docs/performance.md.
set -eu
cd "$(dirname "$0")/.."
packages="g++ cmake ninja-build pkg-config libsodium-dev libsqlite3-dev libfmt-dev libcli11-dev nlohmann-json3-dev
  catch2 libbenchmark-dev libabsl-dev liblmdb-dev libjwt-dev libhiredis-dev redis-server libscitokens-dev libpq-dev postgresql openssl
  python3-matplotlib"
missing=""
for package in $packages; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
if [ -n "$missing" ]; then
  as_root=""
  [ "$(id -u)" -eq 0 ] || as_root="sudo"
  echo "installing:$missing" >&2
  $as_root apt-get update >&2
  # shellcheck disable=SC2086  # a list of words
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing >&2
fi
cmake --preset release -DTOKENSTORE_BUILD_TESTS=OFF -DTOKENSTORE_BUILD_EXAMPLES=OFF -DTOKENSTORE_BUILD_POSTGRES=ON >&2
cmake --build --preset release --target tokenstore_micro --target tokenstore_side_by_side >&2
build/release/bench/side_by_side --directory build/release --json build/release/side_by_side.json "$@"
/usr/bin/python3 bench/plot.py build/release/side_by_side.json docs
