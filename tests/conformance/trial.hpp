/// What a conformance case works with: the backend under trial, checks, and records to put.
///
/// Thread use: the checks may be called from several threads; the rest from one.
#pragma once

#include <atomic>
#include <concepts>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "conformance.hpp"

namespace tokenstore::conformance {

/// Ends a case after a failure that leaves nothing to go on with. Never leaves run().
struct Stop {};

inline constexpr UnixMillis time_max = std::numeric_limits<UnixMillis>::max();
inline constexpr UnixMillis time_min = std::numeric_limits<UnixMillis>::min();

class Trial {
 public:
  Trial(const BackendFactory& factory, const BackendTraits& traits, const Effort& effort);

  const BackendFactory& factory;
  const BackendTraits& traits;
  const Effort effort;
  std::mt19937_64 random;

  /// A fresh storage; with the workspace `home` in it unless `bare`.
  std::shared_ptr<Backend> open();
  std::shared_ptr<Backend> open_bare();
  std::shared_ptr<Backend> reopen();
  std::shared_ptr<Backend> reopen_read_only();

  std::size_t steps(std::size_t fast) const noexcept { return fast * effort.factor; }
  /// 0..below-1.
  std::size_t pick(std::size_t below) { return static_cast<std::size_t>(random() % below); }

  bool check(bool holds, const char* file, int line, const std::string& text);
  std::vector<Failure> take_failures();
  bool failed() const noexcept { return failure_count_ != 0; }

 private:
  std::shared_ptr<Backend> opened(const std::function<std::shared_ptr<Backend>()>& with);

  std::mutex mutex_;
  std::vector<Failure> failures_;
  std::atomic<std::size_t> failure_count_{0};
};

inline const std::string home = "default";

std::string shown(std::string_view text);
inline std::string shown(const std::string& text) {
  return shown(std::string_view(text));
}
inline std::string shown(const char* text) {
  return shown(std::string_view(text));
}
inline std::string shown(bool value) {
  return value ? "true" : "false";
}
template <std::integral Number>
std::string shown(Number number) {
  return std::to_string(number);
}
std::string shown(CommitOutcome outcome);
std::string shown(const CommitResult& result);
std::string shown(const std::vector<std::string>& list);

/// Ids of 16 octets in the order of their numbers.
std::string id_of(std::uint64_t number);
/// A token with different values in every field; revision 1.
TokenRecord token_of(std::uint64_t number, std::string owner = "alice");
OwnerRecord owner_of(std::string name);
WorkspaceRecord workspace_of(std::string name);
StoreRecord store_of(std::uint64_t number);

bool same(const TokenRecord& a, const TokenRecord& b);
bool same(const OwnerRecord& a, const OwnerRecord& b);
bool same(const WorkspaceRecord& a, const WorkspaceRecord& b);
bool same(const StoreRecord& a, const StoreRecord& b);
bool same_but_uses(const TokenRecord& a, const TokenRecord& b);

/// An announcement as the suite makes it: the entry lists the names of what is changed, the link is a plain checksum
/// over the entry, the revision and the link before it.
class Names final : public Announcement {
 public:
  explicit Names(std::span<const Mutation> batch);
  std::string_view entry() const noexcept override { return entry_; }
  Bytes32 link(std::uint64_t revision, const Bytes32& previous) const noexcept override;

 private:
  std::string entry_;
};

/// With an announcement that names what the batch changes; without one if it changes nothing.
CommitResult commit(Backend& backend, std::vector<Mutation> batch, std::string_view workspace = home);
CommitResult commit_announced(Backend& backend, std::vector<Mutation> batch, std::string_view workspace = home);
CommitResult commit_unannounced(Backend& backend, std::vector<Mutation> batch, std::string_view workspace = home);
/// Commits and stops the case unless it is committed.
CommitResult must_commit(Trial& trial, Backend& backend, std::vector<Mutation> batch,
                         std::string_view workspace = home);
Mutation put_new(Record record);
/// A copy of `token` at the revision after its own, and the step that puts it.
TokenRecord next_of(TokenRecord token);
Mutation replace(const TokenRecord& with);

/// Every token of the answer to `query`, following the continuation.
std::vector<TokenRecord> list_all(Trial& trial, Backend& backend, TokenQuery query, std::string_view workspace = home);
std::vector<std::string> ids_of(const std::vector<TokenRecord>& tokens);
std::set<std::string> names_in(const Changes& changes);
/// One entry for each revision after `after`, in order, each linked to the one before it, and the last one's link is
/// the head's. `link`: of revision `after`.
bool is_linked(const Changes& changes, std::uint64_t after, const Bytes32& link);
std::string name_of(RecordKind kind, std::string_view key);

/// The rules of TokenQuery in plain code.
TokenQuery::State state_at(const TokenRecord& token, UnixMillis now);
bool contains_text(std::string_view text, std::string_view part);

template <typename T>
T unwrap(Trial& trial, Result<T> result, const char* file, int line, const char* what) {
  if (!trial.check(result.ok(), file, line,
                   std::string(what) + " failed: " + (result.ok() ? "" : result.error().message()))) {
    throw Stop{};
  }
  if constexpr (!std::is_void_v<T>) return std::move(result).value();
}

void add_commit_cases(std::vector<Case>& cases);
void add_visibility_cases(std::vector<Case>& cases);
void add_feed_cases(std::vector<Case>& cases);
void add_use_cases(std::vector<Case>& cases);
void add_list_cases(std::vector<Case>& cases);
void add_filter_cases(std::vector<Case>& cases);
void add_count_cases(std::vector<Case>& cases);
void add_round_trip_cases(std::vector<Case>& cases);
void add_isolation_cases(std::vector<Case>& cases);
void add_thread_cases(std::vector<Case>& cases);
void add_storage_cases(std::vector<Case>& cases);
void add_process_cases(std::vector<Case>& cases);
void add_store_cases(std::vector<Case>& cases);
void add_model_cases(std::vector<Case>& cases);

}  // namespace tokenstore::conformance

/// Notes a failure and goes on.
#define HOLDS(trial, condition) (trial).check(static_cast<bool>(condition), __FILE__, __LINE__, #condition)
/// Notes both sides if they differ, and goes on.
#define EQUAL(trial, actual, expected)                                                                  \
  [&](const auto& actual_value, const auto& expected_value) {                                           \
    return (trial).check(actual_value == expected_value, __FILE__, __LINE__,                            \
                         std::string(#actual " is ") + ::tokenstore::conformance::shown(actual_value) + \
                             ", expected " + ::tokenstore::conformance::shown(expected_value));         \
  }((actual), (expected))
/// The value of a Result; ends the case if it is an error.
#define VALUE(trial, result) ::tokenstore::conformance::unwrap(trial, result, __FILE__, __LINE__, #result)
