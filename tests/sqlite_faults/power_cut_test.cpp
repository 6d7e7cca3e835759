// A power cut, simulated: a VFS records every write and sync of a workload; for each point of the record
// a disk is built that holds what was synced by then and an arbitrary part of the rest, torn and out of
// order, and the store is opened on it.
#include <algorithm>
#include <fstream>
#include <map>
#include <random>
#include <set>

#include "sqlite_faults/fault_vfs.hpp"
#include "sqlite_faults/samples.hpp"
#include "support/temp_directory.hpp"

using namespace tokenstore;
using namespace tokenstore::test;

namespace {

constexpr std::size_t sector = 512;

struct Entry {
  FileCall call;
  std::string path;
  sqlite3_int64 offset = 0;
  std::string data;
};

class Recorder final : public FaultPlan {
 public:
  int before(const FileEvent&) override { return SQLITE_OK; }
  void after(const FileEvent& event) override {
    switch (event.call) {
      case FileCall::write:
      case FileCall::truncate:
      case FileCall::sync:
      case FileCall::remove:
        entries.push_back({event.call, std::string(event.path), event.offset,
                           event.data == nullptr ? std::string()
                                                 : std::string(static_cast<const char*>(event.data),
                                                               static_cast<std::size_t>(event.size))});
        break;
      default:
        break;
    }
  }
  std::vector<Entry> entries;
};

void write_into(std::string& content, std::size_t offset, std::string_view data) {
  if (content.size() < offset + data.size()) content.resize(offset + data.size(), '\0');
  std::copy(data.begin(), data.end(), content.begin() + static_cast<std::ptrdiff_t>(offset));
}

/// What is in a file: what survives for certain, and what may.
struct DiskFile {
  std::string synced;
  bool exists = false;
  std::vector<Entry> pending;

  void sync() {
    for (const Entry& entry : pending) apply(synced, entry);
    pending.clear();
    exists = true;
  }
  static void apply(std::string& content, const Entry& entry) {
    if (entry.call == FileCall::truncate) {
      content.resize(static_cast<std::size_t>(entry.offset), '\0');
    } else {
      write_into(content, static_cast<std::size_t>(entry.offset), entry.data);
    }
  }
  /// The content after the cut: each pending write may be there, be missing, or be there in part.
  std::string after_cut(std::mt19937& random) const {
    std::string content = synced;
    for (const Entry& entry : pending) {
      switch (random() % 4) {
        case 0:
          break;
        case 1: {
          if (entry.call != FileCall::write) break;
          // Torn: some of its sectors.
          for (std::size_t at = 0; at < entry.data.size(); at += sector) {
            if (random() % 2 == 0) continue;
            write_into(content, static_cast<std::size_t>(entry.offset) + at,
                       std::string_view(entry.data).substr(at, sector));
          }
          break;
        }
        default:
          apply(content, entry);
      }
    }
    return content;
  }
};

struct Acknowledged {
  std::size_t entries;  ///< length of the record when it was acknowledged
  std::uint64_t number;
  char step;  ///< i, r or d
};

struct Workload {
  std::vector<Entry> entries;
  std::vector<Acknowledged> acknowledged;
  std::string first_content;  ///< of the database file, before anything
};

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

Workload run_workload(const std::string& path, SqliteOptions::Durability durability, std::mt19937& random, int steps) {
  { open_or_fail(options_for(path)); }
  Workload workload;
  workload.first_content = content_of(path);
  Recorder recorder;
  const FaultVfs vfs(recorder);
  SqliteOptions options = options_for(path);
  options.vfs = vfs.name();
  options.durability = durability;
  const auto backend = open_or_fail(options);
  std::set<std::uint64_t> live;
  std::uint64_t next = 1;
  for (int i = 0; i < steps; ++i) {
    const auto choice = random() % 10;
    std::uint64_t number = 0;
    char step = 'i';
    CommitResult result;
    if (choice < 6 || live.empty()) {
      number = next++;
      result = issue(*backend, number);
      live.insert(number);
    } else {
      number = *live.begin();
      live.erase(live.begin());
      step = choice < 8 ? 'r' : 'd';
      result =
          step == 'r' ? revoke(*backend, number) : commit_one(*backend, Mutation::remove_token(token_id(number), 1));
    }
    if (result.outcome != CommitOutcome::committed) FAIL("the workload itself failed");
    workload.acknowledged.push_back({recorder.entries.size(), number, step});
    if (random() % 16 == 0) CHECK(backend->maintain(std::chrono::milliseconds(10)).ok());
  }
  workload.entries = recorder.entries;
  return workload;
}

struct Tally {
  int cuts = 0;
  int lost = 0;
  int unopened = 0;
};

void check_cut(const Workload& workload, std::size_t cut, const std::string& path, const std::string& disk_path,
               std::mt19937& random, Tally& tally) {
  std::map<std::string, DiskFile> disk;
  DiskFile& database = disk[path];
  database.synced = workload.first_content;
  database.exists = true;
  for (std::size_t i = 0; i < cut; ++i) {
    const Entry& entry = workload.entries[i];
    DiskFile& file = disk[entry.path];
    if (entry.call == FileCall::sync) {
      file.sync();
    } else if (entry.call == FileCall::remove) {
      file = DiskFile();
    } else {
      file.pending.push_back(entry);
    }
  }
  for (const char* suffix : {"", "-wal", "-journal", "-shm"}) std::filesystem::remove(disk_path + suffix);
  for (const auto& [name, file] : disk) {
    if (!file.exists && random() % 2 == 0) continue;
    std::ofstream(disk_path + name.substr(path.size()), std::ios::binary) << file.after_cut(random);
  }
  ++tally.cuts;
  const auto backend = sqlite_backend(options_for(disk_path));
  if (!backend.ok()) {
    ++tally.unopened;
    return;
  }
  // What was acknowledged last about each token holds, unless a later step was under way at the cut.
  std::map<std::uint64_t, char> known;
  std::map<std::uint64_t, char> under_way;
  for (const Acknowledged& done : workload.acknowledged) {
    if (done.entries <= cut) {
      known[done.number] = done.step;
    } else {
      under_way[done.number] = done.step;
      break;
    }
  }
  for (const auto& [number, step] : known) {
    const auto token = (*backend)->load_token(workspace, token_id(number));
    const bool there = token.ok() && token->has_value();
    const auto later = under_way.find(number);
    const bool may_be_gone = later != under_way.end() && later->second == 'd';
    const bool holds = token.ok() && (step == 'd'   ? !there
                                      : step == 'r' ? there && is_revoked(**token)
                                                    : there || may_be_gone);
    if (!holds) {
      ++tally.lost;
      break;
    }
  }
}

Tally cut_everywhere(SqliteOptions::Durability durability, int workloads, unsigned seed) {
  std::mt19937 random(seed);
  Tally tally;
  for (int i = 0; i < workloads; ++i) {
    const TempDirectory directory;
    const std::string path = directory.file("store.db");
    const Workload workload = run_workload(path, durability, random, 25);
    for (std::size_t cut = 0; cut <= workload.entries.size(); ++cut) {
      check_cut(workload, cut, path, directory.file("after.db"), random, tally);
    }
  }
  return tally;
}

}  // namespace

TEST_CASE("A power cut at any point loses nothing that was acknowledged") {
  const int workloads = count_from("TOKENSTORE_POWER_CUT_WORKLOADS", 3);
  const Tally tally = cut_everywhere(SqliteOptions::Durability::full, workloads, 1);
  INFO(tally.cuts << " cuts");
  CHECK(tally.cuts > 100 * workloads);
  CHECK(tally.lost == 0);
  CHECK(tally.unopened == 0);
}

TEST_CASE("The power cut test can fail: without syncing each commit, acknowledged ones are lost") {
  const Tally tally = cut_everywhere(SqliteOptions::Durability::survives_crash_but_not_power_cut, 1, 2);
  INFO(tally.cuts << " cuts");
  CHECK(tally.lost > 0);
  CHECK(tally.unopened == 0);
}
