#include <manyhands.hpp>
int main() {}
