#include <tbb/blocked_range.h>
#include <tbb/parallel_reduce.h>

/// 1 + 2 + ... + last, by as many threads as TBB likes to use.
extern "C" long tbb_sum(long last) {
  return tbb::parallel_reduce(
      tbb::blocked_range<long>(1, last + 1), 0L,
      [](const tbb::blocked_range<long>& some, long sum) {
        for (long i = some.begin(); i != some.end(); ++i) sum += i;
        return sum;
      },
      [](long one, long other) { return one + other; });
}
