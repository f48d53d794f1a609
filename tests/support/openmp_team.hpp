#pragma once

// What tests ask OpenMP's runtime, from code that was compiled with it. Exported under these names by the library openmp_plugin, too.
extern "C" {
/// How many threads a parallel region that is begun here gets.
int openmp_team_size();
/// How many it may get.
int openmp_most();
void openmp_set_most(int threads);
/// Calls the function in one thread of a parallel region of two.
void openmp_inside_region(void (*function)(void*), void* data);
}
