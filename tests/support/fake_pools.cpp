// A library that is called as MKL is, and has MKL's functions and BLIS's, both as simple as can be.

#include <atomic>
#include <cstdint>

namespace {
constexpr int all = 16;
thread_local int of_thread = 0;
std::atomic<std::int64_t> of_process = all;
}  // namespace

extern "C" {
int MKL_Get_Max_Threads() { return of_thread != 0 ? of_thread : all; }
int MKL_Set_Num_Threads_Local(int threads) {
  const int before = of_thread;
  of_thread = threads;
  return before;
}
int fake_mkl_local() { return of_thread; }
std::int64_t bli_thread_get_num_threads() { return of_process; }
void bli_thread_set_num_threads(std::int64_t threads) { of_process = threads; }
}
