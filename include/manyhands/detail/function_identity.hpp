#pragma once

#if defined(__linux__)
#include <dlfcn.h>
#include <link.h>
#endif

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <manyhands/detail/bytes.hpp>
#include <manyhands/errors.hpp>

// How a function is named in another process of the same program, which may lie elsewhere in memory or run on another machine: by the image
// that it lies in, the program or a shared library, and where in there. Types and names of functions will not do: two sources may have
// lambdas of one name.

namespace manyhands::detail {

/// Where a function lies, in whatever process.
struct function_identity {
  /// The build-id of the image, hashed.
  std::uint64_t image = 0;
  /// From where the image was loaded.
  std::uint64_t offset = 0;
  /// Where the function is a library's, its name there. `offset` does not count then: machines may differ in which variant of a function
  /// they take.
  std::string symbol = {};

  friend bool operator==(const function_identity&, const function_identity&) = default;
};

/// What is loaded in this process, as far as it has a build-id. A table is never changed once it is published, and never deleted: so
/// anybody can read it, in a process that was forked at any moment, too.
template <class>
class basic_image_table {
 public:
  struct image {
    std::uint64_t id = 0;
    std::uintptr_t base = 0;
    std::string path = {};  // empty: the program
    bool has_id = false;
    struct span {
      std::uintptr_t first = 0;
      std::uintptr_t last = 0;
    };
    std::vector<span> code = {};  // what may be run of it

    [[nodiscard]] bool holds(std::uintptr_t address) const noexcept {
      return std::any_of(code.begin(), code.end(), [=](const span& each) { return address >= each.first && address < each.last; });
    }
  };

  /// What was loaded when somebody looked last. Throws `std::bad_alloc`.
  [[nodiscard]] static const basic_image_table& current() {
    const basic_image_table* const known = published.load(std::memory_order_acquire);
    return known != nullptr ? *known : refreshed();
  }
  /// What is loaded now; 40 ns where that is what it was. Throws `std::bad_alloc`.
  [[nodiscard]] static const basic_image_table& refreshed() {
    auto made = std::make_unique<basic_image_table>();
    scan found{published.load(std::memory_order_acquire), *made};
#if defined(__linux__)
    ::dl_iterate_phdr(&look_at, &found);
#endif
    if (found.is_known) return *found.known;
    if (found.is_cut_short) throw std::bad_alloc();
    made->older_ = found.known;
    // Of two threads that look at the same time each may publish its own; no table gets lost, or becomes wrong.
    while (!published.compare_exchange_weak(made->older_, made.get(), std::memory_order_acq_rel)) {
    }
    return *made.release();
  }

  [[nodiscard]] const image* of_address(std::uintptr_t address) const noexcept {
    const auto found = std::find_if(images_.begin(), images_.end(), [=](const image& each) { return each.holds(address); });
    return found != images_.end() ? &*found : nullptr;
  }
  [[nodiscard]] const image* of_id(std::uint64_t id) const noexcept {
    const auto found = std::find_if(images_.begin(), images_.end(), [=](const image& each) { return each.has_id && each.id == id; });
    return found != images_.end() ? &*found : nullptr;
  }
  /// How often something was loaded or unloaded, up to now.
  [[nodiscard]] std::uint64_t loads() const noexcept { return loads_; }
  /// Null where the system does not tell.
  [[nodiscard]] const image* program() const noexcept { return images_.empty() ? nullptr : &images_.front(); }

 private:
  struct scan {
    const basic_image_table* known;
    basic_image_table& made;
    bool is_known = false;
    bool is_cut_short = false;
  };

#if defined(__linux__)
  static int look_at(dl_phdr_info* object, std::size_t, void* data) noexcept {
    scan& found = *static_cast<scan*>(data);
    if (found.made.images_.empty()) {
      found.made.loads_ = object->dlpi_adds + object->dlpi_subs;
      found.is_known = found.known != nullptr && found.known->loads_ == found.made.loads_;
      if (found.is_known) return 1;
    }
    try {
      found.made.add(*object);
      return 0;
    } catch (...) {  // not through the loader, which holds a lock
      found.is_cut_short = true;
      return 1;
    }
  }
  void add(const dl_phdr_info& object) {
    image added{.base = object.dlpi_addr, .path = images_.empty() || object.dlpi_name == nullptr ? "" : object.dlpi_name};
    for (std::size_t i = 0; i < object.dlpi_phnum; ++i) {
      const ElfW(Phdr)& part = object.dlpi_phdr[i];
      const std::uintptr_t begin = object.dlpi_addr + part.p_vaddr;
      if (part.p_type == PT_LOAD && (part.p_flags & PF_X) != 0) added.code.push_back({begin, begin + part.p_memsz});
      if (part.p_type == PT_NOTE && !added.has_id) look_for_id(added, begin, part.p_memsz, part.p_align == 8 ? 8 : 4);
    }
    images_.push_back(std::move(added));
  }
  /// Notes stand one after another: a header, a name and its bytes, the latter two filled up.
  static void look_for_id(image& added, std::uintptr_t at, std::size_t size, std::size_t alignment) noexcept {
    const auto filled_up = [=](std::size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; };
    while (size >= sizeof(ElfW(Nhdr))) {
      const auto* const note = reinterpret_cast<const ElfW(Nhdr)*>(at);
      const std::size_t begin = sizeof *note + filled_up(note->n_namesz);
      const std::size_t whole = begin + filled_up(note->n_descsz);
      if (begin + note->n_descsz > size) return;
      if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && std::memcmp(note + 1, "GNU", 4) == 0) {
        added.id = hash_of(reinterpret_cast<const unsigned char*>(at) + begin, note->n_descsz);
        added.has_id = true;
        return;
      }
      if (whole > size) return;
      at += whole;
      size -= whole;
    }
  }
#endif
  /// FNV-1a.
  static std::uint64_t hash_of(const unsigned char* bytes, std::size_t size) noexcept {
    std::uint64_t hash = 0xcbf29ce484222325u;
    for (std::size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
  }

  static std::atomic<const basic_image_table*> published;

  std::vector<image> images_;  // the first is the program
  std::uint64_t loads_ = 0;    // and unloads, of all time
  const basic_image_table* older_ = nullptr;
};
using image_table = basic_image_table<void>;

template <class Unused>
constinit std::atomic<const basic_image_table<Unused>*> basic_image_table<Unused>::published{nullptr};

/// What a user reads of an image.
template <class = void>
[[nodiscard]] std::string name_of(const image_table::image& image) {
  return image.path.empty() ? std::string("the program") : "'" + image.path + "'";
}

template <class = void>
[[noreturn]] void throw_no_build_id(const image_table::image& image) {
  throw error(name_of(image) + " has no build-id, by which a function of it could be found elsewhere: link it with -Wl,--build-id");
}

/// The build-id of the program, hashed: the same in all processes that run the same build. Throws `error` where it has none.
template <class = void>
[[nodiscard]] std::uint64_t program_identity() {
  const image_table::image* const program = image_table::current().program();
  if (program == nullptr) throw error("this system does not tell which program runs");
  if (!program->has_id) throw_no_build_id(*program);
  return program->id;
}

/// Which image an address lies in, null where it is in none.
template <class = void>
[[nodiscard]] const image_table::image* image_of(std::uintptr_t address) {
  const image_table::image* const known = image_table::current().of_address(address);
  // A library that was loaded since.
  return known != nullptr ? known : image_table::refreshed().of_address(address);
}

/// Names a function of the program's or of a library that was compiled here, wherever it lies in there. Throws `error`, which says the
/// cure, where it cannot be named.
template <class = void>
[[nodiscard]] function_identity identify_own(const void* function) {
  const auto address = reinterpret_cast<std::uintptr_t>(function);
  const image_table::image* const image = image_of(address);
  if (image == nullptr) throw error("a function at " + hexadecimal(address) + " is neither the program's nor that of a loaded library");
  if (!image->has_id) throw_no_build_id(*image);
  return {.image = image->id, .offset = address - image->base};
}

/// Names any function that a pointer may point to. A library's must be one that it exports: a pointer to `sin` points to the variant that
/// suits this processor, and it is not for us to name that. Throws as `identify_own` does.
template <class = void>
[[nodiscard]] function_identity identify(const void* function) {
  if (function == nullptr) throw error("the function pointer is null");
  function_identity named = identify_own(function);
  const image_table::image* const image = image_of(reinterpret_cast<std::uintptr_t>(function));
  if (image->path.empty()) return named;
#if defined(__linux__)
  Dl_info found{};
  if (::dladdr(function, &found) != 0 && found.dli_saddr == function && found.dli_sname != nullptr) {
    void* const library = ::dlopen(image->path.c_str(), RTLD_NOLOAD | RTLD_LAZY);
    const bool is_found = library != nullptr && ::dlsym(library, found.dli_sname) == function;
    if (library != nullptr) ::dlclose(library);
    if (is_found) {
      named.symbol = found.dli_sname;
      named.offset = 0;
      return named;
    }
  }
#endif
  throw error("a pointer to a function of " + name_of(*image) +
              " cannot be sent, because it has no name there, or is one of several variants for different processors: wrap it in a lambda");
}

/// The function of that identity in this process. Throws `error`, which says what is missing or differs.
template <class = void>
[[nodiscard]] const void* find_function(const function_identity& identity) {
  const image_table::image* image = image_table::current().of_id(identity.image);
  if (image == nullptr) image = image_table::refreshed().of_id(identity.image);
  if (image == nullptr) {
    throw error("a function to call is in a program or library of build-id hash " + hexadecimal(identity.image) +
                ", which this process has not loaded, or has of another build");
  }
#if defined(__linux__)
  if (!identity.symbol.empty()) {
    void* const library = ::dlopen(image->path.empty() ? nullptr : image->path.c_str(), RTLD_NOLOAD | RTLD_LAZY);
    const void* const found = library != nullptr ? ::dlsym(library, identity.symbol.c_str()) : nullptr;
    if (library != nullptr) ::dlclose(library);
    if (found != nullptr) return found;
    throw error("a function '" + identity.symbol + "' to call is not in " + name_of(*image));
  }
#endif
  const std::uintptr_t address = image->base + identity.offset;
  if (!image->holds(address))
    throw error("a function to call is at " + hexadecimal(identity.offset) + " of " + name_of(*image) + ", where no code is");
  return reinterpret_cast<const void*>(address);
}

/// Appends an identity.
template <class = void>
void save_identity(const function_identity& identity, writer& out) {
  const std::uint64_t words[3] = {identity.image, identity.offset, identity.symbol.size()};
  out.write(words, sizeof words);
  out.write(identity.symbol.data(), identity.symbol.size());
}
/// Takes what `save_identity` appended.
template <class = void>
[[nodiscard]] function_identity load_identity(reader& in) {
  std::uint64_t words[2];
  in.read(words, sizeof words);
  const std::span<const std::byte> symbol = in.take(in.count(1));
  return {.image = words[0], .offset = words[1], .symbol = std::string(reinterpret_cast<const char*>(symbol.data()), symbol.size())};
}

}  // namespace manyhands::detail
