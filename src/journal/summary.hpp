/// What a segment restricts, gathered for the one after it: of each record the highest revision that was journaled.
///
/// A token that has ended by itself is dropped: no earlier state of it could be used. One thread at a time.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "journal/segment.hpp"

namespace tokenstore::journal {

/// Hosts' clocks may differ by this much, and none of them may take an ending for forgotten too early.
inline constexpr UnixMillis clock_tolerance = 24LL * 60 * 60 * 1000;

/// Whether an earlier state of a token can still be used by anybody.
inline bool can_still_live(UnixMillis until, UnixMillis now) noexcept {
  if (until >= now) return true;
  const std::uint64_t over_for = static_cast<std::uint64_t>(now) - static_cast<std::uint64_t>(until);
  return over_for < static_cast<std::uint64_t>(clock_tolerance);
}

class Summary final : public Listener {
 public:
  explicit Summary(UnixMillis now) noexcept : now_(now) {}

  void entry(std::uint64_t number, const Entry& entry) override;
  void ended(std::string_view workspace, const EndedToken& token) override;

  using Write = std::function<Result<void>(FrameType type, std::uint32_t count, std::string_view payload)>;
  /// As the frames of a new segment.
  Result<void> write(const Write& write) const;

 private:
  struct Token {
    RecordRevision revision = 0;
    UnixMillis until = no_end;
    UnixMillis ends_at = no_end;
    Deed deed = Deed::revoked;
  };
  struct Settings {
    RecordRevision revision = 0;
    std::string encoded;
  };
  using Tokens = std::unordered_map<std::string, Token>;

  Result<void> write_tokens(const Write& write) const;
  Result<void> write_settings(const Write& write) const;

  const UnixMillis now_;
  std::map<std::string, Tokens, std::less<>> tokens_;  ///< by workspace
  /// Owners and workspaces, by kind, workspace and name.
  std::map<std::pair<RecordKind, std::pair<std::string, std::string>>, Settings> settings_;
  /// Of each workspace's change feed the highest revision, and the latest line that says how far it is known.
  std::map<std::string, Settings, std::less<>> feed_;
};

}  // namespace tokenstore::journal
