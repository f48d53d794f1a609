# Finds hwloc 2.0 or later, which brings no CMake files of its own. Gives the target Hwloc::Hwloc, Hwloc_FOUND and Hwloc_VERSION.
#
# Hwloc_INCLUDE_DIR and Hwloc_LIBRARY can be set to say where it is; otherwise pkg-config is asked for hints, then the usual places are
# searched.

find_package(PkgConfig QUIET)
if(PKG_CONFIG_FOUND)
  pkg_check_modules(PC_HWLOC QUIET hwloc)
endif()

find_path(Hwloc_INCLUDE_DIR NAMES hwloc.h HINTS ${PC_HWLOC_INCLUDEDIR} ${PC_HWLOC_INCLUDE_DIRS})
find_library(Hwloc_LIBRARY NAMES hwloc libhwloc HINTS ${PC_HWLOC_LIBDIR} ${PC_HWLOC_LIBRARY_DIRS})
mark_as_advanced(Hwloc_INCLUDE_DIR Hwloc_LIBRARY)

# From the header that was found, not from pkg-config: the two may be different installations.
unset(Hwloc_VERSION)
if(Hwloc_INCLUDE_DIR AND EXISTS "${Hwloc_INCLUDE_DIR}/hwloc.h")
  file(STRINGS "${Hwloc_INCLUDE_DIR}/hwloc.h" _hwloc_api REGEX "^#define HWLOC_API_VERSION 0x[0-9a-fA-F]+")
  if(_hwloc_api MATCHES "0x([0-9a-fA-F]+)")
    math(EXPR _hwloc_api "0x${CMAKE_MATCH_1}")
    math(EXPR _hwloc_major "${_hwloc_api} >> 16")
    math(EXPR _hwloc_minor "(${_hwloc_api} >> 8) & 255")
    set(Hwloc_VERSION "${_hwloc_major}.${_hwloc_minor}")
  endif()
  unset(_hwloc_api)
  unset(_hwloc_major)
  unset(_hwloc_minor)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Hwloc REQUIRED_VARS Hwloc_LIBRARY Hwloc_INCLUDE_DIR Hwloc_VERSION VERSION_VAR Hwloc_VERSION)

if(Hwloc_FOUND AND NOT TARGET Hwloc::Hwloc)
  add_library(Hwloc::Hwloc UNKNOWN IMPORTED)
  set_target_properties(Hwloc::Hwloc PROPERTIES IMPORTED_LOCATION "${Hwloc_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${Hwloc_INCLUDE_DIR}")
  # A static hwloc does not name what it needs itself.
  if(Hwloc_LIBRARY MATCHES "\\.a$" AND PC_HWLOC_FOUND)
    set_target_properties(Hwloc::Hwloc PROPERTIES INTERFACE_LINK_LIBRARIES "${PC_HWLOC_STATIC_LDFLAGS}")
  endif()
endif()
