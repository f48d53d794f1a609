#include <execution>
int main() {}
