#!/bin/sh
# Installs what the benchmark of the Python package needs (Debian, as root or with sudo), builds the package as pip does,
# and measures it.
#     bench/python/run.sh [--quick | --full]
# The figures go to standard output and to build/release/python.json, into docs/performance.md.
set -eu
cd "$(dirname "$0")/../.."
.ci/packages.sh bench-python >&2
# The C loop and the package are compiled from the same one-file form, with the same flags.
built=build/release/python
mkdir -p "$built"
/usr/bin/python3 -B capi/one_file/one_file.py "$built/one_file" >&2
${CXX:-c++} -std=c++20 -O2 -g0 -DFMT_HEADER_ONLY=1 -c "$built/one_file/tokenstore.cpp" -o "$built/tokenstore.o"
${CC:-cc} -std=c11 -O2 -D_GNU_SOURCE -I"$built/one_file" -c bench/python/c_loop.c -o "$built/c_loop.o"
${CXX:-c++} "$built/c_loop.o" "$built/tokenstore.o" -lsodium -lsqlite3 -pthread -o "$built/c_loop"
rm -rf "$built/site"
TOKENSTORE_POSTGRES=0 /usr/bin/python3 -m pip install --quiet --no-build-isolation --no-deps --target "$built/site" \
  ./capi/python >&2
PYTHONPATH="$PWD/$built/site" PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 bench/python/measure.py \
  --c-loop "$built/c_loop" --directory "$built" --json build/release/python.json "$@"
/usr/bin/python3 bench/python/plot.py build/release/python.json docs
