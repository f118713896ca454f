#!/usr/bin/env bash
# Installs the packages of tools/package.sh into a bare Debian 12, uses the server, and removes it again.
#
#   ./packaging/bare_debian.sh [DIRECTORY of the packages, by default build/package]
#
# As root, with mmdebstrap. The server listens on a free port of loopback; what is made is removed at the end.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
packages=$(cd "${1:-$root/build/package}" && pwd)
bare=$(mktemp -d)
server=

cleanup() {
  if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi
  rm -rf "$bare"
}
trap cleanup EXIT

within() { chroot "$bare" /usr/bin/env DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
fail() { echo "bare_debian: $*" >&2; exit 1; }

mmdebstrap --quiet --variant=apt bookworm "$bare"
within apt-get -qq update >/dev/null
mkdir "$bare/packages"
cp "$packages"/*.deb "$bare/packages"
# Nothing that the packages do not ask for comes with them.
within sh -c 'apt-get -qq -y --no-install-recommends install /packages/bandb-server_*.deb /packages/bandb-tools_*.deb' >/dev/null
within dpkg --verify bandb-server bandb-tools
within getent passwd bandb >/dev/null || fail "there is no user"
[ "$(stat -c %a "$bare/etc/bandb")" = 750 ] || fail "others read /etc/bandb"
[ "$(within stat -c %U:%G:%a /var/backups/bandb)" = bandb:bandb:750 ] || fail "the server has no place for backups"
within bandb user add app --file /etc/bandb/users --allow read >/dev/null
within setpriv --reuid bandb --regid bandb --clear-groups cat /etc/bandb/users >/dev/null || fail "the server cannot read its users"

# As the unit starts it, but for the port and for the directory, which systemd would make.
install -d -m 700 -o "$(within id -u bandb)" -g "$(within id -g bandb)" "$bare/var/lib/bandb"
# Without a shell in between, which would be the one that is told to end.
chroot "$bare" /usr/bin/setpriv --reuid bandb --regid bandb --clear-groups \
  /usr/bin/bandb_server --config /etc/bandb/server.toml --listen 127.0.0.1:0 >"$bare/said" 2>"$bare/complained" &
server=$!
for _ in $(seq 600); do
  grep -q "^listening on " "$bare/said" && break
  kill -0 "$server" 2>/dev/null || fail "the server ended: $(cat "$bare/complained")"
  sleep 0.1
done
address=$(sed -n 's/^listening on //p' "$bare/said")
[ -n "$address" ] || fail "the server does not listen"
within bandb --addr "$address" put name Alice
[ "$(within bandb --addr "$address" get name)" = '"Alice"' ] || fail "what was put is not there"
kill -TERM "$server"
wait "$server" || fail "the server did not end in order: $(cat "$bare/complained")"
server=

within apt-get -qq -y purge bandb-server bandb-tools >/dev/null
[ -d "$bare/var/lib/bandb/groups" ] || fail "purging took the data"
[ ! -e "$bare/etc/bandb/server.toml" ] || fail "purging left the configuration"

# What links the library finds it, and all that it needs.
within sh -c 'apt-get -qq -y --no-install-recommends install /packages/libbandb-dev_*.deb g++ pkg-config' >/dev/null
cp "$root/test/install/outside/embedded.cc" "$bare/embedded.cc"
within sh -c 'g++ -std=c++20 /embedded.cc $(pkg-config --cflags --libs bandb-storage) -o /embedded'
[ "$(within /embedded /data)" = Alice ] || fail "a program that links the library does not work"
echo "installed, served, removed, linked: all as it should be"
