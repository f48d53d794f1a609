#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include <manyhands/detail/os.hpp>
#include <manyhands/errors.hpp>

namespace manyhands::detail {

/// A file that an observer writes. Not by stdio: a forked worker would write what its copy of the buffer holds once more.
///
/// Everything throws `observer_error`, which names the file, its `purpose` and the cause.
template <class>
class basic_output_file {
 public:
  basic_output_file() = default;
  basic_output_file(const basic_output_file&) = delete;
  basic_output_file& operator=(const basic_output_file&) = delete;
  ~basic_output_file() {
    if (fd_ && !finished_name_.empty()) ::unlink(path_.c_str());
  }

  /// Writes to the file itself. Another file takes its place: whoever still has the old one open is not disturbed.
  void open(const char* purpose, const std::string& path) {
    purpose_ = purpose;
    path_ = path;
    constexpr int attempts = 16;  // somebody else may do the same
    for (int attempt = 0; attempt < attempts; ++attempt) {
      if (try_open(O_EXCL)) return;
      struct stat old {};
      if (errno != EEXIST || ::lstat(path.c_str(), &old) != 0 || !S_ISREG(old.st_mode)) break;
      if (::unlink(path.c_str()) != 0 && errno != ENOENT) break;
    }
    if (!try_open(O_TRUNC)) fail(errno);
  }
  /// Writes to a file beside it, which takes its name in `close`, and goes where that is not reached. A device is written itself.
  void open_beside(const char* purpose, const std::string& path) {
    purpose_ = purpose;
    struct stat old {};
    if (::stat(path.c_str(), &old) == 0 && !S_ISREG(old.st_mode)) {
      path_ = path;
      if (!try_open(O_TRUNC)) fail(errno);
      return;
    }
    static std::atomic<unsigned> files{0};
    path_ = path + "." + std::to_string(::getpid()) + "-" + std::to_string(files.fetch_add(1, std::memory_order_relaxed)) + ".tmp";
    if (!try_open(O_TRUNC)) {
      path_ = path;
      fail(errno);
    }
    finished_name_ = path;
  }

  [[nodiscard]] bool is_open() const noexcept { return static_cast<bool>(fd_); }

  /// Adds `text`, and `end` behind it, which the next call writes over: so the file is whole at any time. In what has no places to write
  /// to, such as a pipe, `end` is written by `close` alone.
  void append(std::string_view text, std::string_view end) {
    end_ = end;
    if (!seekable_) return write(text);
    std::string both;
    both.reserve(text.size() + end.size());
    both += text;
    both += end;
    if (const int error = write_at(both); error != 0) {
      // What stood there before.
      static_cast<void>(retried([&] { return ::ftruncate(fd_.get(), at_); }));
      if (at_ > 0) static_cast<void>(write_at(end));
      fail(error);
    }
    at_ += static_cast<off_t>(text.size());
  }
  void close() {
    if (!seekable_) write(end_);
    if (!finished_name_.empty() && ::rename(path_.c_str(), finished_name_.c_str()) != 0) fail(errno);
    finished_name_.clear();
    const descriptor closing = std::move(fd_);
  }

 private:
  bool try_open(int flag) {
    fd_ = descriptor(retried([&] { return ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flag, 0666); }));
    struct stat made {};
    at_ = 0;
    seekable_ = fd_ && ::fstat(fd_.get(), &made) == 0 && S_ISREG(made.st_mode);
    return static_cast<bool>(fd_);
  }
  int write_at(std::string_view text) {
    for (off_t at = at_; !text.empty();) {
      const ssize_t written = retried([&] { return ::pwrite(fd_.get(), text.data(), text.size(), at); });
      if (written < 0) return errno;
      text.remove_prefix(static_cast<std::size_t>(written));
      at += written;
    }
    return 0;
  }
  void write(std::string_view text) {
    while (!text.empty()) {
      const ssize_t written = retried([&] { return ::write(fd_.get(), text.data(), text.size()); });
      if (written < 0) fail(errno);
      text.remove_prefix(static_cast<std::size_t>(written));
    }
  }
  [[noreturn]] void fail(int error) const {
    throw observer_error(std::string(purpose_) + " \"" + (finished_name_.empty() ? path_ : finished_name_) +
                         "\" could not be written: " + std::strerror(error));
  }

  const char* purpose_ = "file";
  std::string path_;
  std::string finished_name_;  // empty where the file has its name already
  std::string end_;
  descriptor fd_;
  off_t at_ = 0;
  bool seekable_ = false;
};

using output_file = basic_output_file<void>;

}  // namespace manyhands::detail
