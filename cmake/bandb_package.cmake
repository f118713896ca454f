# Debian packages, by CPack: bandb-server (with its unit, user and configuration), bandb-tools, libbandb-dev.
#
# Only with BANDB_PACKAGE, which tools/package.sh sets: the paths of a system service are of no use below another prefix.
option(BANDB_PACKAGE "Install what belongs to a system service, too, and make packages of it all" OFF)
if(NOT BANDB_PACKAGE)
  return()
endif()
find_package(Python3 REQUIRED COMPONENTS Interpreter)

set(BANDB_PACKAGING "${PROJECT_SOURCE_DIR}/packaging")
set(BANDB_MAN "${PROJECT_BINARY_DIR}/man")
add_custom_target(bandb_man ALL
  COMMAND Python3::Interpreter -B "${BANDB_PACKAGING}/make_man.py" "${PROJECT_BINARY_DIR}/bin" "${BANDB_MAN}" "${PROJECT_VERSION}"
  COMMAND gzip -9nf "${BANDB_MAN}/bandb.1" "${BANDB_MAN}/bandb_bench.1" "${BANDB_MAN}/bandb_inspect.1"
          "${BANDB_MAN}/bandb_server.8"
  COMMAND ${CMAKE_COMMAND} -E copy "${PROJECT_SOURCE_DIR}/CHANGELOG.md" "${BANDB_MAN}/NEWS"
  COMMAND ${CMAKE_COMMAND} -E copy "${BANDB_PACKAGING}/debian/changelog" "${BANDB_MAN}/changelog"
  COMMAND ${CMAKE_COMMAND} -E copy_directory "${PROJECT_SOURCE_DIR}/docs" "${BANDB_MAN}/docs"
  COMMAND sh -c "gzip -9nf '${BANDB_MAN}/NEWS' '${BANDB_MAN}/changelog' '${BANDB_MAN}'/docs/*.md"
  DEPENDS bandb bandb_bench bandb_inspect_program bandb_server_program VERBATIM)

install(FILES "${BANDB_PACKAGING}/server.toml" DESTINATION /etc/bandb COMPONENT server)
install(FILES "${BANDB_PACKAGING}/bandb-server.service" DESTINATION /lib/systemd/system COMPONENT server)
install(FILES "${BANDB_MAN}/bandb_server.8.gz" DESTINATION "${CMAKE_INSTALL_MANDIR}/man8" COMPONENT server)
install(FILES "${BANDB_MAN}/bandb.1.gz" "${BANDB_MAN}/bandb_bench.1.gz" "${BANDB_MAN}/bandb_inspect.1.gz"
        DESTINATION "${CMAKE_INSTALL_MANDIR}/man1" COMPONENT tools)
install(DIRECTORY "${BANDB_MAN}/docs/" DESTINATION share/doc/bandb-server COMPONENT server)
foreach(package "server bandb-server" "tools bandb-tools" "dev libbandb-dev")
  separate_arguments(package)
  list(GET package 0 component)
  list(GET package 1 name)
  install(FILES "${BANDB_PACKAGING}/copyright" DESTINATION "share/doc/${name}" COMPONENT ${component})
  install(FILES "${BANDB_MAN}/changelog.gz" "${BANDB_MAN}/NEWS.gz" DESTINATION "share/doc/${name}" COMPONENT ${component})
endforeach()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME bandb)
set(CPACK_PACKAGE_VENDOR "BanDB")
# The line that all descriptions begin with.
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "ordered, persistent, replicated key-value store")
set(CPACK_PACKAGE_CONTACT "BanDB maintainers <maintainers@bandb.invalid>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_SET_DESTDIR ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL server tools dev)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

set(CPACK_DEBIAN_SERVER_PACKAGE_NAME bandb-server)
set(CPACK_DEBIAN_SERVER_PACKAGE_SECTION database)
set(CPACK_DEBIAN_SERVER_PACKAGE_DEPENDS adduser)
set(CPACK_DEBIAN_SERVER_PACKAGE_SUGGESTS bandb-tools)
set(CPACK_DEBIAN_SERVER_PACKAGE_CONTROL_EXTRA
    "${BANDB_PACKAGING}/debian/postinst;${BANDB_PACKAGING}/debian/prerm;${BANDB_PACKAGING}/debian/postrm;${BANDB_PACKAGING}/debian/conffiles")
set(CPACK_COMPONENT_SERVER_DESCRIPTION "The server.
 Keeps keys in order on disk, and serves them over TCP by a protocol of its
 own, that of Redis, and gRPC. Acknowledged writes survive a crash; several
 servers form a cluster (Raft) that survives the loss of a machine.")

set(CPACK_DEBIAN_TOOLS_PACKAGE_NAME bandb-tools)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SECTION database)
set(CPACK_COMPONENT_TOOLS_DESCRIPTION "Client, inspector and benchmark.
 The client reads and writes, loads, exports and imports files, follows what
 is written, makes and restores backups, and manages clusters and users.
 Another program looks into databases and repairs them, and one measures
 the store and the server.")

set(CPACK_DEBIAN_DEV_PACKAGE_NAME libbandb-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "libabsl-dev, libfmt-dev, libxxhash-dev, liblz4-dev, libzstd-dev, libssl-dev")
set(CPACK_COMPONENT_DEV_DESCRIPTION "Libraries to link.
 Headers and static libraries for C++20 programs that keep their data in a
 database of their own, are nodes of a cluster, or serve one; with files for
 CMake and pkg-config.")
include(CPack)
