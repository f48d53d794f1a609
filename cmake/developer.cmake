# For work on manyhands itself: tests, examples, warnings, sanitizers. Consumers never come here.

option(MANYHANDS_BUILD_TESTS "Build the tests" ON)
option(MANYHANDS_BUILD_EXAMPLES "Build the examples" ON)
option(MANYHANDS_BUILD_BENCHMARKS "Build the benchmarks, beside all other libraries that are found" OFF)
set(MANYHANDS_SANITIZE "" CACHE STRING "Sanitizers for tests and examples, as -fsanitize takes them")

set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # g++ 12 takes the sum of two strings for an overflow (GCC bug 105651).
  add_compile_options(-Wno-restrict -Wno-array-bounds -Wno-stringop-overflow)
endif()

if(MANYHANDS_SANITIZE)
  add_compile_options(-fsanitize=${MANYHANDS_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${MANYHANDS_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # g++ sees false ones between its own instrumentation; the plain build has this warning on.
    add_compile_options(-Wno-maybe-uninitialized)
  endif()
endif()
if("${MANYHANDS_SANITIZE}" MATCHES "thread")
  # ThreadSanitizer does not model fences, and g++ warns of each.
  add_compile_definitions(BOOST_ASIO_DISABLE_FENCED_BLOCK)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-tsan)
  endif()
endif()

if(CMAKE_CXX_COMPILER_ID MATCHES "Clang" AND Boost_VERSION VERSION_LESS 1.80)
  # Boost.Asio before 1.80 looks for clang's coroutines in a header that has gone.
  add_compile_definitions(BOOST_ASIO_HAS_CO_AWAIT=1)
endif()

# The target all_verify_interface_header_sets compiles each header alone. Not by default: it takes as long as a third of the tests.
set_target_properties(manyhands PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
if(TARGET manyhands_mpi)
  set_target_properties(manyhands_mpi PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
endif()

enable_testing()
if(TARGET manyhands::mpi AND MPIEXEC_EXECUTABLE)
  include(cmake/mpiLauncher.cmake)
endif()
if(MANYHANDS_BUILD_TESTS)
  add_subdirectory(tests)
endif()
if(MANYHANDS_BUILD_EXAMPLES AND EXISTS "${PROJECT_SOURCE_DIR}/examples/CMakeLists.txt")
  add_subdirectory(examples)
endif()
if(MANYHANDS_BUILD_BENCHMARKS)
  add_subdirectory(benchmarks)
endif()
