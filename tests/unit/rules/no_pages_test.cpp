/// The kernel gives no memory: what asks it for pages says so and leaves none, and a cache that cannot grow goes on.
///
/// A program of its own, because it replaces mmap and munmap, for libsodium too. The C library's own allocations do not
/// pass here.
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <vector>

#include "seal/sealer.hpp"
#include "unit/rules/world.hpp"
#include "unit/validate/table_world.hpp"

namespace {

/// How many more mappings succeed; below zero: all. One thread.
long mappings_left = -1;
bool all_after = false;
long refused = 0;
long mapped = 0;

}  // namespace

extern "C" {
void* mmap(void* address, size_t size, int protection, int flags, int file, off_t offset) noexcept {
  if (mappings_left == 0) {
    ++refused;
    if (!all_after) mappings_left = -1;
    errno = ENOMEM;
    return MAP_FAILED;
  }
  if (mappings_left > 0) --mappings_left;
  const long place = ::syscall(SYS_mmap, address, size, protection, flags, file, offset);
  if (place != -1) ++mapped;
  return reinterpret_cast<void*>(place);
}
int munmap(void* address, size_t size) noexcept {
  --mapped;
  return static_cast<int>(::syscall(SYS_munmap, address, size));
}
}

using namespace tokenstore;
using test::Kept;
using test::Made;
using test::World;

namespace {

/// The kernel gives so many pages more, and then none once, or none any more.
class Kernel {
 public:
  explicit Kernel(long gives, bool then_none = true) {
    refused = 0;
    all_after = then_none;
    mappings_left = gives;
  }
  ~Kernel() { mappings_left = -1; }
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;
};

/// Fails each mapping of `make` in turn. How many there are.
template <typename Make>
int fail_each(Make make) {
  for (int nth = 0;; ++nth) {
    const long before = mapped;
    bool thrown = false;
    {
      const Kernel kernel(nth, false);
      try {
        make();
      } catch (const std::bad_alloc&) {
        thrown = true;
      }
    }
    CHECK(mapped == before);
    CHECK(thrown == (refused == 1));
    if (refused == 0) return nth;
  }
}

std::uint64_t hits(const test::TableWorld& world, std::uint64_t count) {
  std::uint64_t found = 0;
  for (std::uint64_t number = 1; number <= count; ++number) {
    const test::Read read = world.read(Made(number));
    found += read.hit && read.owner == Made(number).owner ? 1U : 0U;
  }
  return found;
}

}  // namespace

TEST_CASE("without pages for its keys a sealer is not made, and none stays behind") {
  const int pages = fail_each([] {
    const auto sealer = seal::Sealer::create(test::one_key());
    CHECK(sealer.ok());
  });
  CHECK(pages == 1);
}

TEST_CASE("without any one of its pages a store does not open, and none stays behind") {
  const World world;
  for (const std::size_t cache : {std::size_t{0}, StoreOptions{}.cache_bytes}) {
    StoreOptions options = world.options();
    options.cache_bytes = cache;
    const int pages = fail_each([&] {
      const auto store = TokenStore::open(world.backend, test::one_key(), options);
      CHECK(store.ok());
    });
    CHECK(pages >= (cache == 0 ? 2 : 6));
  }
}

TEST_CASE("a table that gets no pages to grow goes on as it was, and grows when there are some") {
  test::TableWorld world(1 << 20);
  std::uint64_t count = 0;
  {
    const Kernel kernel(0);
    while (refused == 0) {
      ++count;
      REQUIRE(world.put(Made(count)));
    }
    CHECK(count > 50);
    CHECK(hits(world, count) == count);
    CHECK(world.table.live() == count);
    const std::uint64_t bytes = world.table.bytes();
    // What is new has a place, whatever has to go for it.
    for (std::uint64_t number = count + 1; number <= 20 * count; ++number) {
      REQUIRE(world.put(Made(number)));
      REQUIRE(world.has(Made(number)));
    }
    CHECK(world.table.bytes() == bytes);
    CHECK(hits(world, 20 * count) == world.table.live());
    CHECK(world.table.live() >= count);
  }
  const std::uint64_t kept = world.table.live();
  const std::uint64_t bytes = world.table.bytes();
  REQUIRE(world.put(Made(20 * count + 1)));
  CHECK(world.table.bytes() > bytes);
  CHECK(hits(world, 20 * count + 1) == kept + 1);
}

TEST_CASE("a store whose cache gets no pages answers as with all of them") {
  World world(1 << 20);
  std::vector<Kept> tokens;
  for (int i = 0; i < 1500; ++i) tokens.push_back(world.issue("alice"));
  const Kernel kernel(0);
  for (int round = 0; round < 2; ++round) {
    for (const Kept& token : tokens) REQUIRE(world.ask(token) == Reason::none);
  }
  CHECK(refused > 0);
  for (std::size_t i = 0; i < tokens.size(); i += 10) {
    REQUIRE(world.store->revoke(Actor::host(), tokens[i].id).ok());
  }
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    REQUIRE(world.ask(tokens[i]) == (i % 10 == 0 ? Reason::revoked : Reason::none));
  }
  CHECK(world.store->statistics().cached_tokens > 0);
}
