# cmake -Dcxx=COMPILER "-Dinclude=DIR|DIR..." -Dfile=FILE -P check.cmake
#
# FILE's first line is `// expect: TEXT`. The compiler must refuse the file and say TEXT. Where the file asks for MANYHANDS_FIXED it must compile
# with that defined: else it might be refused for another reason than the one it shows.
cmake_minimum_required(VERSION 3.22)

file(READ "${file}" text)
if(NOT text MATCHES "^// expect: ([^\n]+)\n")
  message(FATAL_ERROR "${file}: the first line must be '// expect: TEXT'")
endif()
set(expected "${CMAKE_MATCH_1}")

set(command "${cxx}" -std=c++20 -fsyntax-only)
string(REPLACE "|" ";" include "${include}")
foreach(folder IN LISTS include)
  if(NOT folder STREQUAL "/usr/include")
    list(APPEND command -I "${folder}")
  endif()
endforeach()

execute_process(COMMAND ${command} "${file}" RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(result EQUAL 0)
  message(FATAL_ERROR "${file} compiles, and must not")
endif()
string(FIND "${output}" "${expected}" found)
if(found EQUAL -1)
  message(FATAL_ERROR "the compiler does not say '${expected}':\n${output}")
endif()

if(text MATCHES "MANYHANDS_FIXED")
  execute_process(COMMAND ${command} -DMANYHANDS_FIXED "${file}" RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${file} does not compile with MANYHANDS_FIXED:\n${output}")
  endif()
endif()
