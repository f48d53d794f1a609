#include <utility>  // Boost 1.74 forgets it

#include <boost/asio.hpp>
int main() {}
