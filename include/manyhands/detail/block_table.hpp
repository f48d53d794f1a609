#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace manyhands::detail {

/// Blocks by number, of which the oldest go as new ones come: an endless row in the memory of those that are there.
///
/// One thread, the owner, adds and drops blocks. Others may look up any block that is there, if they have heard of it from the owner.
template <class Block>
class block_table {
 public:
  block_table() { install(8); }
  block_table(const block_table&) = delete;
  block_table& operator=(const block_table&) = delete;

  // --- any thread

  [[nodiscard]] Block& operator[](std::size_t number) const noexcept {
    // Whoever has heard of a block has also seen the directory that it is in. A newer one has it at another place: look there.
    return *current_.load(std::memory_order_acquire)->at(number).load(std::memory_order_relaxed);
  }

  // --- the owner

  /// The blocks from `begin` up to but not including `end` may be there.
  [[nodiscard]] std::size_t begin() const noexcept { return begin_; }
  [[nodiscard]] std::size_t end() const noexcept { return end_; }
  /// The block, null where it was dropped.
  [[nodiscard]] Block* find(std::size_t number) const noexcept {
    return number < begin_ ? nullptr : current_.load(std::memory_order_relaxed)->at(number).load(std::memory_order_relaxed);
  }
  /// Adds the next block: a new one, or one that was dropped, as its last user has left it.
  Block& add() {
    directory* now = current_.load(std::memory_order_relaxed);
    if (end_ - begin_ == now->size) now = &install(2 * now->size);
    std::unique_ptr<Block> made;
    if (spare_.empty()) {
      made.reset(new Block);  // not make_unique, which would write all of it
      blocks_.reserve(blocks_.size() + 1);
      spare_.reserve(blocks_.size() + 1);  // so that drop() cannot fail
      blocks_.push_back(std::move(made));
      spare_.push_back(blocks_.back().get());
    }
    Block& next = *spare_.back();
    spare_.pop_back();
    now->at(end_).store(&next, std::memory_order_relaxed);
    ++end_;
    return next;
  }
  /// Takes a block away that is there, and that nobody looks up any more.
  void drop(std::size_t number) noexcept {
    directory& now = *current_.load(std::memory_order_relaxed);
    spare_.push_back(now.at(number).exchange(nullptr, std::memory_order_relaxed));
    while (begin_ != end_ && now.at(begin_).load(std::memory_order_relaxed) == nullptr) ++begin_;
  }

 private:
  struct directory {
    explicit directory(std::size_t its_size) : size(its_size), blocks(std::make_unique<std::atomic<Block*>[]>(its_size)) {}
    [[nodiscard]] std::atomic<Block*>& at(std::size_t number) const noexcept { return blocks[number & (size - 1)]; }

    const std::size_t size;  // a power of two
    const std::unique_ptr<std::atomic<Block*>[]> blocks;
  };

  directory& install(std::size_t size) {
    auto made = std::make_unique<directory>(size);
    for (std::size_t number = begin_; number != end_; ++number) {
      made->at(number).store(find(number), std::memory_order_relaxed);
    }
    directories_.push_back(std::move(made));
    current_.store(directories_.back().get(), std::memory_order_release);
    return *directories_.back();
  }

  std::atomic<directory*> current_{nullptr};
  // All below is the owner's. Old directories stay: somebody may still read one.
  std::vector<std::unique_ptr<directory>> directories_;
  std::vector<std::unique_ptr<Block>> blocks_;
  std::vector<Block*> spare_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace manyhands::detail
