#!/usr/bin/env bash
# Two guarded servers on one PostgreSQL: a token that one of them revokes is refused by the other.
#
#   two_hosts.sh TOKENSTORE GUARDED_SERVER
#
# The arguments are the two programs that the build made. Starts a throw-away PostgreSQL server (Debian's
# postgresql) under /tmp, on a unix socket, as the user postgres when run as root, and removes it at the end.
set -euo pipefail
tokenstore=$(realpath "$1")
guarded_server=$(realpath "$2")

work=$(mktemp -d /tmp/tokenstore-two-hosts-XXXXXX)
programs=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -1)
as_postgres=()
if [ "$(id -u)" -eq 0 ]; then
  as_postgres=(setpriv --reuid=postgres --regid=postgres --clear-groups)
  chmod 711 "$work"
fi
servers=()
finish() {
  for server in "${servers[@]}"; do kill "$server" 2>/dev/null || true; done
  "${as_postgres[@]}" "$programs/pg_ctl" -D "$work/pg/data" -m immediate stop >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap finish EXIT

mkdir "$work/pg"
[ "$(id -u)" -ne 0 ] || chown postgres "$work/pg"
cd "$work/pg"
"${as_postgres[@]}" "$programs/initdb" -D "$work/pg/data" -U postgres -A trust -N --locale=C -E UTF8 >/dev/null
"${as_postgres[@]}" "$programs/pg_ctl" -D "$work/pg/data" -o "-k $work/pg -c listen_addresses=" -l "$work/pg/log" -w \
  start >/dev/null
cd "$work"
postgres="postgresql:///postgres?host=$work/pg&user=postgres"

# A store begins as a file, as it does on one machine, and moves when there are two.
"$tokenstore" --quiet --db first.db init
"$tokenstore" --db first.db copy --to "$postgres"
export TOKENSTORE_DB=$postgres
key_file=$work/first.db.key

start() { # start NAME: sets url
  : >"$1.out"
  "$guarded_server" --postgres "$postgres" --key-file "$key_file" --port 0 --quiet >"$1.out" 2>"$1.err" &
  servers+=($!)
  for _ in $(seq 200); do
    url=$(sed -n 's/^listening on //p' "$1.out")
    [ -z "$url" ] || return 0
    sleep 0.05
  done
  cat "$1.err" >&2
  return 1
}
start one
one=$url
start two
two=$url

ask() { # ask METHOD URL: the status of the answer; the token goes through a file, not the command line
  curl --silent --output answer --write-out '%{http_code}' --request "$1" --header @header "$2"
}
token=$("$tokenstore" --key-file "$key_file" --quiet issue alice --scope profile:read 2>/dev/null)
(umask 077 && printf 'Authorization: Bearer %s\n' "$token" >header)

echo "one says $(ask GET "$one/whoami"), two says $(ask GET "$two/whoami")"
echo "one revokes it: $(ask DELETE "$one/token")"
sleep 1 # max_staleness, the most that two may be behind; as a rule it is a few milliseconds
echo "one says $(ask GET "$one/whoami"), two says $(ask GET "$two/whoami")"
