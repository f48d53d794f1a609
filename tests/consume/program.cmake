# The same for every consumer with CMake: the program, at warning levels at which our headers must be silent.
add_executable(consumer ../main.cpp)
target_link_libraries(consumer PRIVATE manyhands::manyhands)
target_compile_options(consumer PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror)

# A consumer gets the library, and nothing that only its developers need.
if(DEFINED MANYHANDS_BUILD_TESTS OR TARGET test_support OR DEFINED CACHE{MANYHANDS_SANITIZE})
  message(FATAL_ERROR "the developer's settings of manyhands arrived at a consumer")
endif()
