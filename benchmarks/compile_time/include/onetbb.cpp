#include <tbb/tbb.h>
int main() {}
