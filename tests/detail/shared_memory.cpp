#include <manyhands/detail/shared_memory.hpp>

#include <sys/mman.h>

#include <utility>

#include <support/catch.hpp>
#include <support/leak_check.hpp>
#include <support/subprocess.hpp>

using namespace manyhands::detail;

namespace {

bool is_mapped(const void* where) {
  unsigned char resident = 0;
  return ::mincore(const_cast<void*>(where), 1, &resident) == 0;
}

int no_memory(os_call call) noexcept { return call == os_call::memory ? ENOMEM : 0; }

}  // namespace

TEST_CASE("memory is shared with children that are forked while it is open to them") {
  const manyhands_test::leak_check leaks;
  const shared_memory memory(10'000);
  CHECK(memory.size() == 10'000);
  CHECK(memory.data()[9'999] == std::byte{0});
  memory.open_to_children();
  CHECK(manyhands_test::holds_in_subprocess([&] {
    memory.data()[9'999] = std::byte{7};
    return true;
  }));
  CHECK(memory.data()[9'999] == std::byte{7});
}

TEST_CASE("memory is not there in other children") {
  const manyhands_test::leak_check leaks;
  const shared_memory memory(4096);
  CHECK(manyhands_test::holds_in_subprocess([&] { return !is_mapped(memory.data()); }));
  memory.open_to_children();
  memory.close_to_children();
  CHECK(manyhands_test::holds_in_subprocess([&] { return !is_mapped(memory.data()); }));
}

TEST_CASE("shared memory has one owner") {
  const manyhands_test::leak_check leaks;
  shared_memory first(4096);
  std::byte* const where = first.data();
  shared_memory second(std::move(first));
  CHECK_FALSE(first);
  CHECK(second.data() == where);
  first = std::move(second);
  CHECK(is_mapped(where));
  first = shared_memory();
  CHECK_FALSE(first);
}

TEST_CASE("memory that cannot be had is a system error") {
  injected_fault = no_memory;
  CHECK_THROWS_AS(shared_memory(4096), std::system_error);
  injected_fault = nullptr;
}

TEST_CASE("a marked process knows itself from its copies") {
  const process_mark mark;
  CHECK(mark.is_original());
  CHECK(manyhands_test::holds_in_subprocess([&] { return !mark.is_original(); }));
  CHECK(mark.is_original());
}
