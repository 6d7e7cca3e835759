// The same on LMDB: SHA-256 of the token to a small record.
#include <lmdb.h>

#include <chrono>
#include <cstring>

#include "digest.hpp"
#include "lookup.hpp"

namespace bench {

namespace {

void check(int code) {
  if (code != MDB_SUCCESS) give_up(std::string("LMDB: ") + mdb_strerror(code));
}

/// expires_at, then owner, NUL, scopes.
std::string record_of(std::size_t token) {
  const std::int64_t expires_at = 9'000'000'000'000;
  std::string record(sizeof expires_at, '\0');
  std::memcpy(record.data(), &expires_at, sizeof expires_at);
  record += owner_name(token);
  record += '\0';
  return record + "repo:read repo:write";
}

class Lmdb final : public LookUp {
 public:
  Lmdb(const Population& population, const std::filesystem::path& directory) {
    std::filesystem::create_directories(directory);
    check(mdb_env_create(&environment_));
    check(mdb_env_set_mapsize(environment_, population.tokens * 512 + (std::size_t{64} << 20)));
    check(mdb_env_open(environment_, directory.c_str(), MDB_NOSYNC, 0600));
    MDB_txn* writing = nullptr;
    check(mdb_txn_begin(environment_, nullptr, 0, &writing));
    check(mdb_dbi_open(writing, nullptr, 0, &database_));
    for (std::size_t i = 0; i < population.tokens; ++i) {
      Digest digest = digest_of(population.texts[i]);
      std::string record = record_of(i);
      MDB_val key{digest.size(), digest.data()};
      MDB_val value{record.size(), record.data()};
      check(mdb_put(writing, database_, &key, &value, 0));
    }
    check(mdb_txn_commit(writing));
    check(mdb_txn_begin(environment_, nullptr, MDB_RDONLY, &reading_));
    mdb_txn_reset(reading_);
  }
  ~Lmdb() override {
    mdb_txn_abort(reading_);
    mdb_env_close(environment_);
  }
  Lmdb(const Lmdb&) = delete;
  Lmdb& operator=(const Lmdb&) = delete;

  std::uint64_t run(const Requests& requests) override {
    std::uint64_t sum = 0;
    for (const Request& request : requests) {
      Digest digest = digest_of(request.text);
      // A transaction for each request, or a revocation would never be seen.
      check(mdb_txn_renew(reading_));
      MDB_val key{digest.size(), digest.data()};
      MDB_val value{};
      if (mdb_get(reading_, database_, &key, &value) == MDB_SUCCESS) sum += judge(value);
      mdb_txn_reset(reading_);
    }
    return sum;
  }

 private:
  static std::uint64_t judge(const MDB_val& value) {
    using namespace std::chrono;
    const std::string_view record(static_cast<const char*>(value.mv_data), value.mv_size);
    std::int64_t expires_at = 0;
    std::memcpy(&expires_at, record.data(), sizeof expires_at);
    if (expires_at <= duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count()) return 0;
    const std::size_t end = record.find('\0', sizeof expires_at);
    if (record.find(scope, end) == std::string_view::npos) return 0;
    return mark_of(record.substr(sizeof expires_at, end - sizeof expires_at));
  }

  MDB_env* environment_ = nullptr;
  MDB_dbi database_ = 0;
  MDB_txn* reading_ = nullptr;
};

}  // namespace

std::unique_ptr<LookUp> lmdb_look_up(const Population& population, const std::filesystem::path& directory) {
  return std::make_unique<Lmdb>(population, directory / ("lmdb-" + std::to_string(population.tokens)));
}

}  // namespace bench
