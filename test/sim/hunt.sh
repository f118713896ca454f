#!/usr/bin/env bash
# Plants every known bug into the Raft core, one after the other, runs the simulator on each, and reports how long it took to
# catch it: ./test/sim/hunt.sh [options of bandb_sim_mutants, such as --mutant 39, --first-tries, --list or --help]
#
# Configures and builds what it needs, in build/dev. The exit code is 0 only if every bug was caught.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
log=build/dev/hunt.log
mkdir -p build/dev
if ! { { [ -f build/dev/build.ninja ] || cmake --preset dev; } &&
  cmake --build --preset dev --target bandb_sim_mutants; } >"$log" 2>&1; then
  tail -n 30 "$log" >&2
  echo "the build failed; all of it is in $log" >&2
  exit 3
fi
exec build/dev/bin/bandb_sim_mutants --cpu-limit 60 "$@"
