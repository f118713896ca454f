# Language level, warnings and output folders: the same for every target of the project.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
# A project that has BanDB within it says itself how it builds.
if(NOT CMAKE_BUILD_TYPE AND PROJECT_IS_TOP_LEVEL)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()
if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
endif()

set(BANDB_SANITIZE "" CACHE STRING "Sanitizers to build with: address,undefined or thread; empty for none")
option(BANDB_COVERAGE "Instrument for gcov" OFF)
# Where BanDB is developed a warning is an error; a user's newer compiler may know warnings that we have not seen.
option(BANDB_WERROR "Treat warnings as errors" ${BANDB_BUILD_TESTS})

# An interface that every target of the project links, and no user of the project sees.
add_library(bandb_settings INTERFACE)
target_compile_options(bandb_settings INTERFACE
  -Wall -Wextra $<$<BOOL:${BANDB_WERROR}>:-Werror> -Werror=unused-result -Wnon-virtual-dtor)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  target_compile_options(bandb_settings INTERFACE -Wthread-safety -Werror=thread-safety)
endif()
if(BANDB_SANITIZE)
  target_compile_options(bandb_settings INTERFACE -fsanitize=${BANDB_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(bandb_settings INTERFACE -fsanitize=${BANDB_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Instrumented, even <regex> looks to g++ 12 as if it read what was never set.
    target_compile_options(bandb_settings INTERFACE -Wno-maybe-uninitialized)
  endif()
  if(BANDB_SANITIZE MATCHES "undefined")
    target_compile_options(bandb_settings INTERFACE -fno-sanitize-recover=undefined)
  endif()
endif()
if(BANDB_COVERAGE)
  target_compile_options(bandb_settings INTERFACE --coverage -fprofile-update=atomic)
  target_link_options(bandb_settings INTERFACE --coverage)
endif()

# Programs know the source files by their place in the repository, wherever that lies: the same bytes in every clone.
target_compile_options(bandb_settings INTERFACE "-ffile-prefix-map=${PROJECT_SOURCE_DIR}=.")

find_program(BANDB_CCACHE ccache)
mark_as_advanced(BANDB_CCACHE)
if(BANDB_CCACHE AND PROJECT_IS_TOP_LEVEL AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # All clones share what ccache keeps, and it may trust the precompiled headers.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env "CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}" CCACHE_NOHASHDIR=1
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${BANDB_CCACHE})
endif()

# What nearly every file includes is compiled once and not three hundred times: a third of the time that a build takes.
# A precompiled header hides an #include that is missing, and test/tidy finds it.
option(BANDB_PRECOMPILE "Precompile the headers of the standard library and of Abseil" ${BANDB_BUILD_TESTS})
set(BANDB_PRECOMPILED_HEADERS
    <algorithm> <array> <atomic> <cstdint> <cstring> <deque> <functional> <map> <memory> <mutex> <optional> <set> <string>
    <string_view> <utility> <vector> <absl/status/status.h> <absl/status/statusor.h> <absl/time/time.h> <absl/types/span.h>
    <fmt/format.h>)
if(BANDB_PRECOMPILE AND CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # Without the time at which it was made, a precompiled header is the same each time, which is what ccache goes by.
  target_compile_options(bandb_settings INTERFACE "SHELL:-Xclang -fno-pch-timestamp")
endif()

# For builds that only tests use: the same headers are parsed less often. Where every source is compiled by itself, as in all other builds, a
# source cannot take by mistake what another one holds.
option(BANDB_UNITY "Compile the sources of a library in groups, each as one unit" OFF)
