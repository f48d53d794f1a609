#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <utility>

#include <manyhands/detail/os.hpp>

namespace manyhands::detail {

/// Zeroed memory that a process shares with the children it forks while the memory is open to them, and with no others.
///
/// It has no name and no descriptor, so nothing is left of it when the last process has gone. Pages cost nothing until they are touched.
class shared_memory {
 public:
  shared_memory() = default;
  /// Throws `std::system_error`.
  explicit shared_memory(std::size_t size) : size_(size) {
    void* const where = fails_on_purpose(os_call::memory)
                            ? MAP_FAILED
                            : ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (where == MAP_FAILED) throw_system_error(errno, "manyhands: memory to share with workers");
    data_ = static_cast<std::byte*>(where);
    close_to_children();
  }
  shared_memory(shared_memory&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  shared_memory& operator=(shared_memory&& other) noexcept {
    if (this != &other) {
      release();
      data_ = std::exchange(other.data_, nullptr);
      size_ = std::exchange(other.size_, 0);
    }
    return *this;
  }
  ~shared_memory() { release(); }

  /// Children forked from now on share it. A child of another call that is forked in the meantime, too: it has no use for it.
  void open_to_children() const noexcept { ::madvise(data_, size_, MADV_DOFORK); }
  /// Children forked from now on do not have it: a wild write in one worker cannot reach what belongs to another.
  void close_to_children() const noexcept { ::madvise(data_, size_, MADV_DONTFORK); }

  [[nodiscard]] std::byte* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  explicit operator bool() const noexcept { return data_ != nullptr; }

 private:
  void release() noexcept {
    if (data_ != nullptr) ::munmap(data_, size_);
    data_ = nullptr;
  }

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// A word that is 1 in the process that marked it and 0 in every copy of that process, however it was made.
class process_mark {
 public:
  /// Where the system cannot do it, every copy takes itself for the original.
  process_mark() noexcept {
    void* const where = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (where == MAP_FAILED) return;
    ::madvise(where, page, MADV_WIPEONFORK);
    word_ = static_cast<volatile unsigned*>(where);
    *word_ = 1;
  }
  process_mark(const process_mark&) = delete;
  process_mark& operator=(const process_mark&) = delete;
  ~process_mark() {
    if (word_ != nullptr) ::munmap(const_cast<unsigned*>(word_), page);
  }

  /// Costs one read of memory, where getpid() is a system call.
  [[nodiscard]] bool is_original() const noexcept { return word_ == nullptr || *word_ == 1; }

 private:
  static constexpr std::size_t page = 4096;
  volatile unsigned* word_ = nullptr;
};

}  // namespace manyhands::detail
