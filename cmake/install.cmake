# Installation: libraries, headers, the command line, and what find_package(quantal) and pkg-config read.
#
# Each part has an export set of its own, so that a user of one part needs only that part's dependencies:
#   core      headers only                      needs nothing
#   c         libquantal.so + quantal.h         needs nothing to link
#   c_static  libquantal.a + quantal.h          zlib, threads, the C++ run-time library
#   quantal   libquantal_cxx + C++ headers      zlib, threads
# Eigen, nlohmann_json, protozero, CLI11 and Catch2 are needed to build Quantal, never to use it.
option(QUANTAL_INSTALL "Generate the install target" ${PROJECT_IS_TOP_LEVEL})
if(NOT QUANTAL_INSTALL)
  return()
endif()
include(CMakePackageConfigHelpers)
set(quantal_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/quantal)

install(DIRECTORY include/quantal DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT core FILES_MATCHING PATTERN "*.hpp" PATTERN "*.h")
install(TARGETS quantal_core EXPORT quantal-core)
install(EXPORT quantal-core NAMESPACE quantal:: DESTINATION ${quantal_cmake_dir} COMPONENT core)
set_target_properties(quantal PROPERTIES EXPORT_NAME quantal)
install(TARGETS quantal EXPORT quantal-quantal COMPONENT quantal)
install(EXPORT quantal-quantal NAMESPACE quantal:: DESTINATION ${quantal_cmake_dir} COMPONENT quantal)
if(QUANTAL_BUILD_CAPI)
  install(FILES capi/include/quantal.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT c)
  install(TARGETS quantal_c EXPORT quantal-c COMPONENT c)
  install(EXPORT quantal-c NAMESPACE quantal:: DESTINATION ${quantal_cmake_dir} COMPONENT c)
  install(TARGETS quantal_c_static EXPORT quantal-c_static COMPONENT c)
  install(EXPORT quantal-c_static NAMESPACE quantal:: DESTINATION ${quantal_cmake_dir} COMPONENT c)
  include(${CMAKE_CURRENT_LIST_DIR}/pkgconfig.cmake)
  quantal_write_pc(${PROJECT_BINARY_DIR}/quantal.pc)
  install(FILES ${PROJECT_BINARY_DIR}/quantal.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT c)
endif()
if(QUANTAL_BUILD_CLI)
  install(TARGETS quantal_cli RUNTIME COMPONENT cli)
endif()

configure_package_config_file(cmake/quantal-config.cmake.in ${PROJECT_BINARY_DIR}/quantal-config.cmake
  INSTALL_DESTINATION ${quantal_cmake_dir} NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/quantal-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/quantal-config.cmake ${PROJECT_BINARY_DIR}/quantal-config-version.cmake
  DESTINATION ${quantal_cmake_dir} COMPONENT core)
