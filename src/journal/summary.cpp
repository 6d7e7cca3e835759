#include "journal/summary.hpp"

#include <algorithm>

namespace tokenstore::journal {

namespace {

/// Small enough to be written and read in one go.
constexpr std::size_t payload_aim = std::size_t{1} << 20;

}  // namespace

void Summary::entry(std::uint64_t, const Entry& entry) {
  Settings& feed = feed_[std::string(entry.workspace)];
  feed.revision = is_healing(entry) ? highest_in(entry) : std::max(feed.revision, highest_in(entry));
  if (is_healing(entry) || is_learning(entry)) feed.encoded = encode_entry(entry);
  if (!entry.restricts) return;
  if (entry.kind == RecordKind::token) {
    const UnixMillis ends_at = entry.record.empty() ? entry.ends_at : 0;
    return ended(entry.workspace, {entry.key, entry.revision, entry.until, ends_at, entry.deed});
  }
  Settings& latest = settings_[{entry.kind, {std::string(entry.workspace), std::string(entry.key)}}];
  if (entry.revision < latest.revision) return;
  latest = {entry.revision, encode_entry(entry)};
}

void Summary::ended(std::string_view workspace, const EndedToken& token) {
  auto at = tokens_.find(workspace);
  if (at == tokens_.end()) at = tokens_.emplace(std::string(workspace), Tokens()).first;
  const auto [found, added] = at->second.try_emplace(std::string(token.id));
  Token& known = found->second;
  // The latest of its earlier states may have been the first: its end is what counts.
  const UnixMillis until = added ? token.until : std::max(known.until, token.until);
  if (added || token.revision >= known.revision) known = {token.revision, until, token.ends_at, token.deed};
  known.until = until;
}

Result<void> Summary::write(const Write& write) const {
  if (auto done = write_tokens(write); !done.ok()) return done;
  return write_settings(write);
}

Result<void> Summary::write_tokens(const Write& write) const {
  for (const auto& in_workspace : tokens_) {
    const std::string& workspace = in_workspace.first;
    std::string payload = encode_ended(workspace);
    std::uint32_t count = 0;
    const auto flush = [&]() -> Result<void> {
      if (count == 0) return {};
      auto done = write(FrameType::ended, count, payload);
      payload = encode_ended(workspace);
      count = 0;
      return done;
    };
    for (const auto& [id, token] : in_workspace.second) {
      if (!can_still_live(token.until, now_)) continue;
      add_ended(payload, {id, token.revision, token.until, token.ends_at, token.deed});
      ++count;
      if (payload.size() < payload_aim) continue;
      if (auto done = flush(); !done.ok()) return done;
    }
    if (auto done = flush(); !done.ok()) return done;
  }
  return {};
}

Result<void> Summary::write_settings(const Write& write) const {
  std::string payload;
  std::uint32_t count = 0;
  const auto add = [&](std::string_view encoded) -> Result<void> {
    payload.append(encoded);
    ++count;
    if (payload.size() < payload_aim) return {};
    auto done = write(FrameType::carried, count, payload);
    payload.clear();
    count = 0;
    return done;
  };
  for (const auto& [name, latest] : settings_) {
    if (auto done = add(latest.encoded); !done.ok()) return done;
  }
  for (const auto& [workspace, feed] : feed_) {
    std::string_view octets = feed.encoded;
    auto latest = take_entry(octets);
    if (!latest) continue;
    latest->revision = feed.revision;
    if (auto done = add(encode_entry(*latest)); !done.ok()) return done;
  }
  return count == 0 ? Result<void>{} : write(FrameType::carried, count, payload);
}

}  // namespace tokenstore::journal
