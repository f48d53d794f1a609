#include <manyhands/detail/output_file.hpp>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <string>
#include <thread>

#include <support/catch.hpp>
#include <support/files.hpp>
#include <support/subprocess.hpp>

namespace {

using manyhands::observer_error;
using manyhands::detail::output_file;
using manyhands_test::contents;
using manyhands_test::temporary_folder;

TEST_CASE("the end stands behind what was written at any time") {
  const temporary_folder folder;
  output_file file;
  file.open("trace", folder / "out");
  file.append("[1", "]\n");
  CHECK(contents(folder / "out") == "[1]\n");
  file.append(",2", "]\n");
  CHECK(contents(folder / "out") == "[1,2]\n");
  file.close();
  CHECK(contents(folder / "out") == "[1,2]\n");
  CHECK_FALSE(file.is_open());
}

TEST_CASE("what writes to an older file of the name is not disturbed, and does not disturb") {
  const temporary_folder folder;
  output_file old;
  output_file young;
  old.open("trace", folder / "out");
  old.append("old", "");
  young.open("trace", folder / "out");
  young.append("young", "");
  old.append(" and late", "");
  old.close();
  young.close();
  CHECK(contents(folder / "out") == "young");
}

TEST_CASE("a file written beside takes the name at the end, and leaves nothing where it does not come to that") {
  const temporary_folder folder;
  {
    output_file file;
    file.open_beside("report", folder / "page");
    file.append("first", "");
    CHECK_FALSE(std::filesystem::exists(folder / "page"));
    file.close();
  }
  CHECK(contents(folder / "page") == "first");
  {
    output_file file;
    file.open_beside("report", folder / "page");
    file.append("half", "");
  }
  CHECK(contents(folder / "page") == "first");
  CHECK(folder.files() == 1);
}

TEST_CASE("a path that cannot be written is named, with the cause") {
  const temporary_folder folder;
  const std::string path = folder / "no/such/file";
  output_file file;
  CHECK_THROWS_AS(file.open("trace", path), observer_error);
  CHECK_THROWS_WITH(file.open("trace", path), "trace \"" + path + "\" could not be written: No such file or directory");
  CHECK_THROWS_WITH(file.open_beside("report", path), "report \"" + path + "\" could not be written: No such file or directory");
  CHECK_THROWS_WITH(file.open("trace", folder / "."), Catch::Contains("Is a directory"));
  CHECK_THROWS_WITH(file.open_beside("report", folder / "."), Catch::Contains("Is a directory"));
}

TEST_CASE("a device is written itself, and a full one is an error") {
  for (const bool beside : {false, true}) {
    output_file file;
    beside ? file.open_beside("report", "/dev/full") : file.open("trace", "/dev/full");
    CHECK_THROWS_WITH(file.append("text", ""), Catch::Contains("\"/dev/full\" could not be written: No space left on device"));
    struct stat facts {};
    REQUIRE(::stat("/dev/full", &facts) == 0);
    CHECK(S_ISCHR(facts.st_mode));
  }
}

TEST_CASE("a pipe gets everything once, the end last") {
  const temporary_folder folder;
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  std::string read;
  std::thread reader([&] { read = contents(folder / "pipe"); });
  output_file file;
  file.open("trace", folder / "pipe");
  file.append("[1", "]");
  file.append(",2", "]");
  file.close();
  reader.join();
  CHECK(read == "[1,2]");
}

TEST_CASE("a file that may not grow stays whole") {
  const temporary_folder folder;
  CHECK(manyhands_test::holds_in_subprocess([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{10, 10};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
    output_file file;
    file.open("trace", folder / "out");
    file.append("[1234", "]");
    try {
      file.append(",67890", "]");
    } catch (const observer_error&) {
      return true;
    }
    return false;
  }));
  CHECK(contents(folder / "out") == "[1234]");
}

}  // namespace
