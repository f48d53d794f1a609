// Catch2 3 brings its main function as a library, 2.13 wants it compiled once.
#if !__has_include(<catch2/catch_all.hpp>)
#define CATCH_CONFIG_MAIN
#endif
#include <support/catch.hpp>
