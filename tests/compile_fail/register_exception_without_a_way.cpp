// expect: E has no codec and cannot be made from its what()
#include <exception>
#include <string>

#include <manyhands/exception_codec.hpp>

struct secretive : std::exception {
#ifdef MANYHANDS_FIXED
  explicit secretive(std::string) {}
#endif
};

int main() { manyhands::register_exception<secretive>(); }
