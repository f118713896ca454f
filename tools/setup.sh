# Sourced by run.sh and test.sh: `bandb_setup run`, `package` or `test` installs the packages that are missing.
#
# It supports Debian 12 and later and Ubuntu 24.04 and later. It prints what it will install and why before it does, and
# asks no questions. When nothing is missing it takes a few hundredths of a second and does not use the network.

# One line for each package: what it is for (run: to build and start the server; package: also for its Debian packages;
# test: also for the tests), name, reason.
bandb_packages() {
  cat <<'PACKAGES'
run g++ the compiler
run cmake configures the build
run ninja-build runs the build
run libabsl-dev Abseil: statuses, time, containers
run libfmt-dev formats messages
run libxxhash-dev checksums
run liblz4-dev compresses tables
run libzstd-dev compresses tables, more tightly, and reads and writes .zst files in bandb load, import and export
run zlib1g-dev reads .gz files in bandb load and import
run libssl-dev tokens of users, and TLS
run libtomlplusplus-dev reads the configuration file
run libcli11-dev reads the command line
run libedit-dev line editing in the interactive client
run libcpp-httplib-dev answers HTTP on the listener for operators
run nlohmann-json3-dev reads exports, and writes figures as JSON
run pkg-config finds the library for HTTP
test catch2 the test framework
package libgrpc++-dev the listener for clients of gRPC
package libprotobuf-dev its messages
package protobuf-compiler compiles their interface
package protobuf-compiler-grpc likewise, for clients
test clang the second compiler, with its thread-safety analysis
test libclang-rt-dev the sanitizers of clang
test clang-format checks the layout of the code
test clang-tidy checks the code for mistakes
test redis-server answers beside BanDB what clients of Redis ask
test python3 runs the style checks and the tests of the programs
test nodejs runs the reader of Parquet files, and clients of Redis
test npm installs these
test python3-redis a client of Redis
test chromium draws the page for operators
test openssl makes certificates for tests
test systemd reads the unit of the packages, as it does where they are installed
test ccache makes the second build fast
PACKAGES
}

# What reads Parquet files back in the tests, and two clients of Redis. They are packages of npm, since Debian has none of them.
bandb_npm_packages="hyparquet@1.33.0 hyparquet-compressors@1.1.2 ioredis@6.0.0 redis@6.3.1"

# Prints in its last line the folder with these in it, which it installs if they are missing; otherwise says why not.
bandb_npm_folder() {
  local folder=${BANDB_NPM:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/bandb-npm}/${bandb_npm_packages// /_} new
  if [ ! -d "$folder" ]; then
    command -v node >/dev/null && command -v npm >/dev/null || { echo "there is no node, or no npm" >&2; return 1; }
    echo "Installing with npm, for the tests: $bandb_npm_packages"
    mkdir -p "$(dirname "$folder")"
    new=$(mktemp -d "$folder.XXXXXX")
    if ! npm install --prefix "$new" --no-audit --no-fund --ignore-scripts --silent $bandb_npm_packages >&2; then
      rm -rf "$new"
      echo "npm install $bandb_npm_packages failed" >&2
      return 1
    fi
    # Somebody else may have been quicker.
    mv -T "$new" "$folder" 2>/dev/null || rm -rf "$new"
  fi
  echo "$folder"
}

bandb_fail() {
  echo "bandb: $*" >&2
  exit 1
}

# The name of this system.
bandb_system() {
  local os_release=${BANDB_OS_RELEASE:-/etc/os-release}
  (. "$os_release" && echo "${ID:-}")
}

# Prints in one sentence why this system is not supported, or nothing.
bandb_why_unknown() {
  local os_release=${BANDB_OS_RELEASE:-/etc/os-release} id="" version="" least
  [ -r "$os_release" ] || { echo "this system has no $os_release"; return; }
  id=$(bandb_system)
  version=$(. "$os_release" && echo "${VERSION_ID:-}")
  case "$id" in
    debian) least=12 ;;
    ubuntu) least=24.04 ;;
    *) echo "this system is ${id:-of no known kind}"; return ;;
  esac
  # A system without a number is a rolling one, newer than every release.
  if [ -n "$version" ] && [ "$(printf '%s\n' "$least" "$version" | sort -V | head -n 1)" != "$least" ]; then
    echo "this is $id $version"
  fi
}

bandb_install() {
  local sudo=""
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null ||
      bandb_fail "installing packages needs root, and there is no sudo: run as root 'apt-get install $*' and try again."
    sudo=sudo
  fi
  command -v apt-get >/dev/null || bandb_fail "there is no apt-get here to install packages with."
  $sudo apt-get update -q || bandb_fail "apt-get update failed: see above; is there a network?"
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" ||
    bandb_fail "apt-get install failed: see above."
}

# bandb_setup run|package|test
bandb_setup() {
  local purpose=$1 unknown user package reason installed missing=()
  unknown=$(bandb_why_unknown)
  [ -z "$unknown" ] ||
    bandb_fail "this script knows Debian 12 or later and Ubuntu 24.04 or later, and $unknown: install what" \
      "tools/setup.sh lists by hand and build with CMake as docs/HACKING.md says."
  installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' 2>/dev/null | sed -n 's/ installed$//p' | sort -u)
  while read -r user package reason; do
    [ "$user" = run ] || [ "$user" = "$purpose" ] || [ "$purpose" = test ] || continue
    grep -qxF "$package" <<<"$installed" && continue
    # Ubuntu has it as a snap alone: the test that needs it is skipped there.
    [ "$package" = chromium ] && [ "$(bandb_system)" = ubuntu ] && continue
    # Node.js from elsewhere has it, and does not go together with Debian's package.
    [ "$package" = npm ] && command -v npm >/dev/null && continue
    [ ${#missing[@]} -gt 0 ] || echo "BanDB needs packages that are not installed:"
    echo "  $package: $reason"
    missing+=("$package")
  done < <(bandb_packages)
  if [ ${#missing[@]} -gt 0 ]; then
    echo "Installing them with apt-get."
    bandb_install "${missing[@]}"
  fi
  # Without a network the tests go on, and say what was not read.
  if [ "$purpose" = test ] && command -v npm >/dev/null; then bandb_npm_folder | sed '$d' || true; fi
}
