# cmake -P cmake/single_header.cmake OUT
#
# Writes the whole library as one header to OUT, or to OUT/manyhands.hpp where OUT is a folder. It needs nothing but Boost's headers.
#
# The headers are written one after the other in the order of their layers, without their includes of each other: what one of them needs
# stands above it then. What is only included under `#if MANYHANDS_HAS_FORK` is put under it as a whole.
cmake_minimum_required(VERSION 3.22)

if(NOT CMAKE_ARGC EQUAL 4)
  message(FATAL_ERROR "usage: cmake -P cmake/single_header.cmake OUT")
endif()
get_filename_component(out "${CMAKE_ARGV3}" ABSOLUTE BASE_DIR "${CMAKE_BINARY_DIR}")
if(IS_DIRECTORY "${out}")
  string(APPEND out "/manyhands.hpp")
endif()

include("${CMAKE_CURRENT_LIST_DIR}/layers.cmake")
list(REMOVE_ITEM manyhands_headers ${manyhands_mpi_headers})

# Who is included whatever the system? From the top of the layers down, every header is met after all that include it.
set(everywhere ${manyhands_headers})
list(FILTER everywhere EXCLUDE REGEX "/detail/")
set(own_include "\n[ \t]*#[ \t]*include[ \t]*<(manyhands[/.][^>\n]*)>[^\n]*")
set(downwards ${manyhands_headers})
list(REVERSE downwards)
foreach(header IN LISTS downwards)
  if(header IN_LIST everywhere)
    file(READ "${CMAKE_CURRENT_LIST_DIR}/../include/${header}" content)
    string(REGEX REPLACE "\n#if MANYHANDS_HAS_FORK(${own_include})+\n#endif" "" content "${content}")
    string(REGEX MATCHALL "${own_include}" lines "${content}")
    foreach(line IN LISTS lines)
      string(REGEX REPLACE "${own_include}" "\\1" included "${line}")
      list(APPEND everywhere "${included}")
    endforeach()
  endif()
endforeach()

file(READ "${CMAKE_CURRENT_LIST_DIR}/../LICENSE" text)
string(REGEX REPLACE "[\n]+$" "" text "${text}")
string(REPLACE "\n" "\n// " text "// ${text}")
string(REGEX REPLACE "// \n" "//\n" text "${text}")
string(APPEND text "\n\n#pragma once\n")

foreach(header IN LISTS manyhands_headers)
  file(READ "${CMAKE_CURRENT_LIST_DIR}/../include/${header}" content)
  string(REGEX REPLACE "(^|\n)[ \t]*#[ \t]*pragma[ \t]+once[^\n]*" "\\1" content "${content}")
  string(REGEX REPLACE "${own_include}" "" content "${content}")
  string(REGEX REPLACE "\n\n\n+" "\n\n" content "${content}")
  if(NOT header IN_LIST everywhere)
    set(content "#if MANYHANDS_HAS_FORK\n${content}\n#endif  // MANYHANDS_HAS_FORK\n")
  endif()
  string(APPEND text "\n// ---- <${header}>\n${content}")
endforeach()

file(WRITE "${out}" "${text}")
message(STATUS "wrote ${out}")
