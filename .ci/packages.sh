#!/usr/bin/env bash
# Makes sure that the machine has what the build needs: `.ci/packages.sh build` for the library, its
# command and the examples; `.ci/packages.sh test` for the tests and checks as well; `.ci/packages.sh cross` for .ci/cross;
# `.ci/packages.sh bench` and `.ci/packages.sh bench-python` for the benchmarks.
#
# On Debian 12 missing packages are installed by apt-get, as root or with sudo. Elsewhere it says
# what is missing and ends with an error.
set -euo pipefail

build_packages=(
  g++ cmake ninja-build pkg-config libsodium-dev libsqlite3-dev libfmt-dev
  libcli11-dev nlohmann-json3-dev libcpp-httplib-dev libpq-dev curl
)
# What the benchmarks are compiled with. CI builds them too, so that they do not fall behind.
contender_packages=(libbenchmark-dev libabsl-dev liblmdb-dev libjwt-dev libhiredis-dev libscitokens-dev)
test_packages=(
  "${contender_packages[@]}"
  catch2 iproute2 postgresql clang-14 libclang-rt-14-dev clang-format-14 clang-tidy-14 valgrind sqlite3 python3 mandoc zsh
  shellcheck strace abigail-tools util-linux
  chromium nodejs wrk python3-yaml python3-jsonschema python3-authlib python3-requests nginx-light openssl # the tests of the page
  # The plugin for mosquitto. Not to build: its headers come with the broker, which a tour should not install.
  mosquitto mosquitto-clients mosquitto-dev libmosquitto-dev
  libx11-dev python3-dev # headers that make macros of common words
  python3-pytest python3-hypothesis mypy python3-setuptools python3-wheel python3-pip python3-venv patchelf # the Python package
  # and what it works with: frameworks, and servers to run them
  python3-fastapi python3-flask python3-django python3-djangorestframework python3-httpx python3-uvicorn gunicorn
  golang-go go-staticcheck # the Go module
)
cross_packages=(g++-s390x-linux-gnu g++-i686-linux-gnu g++-arm-linux-gnueabihf g++-aarch64-linux-gnu qemu-user) # .ci/cross
bench_packages=("${contender_packages[@]}" catch2 redis-server postgresql openssl python3-matplotlib)
bench_python_packages=(
  python3-dev python3-pip python3-setuptools python3-wheel python3-jwt python3-itsdangerous python3-fastapi python3-uvicorn
  python3-uvloop python3-httptools wrk python3-matplotlib
)
# Debian's node comes without npm; others bring their own, which Debian's would push out.
command -v npm >/dev/null || test_packages+=(npm)

case "${1:-}" in
  build) wanted=("${build_packages[@]}") ;;
  test) wanted=("${build_packages[@]}" "${test_packages[@]}") ;;
  cross) wanted=("${build_packages[@]}" "${test_packages[@]}" "${cross_packages[@]}") ;;
  bench) wanted=("${build_packages[@]}" "${bench_packages[@]}") ;;
  bench-python) wanted=("${build_packages[@]}" "${bench_python_packages[@]}") ;;
  *)
    echo "usage: $0 build|test|cross|bench|bench-python" >&2
    exit 2
    ;;
esac

# What the packages bring, for machines that are not Debian.
say_what_is_missing() {
  local missing=() program module
  for program in c++ cmake ninja pkg-config curl; do
    command -v "$program" >/dev/null || missing+=("$program")
  done
  if command -v pkg-config >/dev/null; then
    for module in 'libsodium >= 1.0.18' 'sqlite3 >= 3.37' fmt cpp-httplib; do
      pkg-config --exists "$module" || missing+=("$module")
    done
  fi
  if [ "$1" = test ] || [ "$1" = cross ]; then
    for program in clang++-14 clang-format-14 clang-tidy-14 valgrind sqlite3 python3 mandoc zsh shellcheck strace \
      chromium node npm go-staticcheck wrk mosquitto mosquitto_pub nginx openssl; do
      command -v "$program" >/dev/null || missing+=("$program")
    done
  fi
  if [ ${#missing[@]} -gt 0 ]; then
    echo "this is not Debian 12, so nothing is installed; missing here: ${missing[*]}" >&2
    echo "the Debian packages are: ${wanted[*]}" >&2
    return 1
  fi
}

distribution=$(. /etc/os-release 2>/dev/null && echo "${ID:-}-${VERSION_ID:-}")
if [ "$distribution" != debian-12 ]; then
  say_what_is_missing "$1"
  exit
fi

missing=()
for package in "${wanted[@]}"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "all ${#wanted[@]} packages are installed"
  exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "missing packages: ${missing[*]}; install them as root: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "installing ${missing[*]}"
"${as_root[@]}" apt-get -q update
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends "${missing[@]}"
