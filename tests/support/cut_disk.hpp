/// A disk whose power is cut: of files and of names only what was synced is certain. One thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "support/canary.hpp"
#include "support/system_calls.hpp"

namespace tokenstore::test {

inline bool is_sync(const SystemCall& call) {
  return call.change == Change::sync || call.change == Change::sync_directory;
}

/// What a disk was told, with the data of the writes.
class DiskRecord {
 public:
  DiskRecord() = default;
  DiskRecord(DiskRecord&&) = default;
  DiskRecord& operator=(DiskRecord&&) = default;
  void note(const SystemCall& call) {
    data_.emplace_back(call.data);
    calls_.push_back(call);
    calls_.back().data = data_.back();
  }
  std::size_t size() const { return calls_.size(); }
  const SystemCall& operator[](std::size_t number) const { return calls_[number]; }

 private:
  std::deque<std::string> data_;  // stays where it is
  std::vector<SystemCall> calls_;
};

class CutDisk {
 public:
  CutDisk() = default;
  /// All that is in a directory, for certain.
  explicit CutDisk(const std::filesystem::path& directory) {
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
      if (is_memory(entry.path().string())) continue;
      files_.push_back({file_content(entry.path().string()), {}});
      names_[entry.path().string()] = files_.size() - 1;
    }
    durable_ = names_;
  }

  void change(const SystemCall& call) {
    if (is_memory(call.path)) return;
    switch (call.change) {
      case Change::create:
        files_.emplace_back();
        [[fallthrough]];
      case Change::link:
      case Change::rename:
      case Change::exchange:
      case Change::remove:
        pending_.push_back({call.change, call.path, call.to, files_.size() - 1});
        apply(names_, pending_.back());
        break;
      case Change::write:
      case Change::truncate:
        if (const auto name = names_.find(call.path); name != names_.end()) {
          files_[name->second].pending.push_back(
              {call.change == Change::truncate, static_cast<std::size_t>(call.offset), std::string(call.data)});
        }
        break;
      case Change::sync:
        if (const auto name = names_.find(call.path); name != names_.end()) files_[name->second].sync();
        break;
      case Change::sync_directory:
        durable_ = names_;
        pending_.clear();
        break;
      case Change::mode:
        break;
    }
  }

  /// Writes what a cut leaves to a directory: any of the changes that nobody has synced.
  void cut(const std::filesystem::path& to, std::mt19937& random) const {
    Names names = durable_;
    for (const Naming& change : pending_) {
      if (random() % 2 == 0) apply(names, change);
    }
    std::map<std::size_t, std::filesystem::path> written;
    for (const auto& [name, file] : names) {
      const std::filesystem::path place = to / std::filesystem::path(name).filename();
      if (const auto [first, added] = written.try_emplace(file, place); !added) {
        std::filesystem::create_hard_link(first->second, place);
        continue;
      }
      std::ofstream(place, std::ios::binary) << files_[file].after_cut(random);
      std::filesystem::permissions(place, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    }
  }

 private:
  static constexpr std::size_t sector = 512;

  struct File {
    struct Pending {
      bool truncate;
      std::size_t offset;
      std::string data;
    };
    std::string synced;
    std::vector<Pending> pending;

    static void put(std::string& content, std::size_t offset, std::string_view data) {
      if (content.size() < offset + data.size()) content.resize(offset + data.size(), '\0');
      content.replace(offset, data.size(), data);
    }
    static void apply(std::string& content, const Pending& change) {
      if (change.truncate) {
        content.resize(change.offset, '\0');
      } else {
        put(content, change.offset, change.data);
      }
    }
    /// Some of the disk's sectors, wherever the write begins in one.
    static void tear(std::string& content, const Pending& change, std::mt19937& random) {
      const std::string_view data = change.data;
      for (std::size_t at = 0; at < data.size();) {
        const std::size_t size = std::min(sector - (change.offset + at) % sector, data.size() - at);
        if (random() % 2 == 0) put(content, change.offset + at, data.substr(at, size));
        at += size;
      }
    }
    void sync() {
      for (const Pending& change : pending) apply(synced, change);
      pending.clear();
    }
    std::string after_cut(std::mt19937& random) const {
      std::string content = synced;
      for (const Pending& change : pending) {
        switch (random() % 4) {
          case 0:
            break;
          case 1:
            tear(content, change, random);
            break;
          default:
            apply(content, change);
        }
      }
      return content;
    }
  };
  struct Naming {
    Change change;
    std::string path;
    std::string to;
    std::size_t file;
  };
  using Names = std::map<std::string, std::size_t>;

  /// What SQLite's processes share is no file to them: it is made anew.
  static bool is_memory(std::string_view path) { return path.ends_with("-shm"); }

  static void apply(Names& names, const Naming& change) {
    if (change.change == Change::create) {
      names[change.path] = change.file;
      return;
    }
    const auto from = names.find(change.path);
    if (from == names.end()) return;
    const std::size_t file = from->second;
    if (change.change == Change::exchange) {
      if (const auto to = names.find(change.to); to != names.end()) std::swap(from->second, to->second);
      return;
    }
    if (change.change != Change::link) names.erase(from);
    if (change.change != Change::remove) names[change.to] = file;
  }

  std::vector<File> files_;
  Names names_;
  Names durable_;
  std::vector<Naming> pending_;
};

}  // namespace tokenstore::test
