# cmake --install: the program, libcleave static and shared, the header, cleave.pc, and cleaveConfig.cmake with the
# targets cleave::shared and cleave::static.
include(CMakePackageConfigHelpers)

install(TARGETS cleave RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS libcleave_static EXPORT cleaveStaticTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS libcleave_shared EXPORT cleaveSharedTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/host/include/cleave DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/cleave)
install(EXPORT cleaveStaticTargets NAMESPACE cleave:: DESTINATION ${package_folder})
install(EXPORT cleaveSharedTargets NAMESPACE cleave:: DESTINATION ${package_folder})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/cleaveConfig.cmake.in ${PROJECT_BINARY_DIR}/cleaveConfig.cmake
  INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/cleaveConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/cleaveConfig.cmake ${PROJECT_BINARY_DIR}/cleaveConfigVersion.cmake
  DESTINATION ${package_folder})

# Paths in cleave.pc go from where it lies, so that the installed tree may be moved.
file(RELATIVE_PATH CLEAVE_PC_PREFIX
  ${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(${CMAKE_CURRENT_LIST_DIR}/cleave.pc.in ${PROJECT_BINARY_DIR}/cleave.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/cleave.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
