#!/usr/bin/env bash
# Builds and runs all tests: ./tools/test.sh [--quick] [--stage NAME]... [-R PATTERN]
#
#   dev       built with g++: every test, the house rules, the programs as processes, the install test
#   clang     built with clang, thread-safety analysis as an error, address and undefined-behaviour sanitizers: unit tests
#             and the inputs of the fuzz targets
#   tsan      built with the thread sanitizer: unit tests that have threads
#
# --quick runs dev alone, --stage NAME only that stage (may be repeated), -R PATTERN only the tests whose name matches,
# in dev unless a stage is named. The last line counts what passed and failed; the exit code is 0 only if nothing failed.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/tools/setup.sh"

stages=()
pattern=""
while [ $# -gt 0 ]; do
  case "$1" in
    --quick) stages=(dev) ;;
    --stage) stages+=("${2:?--stage needs a name: dev, clang or tsan}") && shift ;;
    -R) pattern=${2:?-R needs a pattern} && shift ;;
    -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0" && exit 0 ;;
    *) bandb_fail "unknown option $1; --help lists what there is." ;;
  esac
  shift
done
if [ ${#stages[@]} -eq 0 ]; then
  [ -n "$pattern" ] && stages=(dev) || stages=(dev clang tsan)
fi
bandb_setup test
cd "$root"

passed=0
failed=0

# run_stage NAME PRESET "TARGETS" [ctest arguments]
run_stage() {
  local name=$1 preset=$2 targets=$3 log count bad
  shift 3
  [ -z "$pattern" ] || set -- "$@" -R "$pattern"
  echo "== $name: building (build/$preset)"
  mkdir -p "build/$preset"
  log=build/$preset/build.log
  if ! { { [ -f "build/$preset/build.ninja" ] || cmake --preset "$preset"; } && cmake --build --preset "$preset" --target $targets; } \
    >"$log" 2>&1; then
    grep -nE 'error|FAILED|CMake Error' "$log" | head -n 40 >&2 || tail -n 40 "$log" >&2
    echo "the build failed; all of it is in $log" >&2
    failed=$((failed + 1))
    return
  fi
  echo "== $name: testing"
  log=build/$preset/test.log
  ctest --preset "$preset" -j "$(nproc)" --no-tests=error "$@" 2>&1 | tee "$log" || true
  count=$(sed -n 's/.* tests failed out of \([0-9]*\).*/\1/p' "$log" | tail -n 1)
  bad=$(sed -n 's/.*, \([0-9]*\) tests failed out of .*/\1/p' "$log" | tail -n 1)
  if [ -z "$count" ]; then
    failed=$((failed + 1))
  else
    failed=$((failed + bad))
    passed=$((passed + count - bad))
  fi
}

for stage in "${stages[@]}"; do
  case "$stage" in
    dev) run_stage dev dev all ;;
    clang) run_stage clang clang-asan "bandb_unit_tests bandb_fuzz_replays" -L 'unit|fuzz' ;;
    tsan) run_stage tsan tsan bandb_threaded_tests -L threads ;;
    *) bandb_fail "there is no stage $stage: dev, clang, tsan." ;;
  esac
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
