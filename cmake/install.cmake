# What `cmake --install` puts where, and how another project finds it.
#
# Two libraries share one name: libtokenstore.a is C++ (and needs libsodium, SQLite and fmt at link
# time), libtokenstore.so is C. So each has an export file and a pkg-config file of its own, and a C
# program needs nothing that only C++ needs.
include(CMakePackageConfigHelpers)

set(tokenstore_config_dir "${CMAKE_INSTALL_LIBDIR}/cmake/tokenstore")
set(tokenstore_generated_dir "${PROJECT_BINARY_DIR}/package")

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.hpp")
install(TARGETS tokenstore_core EXPORT tokenstore-cxx ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(EXPORT tokenstore-cxx FILE tokenstore-cxx-targets.cmake NAMESPACE tokenstore::
  DESTINATION "${tokenstore_config_dir}")

if(TARGET tokenstore_postgres)
  install(TARGETS tokenstore_postgres EXPORT tokenstore-postgres ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
  install(EXPORT tokenstore-postgres FILE tokenstore-postgres-targets.cmake NAMESPACE tokenstore::
    DESTINATION "${tokenstore_config_dir}")
  install(TARGETS tokenstore_postgres_c EXPORT tokenstore-postgres-c
    LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
  install(EXPORT tokenstore-postgres-c FILE tokenstore-postgres-c-targets.cmake NAMESPACE tokenstore::
    DESTINATION "${tokenstore_config_dir}")
endif()

install(DIRECTORY "${PROJECT_SOURCE_DIR}/capi/include/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.h")
install(TARGETS tokenstore_c EXPORT tokenstore-c
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT tokenstore-c FILE tokenstore-c-targets.cmake NAMESPACE tokenstore::
  DESTINATION "${tokenstore_config_dir}")

if(TARGET tokenstore_conformance_kit)
  install(TARGETS tokenstore_conformance_kit EXPORT tokenstore-conformance RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
  install(EXPORT tokenstore-conformance FILE tokenstore-conformance-targets.cmake NAMESPACE tokenstore::
    DESTINATION "${tokenstore_config_dir}")
endif()

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/tokenstore-config.cmake.in"
  "${tokenstore_generated_dir}/tokenstore-config.cmake" INSTALL_DESTINATION "${tokenstore_config_dir}"
  NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file("${tokenstore_generated_dir}/tokenstore-config-version.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${tokenstore_generated_dir}/tokenstore-config.cmake"
  "${tokenstore_generated_dir}/tokenstore-config-version.cmake" DESTINATION "${tokenstore_config_dir}")

# Paths in a .pc file are relative to the file itself, so that a prefix can be moved.
set(tokenstore_pc_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}" OR IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}" OR
   IS_ABSOLUTE "${CMAKE_INSTALL_BINDIR}")
  set(tokenstore_pc_libdir "${CMAKE_INSTALL_FULL_LIBDIR}")
  set(tokenstore_pc_includedir "${CMAKE_INSTALL_FULL_INCLUDEDIR}")
  set(tokenstore_pc_bindir "${CMAKE_INSTALL_FULL_BINDIR}")
else()
  file(RELATIVE_PATH tokenstore_pc_to_prefix "/${tokenstore_pc_dir}" "/")
  set(tokenstore_pc_libdir "\${pcfiledir}/${tokenstore_pc_to_prefix}${CMAKE_INSTALL_LIBDIR}")
  set(tokenstore_pc_includedir "\${pcfiledir}/${tokenstore_pc_to_prefix}${CMAKE_INSTALL_INCLUDEDIR}")
  set(tokenstore_pc_bindir "\${pcfiledir}/${tokenstore_pc_to_prefix}${CMAKE_INSTALL_BINDIR}")
endif()
# What libtokenstore.a needs at link time, for pkg-config --static; the C++ runtime is the compiler's own.
set(tokenstore_cxx_runtime "-lstdc++")
if("c++" IN_LIST CMAKE_CXX_IMPLICIT_LINK_LIBRARIES)
  set(tokenstore_cxx_runtime "-lc++")
endif()
list(JOIN sodium_STATIC_LDFLAGS " " tokenstore_static_sodium)
list(JOIN sqlite3_STATIC_LDFLAGS " " tokenstore_static_sqlite3)
set(tokenstore_static_libraries
  "${tokenstore_static_sodium} ${tokenstore_static_sqlite3} -lfmt ${tokenstore_cxx_runtime} -lm -pthread")
set(tokenstore_pc_files tokenstore tokenstore-cxx)
if(TARGET tokenstore_postgres)
  list(APPEND tokenstore_pc_files tokenstore-postgres tokenstore-postgres-c)
endif()
foreach(name IN LISTS tokenstore_pc_files)
  configure_file("${PROJECT_SOURCE_DIR}/cmake/${name}.pc.in" "${tokenstore_generated_dir}/${name}.pc" @ONLY)
  install(FILES "${tokenstore_generated_dir}/${name}.pc" DESTINATION "${tokenstore_pc_dir}")
endforeach()
