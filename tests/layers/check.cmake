# cmake -P tests/layers/check.cmake [ROOT]
#
# Holds a tree against the list in ROOT/cmake/layers.cmake, and fails with every violation:
#   - a header includes only headers that stand above it in the list;
#   - a header is included by its full path in angle brackets;
#   - the list names every header on disk, and no other;
#   - manyhands/x/y.hpp has its test in tests/x/y.cpp, and each test its header.
cmake_minimum_required(VERSION 3.22)

if(CMAKE_ARGC GREATER 3)
  get_filename_component(root "${CMAKE_ARGV3}" ABSOLUTE)
else()
  get_filename_component(root "${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)
endif()

# Tests that belong to no one header, by folder.
set(other_tests "^(support|contract|compile_fail|consume|layers|readme)/")

include("${root}/cmake/layers.cmake")
set(violations "")

set(above "")
foreach(header IN LISTS manyhands_headers)
  set(file "${root}/include/${header}")
  if(NOT EXISTS "${file}")
    list(APPEND violations "${header} is in cmake/layers.cmake and not on disk")
    list(APPEND above "${header}")
    continue()
  endif()
  file(STRINGS "${file}" includes REGEX "^[ \t]*#[ \t]*include")
  foreach(line IN LISTS includes)
    if(line MATCHES "include[ \t]*<(manyhands[/.][^>]*)>")
      set(included "${CMAKE_MATCH_1}")
      if(NOT included IN_LIST manyhands_headers)
        list(APPEND violations "${header} includes <${included}>, which cmake/layers.cmake does not name")
      elseif(NOT included IN_LIST above)
        list(APPEND violations "${header} includes <${included}>, which does not stand above it in cmake/layers.cmake")
      endif()
    elseif(NOT line MATCHES "include[ \t]*<")
      string(STRIP "${line}" line)
      list(APPEND violations "${header} has '${line}': write the full path in angle brackets")
    endif()
  endforeach()
  list(APPEND above "${header}")
endforeach()

file(GLOB_RECURSE on_disk RELATIVE "${root}/include" "${root}/include/*.hpp")
foreach(header IN LISTS on_disk)
  if(NOT header IN_LIST manyhands_headers)
    list(APPEND violations "${header} is on disk and not in cmake/layers.cmake")
  endif()
endforeach()

foreach(header IN LISTS manyhands_headers)
  string(REGEX REPLACE "^manyhands/" "" test "${header}")
  string(REGEX REPLACE "\\.hpp$" ".cpp" test "${test}")
  if(NOT EXISTS "${root}/tests/${test}")
    list(APPEND violations "${header} has no test: tests/${test} is missing")
  endif()
endforeach()
file(GLOB_RECURSE tests RELATIVE "${root}/tests" "${root}/tests/*.cpp")
foreach(test IN LISTS tests)
  string(REGEX REPLACE "\\.cpp$" ".hpp" header "${test}")
  if(NOT test MATCHES "${other_tests}" AND NOT "manyhands/${header}" IN_LIST manyhands_headers AND NOT header IN_LIST manyhands_headers)
    list(APPEND violations "tests/${test} has no header: include/manyhands/${header} is not in cmake/layers.cmake")
  endif()
endforeach()

list(LENGTH manyhands_headers count)
if(violations)
  list(JOIN violations "\n  " violations)
  message(FATAL_ERROR "The layers are broken:\n  ${violations}")
endif()
message(STATUS "${count} headers stand in order, each with its test")
