// Disk full: by a VFS with a quota, and on a real file system of 512 KiB where a test may mount one.
#include <sys/mount.h>
#include <unistd.h>

#include <fstream>

#include "sqlite_faults/fault_vfs.hpp"
#include "sqlite_faults/samples.hpp"
#include "support/temp_directory.hpp"

using namespace tokenstore;
using namespace tokenstore::test;

namespace {

class Quota final : public FaultPlan {
 public:
  int before(const FileEvent& event) override {
    if (event.call != FileCall::write) return SQLITE_OK;
    return event.offset + event.size > limit ? SQLITE_FULL : SQLITE_OK;
  }
  std::atomic<sqlite3_int64> limit{1 << 30};
};

/// Issues until the space is gone, then revokes; checks each answer against what is stored.
/// `free_space` makes room again.
template <typename FreeSpace>
void fill_and_recover(Backend& backend, FreeSpace free_space) {
  std::uint64_t number = 1;
  CommitResult result;
  while ((result = issue(backend, number)).outcome == CommitOutcome::committed) {
    ++number;
    REQUIRE(number < 100'000);
  }
  CHECK(result.outcome != CommitOutcome::conflict);
  REQUIRE(result.error.has_value());
  CHECK(result.error->status() == Status::storage_full);
  REQUIRE(number > 2);
  for (int attempt = 0; attempt < 5; ++attempt) {
    const CommitResult revoked = revoke(backend, 1);
    const auto token = backend.load_token(workspace, token_id(1));
    REQUIRE(token.ok());
    REQUIRE(token->has_value());
    if (revoked.outcome == CommitOutcome::committed) {
      CHECK(is_revoked(**token));
      break;
    }
    if (revoked.outcome == CommitOutcome::failed) CHECK_FALSE(is_revoked(**token));
  }
  free_space();
  const auto before = backend.load_token(workspace, token_id(1)).value();
  if (!is_revoked(*before)) CHECK(revoke(backend, 1).outcome == CommitOutcome::committed);
  CHECK(is_revoked(*backend.load_token(workspace, token_id(1)).value()));
  CHECK(issue(backend, number + 10).outcome == CommitOutcome::committed);
  // Every issue that was acknowledged is there.
  for (std::uint64_t i = 1; i < number; ++i) CHECK(backend.load_token(workspace, token_id(i)).value().has_value());
  CHECK(backend.check_integrity(10, {}).value().empty());
}

}  // namespace

TEST_CASE("On a full disk nothing is acknowledged that did not happen, and a retry succeeds once there is room") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  Quota quota;
  const FaultVfs vfs(quota);
  SqliteOptions options = options_for(path);
  options.vfs = vfs.name();
  const auto backend = open_or_fail(options);
  quota.limit = 256 * 1024;
  fill_and_recover(*backend, [&] { quota.limit = 1 << 30; });
}

TEST_CASE("A small file system that is full behaves as the simulated one") {
  const TempDirectory directory;
  const bool mounted = ::mount("tmpfs", directory.path().c_str(), "tmpfs", 0, "size=512k") == 0;
  // Without the right to mount, the quota above it stands in.
  if (!mounted) REQUIRE((::geteuid() != 0 || errno == EPERM));
  if (mounted) {
    {
      const std::string ballast = directory.file("ballast");
      std::ofstream(ballast, std::ios::binary) << std::string(128 * 1024, 'x');
      const auto backend = open_or_fail(options_for(directory.file("store.db")));
      fill_and_recover(*backend, [&] { std::filesystem::remove(ballast); });
    }
    REQUIRE(::umount(directory.path().c_str()) == 0);
  }
}
