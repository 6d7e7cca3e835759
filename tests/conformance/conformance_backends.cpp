#include "conformance_backends.hpp"

#include <stdexcept>

#include "backend/adapter.hpp"
#include "backend/export.hpp"
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

/// The backend that `make` makes, handed through the C functions and back.
std::shared_ptr<Backend> through_c(const std::string& name, bool read_only,
                                   std::function<Result<std::shared_ptr<Backend>>()> make) {
  const tokenstore_backend exported = capi::export_backend(
      name, TOKENSTORE_BACKEND_FORK_SAFE | (read_only ? TOKENSTORE_BACKEND_READ_ONLY : 0U), std::move(make));
  const auto adapted = capi::AdaptedBackend::adopt(&exported);
  if (const auto opened = adapted->open(); !opened.ok()) throw std::runtime_error(opened.error().message());
  return adapted;
}

/// The same in the other's stead.
BackendUnderTest through_c(BackendUnderTest direct) {
  BackendUnderTest wrapped;
  wrapped.traits = direct.traits;
  wrapped.traits.name += " through C";
  const auto wrap = [name = direct.traits.name](std::function<std::shared_ptr<Backend>()> open, bool read_only) {
    if (!open) return open;
    return std::function<std::shared_ptr<Backend>()>(
        [=] { return through_c(name, read_only, [=]() -> Result<std::shared_ptr<Backend>> { return open(); }); });
  };
  wrapped.factory.open_fresh = wrap(direct.factory.open_fresh, false);
  wrapped.factory.reopen = wrap(direct.factory.reopen, false);
  wrapped.factory.open_read_only = wrap(direct.factory.open_read_only, true);
  return wrapped;
}

}  // namespace

BackendUnderTest under_test_memory() {
  BackendUnderTest memory;
  memory.traits.name = "memory";
  memory.traits.feed_bound = 4'000;
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

BackendUnderTest under_test_memory_through_c() {
  return through_c(under_test_memory());
}

BackendUnderTest under_test_sqlite_through_c() {
  return through_c(under_test_sqlite());
}

}  // namespace tokenstore::conformance
