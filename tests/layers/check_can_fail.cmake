# cmake -P tests/layers/check_can_fail.cmake FOLDER
#
# Breaks every rule of check.cmake in a tree of its own, one at a time, and expects the sentence for it.
cmake_minimum_required(VERSION 3.22)

set(root "${CMAKE_ARGV3}")
set(check "${CMAKE_CURRENT_LIST_DIR}/check.cmake")
set(failures "")

function(lay_sound_tree)
  file(REMOVE_RECURSE "${root}")
  file(WRITE "${root}/cmake/layers.cmake" "set(manyhands_headers manyhands/low.hpp manyhands/detail/high.hpp manyhands.hpp)\n")
  file(WRITE "${root}/include/manyhands/low.hpp" "#pragma once\n#include <vector>\n")
  file(WRITE "${root}/include/manyhands/detail/high.hpp" "#pragma once\n#include <manyhands/low.hpp>\n")
  file(WRITE "${root}/include/manyhands.hpp" "#pragma once\n#include <manyhands/detail/high.hpp>\n")
  foreach(test low detail/high manyhands support/main contract/all)
    file(WRITE "${root}/tests/${test}.cpp" "")
  endforeach()
endfunction()

function(expect what code sentence)
  execute_process(COMMAND "${CMAKE_COMMAND}" -P "${check}" "${root}" RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  string(REGEX REPLACE "[ \n]+" " " output "${output}")  # message() breaks lines
  string(FIND "${output}" "${sentence}" found)
  if((code EQUAL 0 AND NOT result EQUAL 0) OR (NOT code EQUAL 0 AND result EQUAL 0) OR found EQUAL -1)
    message("${what}: expected '${sentence}', got ${result}: ${output}")
    set(failures "${failures};${what}" PARENT_SCOPE)
  endif()
endfunction()

lay_sound_tree()
expect("a sound tree" 0 "3 headers stand in order")

lay_sound_tree()
file(APPEND "${root}/include/manyhands/low.hpp" "  #  include <manyhands/detail/high.hpp>\n")
expect("an upward include" 1 "manyhands/low.hpp includes <manyhands/detail/high.hpp>, which does not stand above it")

lay_sound_tree()
file(APPEND "${root}/include/manyhands/low.hpp" "#include <manyhands/low.hpp>\n")
expect("an include of itself" 1 "manyhands/low.hpp includes <manyhands/low.hpp>, which does not stand above it")

lay_sound_tree()
file(APPEND "${root}/include/manyhands/detail/high.hpp" "#include <manyhands/gone.hpp>\n")
expect("an include of nothing" 1 "includes <manyhands/gone.hpp>, which cmake/layers.cmake does not name")

lay_sound_tree()
file(APPEND "${root}/include/manyhands/detail/high.hpp" "#include \"../low.hpp\"\n")
expect("an include in quotes" 1 "write the full path in angle brackets")

lay_sound_tree()
file(WRITE "${root}/include/manyhands/detail/high.hpp" "#if X\n#include <vector>\n#endif\n#if MANYHANDS_HAS_FORK\n#include <manyhands/low.hpp>\n#endif\n")
expect("an include where there is fork" 0 "3 headers stand in order")

lay_sound_tree()
file(WRITE "${root}/include/manyhands/detail/high.hpp" "#if MANYHANDS_HAS_FORK\n#endif\n#if Y\n#include <manyhands/low.hpp>\n#endif\n")
expect("an include under another condition" 1 "manyhands/detail/high.hpp includes <manyhands/low.hpp> under '#if Y'")

lay_sound_tree()
file(WRITE "${root}/include/manyhands/new.hpp" "")
expect("an unlisted header" 1 "manyhands/new.hpp is on disk and not in cmake/layers.cmake")

lay_sound_tree()
file(REMOVE "${root}/include/manyhands/low.hpp")
expect("a lost header" 1 "manyhands/low.hpp is in cmake/layers.cmake and not on disk")

lay_sound_tree()
file(REMOVE "${root}/tests/detail/high.cpp")
expect("a header without a test" 1 "manyhands/detail/high.hpp has no test: tests/detail/high.cpp is missing")

lay_sound_tree()
file(WRITE "${root}/tests/detail/old.cpp" "")
expect("a test without a header" 1 "tests/detail/old.cpp has no header")

lay_sound_tree()
file(WRITE "${root}/tests/low.cpp" "TEST_CASE(\"one; two\") {}\n")
expect("a semicolon in a name" 1 "tests/low.cpp has a name that ctest cannot call: TEST_CASE(\"one; two\")")

lay_sound_tree()
file(WRITE "${root}/tests/low.cpp" "TEST_CASE(\"\\\"all\\\" is read\") { int a; }\n")
expect("a quote before a name" 1 "tests/low.cpp has a name that ctest cannot call")

lay_sound_tree()
file(WRITE "${root}/tests/low.cpp" "TEST_CASE(\"it reads \\\"all\\\", [b] and 'c'\") { int a; }\n")
expect("quotes within a name" 0 "3 headers stand in order")

if(failures)
  message(FATAL_ERROR "not as expected:${failures}")
endif()
