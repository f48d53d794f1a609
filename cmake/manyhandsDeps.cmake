# What manyhands stands on, found where it is consumed: one function for the build tree and for the installed package.

# Else a consumer with older policies would lose a plain `set(MANYHANDS_HWLOC OFF)` to the cache variable below.
cmake_policy(VERSION 3.22...3.31)

# manyhands_link_dependencies(<target>)
#
# Links Boost's headers and threads to <target>, an INTERFACE library of this build or the imported one of an installed package. Where
# hwloc is found it is linked too and MANYHANDS_WITH_HWLOC=1 is defined; MANYHANDS_HWLOC=ON makes it required, OFF leaves it alone.
#
# In a package config call it last. There a missing dependency sets manyhands_FOUND to FALSE and says why, as find_package expects; in a
# build it is an error.
function(manyhands_link_dependencies target)
  if(NOT DEFINED MANYHANDS_HWLOC)
    set(MANYHANDS_HWLOC AUTO CACHE STRING "Use hwloc in manyhands: AUTO (where it is found), ON or OFF")
    set_property(CACHE MANYHANDS_HWLOC PROPERTY STRINGS AUTO ON OFF)
  endif()
  string(TOUPPER "${MANYHANDS_HWLOC}" hwloc)
  if(NOT hwloc MATCHES "^(AUTO|ON|OFF|TRUE|FALSE|YES|NO|1|0)$")
    message(FATAL_ERROR "manyhands: MANYHANDS_HWLOC is '${MANYHANDS_HWLOC}': use AUTO, ON or OFF.")
  endif()

  set(missing "")
  find_package(Boost 1.74 CONFIG QUIET)
  if(NOT Boost_FOUND)
    string(APPEND missing "Boost 1.74 or later is not found, with its CMake files (Debian, Ubuntu: apt install libboost-dev). "
           "Elsewhere: set CMAKE_PREFIX_PATH or Boost_DIR.")
  endif()
  find_package(Threads QUIET)
  if(NOT Threads_FOUND)
    string(APPEND missing " No thread library is found: enable the language CXX with project() first.")
  endif()

  set(Hwloc_FOUND FALSE)  # else OFF would take what the caller found for itself
  if(hwloc OR hwloc STREQUAL "AUTO")
    list(PREPEND CMAKE_MODULE_PATH "${CMAKE_CURRENT_FUNCTION_LIST_DIR}")
    find_package(Hwloc 2.0 MODULE QUIET)
    if(NOT Hwloc_FOUND AND NOT hwloc STREQUAL "AUTO")
      string(APPEND missing " MANYHANDS_HWLOC is ${MANYHANDS_HWLOC}, but hwloc 2.0 or later is not found "
             "(Debian, Ubuntu: apt install libhwloc-dev). Elsewhere: set Hwloc_INCLUDE_DIR and Hwloc_LIBRARY, or MANYHANDS_HWLOC to AUTO or OFF.")
    endif()
  endif()

  if(missing)
    string(STRIP "${missing}" missing)
    if(NOT CMAKE_FIND_PACKAGE_NAME STREQUAL "manyhands")
      message(FATAL_ERROR "manyhands: ${missing}")
    endif()
    set(manyhands_FOUND FALSE PARENT_SCOPE)
    set(manyhands_NOT_FOUND_MESSAGE "${missing}" PARENT_SCOPE)
    return()
  endif()

  # A second find_package finds the target as the first one left it.
  get_target_property(linked ${target} manyhands_linked)
  if(linked)
    return()
  endif()
  set_target_properties(${target} PROPERTIES manyhands_linked TRUE)

  # BUILD_INTERFACE keeps every trace of this machine out of the installed targets file: the package config calls this function again.
  target_link_libraries(${target} INTERFACE "$<BUILD_INTERFACE:Boost::headers>" "$<BUILD_INTERFACE:Threads::Threads>")
  if(Hwloc_FOUND)
    target_link_libraries(${target} INTERFACE "$<BUILD_INTERFACE:Hwloc::Hwloc>")
    target_compile_definitions(${target} INTERFACE "$<BUILD_INTERFACE:MANYHANDS_WITH_HWLOC=1>")
  endif()
endfunction()

# manyhands_find_mpi(<wanted>)
#
# Looks for MPI 3.0 or later: gives MPI::MPI_CXX and MPI_CXX_FOUND. With AUTO it may be missing; otherwise that is an error in a build, and in a package
# config MPI_CXX_FOUND tells. Which MPI it is, is FindMPI's choice: set MPI_CXX_COMPILER (mpicxx.openmpi, mpicxx.mpich) or MPI_HOME to make it.
macro(manyhands_find_mpi wanted)
  set(MPI_CXX_SKIP_MPICXX ON)  # the C++ bindings, which MPI has given up
  find_package(MPI 3.0 QUIET COMPONENTS CXX)
  if(NOT MPI_CXX_FOUND AND NOT "${wanted}" STREQUAL "AUTO" AND NOT CMAKE_FIND_PACKAGE_NAME STREQUAL "manyhands")
    message(FATAL_ERROR "manyhands: MANYHANDS_MPI is ${wanted}, but MPI 3.0 or later is not found (Debian, Ubuntu: apt install libopenmpi-dev openmpi-bin). "
                        "Elsewhere: set MPI_HOME or MPI_CXX_COMPILER.")
  endif()
endmacro()
