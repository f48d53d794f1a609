# programs_of_blocks(<markdown file> <folder> <variable>)
#
# Writes a program for every C++ block of the file to the folder, as line_<n>.cpp after the line where the block's code begins, and puts their paths into
# the variable; none where there is no such file.
#   ```cpp            with a main function: a whole program. Else the inside of one, below <manyhands.hpp> and the usual standard headers; its
#                     own #include lines go to the top
#   ```cpp file       code at namespace scope, below the same headers; gets an empty main
#   ```cpp no-test    left alone
function(programs_of_blocks file folder result)
  set(programs "")
  set(text "")
  if(EXISTS "${file}")
    file(READ "${file}" text)
  endif()
  set(preamble "#include <manyhands.hpp>\n")
  foreach(header algorithm array chrono cmath cstdio cstdlib filesystem fstream functional iostream map memory numeric optional ranges stdexcept string
                 thread tuple utility vector)
    string(APPEND preamble "#include <${header}>\n")
  endforeach()

  # Only FIND and SUBSTRING: lists would break at the semicolons and brackets of the code.
  string(REPLACE "\r" "" text "\n${text}\n")
  set(line 0)  # of the file, at the newline that text begins with
  while(TRUE)
    string(FIND "${text}" "\n```" at)
    if(at EQUAL -1)
      break()
    endif()
    string(SUBSTRING "${text}" 0 ${at} passed)
    math(EXPR at "${at} + 1")
    string(SUBSTRING "${text}" ${at} -1 text)
    string(FIND "${text}" "\n" end)
    string(SUBSTRING "${text}" 0 ${end} fence)
    string(SUBSTRING "${text}" ${end} -1 text)
    string(FIND "${text}" "\n```" close)
    if(close EQUAL -1)
      message(FATAL_ERROR "${file}: the block '${fence}' is not closed")
    endif()
    string(SUBSTRING "${text}" 0 ${close} code)
    math(EXPR close "${close} + 1")
    string(SUBSTRING "${text}" ${close} -1 text)
    string(FIND "${text}" "\n" end)
    string(SUBSTRING "${text}" ${end} -1 text)

    string(REGEX REPLACE "[^\n]" "" passed "${passed}")
    string(REGEX REPLACE "[^\n]" "" newlines "${code}")
    string(LENGTH "${passed}" passed)
    string(LENGTH "${newlines}" newlines)
    math(EXPR first "${line} + ${passed} + 2")
    math(EXPR line "${line} + ${passed} + ${newlines} + 2")

    if(NOT fence MATCHES "^```(cpp|c\\+\\+)( .*)?$" OR fence MATCHES " no-test")
      continue()
    endif()
    string(SUBSTRING "${code}" 1 -1 code)
    set(place "#line ${first} \"${file}\"\n")
    if(code MATCHES "(^|\n)(int|auto) main\\(")
      set(program "${place}${code}\n")
    elseif(fence MATCHES " file")
      set(program "${preamble}using namespace manyhands;\n${place}${code}\nint main() {}\n")
    else()
      string(REGEX MATCHALL "(^|\n)#include[^\n]*" includes "${code}")
      list(JOIN includes "" includes)
      string(REGEX REPLACE "(^|\n)#include[^\n]*" "\\1" code "${code}")
      set(program "${preamble}${includes}\nusing namespace manyhands;\nint main() {\n${place}${code}\n}\n")
    endif()
    set(path "${folder}/line_${first}.cpp")
    file(CONFIGURE OUTPUT "${path}" CONTENT "@program@" @ONLY)  # leaves the file alone where nothing changed
    list(APPEND programs "${path}")
  endwhile()
  set(${result} "${programs}" PARENT_SCOPE)
endfunction()
