#include <manyhands/registry.hpp>

#include <algorithm>
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <support/catch.hpp>

namespace {

using manyhands::register_parallel_backend;
using manyhands::registered_backends;
using manyhands::detail::factory_of;
using manyhands::detail::make_backend;

class named_backend final : public manyhands::backend {
 public:
  explicit named_backend(std::string name = "named") : name_(std::move(name)) {}
  [[nodiscard]] std::string_view name() const noexcept override { return name_; }
  void run(manyhands::jobs&, const manyhands::plan&) override {}

 private:
  std::string name_;
};

bool is_registered(const std::string& name) {
  const std::vector<std::string> names = registered_backends();
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string preferred() {
  const auto& table = *manyhands::detail::current_table().load();
  for (const auto& [name, factory] : table.factories) {
    if (&factory == table.preferred) return name;
  }
  return "";
}

template <class Action>
std::string refusal(Action action) {
  try {
    action();
  } catch (const std::invalid_argument& refused) {
    return refused.what();
  }
  return "not refused";
}

bool mentions(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("the built-in backends are registered, and go by their names") {
  for (const char* name : {"sequential", "threads"}) {
    INFO(name);
    CHECK(is_registered(name));
    CHECK(make_backend(name)->name() == name);
  }
#if MANYHANDS_HAS_FORK
  CHECK(is_registered("processes"));
  CHECK(make_backend("processes")->name() == "processes");
#else
  CHECK_FALSE(is_registered("processes"));
#endif
}

TEST_CASE("threads is what is used where nobody chose") { CHECK(preferred() == "threads"); }

TEST_CASE("the names are sorted, and each is there once") {
  const std::vector<std::string> names = registered_backends();
  CHECK(std::is_sorted(names.begin(), names.end()));
  CHECK(std::adjacent_find(names.begin(), names.end()) == names.end());
}

TEST_CASE("joblib's names are understood, and not listed") {
  CHECK(make_backend("threading")->name() == "threads");
#if MANYHANDS_HAS_FORK
  CHECK(make_backend("multiprocessing")->name() == "processes");
#endif
  CHECK_FALSE(is_registered("threading"));
  CHECK_FALSE(is_registered("multiprocessing"));
}

TEST_CASE("a name means the same object at every call, for a backend that keeps no state") {
  CHECK(make_backend("threads") == make_backend("threading"));
  CHECK(make_backend("sequential") == make_backend("sequential"));
}

TEST_CASE("an unknown name is refused, with the known ones and the cure") {
  for (const char* name : {"fibers", "Threads", " threads", "threads ", "th"}) {
    const std::string text = refusal([&] { static_cast<void>(make_backend(name)); });
    CHECK(mentions(text, "backend is \"" + std::string(name) + "\""));
    for (const std::string& known : registered_backends()) CHECK(mentions(text, known));
    CHECK(mentions(text, "register_parallel_backend"));
  }
  CHECK(mentions(refusal([] { static_cast<void>(factory_of("fibers", "MANYHANDS_BACKEND")); }), "MANYHANDS_BACKEND is \"fibers\""));
}

TEST_CASE("backends that are planned say that they are not available yet") {
  try {
    static_cast<void>(make_backend("mpi"));
    FAIL("there is one");
  } catch (const manyhands::error& error) {
    CHECK(mentions(error.what(), "\"mpi\" is not available yet"));
  }
}

TEST_CASE("a backend of one's own is found by its name, and made at each call") {
  int made = 0;
  register_parallel_backend("test.own", [&made] {
    ++made;
    return std::make_shared<named_backend>("test.own");
  });
  CHECK(is_registered("test.own"));
  CHECK(made == 0);
  CHECK(make_backend("test.own")->name() == "test.own");
  CHECK(make_backend("test.own")->name() == "test.own");
  CHECK(made == 2);
  CHECK(preferred() == "threads");
  CHECK(mentions(refusal([] { static_cast<void>(make_backend("test.unknown")); }), "test.own"));
  register_parallel_backend("test.own", [] { return std::make_shared<named_backend>(); });  // the first one refers to this frame
}

TEST_CASE("a name that is registered again means the new backend") {
  register_parallel_backend("test.twice", [] { return std::make_shared<named_backend>("first"); });
  const std::shared_ptr<manyhands::backend> before = make_backend("test.twice");
  const std::size_t names = registered_backends().size();
  register_parallel_backend("test.twice", [] { return std::make_shared<named_backend>("second"); });
  CHECK(make_backend("test.twice")->name() == "second");
  CHECK(registered_backends().size() == names);
  CHECK(before->name() == "first");
}

TEST_CASE("a factory that gives the same object each time keeps its state") {
  const auto one = std::make_shared<named_backend>();
  register_parallel_backend("test.kept", [one] { return one; });
  CHECK(make_backend("test.kept") == one);
  CHECK(make_backend("test.kept") == one);
}

TEST_CASE("the default can be changed, and changed back") {
  const manyhands::backend_factory threads = factory_of("threads");
  register_parallel_backend(
      "test.default", [] { return std::make_shared<named_backend>(); }, true);
  CHECK(preferred() == "test.default");
  CHECK(manyhands::detail::make_preferred_backend()->name() == "named");
  register_parallel_backend("test.other", [] { return std::make_shared<named_backend>(); });
  CHECK(preferred() == "test.default");
  register_parallel_backend("threads", threads, true);
  CHECK(preferred() == "threads");
  CHECK(make_backend("threads")->name() == "threads");
}

TEST_CASE("the default's own name can be taken over, and a factory of it is asked for each call") {
  const auto name_of_default = [] { return std::string(manyhands::detail::make_preferred_backend()->name()); };
  const manyhands::backend_factory threads = factory_of("threads");
  register_parallel_backend("threads", threads, true);
  CHECK(name_of_default() == "threads");
  int made = 0;
  register_parallel_backend("threads", [&made] { return std::make_shared<named_backend>(std::to_string(++made)); });
  CHECK(name_of_default() == "1");
  CHECK(name_of_default() == "2");
  register_parallel_backend("test.beside", [] { return std::make_shared<named_backend>(); });
  CHECK(name_of_default() == "3");
  register_parallel_backend("threads", threads);
  CHECK(name_of_default() == "threads");
}

TEST_CASE("a built-in name, an alias and a planned name may be taken over") {
  const manyhands::backend_factory sequential = factory_of("sequential");
  register_parallel_backend("sequential", [] { return std::make_shared<named_backend>("mine"); });
  CHECK(make_backend("sequential")->name() == "mine");
  register_parallel_backend("sequential", sequential);
  CHECK(make_backend("sequential")->name() == "sequential");

  register_parallel_backend("threading", [] { return std::make_shared<named_backend>("mine"); });
  CHECK(make_backend("threading")->name() == "mine");
  CHECK(make_backend("threads")->name() == "threads");
  register_parallel_backend("threading", factory_of("threads"));

  register_parallel_backend("mpi", [] { return std::make_shared<named_backend>("mine"); });
  CHECK(make_backend("mpi")->name() == "mine");
}

TEST_CASE("an empty name or factory is refused, and changes nothing") {
  const std::vector<std::string> before = registered_backends();
  const auto make = [] { return std::make_shared<named_backend>(); };
  CHECK(mentions(refusal([&] { register_parallel_backend("", make); }), "name is empty"));
  CHECK(mentions(refusal([] { register_parallel_backend("test.none", nullptr, true); }), "factory of \"test.none\" is empty"));
  CHECK(mentions(refusal([] { register_parallel_backend("test.none", manyhands::backend_factory()); }), "empty"));
  CHECK(registered_backends() == before);
  CHECK(preferred() == "threads");
}

TEST_CASE("a factory that gives nothing is an error that names it") {
  register_parallel_backend("test.nothing", [] { return std::shared_ptr<manyhands::backend>(); });
  try {
    static_cast<void>(make_backend("test.nothing"));
    FAIL("there is one");
  } catch (const manyhands::error& error) {
    CHECK(mentions(error.what(), "\"test.nothing\""));
  }
}

TEST_CASE("what a factory throws comes out as it is") {
  register_parallel_backend("test.throws", []() -> std::shared_ptr<manyhands::backend> { throw std::out_of_range("no more"); });
  CHECK_THROWS_AS(make_backend("test.throws"), std::out_of_range);
}

TEST_CASE("backends may be registered and looked up by many threads at a time") {
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int number = 0; number < 4; ++number) {
    threads.emplace_back([number, &wrong] {
      for (int i = 0; i < 50; ++i) {
        const std::string name = "test.thread" + std::to_string(number) + "." + std::to_string(i);
        register_parallel_backend(name, [name] { return std::make_shared<named_backend>(name); });
        if (make_backend(name)->name() != name) ++wrong;
        if (make_backend("threads")->name() != "threads") ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  for (int number = 0; number < 4; ++number) CHECK(is_registered("test.thread" + std::to_string(number) + ".49"));
}
