/// An announcement without a key: names the steps of a batch, and links them by a checksum that anybody can compute.
/// For tests of storage, which only has to keep it, and of what somebody writes who lacks the key.
#pragma once

#include <set>
#include <span>
#include <string>
#include <string_view>

#include "tokenstore/backend.hpp"

namespace tokenstore::test {

class PlainAnnouncement final : public Announcement {
 public:
  /// One line for each step that changes something: the number of its kind, a space, the key in hexadecimal.
  explicit PlainAnnouncement(std::span<const Mutation> batch) {
    for (const Mutation& step : batch) {
      if (step.action != Mutation::Action::check) entry_ += line(step.kind, step.key) + "\n";
    }
  }
  explicit PlainAnnouncement(std::string entry) : entry_(std::move(entry)) {}

  static bool changes_anything(std::span<const Mutation> batch) {
    for (const Mutation& step : batch) {
      if (step.action != Mutation::Action::check) return true;
    }
    return false;
  }
  static std::string line(RecordKind kind, std::string_view key) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text = std::to_string(static_cast<int>(kind)) + " ";
    for (const char octet : key) {
      text += digits[static_cast<unsigned char>(octet) >> 4];
      text += digits[static_cast<unsigned char>(octet) & 15];
    }
    return text;
  }
  /// The lines of an entry.
  static std::set<std::string> named(std::string_view entry) {
    std::set<std::string> lines;
    while (!entry.empty()) {
      const std::size_t end = entry.find('\n');
      lines.emplace(entry.substr(0, end));
      entry.remove_prefix(end == std::string_view::npos ? entry.size() : end + 1);
    }
    return lines;
  }

  std::string_view entry() const noexcept override { return entry_; }
  Bytes32 link(std::uint64_t revision, const Bytes32& previous) const noexcept override {
    std::uint64_t state = 0xcbf29ce484222325U ^ revision;
    const auto mix = [&state](std::uint8_t octet) { state = (state ^ octet) * 0x100000001b3U; };
    for (const std::uint8_t octet : previous) mix(octet);
    for (const char octet : entry_) mix(static_cast<std::uint8_t>(octet));
    Bytes32 link;
    for (std::uint8_t& octet : link) {
      mix(0x5a);
      octet = static_cast<std::uint8_t>(state >> 56);
    }
    return link;
  }

 private:
  std::string entry_;
};

/// Commits with an announcement, if the batch changes anything.
inline CommitResult commit_plainly(Backend& backend, std::string_view workspace, std::span<const Mutation> batch) {
  const PlainAnnouncement announcement(batch);
  return backend.commit(workspace, batch, PlainAnnouncement::changes_anything(batch) ? &announcement : nullptr);
}

}  // namespace tokenstore::test
