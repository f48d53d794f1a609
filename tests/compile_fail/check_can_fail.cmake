# cmake -Dcxx=COMPILER -Dinclude= -Dwork=FOLDER -P check_can_fail.cmake: files that check.cmake must pass, and files that it must not.
cmake_minimum_required(VERSION 3.22)

function(expect what sentence text)
  file(WRITE "${work}/case.cpp" "${text}")
  execute_process(COMMAND "${CMAKE_COMMAND}" "-Dcxx=${cxx}" "-Dfile=${work}/case.cpp" -P "${CMAKE_CURRENT_LIST_DIR}/check.cmake"
                  RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  string(REGEX REPLACE "[ \n]+" " " output "${output}")  # message() breaks lines
  string(FIND "${output}" "${sentence}" found)
  if((sentence STREQUAL "" AND NOT result EQUAL 0) OR (NOT sentence STREQUAL "" AND (result EQUAL 0 OR found EQUAL -1)))
    message(FATAL_ERROR "${what}: expected '${sentence}', got ${result}: ${output}")
  endif()
endfunction()

set(broken "static_assert(false, \"no; [way]\");\n")
expect("refused as expected" "" "// expect: no; [way]\n${broken}")
expect("refused as expected, and fixed" "" "// expect: no; [way]\n#ifndef MANYHANDS_FIXED\n${broken}#endif\n")
expect("compiles" "compiles, and must not" "// expect: no; [way]\nint x;\n")
expect("refused for another reason" "the compiler does not say 'no; [way]'" "// expect: no; [way]\nint x = ;\n")
expect("not fixed" "does not compile with MANYHANDS_FIXED" "// expect: no; [way]\n#ifdef MANYHANDS_FIXED\nint x = ;\n#endif\n${broken}")
expect("expects nothing" "the first line must be" "\n${broken}")
