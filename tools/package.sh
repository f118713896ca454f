#!/usr/bin/env bash
# Builds the Debian packages: ./tools/package.sh [DIRECTORY], by default build/package.
#
# Installs what is missing first (tools/setup.sh). What it has made is checked with lintian where that is installed.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/tools/setup.sh"
bandb_setup package

build=${1:-$root/build/package}
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBANDB_PACKAGE=ON -DCMAKE_INSTALL_PREFIX=/usr \
  -DBANDB_BUILD_EXAMPLES=OFF -DBANDB_BENCH_PEERS=OFF
# The description of the package promises it.
grep -q '^BANDB_GRPCPP_FOUND:INTERNAL=1$' "$build/CMakeCache.txt" || bandb_fail "gRPC is not found, and the package promises it"
cmake --build "$build"
(cd "$build" && cpack -G DEB)
ls "$build"/*.deb
if command -v lintian >/dev/null; then
  lintian --fail-on error,warning "$build"/*.deb
fi
