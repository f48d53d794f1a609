# cmake -P cmake/format.cmake [fix]
#
# Holds the sources against .clang-format, or formats them. Only with clang-format 14: others break lines elsewhere.
cmake_minimum_required(VERSION 3.22)

find_program(clang_format NAMES clang-format-14 clang-format)
set(found "none was found")
if(clang_format)
  execute_process(COMMAND "${clang_format}" --version OUTPUT_VARIABLE found OUTPUT_STRIP_TRAILING_WHITESPACE)
endif()
if(NOT found MATCHES "version 14\\.")
  message("skipped: this needs clang-format 14; ${found}")
  return()
endif()

get_filename_component(root "${CMAKE_CURRENT_LIST_DIR}/.." ABSOLUTE)
foreach(folder include tests examples)
  file(GLOB_RECURSE files "${root}/${folder}/*.hpp" "${root}/${folder}/*.cpp")
  list(APPEND sources ${files})
endforeach()
set(mode --dry-run -Werror)
if(CMAKE_ARGV3 STREQUAL "fix")
  set(mode -i)
endif()
execute_process(COMMAND "${clang_format}" ${mode} ${sources} RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "Some files are not formatted: cmake -P cmake/format.cmake fix")
endif()
