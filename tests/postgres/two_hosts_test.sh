#!/usr/bin/env bash
# Runs the example and compares what it prints with what README.md says.
set -euo pipefail
source_tree=$1
shift
printed=$("$source_tree/examples/two_hosts/two_hosts.sh" "$@" | tail -3)
shown=$(awk '/^```/ {fence++} /^<!-- output: two_hosts -->/ {fence = 0; on = 1; next}
  on && fence == 1 && !/^```/ {print} on && fence == 2 {exit}' "$source_tree/README.md")
if [ "$printed" != "$shown" ]; then
  printf 'README.md shows:\n%s\nthe example prints:\n%s\n' "$shown" "$printed" >&2
  exit 1
fi
