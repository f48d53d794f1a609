#pragma once

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <manyhands/detail/os.hpp>
#include <manyhands/detail/pinning.hpp>
#include <manyhands/errors.hpp>

namespace manyhands::detail {

/// The checksum of IEEE 802.3 (CRC-32, reflected polynomial 0xEDB88320), of bytes that follow those of which it was `before`.
template <class = void>
[[nodiscard]] std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t before = 0) noexcept {
  static constexpr auto table = [] {
    std::array<std::uint32_t, 256> made{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = (value & 1U) != 0 ? 0xEDB88320U ^ (value >> 1U) : value >> 1U;
      made[i] = value;
    }
    return made;
  }();
  std::uint32_t sum = ~before;
  for (const std::byte each : bytes) sum = table[(sum ^ static_cast<std::uint32_t>(each)) & 0xFFU] ^ (sum >> 8U);
  return ~sum;
}

/// By what a journal knows its call again.
struct journal_facts {
  static constexpr std::uint64_t unknown = ~std::uint64_t{0};

  std::uint64_t tasks = unknown;  // where the number is known when the call begins
  std::uint64_t seed = 0;
  std::string result_type = {};
  std::string description = {};
};

/// The results of a call in a file: those of a run that was cut short, and those that come now.
///
/// The file is a head that describes the call, then a record for each result in the order in which they came. Each record goes to the
/// system at once, so it survives whatever ends the program, and to the disk within about a second, so a power failure costs no more.
/// A record has a checksum: what is broken from some place on is cut off, and those tasks run again.
template <class>
class basic_journal {
 public:
  /// Opens the file, or makes it. Throws `checkpoint_error` where that is impossible, where it is no journal or that of another call, and
  /// where somebody else has it open.
  basic_journal(std::string path, const journal_facts& call) : path_(std::move(path)) {
    fd_ = descriptor(retried([&] { return ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_APPEND, 0666); }));
    if (!fd_) refuse(std::string("cannot be opened: ") + std::strerror(errno));
    lock();
    map();
    const std::string head = head_of(call);
    if (bytes_.empty()) {
      write_all(head.data(), head.size(), [&](int error) { refuse(std::string("cannot be written: ") + std::strerror(error)); });
    } else {
      check_head(call, head);
      read_records(head.size(), call.tasks);
    }
  }
  basic_journal(const basic_journal&) = delete;
  basic_journal& operator=(const basic_journal&) = delete;
  ~basic_journal() {
    stop_syncing();
    // Not by closing alone: a worker that lives on may have the file, too.
    if (owner_ == ::getpid()) ::flock(fd_.get(), LOCK_UN);
  }

  // --- any thread, and forked copies of the process

  /// Whether an earlier run has left the result.
  [[nodiscard]] bool holds(std::size_t index) const noexcept { return find(index).has_value(); }
  /// Its bytes, which stay where they are as long as the journal.
  [[nodiscard]] std::optional<std::span<const std::byte>> find(std::size_t index) const noexcept {
    const auto at =
        std::lower_bound(records_.begin(), records_.end(), index, [](const record& each, std::size_t i) { return each.index < i; });
    if (at == records_.end() || at->index != index) return std::nullopt;
    return at->bytes;
  }
  /// How many results an earlier run has left.
  [[nodiscard]] std::size_t restored() const noexcept { return records_.size(); }
  /// How many bytes at its end were broken and are gone.
  [[nodiscard]] std::size_t broken() const noexcept { return broken_; }

  // --- any thread of the caller's process

  /// Adds a result. Where that fails, nothing more is added, and `finish` says so.
  void append(std::size_t index, std::span<const std::byte> bytes) noexcept {
    try {
      record_head head{.mark = record_mark, .sum = 0, .index = index, .size = bytes.size()};
      head.sum = sum_of(head, bytes);
      const std::lock_guard lock(mutex_);
      if (!failure_.empty()) return;
      buffer_.resize(sizeof head + bytes.size());
      std::memcpy(buffer_.data(), &head, sizeof head);
      if (!bytes.empty()) std::memcpy(buffer_.data() + sizeof head, bytes.data(), bytes.size());
      write_all(buffer_.data(), buffer_.size(), [&](int error) { failure_ = std::strerror(error); });
      is_dirty_ = true;
      if (!syncs_.joinable()) start_syncing();
    } catch (const std::exception& error) {
      fail(error.what());
    }
  }
  /// Says why nothing more can be added.
  void fail(const char* why) noexcept {
    const std::lock_guard lock(mutex_);
    if (failure_.empty()) failure_ = why;
  }
  /// Throws `observer_error` where a result could not be kept. By the calling thread, when no task runs any more.
  void finish() {
    stop_syncing();
    if (is_dirty_ && failure_.empty() && ::fdatasync(fd_.get()) != 0 && errno != EINVAL) failure_ = std::strerror(errno);
    if (!failure_.empty()) throw observer_error("checkpoint \"" + path_ + "\" could not be written: " + failure_);
  }

 private:
  static constexpr std::string_view title = "manyhands journal 1\n";
  static constexpr std::uint32_t record_mark = 0x526A686DU;  // "mhjR"
  static constexpr std::chrono::seconds between_syncs{1};
  // Workers of a program that was killed hold its lock until they end.
  static constexpr std::chrono::seconds patience{2};

  struct record_head {
    std::uint32_t mark;
    std::uint32_t sum;  // of the index, the size and the bytes
    std::uint64_t index;
    std::uint64_t size;
  };
  struct unmap {
    std::size_t size = 0;
    void operator()(void* at) const noexcept { ::munmap(at, size); }
  };
  struct record {
    std::size_t index;
    std::span<const std::byte> bytes;
  };

  [[noreturn]] void refuse(const std::string& why) const { throw checkpoint_error("checkpoint \"" + path_ + "\" " + why); }

  void lock() {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (::flock(fd_.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno != EWOULDBLOCK) return;  // a file system without locks
      if (std::chrono::steady_clock::now() > end)
        refuse("is in use by another call, of this program or of another: give each its own file");
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  void map() {
    struct stat facts {};
    if (::fstat(fd_.get(), &facts) != 0) refuse(std::string("cannot be read: ") + std::strerror(errno));
    if (!S_ISREG(facts.st_mode)) refuse("is no regular file");
    size_ = static_cast<std::uint64_t>(facts.st_size);
    if (size_ == 0) return;
    void* const at = ::mmap(nullptr, static_cast<std::size_t>(size_), PROT_READ, MAP_SHARED, fd_.get(), 0);
    if (at == MAP_FAILED) refuse(std::string("cannot be read: ") + std::strerror(errno));
    map_.reset(at);
    map_.get_deleter().size = static_cast<std::size_t>(size_);
    bytes_ = {static_cast<const std::byte*>(at), static_cast<std::size_t>(size_)};
  }

  /// The title, the numbers, both texts with their lengths, and a checksum.
  static std::string head_of(const journal_facts& call) {
    std::string head(title);
    const auto put = [&head](const auto& value) { head.append(reinterpret_cast<const char*>(&value), sizeof value); };
    put(call.tasks);
    put(call.seed);
    for (const std::string* text : {&call.result_type, &call.description}) {
      put(static_cast<std::uint64_t>(text->size()));
      head += *text;
    }
    put(crc32(std::as_bytes(std::span(head))));
    return head;
  }
  void check_head(const journal_facts& call, const std::string& wanted) {
    const std::string_view file(reinterpret_cast<const char*>(bytes_.data()), bytes_.size());
    if (file.starts_with(wanted)) return;
    if (file.size() < wanted.size() && std::string_view(wanted).starts_with(file)) {
      // The run before was cut short in its first write.
      cut_off(0);
      write_all(wanted.data(), wanted.size(), [&](int error) { refuse(std::string("cannot be written: ") + std::strerror(error)); });
      return;
    }
    if (!file.starts_with(title)) refuse("is no journal: use another path, or remove the file");
    refuse("is the journal of another call" + difference(call, file.substr(title.size())) + ": use another path, or remove the file");
  }
  /// What is different, as far as the head can be read.
  static std::string difference(const journal_facts& call, std::string_view rest) {
    bool whole = true;
    const auto number = [&] {
      std::uint64_t value = 0;
      whole = whole && rest.size() >= sizeof value;
      if (!whole) return value;
      std::memcpy(&value, rest.data(), sizeof value);
      rest.remove_prefix(sizeof value);
      return value;
    };
    const auto text = [&] {
      const std::uint64_t size = number();
      whole = whole && size <= rest.size();
      if (!whole) return std::string_view();
      const std::string_view value = rest.substr(0, static_cast<std::size_t>(size));
      rest.remove_prefix(value.size());
      return value;
    };
    const auto count = [](std::uint64_t tasks) {
      return tasks == journal_facts::unknown ? std::string("an unknown number of tasks") : std::to_string(tasks) + " tasks";
    };
    const std::uint64_t tasks = number();
    const std::uint64_t seed = number();
    const std::string_view result_type = text();
    const std::string_view description = text();
    if (!whole) return ", with a broken head";
    if (tasks != call.tasks) return ": it has " + count(tasks) + ", and this one has " + count(call.tasks);
    if (result_type != call.result_type)
      return ": its results are '" + std::string(result_type) + "', and this one's '" + call.result_type + "'";
    if (seed != call.seed) return ": its seed is " + std::to_string(seed) + ", and this one's " + std::to_string(call.seed);
    if (description != call.description)
      return ": its description is \"" + std::string(description) + "\", and this one's \"" + call.description + "\"";
    return ", with a broken head";
  }

  void read_records(std::size_t at, std::uint64_t tasks) {
    while (bytes_.size() - at >= sizeof(record_head)) {
      record_head head;
      std::memcpy(&head, bytes_.data() + at, sizeof head);
      const std::size_t left = bytes_.size() - at - sizeof head;
      if (head.mark != record_mark || head.size > left || head.index >= tasks) break;
      const std::span<const std::byte> value = bytes_.subspan(at + sizeof head, static_cast<std::size_t>(head.size));
      if (sum_of(head, value) != head.sum) break;
      records_.push_back({static_cast<std::size_t>(head.index), value});
      at += sizeof head + value.size();
    }
    broken_ = bytes_.size() - at;
    if (broken_ > 0) cut_off(at);
    const auto by_index = [](const record& a, const record& b) { return a.index < b.index; };
    std::stable_sort(records_.begin(), records_.end(), by_index);
    records_.erase(std::unique(records_.begin(), records_.end(), [](const record& a, const record& b) { return a.index == b.index; }),
                   records_.end());
  }
  void cut_off(std::size_t at) {
    if (retried([&] { return ::ftruncate(fd_.get(), static_cast<off_t>(at)); }) != 0)
      refuse(std::string("cannot be mended: ") + std::strerror(errno));
    size_ = at;
  }
  static std::uint32_t sum_of(const record_head& head, std::span<const std::byte> bytes) noexcept {
    const std::array<std::uint64_t, 2> numbers{head.index, head.size};
    return crc32(bytes, crc32(std::as_bytes(std::span(numbers))));
  }

  /// Adds bytes to the file, all or none.
  template <class Fail>
  void write_all(const void* from, std::size_t size, Fail&& fail) {
    const char* at = static_cast<const char*>(from);
    for (std::size_t left = size; left > 0;) {
      const ssize_t written = retried([&] { return ::write(fd_.get(), at, left); });
      if (written <= 0) {
        const int error = written < 0 ? errno : ENOSPC;
        static_cast<void>(::ftruncate(fd_.get(), static_cast<off_t>(size_)));
        fail(error);
        return;
      }
      at += written;
      left -= static_cast<std::size_t>(written);
    }
    size_ += size;
  }

  void start_syncing() {
    try {
      const worker_unpin for_the_new_thread;
      syncs_ = std::thread([this] { sync(); });
    } catch (const std::system_error&) {  // then the system writes to the disk when it likes
    }
  }
  void sync() {
    std::unique_lock lock(mutex_);
    while (!ends_) {
      changed_.wait_for(lock, between_syncs, [this] { return ends_; });
      if (ends_ || !std::exchange(is_dirty_, false)) continue;
      lock.unlock();
      static_cast<void>(::fdatasync(fd_.get()));
      lock.lock();
    }
  }
  void stop_syncing() noexcept {
    {
      const std::lock_guard lock(mutex_);
      is_dirty_ = is_dirty_ || syncs_.joinable();
      ends_ = true;
    }
    changed_.notify_all();
    if (syncs_.joinable()) syncs_.join();
  }

  const std::string path_;
  descriptor fd_;
  const pid_t owner_ = ::getpid();
  std::unique_ptr<void, unmap> map_;  // the file as it was; the system keeps the lock for as long as this
  std::span<const std::byte> bytes_;  // the same
  std::vector<record> records_;       // by index
  std::size_t broken_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_ once the call has begun.
  std::vector<char> buffer_;
  std::uint64_t size_ = 0;
  std::string failure_;  // why nothing more is added
  bool is_dirty_ = false;
  bool ends_ = false;
  std::thread syncs_;
};
using journal = basic_journal<void>;

}  // namespace manyhands::detail
