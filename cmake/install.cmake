include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_DATADIR}/cmake/manyhands")

if(CMAKE_VERSION VERSION_GREATER_EQUAL 3.23)
  install(TARGETS manyhands EXPORT manyhandsTargets FILE_SET HEADERS)
else()
  install(TARGETS manyhands EXPORT manyhandsTargets INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
  foreach(header IN LISTS plain_headers)
    get_filename_component(folder "${header}" DIRECTORY)
    install(FILES "include/${header}" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/${folder}")
  endforeach()
endif()
# Installed wherever they were built: MPI is looked for by those who ask for the component.
foreach(header IN LISTS mpi_header_files)
  file(RELATIVE_PATH path "${PROJECT_SOURCE_DIR}/include" "${header}")
  get_filename_component(folder "${path}" DIRECTORY)
  install(FILES "${header}" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/${folder}")
endforeach()
install(EXPORT manyhandsTargets NAMESPACE manyhands:: DESTINATION "${package_dir}")

configure_package_config_file(cmake/manyhandsConfig.cmake.in manyhandsConfig.cmake INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file(manyhandsConfigVersion.cmake COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/manyhandsConfig.cmake" "${CMAKE_CURRENT_BINARY_DIR}/manyhandsConfigVersion.cmake"
              cmake/manyhandsDeps.cmake cmake/FindHwloc.cmake
        DESTINATION "${package_dir}")

# For pkg-config the choice falls here: it cannot look for hwloc at the consumer.
set(pc_requires "")
set(pc_cflags "")
if(TARGET Hwloc::Hwloc AND MANYHANDS_HWLOC)
  set(pc_requires hwloc)
  set(pc_cflags " -DMANYHANDS_WITH_HWLOC=1")
endif()
# The .pc file lies two folders below the prefix, wherever that is moved to.
file(RELATIVE_PATH pc_includedir "/" "/${CMAKE_INSTALL_INCLUDEDIR}")
configure_file(cmake/manyhands.pc.in manyhands.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/manyhands.pc" DESTINATION "${CMAKE_INSTALL_DATADIR}/pkgconfig")
