#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <memory>
#include <new>

/// Objects that tests and the worker processes they fork look at together.
template <class T>
class shared_array {
 public:
  explicit shared_array(std::size_t size) : size_(size) {
    void* at = ::mmap(nullptr, size * sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) throw std::bad_alloc();
    values_ = static_cast<T*>(at);
    std::uninitialized_value_construct_n(values_, size);
  }
  shared_array(const shared_array&) = delete;
  shared_array& operator=(const shared_array&) = delete;
  ~shared_array() { ::munmap(values_, size_ * sizeof(T)); }

  T& operator[](std::size_t index) const { return values_[index]; }
  [[nodiscard]] std::size_t size() const { return size_; }
  T* begin() const { return values_; }
  T* end() const { return values_ + size_; }

 private:
  T* values_ = nullptr;
  std::size_t size_;
};
