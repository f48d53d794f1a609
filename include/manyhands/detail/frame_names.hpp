#pragma once

#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <manyhands/detail/os.hpp>
#include <manyhands/errors.hpp>

namespace manyhands::detail {

/// The functions of a program or library by the table that linkers leave in its file, those that it does not export among them. Knows
/// nothing where the file was stripped.
class symbol_file {
 public:
  explicit symbol_file(const char* path) noexcept : file_(::open(path, O_RDONLY | O_CLOEXEC)) {}

  struct query {
    std::uintptr_t address = 0;  // as the file counts it
    std::string name = {};       // empty: no function is there
    std::uintptr_t begin = 0;    // of the function
  };

  /// Answers all at once: it reads the whole table.
  void find(std::span<query> all) const {
    file_header head;
    if (!read(0, head) || std::memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != own_class) return;
    std::sort(all.begin(), all.end(), [](const query& one, const query& other) { return one.address < other.address; });
    for (std::size_t section = 0; section < head.e_shnum; ++section) {
      section_header symbols;
      section_header names;
      if (!read(head.e_shoff + section * sizeof symbols, symbols) || symbols.sh_type != SHT_SYMTAB) continue;
      if (!read(head.e_shoff + symbols.sh_link * sizeof names, names)) continue;
      std::array<symbol, 512> some;
      for (std::size_t at = 0; at < symbols.sh_size; at += sizeof some) {
        const std::size_t bytes = read(symbols.sh_offset + at, some.data(), std::min<std::size_t>(sizeof some, symbols.sh_size - at));
        for (const symbol& each : std::span(some).first(bytes / sizeof some[0])) answer(all, each, names.sh_offset);
        if (bytes < sizeof some) break;
      }
    }
  }

 private:
  using file_header = ElfW(Ehdr);
  using section_header = ElfW(Shdr);
  using symbol = ElfW(Sym);

  static constexpr unsigned char own_class = sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32;

  void answer(std::span<query> all, const symbol& which, std::uint64_t names) const {
    if ((which.st_info & 0xf) != STT_FUNC || which.st_shndx == SHN_UNDEF) return;
    auto each = std::lower_bound(all.begin(), all.end(), which.st_value, [](const query& one, auto begin) { return one.address < begin; });
    for (; each != all.end() && each->address - which.st_value < which.st_size; ++each) {
      each->name = text(names + which.st_name);
      each->begin = static_cast<std::uintptr_t>(which.st_value);
    }
  }

  std::size_t read(std::uint64_t offset, void* to, std::size_t size) const noexcept {
    const ssize_t got = retried([&] { return ::pread(file_.get(), to, size, static_cast<off_t>(offset)); });
    return got > 0 ? static_cast<std::size_t>(got) : 0;
  }
  template <class T>
  [[nodiscard]] bool read(std::uint64_t offset, T& value) const noexcept {
    return read(offset, &value, sizeof value) == sizeof value;
  }
  [[nodiscard]] std::string text(std::uint64_t offset) const {
    std::string all(4096, '\0');  // names that are longer help nobody
    all.resize(read(offset, all.data(), all.size()));
    return all.substr(0, all.find('\0'));
  }

  descriptor file_;
};

/// As it is written in the source, where it is the name of a C++ function.
template <class = void>
[[nodiscard]] std::string demangled(const std::string& name) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> readable(abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status), &std::free);
  return status == 0 && readable != nullptr ? std::string(readable.get()) : name;
}

/// Tells people what is at addresses of code that this process has, too: "function(int)+0x1f (program)"; "program+0x12f3" where the
/// function has no name, for `addr2line -Cfe program 0x12f3`; and the plain number for memory that holds no code of a file.
template <class = void>
[[nodiscard]] std::vector<std::string> frame_names(const std::vector<std::uintptr_t>& addresses) {
  struct object {
    std::string path;
    std::vector<symbol_file::query> functions;
  };
  std::map<std::uintptr_t, object> objects;  // by where they are loaded
  std::map<std::uintptr_t, std::string> names;
  for (const std::uintptr_t address : addresses) {
    Dl_info info{};
    link_map* loaded = nullptr;
    if (::dladdr1(reinterpret_cast<void*>(address), &info, reinterpret_cast<void**>(&loaded), RTLD_DL_LINKMAP) == 0 || loaded == nullptr) {
      names[address] = hexadecimal(address);
      continue;
    }
    const auto begin = static_cast<std::uintptr_t>(loaded->l_addr);
    object& from = objects.try_emplace(begin, object{info.dli_fname != nullptr ? info.dli_fname : "", {}}).first->second;
    if (info.dli_sname == nullptr) {
      from.functions.push_back({address - begin});
      continue;
    }
    const std::uintptr_t inside = address - reinterpret_cast<std::uintptr_t>(info.dli_saddr);
    names[address] = demangled(info.dli_sname) + "+" + hexadecimal(inside) + " (" + from.path.substr(from.path.rfind('/') + 1) + ")";
  }
  for (auto& [begin, from] : objects) {
    if (from.functions.empty()) continue;
    // What the program was called by may mean another file in another directory.
    symbol_file(from.path == program_invocation_name ? "/proc/self/exe" : from.path.c_str()).find(from.functions);
    const std::string file = from.path.substr(from.path.rfind('/') + 1);
    for (const symbol_file::query& each : from.functions) {
      const std::string place = file + "+" + hexadecimal(each.address);
      names[begin + each.address] =
          each.name.empty() ? place : demangled(each.name) + "+" + hexadecimal(each.address - each.begin) + " (" + file + ")";
    }
  }
  std::vector<std::string> all;
  for (const std::uintptr_t address : addresses) all.push_back(names[address]);
  return all;
}

}  // namespace manyhands::detail
