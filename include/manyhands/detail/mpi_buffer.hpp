#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

namespace manyhands::detail {

/// Bytes that were received. Large ones come into memory that earlier ones have left: to get it from the system each time, page by page,
/// takes longer than to receive them.
class mpi_buffer {
 public:
  mpi_buffer() = default;
  explicit mpi_buffer(std::size_t size) : size_(size) {
    if (size >= worth_keeping) {
      const std::lock_guard lock(spares_.mutex);
      auto found = spares_.blocks.end();  // the smallest that will do
      for (auto each = spares_.blocks.begin(); each != spares_.blocks.end(); ++each) {
        if (each->size >= size && (found == spares_.blocks.end() || each->size < found->size)) found = each;
      }
      if (found != spares_.blocks.end()) {
        block_ = std::move(*found);
        spares_.blocks.erase(found);
        return;
      }
    }
    // Not make_unique: its zeros would touch every page once more.
    block_ = {std::unique_ptr<std::byte[]>(new std::byte[size]), size};
  }
  mpi_buffer(mpi_buffer&& other) noexcept : block_(std::move(other.block_)), size_(std::exchange(other.size_, 0)) {}
  mpi_buffer& operator=(mpi_buffer&& other) noexcept {
    std::swap(block_, other.block_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~mpi_buffer() {
    if (block_.data == nullptr || block_.size < worth_keeping || block_.size > most_kept) return;
    try {
      const std::lock_guard lock(spares_.mutex);
      if (spares_.blocks.size() < most_spares) spares_.blocks.push_back(std::move(block_));
    } catch (const std::exception&) {  // then it goes back to the system
    }
  }

  [[nodiscard]] std::byte* data() noexcept { return block_.data.get(); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {block_.data.get(), size_}; }

 private:
  static constexpr std::size_t worth_keeping = std::size_t{64} << 10U;
  static constexpr std::size_t most_kept = std::size_t{8} << 20U;
  static constexpr std::size_t most_spares = 8;

  struct block {
    std::unique_ptr<std::byte[]> data;
    std::size_t size = 0;
  };
  struct spares {
    std::mutex mutex;
    std::vector<block> blocks;  // guarded by mutex
  };
  static spares spares_;

  block block_;
  std::size_t size_ = 0;
};
inline mpi_buffer::spares mpi_buffer::spares_;

}  // namespace manyhands::detail
