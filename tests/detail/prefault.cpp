#include <manyhands/detail/prefault.hpp>

#include <sys/mman.h>

#include <cstddef>

#include <support/catch.hpp>

using namespace manyhands::detail;

namespace {

constexpr std::size_t page = 4096;

/// So many pages that nobody has touched.
class fresh_pages {
 public:
  explicit fresh_pages(std::size_t count) : size_(count * page) {
    void* const where = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (where != MAP_FAILED) data_ = static_cast<std::byte*>(where);
    REQUIRE(data_ != nullptr);
  }
  fresh_pages(const fresh_pages&) = delete;
  fresh_pages& operator=(const fresh_pages&) = delete;
  ~fresh_pages() { ::munmap(data_, size_); }

  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] bool has_memory(std::size_t number) const {
    unsigned char resident = 0;
    REQUIRE(::mincore(data_ + number * page, page, &resident) == 0);
    return (resident & 1U) != 0;
  }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_;
};

bool is_known_to_the_system() {
  const fresh_pages one(1);
  return ::madvise(one.data(), page, 23) == 0;  // MADV_POPULATE_WRITE
}

}  // namespace

TEST_CASE("whole pages get their memory, and no others") {
  const fresh_pages pages(18);
  prefault(pages.data() + 1, 16 * page);  // the first page and the seventeenth not as a whole
  const bool known = is_known_to_the_system();
  for (std::size_t number = 0; number < 18; ++number) CHECK(pages.has_memory(number) == (known && 1 <= number && number < 16));
}

TEST_CASE("memory that was used before is taken for ready, where only new one is asked for") {
  const fresh_pages pages(20);
  const bool known = is_known_to_the_system();
  prefault(pages.data(), 16 * page, prefaulted::where_new);
  CHECK(pages.has_memory(0) == known);
  pages.data()[19 * page] = std::byte{1};
  prefault(pages.data(), 20 * page, prefaulted::where_new);
  CHECK_FALSE(pages.has_memory(18));
  prefault(pages.data(), 20 * page);
  CHECK(pages.has_memory(18) == known);
}

TEST_CASE("what was written stays") {
  const fresh_pages pages(16);
  pages.data()[2 * page] = std::byte{7};
  prefault(pages.data(), 16 * page);
  CHECK(pages.data()[2 * page] == std::byte{7});
  CHECK(pages.data()[page] == std::byte{0});
}

TEST_CASE("little, nothing, and what is not there do no harm") {
  const fresh_pages pages(16);
  prefault(pages.data(), 16 * page - 1);
  prefault(pages.data(), 0);
  prefault(nullptr, 0);
  for (std::size_t number = 0; number < 16; ++number) CHECK_FALSE(pages.has_memory(number));
  const std::byte* gone = nullptr;
  {
    const fresh_pages others(16);
    gone = others.data();
  }
  prefault(const_cast<std::byte*>(gone), 16 * page);
}
