# Install rules: the headers, the libraries with their exported targets, the programs and the pkg-config files.
#
# bandb::bandb is everything that was built. An application that wants the database alone links bandb::storage, and one
# that serves it bandb::server. What has no public header is installed, too, since static libraries need it, but has no
# headers to be used by.
include(CMakePackageConfigHelpers)

get_property(BANDB_LIBRARIES GLOBAL PROPERTY BANDB_LIBRARIES)
target_compile_features(bandb_api INTERFACE cxx_std_20)
add_library(bandb_everything INTERFACE)
target_link_libraries(bandb_everything INTERFACE ${BANDB_LIBRARIES})
set_target_properties(bandb_everything PROPERTIES EXPORT_NAME bandb)
add_library(bandb::bandb ALIAS bandb_everything)

set(BANDB_CMAKE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/bandb")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/bandb" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(TARGETS ${BANDB_LIBRARIES} bandb_everything EXPORT bandb_targets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(EXPORT bandb_targets NAMESPACE bandb:: FILE bandb_targets.cmake DESTINATION "${BANDB_CMAKE_DIR}")
foreach(program bandb_server_program bandb bandb_bench)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
  endif()
endforeach()

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/bandbConfig.cmake.in" "${PROJECT_BINARY_DIR}/bandbConfig.cmake"
                              INSTALL_DESTINATION "${BANDB_CMAKE_DIR}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/bandbConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/bandbConfig.cmake" "${PROJECT_BINARY_DIR}/bandbConfigVersion.cmake"
              cmake/FindLZ4.cmake cmake/FindZstd.cmake cmake/FindxxHash.cmake
        DESTINATION "${BANDB_CMAKE_DIR}")

# Sorts what `target` links, itself included, into `libs` (-l names, users before used) and `packages` (of pkg-config).
function(bandb_pkg_config_closure target libs packages)
  set(queue ${target})
  set(found_libs "")
  set(found_packages "")
  while(queue)
    list(POP_FRONT queue next)
    string(REGEX REPLACE "^\\$<LINK_ONLY:(.*)>$" "\\1" next "${next}")
    if(next MATCHES "^absl::(.*)$")
      list(APPEND found_packages "absl_${CMAKE_MATCH_1}")
    elseif(next STREQUAL "fmt::fmt")
      list(APPEND found_packages fmt)
    elseif(next STREQUAL "xxHash::xxHash")
      list(APPEND found_packages libxxhash)
    elseif(next STREQUAL "LZ4::LZ4")
      list(APPEND found_packages liblz4)
    elseif(next STREQUAL "Zstd::Zstd")
      list(APPEND found_packages libzstd)
    elseif(next MATCHES "^bandb(_|::)" AND TARGET ${next})
      get_target_property(aliased ${next} ALIASED_TARGET)
      if(aliased)
        set(next ${aliased})
      endif()
      get_target_property(type ${next} TYPE)
      if(NOT type STREQUAL "INTERFACE_LIBRARY")
        # A library stands behind everything that uses it: the last mention counts.
        list(REMOVE_ITEM found_libs "-l${next}")
        list(APPEND found_libs "-l${next}")
      endif()
      get_target_property(links ${next} INTERFACE_LINK_LIBRARIES)
      if(links)
        list(APPEND queue ${links})
      endif()
    endif()
  endwhile()
  list(REMOVE_DUPLICATES found_packages)
  list(JOIN found_libs " " joined_libs)
  list(JOIN found_packages " " joined_packages)
  set(${libs} "${joined_libs}" PARENT_SCOPE)
  set(${packages} "${joined_packages}" PARENT_SCOPE)
endfunction()

# bandb_pkg_config(NAME TARGET DESCRIPTION): NAME.pc for what links TARGET.
function(bandb_pkg_config name target description)
  bandb_pkg_config_closure(${target} PC_LIBS PC_REQUIRES)
  set(PC_NAME "${name}")
  set(PC_DESCRIPTION "${description}")
  set(PC_DEFINES "")
  # From where the file is installed back to the prefix, so that an installed tree can be moved as a whole.
  file(RELATIVE_PATH PC_PREFIX "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
  if(NOT BANDB_HAVE_LZ4)
    set(PC_DEFINES "-DBANDB_BUILT_WITHOUT_LZ4")
  endif()
  configure_file("${PROJECT_SOURCE_DIR}/cmake/bandb.pc.in" "${PROJECT_BINARY_DIR}/${name}.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/${name}.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
endfunction()

bandb_pkg_config(bandb bandb_everything "${PROJECT_DESCRIPTION}")
foreach(room storage server cluster)
  if(TARGET bandb_${room})
    bandb_pkg_config(bandb-${room} bandb_${room} "${PROJECT_DESCRIPTION}: ${room} alone")
  endif()
endforeach()
