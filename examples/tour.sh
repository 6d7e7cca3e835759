#!/usr/bin/env bash
# The whole life of a token, against a real HTTP server: sets up, builds, makes a store on SQLite,
# starts examples/cpp/guarded_server.cpp on loopback and drives it with curl. Every answer is checked.
# It leaves nothing behind but build/tour.
#
# It ends with the Access Tokens page, whose address and demo accounts it prints:
#
#   examples/tour.sh           on a terminal the page stays until Ctrl+C; elsewhere it is checked and stopped
#   examples/tour.sh --stay    it stays in any case
#   examples/tour.sh --end     it is stopped in any case
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
stays=no
case "${1:-}" in
  '') if [ -t 0 ] && [ -t 1 ]; then stays=yes; fi ;;
  --stay) stays=yes ;;
  --end) ;;
  *)
    echo "usage: $0 [--stay | --end]" >&2
    exit 2
    ;;
esac

bold='' green='' red='' plain=''
if [ -t 1 ]; then bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'; fi
say() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }

work=$(mktemp -d)
server=
clean_up() {
  local outcome=$?
  trap - EXIT
  if [ -n "$server" ] && kill -TERM "$server" 2>/dev/null; then wait "$server" 2>/dev/null || true; fi
  if [ "$outcome" -ne 0 ]; then
    printf '\n%sthe tour failed%s\n' "$red" "$plain" >&2
    [ -s "$work/server.log" ] && sed 's/^/  server: /' "$work/server.log" >&2
  fi
  rm -rf "$work"
  exit "$outcome"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
  printf '%s  FAILED: %s%s\n' "$red" "$1" "$plain" >&2
  exit 1
}

say "1. Packages and build"
.ci/packages.sh build
launcher=()
if command -v ccache >/dev/null; then
  launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
fi
cmake --preset release -B build/tour "${launcher[@]}" -DTOKENSTORE_BUILD_TESTS=OFF -DTOKENSTORE_BUILD_BENCH=OFF \
  >"$work/configure.log" 2>&1 || { cat "$work/configure.log" && exit 1; }
cmake --build build/tour --target tokenstore_cli tokenstore_example_guarded_server \
  tokenstore_example_access_tokens_page

export TOKENSTORE_DB=$work/tokens.db
tokenstore() { build/tour/src/cli/tokenstore "$@"; }

# A token never stands on a command line, where other users of the machine could read it: curl gets
# its header from standard input.
request() { # METHOD PATH EXPECTED-STATUS TOKEN COMMENT
  local method=$1 path=$2 expected=$3 token=$4 comment=$5 status challenge arguments=()
  [ "$method" = POST ] && arguments=(--data-binary 'buy milk')
  status=$({ if [ -n "$token" ]; then printf 'header = "Authorization: Bearer %s"\n' "$token"; fi; } |
    curl -sS --max-time 10 -X "$method" "${arguments[@]}" -o "$work/body" -D "$work/head" -w '%{http_code}' \
      --config - "$url$path")
  printf '   %-4s %-8s %s  %s\n' "$method" "$path" "$status" "$comment"
  challenge=$(tr -d '\r' <"$work/head" | grep -i '^www-authenticate:' || true)
  [ -z "$challenge" ] || while read -r line; do printf '                      %s\n' "$line"; done <<<"$challenge"
  [ "$status" = "$expected" ] || fail "the answer should have been $expected"
  case "$expected" in 401 | 403) [ -n "$challenge" ] || fail "WWW-Authenticate is missing" ;; esac
}

expect_list() { # PATTERN WHAT
  tokenstore list >"$work/list"
  sed 's/^/   /' "$work/list"
  grep -Eq "$1" "$work/list" || fail "the list should show $2"
}

say "2. A store on SQLite, and a server that uses it"
tokenstore init | sed "s|$work|...|g; s/^/   /"
build/tour/examples/cpp/guarded_server --db "$TOKENSTORE_DB" --port 0 --use-interval 1 \
  >"$work/server.out" 2>"$work/server.log" &
server=$!
for _ in $(seq 100); do
  url=$(sed -n 's/^listening on //p' "$work/server.out")
  [ -n "$url" ] && break
  kill -0 "$server" 2>/dev/null || fail "the server ended"
  sleep 0.1
done
[ -n "$url" ] || fail "the server does not listen"
echo "   listening on $url"

say "3. Issue: the token is shown once"
laptop=$(tokenstore --quiet issue alice --scope notes:read --scope notes:write --description 'laptop')
laptop_id=$(tokenstore --quiet list --limit 1)
echo "   ${laptop:0:23}_... (${#laptop} characters), id $laptop_id"
case "$laptop" in pat_1??"$laptop_id"_*) ;; *) fail "the token should carry its id" ;; esac

say "4. Use"
request GET / 200 "" "the front page is open"
request GET /notes 401 "" "no token"
request GET /notes 200 "$laptop" "the token has notes:read"
request POST /notes 201 "$laptop" "and notes:write"
request GET /whoami 403 "$laptop" "but not profile:read"
case "$laptop" in *0) changed=${laptop%?}1 ;; *) changed=${laptop%?}0 ;; esac
request GET /notes 401 "$changed" "one character changed: refused before storage is asked"

say "5. List, with last used"
for _ in $(seq 50); do # the server writes last uses once a second here, never while a request waits
  [ "$(tokenstore --json show "$laptop_id" | grep -c '127\.0\.0\.1')" -gt 0 ] && break
  sleep 0.1
done
expect_list "$laptop_id" "the token"
tokenstore show "$laptop_id" | sed 's/^/   /'
tokenstore show "$laptop_id" | grep -q '127\.0\.0\.1' || fail "the last use should be known"

say "6. Expire: the end comes now"
robot=$(tokenstore --quiet issue alice --scope notes:read --description 'nightly job' --lifetime 12h)
robot_id=$(tokenstore --quiet list --limit 1)
request GET /notes 200 "$robot" "a second token"
tokenstore --quiet expire "$robot_id"
request GET /notes 401 "$robot" "expired by another process, refused at once"

say "7. Revoke: final, and the record stays"
tokenstore --quiet revoke "$laptop_id" --reason 'lost on a train'
request GET /notes 401 "$laptop" "revoked, refused at once"
expect_list 'revoked' "a revoked token"

say "8. Delete: the records are gone"
tokenstore --quiet delete "$laptop_id" --yes
tokenstore --quiet delete "$robot_id" --yes
request GET /notes 401 "$laptop" "a client cannot tell why"
status=0
tokenstore show "$laptop_id" >"$work/shown" 2>&1 || status=$?
sed 's/^/   /' "$work/shown"
[ "$status" -eq 4 ] || fail "a deleted token should not be found (exit status 4, not $status)"

say "9. What the server's audit log says, and what it does not"
kill -TERM "$server"
wait "$server" || fail "the server should have stopped cleanly"
server=
sed 's/^/   /' "$work/server.log"
for token in "$laptop" "$robot"; do
  secret=${token:24:43}
  if grep -raqF -- "$secret" "$work"; then fail "a secret is in a file"; fi
done
echo "   (no token's secret is in it, nor in the database)"

say "10. The Access Tokens page"
page=build/tour/examples/access_tokens_page/access_tokens_page
"$page" --demo --port 0 --quiet >"$work/server.out" 2>"$work/server.log" &
server=$!
for _ in $(seq 100); do
  grep -q '(administrator)' "$work/server.out" && break
  kill -0 "$server" 2>/dev/null || fail "the page's server ended"
  sleep 0.1
done
url=$(sed -n 's|^Access Tokens page on \(.*\)/$|\1|p' "$work/server.out")
request GET / 200 "" "the page"
request GET /v4/apiAccessTokens 401 "" "its REST API"
status=$(echo 'user = "alice:alice-demo"' |
  curl -sS --max-time 10 -o "$work/body" -w '%{http_code}' --config - "$url/v4/apiAccessTokens")
printf '   %-4s %-8s %s  %s\n' GET /v4/apiAccessTokens "$status" "and with a demo account"
[ "$status" = 200 ] || fail "a demo account should be able to sign in"

printf '\n%sEvery answer was as it should be.%s\n\n' "$green" "$plain"
cat "$work/server.out"
if [ "$stays" = yes ]; then
  printf '\n%sOpen it in a browser. Ctrl+C ends it.%s\n' "$bold" "$plain"
  trap 'kill -TERM "$server" 2>/dev/null || true' INT TERM
  wait "$server" || true # a signal ends this wait, the next one is for the server
else
  kill -TERM "$server"
fi
wait "$server" || fail "the page's server should have stopped cleanly"
server=
[ "$stays" = yes ] || printf '\nThat was to see that it works; it is stopped. Start it again: %s --demo\n' "$page"
