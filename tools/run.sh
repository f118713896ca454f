#!/usr/bin/env bash
# Builds bandb_server and starts it: ./tools/run.sh [server arguments]
#
# Installs what is missing first (tools/setup.sh). Without arguments the server listens on 127.0.0.1:8080 and keeps its data
# in ./bandb-data; `./tools/run.sh --help` prints what else it takes.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/tools/setup.sh"
bandb_setup run

build=$root/build/release
log=$build/build.log
mkdir -p "$build"
[ -f "$build/bin/bandb_server" ] || echo "Building BanDB in $build; the first time takes a few minutes."
if ! (
  cd "$root"
  [ -f "$build/build.ninja" ] || cmake --preset release
  cmake --build --preset release --target bandb_server_program bandb
) >"$log" 2>&1; then
  tail -n 40 "$log" >&2
  bandb_fail "the build failed: the end of $log is above."
fi
exec "$build/bin/bandb_server" "$@"
