#include "conformance_backends.hpp"

#include <stdexcept>

#include "support/temp_directory.hpp"
#include "tokenstore/backends/memory.hpp"
#include "tokenstore/backends/sqlite.hpp"

namespace tokenstore::conformance {
namespace {

/// A new directory for each storage, so that a case may have several.
struct SqliteFiles {
  std::unique_ptr<test::TempDirectory> directory;

  std::shared_ptr<Backend> open(bool fresh, bool read_only) {
    if (fresh) directory = std::make_unique<test::TempDirectory>();
    SqliteOptions options;
    options.path = directory->file("tokens.db");
    options.create = fresh;
    options.read_only = read_only;
    auto opened = sqlite_backend(options);
    if (!opened.ok()) throw std::runtime_error(opened.error().message());
    return *std::move(opened);
  }
};

}  // namespace

BackendUnderTest under_test_memory() {
  BackendUnderTest memory;
  memory.traits.name = "memory";
  memory.traits.feed_bound = 10'000;
  memory.factory.open_fresh = [] { return memory_backend(); };
  return memory;
}

BackendUnderTest under_test_sqlite() {
  BackendUnderTest sqlite;
  sqlite.traits.name = "sqlite";
  sqlite.traits.persistent = true;
  sqlite.traits.many_handles = true;
  const auto files = std::make_shared<SqliteFiles>();
  sqlite.factory.open_fresh = [files] { return files->open(true, false); };
  sqlite.factory.reopen = [files] { return files->open(false, false); };
  sqlite.factory.open_read_only = [files] { return files->open(false, true); };
  return sqlite;
}

}  // namespace tokenstore::conformance
