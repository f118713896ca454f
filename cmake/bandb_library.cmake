# bandb_library(NAME [SUBFOLDER folder] [SRCS file...] [DEPS target...] [PRIVATE_DEPS target...] [OF_PROGRAMS])
#
# Adds the static library bandb::NAME from lib/NAME (or lib/SUBFOLDER). Without SRCS it is header-only. OF_PROGRAMS: only our
# programs link it, so it is not installed, and what it needs no application needs.
#
# A target's include directory is a *view*: a folder in the build tree that holds one link, to the target's own sources.
# So `#include "raft/core.h"` compiles only in a target that lists raft among its DEPS, and the arrows between the libraries
# are held by the compiler instead of by good will.
function(bandb_library name)
  cmake_parse_arguments(A "OF_PROGRAMS" "SUBFOLDER" "SRCS;DEPS;PRIVATE_DEPS" ${ARGN})
  set(folder "${name}")
  if(A_SUBFOLDER)
    set(folder "${A_SUBFOLDER}")
  endif()
  set(view "${PROJECT_BINARY_DIR}/view/${name}")
  get_filename_component(parent "${view}/${folder}" DIRECTORY)
  file(MAKE_DIRECTORY "${parent}")
  file(CREATE_LINK "${PROJECT_SOURCE_DIR}/lib/${folder}" "${view}/${folder}" SYMBOLIC)

  if(A_SRCS)
    add_library(bandb_${name} STATIC ${A_SRCS})
    target_include_directories(bandb_${name} PUBLIC "$<BUILD_INTERFACE:${view}>")
    target_link_libraries(bandb_${name} PUBLIC ${A_DEPS} PRIVATE ${A_PRIVATE_DEPS} $<BUILD_INTERFACE:bandb_settings>)
    if(BANDB_UNITY)
      set_target_properties(bandb_${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 16)
    endif()
    if(TARGET bandb_precompiled)
      target_precompile_headers(bandb_${name} REUSE_FROM bandb_precompiled)
    endif()
  else()
    add_library(bandb_${name} INTERFACE)
    target_include_directories(bandb_${name} INTERFACE "$<BUILD_INTERFACE:${view}>")
    target_link_libraries(bandb_${name} INTERFACE ${A_DEPS})
  endif()
  set_target_properties(bandb_${name} PROPERTIES EXPORT_NAME ${name})
  add_library(bandb::${name} ALIAS bandb_${name})
  if(NOT A_OF_PROGRAMS)
    set_property(GLOBAL APPEND PROPERTY BANDB_LIBRARIES bandb_${name})
  endif()
endfunction()

# bandb_program(NAME SRCS file... DEPS target...): a program of tools/ or examples/.
function(bandb_program name)
  cmake_parse_arguments(A "" "" "SRCS;DEPS" ${ARGN})
  add_executable(${name} ${A_SRCS})
  target_link_libraries(${name} PRIVATE ${A_DEPS} bandb_settings)
endfunction()

# The precompiled header of the libraries.
if(BANDB_PRECOMPILE)
  file(CONFIGURE OUTPUT "${PROJECT_BINARY_DIR}/precompiled.cc" CONTENT "")
  add_library(bandb_precompiled STATIC "${PROJECT_BINARY_DIR}/precompiled.cc")
  target_link_libraries(bandb_precompiled PRIVATE absl::status absl::statusor absl::time absl::span fmt::fmt Threads::Threads
                        bandb_settings)
  target_precompile_headers(bandb_precompiled PRIVATE ${BANDB_PRECOMPILED_HEADERS})
endif()
