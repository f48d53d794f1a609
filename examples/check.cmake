# cmake -Dexpected=FILE -P check.cmake -- PROGRAM [ARGUMENT...]
#
# Runs the program: it must succeed, and print the lines of FILE to standard output. In FILE "..." stands for any text within a line.
cmake_minimum_required(VERSION 3.22)

set(command "")
set(past_dashes FALSE)
math(EXPR last "${CMAKE_ARGC} - 1")
foreach(i RANGE ${last})
  if(past_dashes)
    list(APPEND command "${CMAKE_ARGV${i}}")
  elseif(CMAKE_ARGV${i} STREQUAL "--")
    set(past_dashes TRUE)
  endif()
endforeach()

execute_process(COMMAND ${command} RESULT_VARIABLE result OUTPUT_VARIABLE output)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "it ended with ${result}, and printed:\n${output}")
endif()

file(READ "${expected}" pattern)
string(REGEX REPLACE "([][+.*()^$?|\\\\])" "\\\\\\1" pattern "${pattern}")
string(REPLACE "\\.\\.\\." "[^\n]*" pattern "${pattern}")
if(NOT output MATCHES "^${pattern}$")
  file(READ "${expected}" text)
  message(FATAL_ERROR "expected:\n${text}\nprinted:\n${output}")
endif()
