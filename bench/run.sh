#!/bin/sh
# Installs what the benchmarks need (Debian, as root or with sudo), builds them and runs them.
#     bench/run.sh [--quick | --full]
# The figures go to standard output and to build/release/side_by_side.json, into docs/performance.md.
set -eu
cd "$(dirname "$0")/.."
.ci/packages.sh bench >&2
cmake --preset release -DTOKENSTORE_BUILD_TESTS=OFF -DTOKENSTORE_BUILD_EXAMPLES=OFF -DTOKENSTORE_BUILD_POSTGRES=ON >&2
cmake --build --preset release --target tokenstore_micro --target tokenstore_side_by_side >&2
build/release/bench/side_by_side --directory build/release --json build/release/side_by_side.json "$@"
/usr/bin/python3 bench/plot.py build/release/side_by_side.json docs
