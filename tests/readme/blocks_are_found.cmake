# cmake -Dwork=FOLDER -P blocks_are_found.cmake: a file with every kind of block, and what must come of it.
cmake_minimum_required(VERSION 3.22)
include("${CMAKE_CURRENT_LIST_DIR}/blocks.cmake")

file(REMOVE_RECURSE "${work}")
file(WRITE "${work}/sample.md" [=[
# A [title]; with `code`
```cpp
#include <set>
std::set<int> s{1, 2}; int a[] = {1}; std::puts("${x} @y@ \n");
```
```sh
make; # not C++
```
```cpp no-test
not even C++
```

```cpp
int main() { return 0; }
```
```cpp file
struct point {};
```
]=])

programs_of_blocks("${work}/sample.md" "${work}" programs)
if(NOT programs STREQUAL "${work}/line_3.cpp;${work}/line_14.cpp;${work}/line_17.cpp")
  message(FATAL_ERROR "found ${programs}")
endif()

function(expect program sentence)
  file(READ "${work}/${program}.cpp" text)
  string(FIND "${text}" "${sentence}" found)
  if(found EQUAL -1)
    message(FATAL_ERROR "${program}.cpp lacks '${sentence}':\n${text}")
  endif()
endfunction()
expect(line_3 "#include <set>\nusing namespace manyhands;\nint main() {\n")
expect(line_3 [=[std::set<int> s{1, 2}; int a[] = {1}; std::puts("${x} @y@ \n");]=])
expect(line_3 "#line 3 \"${work}/sample.md\"")
expect(line_14 "#line 14 \"${work}/sample.md\"\nint main() { return 0; }\n")
expect(line_17 "struct point {};\nint main() {}\n")

programs_of_blocks("${work}/no_such_file.md" "${work}" programs)
if(NOT programs STREQUAL "")
  message(FATAL_ERROR "found ${programs} in no file")
endif()
