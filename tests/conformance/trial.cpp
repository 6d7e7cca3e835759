#include "trial.hpp"

#include <algorithm>
#include <cstdio>
#include <exception>

namespace tokenstore::conformance {
namespace {

constexpr std::size_t most_failures = 20;

std::string base_name(std::string_view path) {
  const auto slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

Bytes32 bytes_of(std::uint64_t number, std::uint8_t salt) {
  Bytes32 bytes{};
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    bytes[at] = static_cast<std::uint8_t>((number >> (8 * (at % 8))) * 31 + at * 7 + salt);
  }
  return bytes;
}

Bytes16 birth_of(std::uint64_t number, std::uint8_t salt) {
  Bytes16 birth{};
  const Bytes32 bytes = bytes_of(number, salt);
  std::copy_n(bytes.begin(), birth.size(), birth.begin());
  return birth;
}

/// Two octets of size, big-endian, before each name.
void append_name(std::string& entry, std::string_view name) {
  entry += static_cast<char>(static_cast<unsigned char>(name.size() >> 8));
  entry += static_cast<char>(static_cast<unsigned char>(name.size() & 0xff));
  entry += name;
}

Bytes32 link_of(std::string_view entry, std::uint64_t revision, const Bytes32& previous) noexcept {
  Bytes32 link{};
  for (std::size_t lane = 0; lane < link.size(); lane += 8) {
    std::uint64_t sum = 14'695'981'039'346'656'037ULL + lane;  // FNV-1a
    const auto mix = [&sum](std::uint8_t octet) { sum = (sum ^ octet) * 1'099'511'628'211ULL; };
    for (const std::uint8_t octet : previous) mix(octet);
    for (int shift = 0; shift < 64; shift += 8) mix(static_cast<std::uint8_t>(revision >> shift));
    for (const char octet : entry) mix(static_cast<std::uint8_t>(octet));
    for (std::size_t at = 0; at < 8; ++at) link[lane + at] = static_cast<std::uint8_t>(sum >> (8 * at));
  }
  return link;
}

}  // namespace

Names::Names(std::span<const Mutation> batch) {
  for (const Mutation& one : batch) {
    if (one.action != Mutation::Action::check) append_name(entry_, name_of(one.kind, one.key));
  }
}

Bytes32 Names::link(std::uint64_t revision, const Bytes32& previous) const noexcept {
  return link_of(entry_, revision, previous);
}

Trial::Trial(const BackendFactory& factory_, const BackendTraits& traits_, const Effort& effort_)
    : factory(factory_), traits(traits_), effort(effort_), random(effort_.seed) {}

std::shared_ptr<Backend> Trial::opened(const std::function<std::shared_ptr<Backend>()>& with) {
  std::shared_ptr<Backend> backend = with ? with() : nullptr;
  if (!check(backend != nullptr, __FILE__, __LINE__, "the factory gave no backend")) throw Stop{};
  return backend;
}

std::shared_ptr<Backend> Trial::open_bare() {
  return opened(factory.open_fresh);
}
std::shared_ptr<Backend> Trial::reopen() {
  return opened(factory.reopen);
}
std::shared_ptr<Backend> Trial::reopen_read_only() {
  return opened(factory.open_read_only);
}

std::shared_ptr<Backend> Trial::open() {
  std::shared_ptr<Backend> backend = open_bare();
  must_commit(*this, *backend, {put_new(workspace_of(home))});
  return backend;
}

bool Trial::check(bool holds, const char* file, int line, const std::string& text) {
  if (holds) return true;
  ++failure_count_;
  const std::lock_guard guard(mutex_);
  if (failures_.size() < most_failures) failures_.push_back({base_name(file), line, text});
  return false;
}

std::vector<Failure> Trial::take_failures() {
  const std::lock_guard guard(mutex_);
  return std::move(failures_);
}

std::string shown(std::string_view text) {
  std::string out = "\"";
  for (const char c : text.substr(0, 80)) {
    if (c >= ' ' && c < 127) {
      out += c;
    } else {
      char escape[5];
      std::snprintf(escape, sizeof escape, "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
      out += escape;
    }
  }
  return out + (text.size() > 80 ? "\"..." : "\"");
}

std::string shown(CommitOutcome outcome) {
  switch (outcome) {
    case CommitOutcome::committed:
      return "committed";
    case CommitOutcome::conflict:
      return "conflict";
    case CommitOutcome::failed:
      return "failed";
    case CommitOutcome::unknown:
      return "unknown";
  }
  return "an outcome without a name";
}

std::string shown(const CommitResult& result) {
  return shown(result.outcome) + (result.error ? ": " + result.error->message() : "");
}

std::string shown(const std::vector<std::string>& list) {
  std::string out = std::to_string(list.size()) + " [";
  for (std::size_t at = 0; at < list.size() && at < 12; ++at) out += (at > 0 ? ", " : "") + shown(list[at]);
  return out + "]";
}

std::string id_of(std::uint64_t number) {
  std::string id(16, '0');
  for (std::size_t at = id.size(); number != 0 && at-- > 0; number /= 10) id[at] = static_cast<char>('0' + number % 10);
  return id;
}

TokenRecord token_of(std::uint64_t number, std::string owner) {
  TokenRecord token;
  token.id = id_of(number);
  token.key_id = "0A";
  token.verifier = bytes_of(number, 1);
  token.owner = std::move(owner);
  token.owner_birth = birth_of(number, 5);
  token.revoke_all_count = number % 1'000;
  token.description = "token " + std::to_string(number);
  token.scopes = "read write";
  token.metadata = "metadata " + std::to_string(number);
  token.created_at = 1'000 + static_cast<UnixMillis>(number);
  token.created_by = "host";
  token.not_before = token.created_at;
  token.expires_at = 1'000'000 + static_cast<UnixMillis>(number);
  token.revision = 1;
  token.seal_key_id = "0B";
  token.seal = bytes_of(number, 2);
  return token;
}

OwnerRecord owner_of(std::string name) {
  OwnerRecord owner;
  owner.owner = std::move(name);
  owner.birth = birth_of(owner.owner.size(), 6);
  owner.revision = 1;
  owner.seal_key_id = "0A";
  owner.seal = bytes_of(7, 3);
  return owner;
}

WorkspaceRecord workspace_of(std::string name) {
  WorkspaceRecord workspace;
  workspace.workspace = std::move(name);
  workspace.birth = birth_of(workspace.workspace.size(), 7);
  workspace.longest_lifetime = 366;
  workspace.default_lifetime = 90;
  workspace.created_at = 1'000;
  workspace.revision = 1;
  workspace.seal_key_id = "0A";
  workspace.seal = bytes_of(8, 4);
  return workspace;
}

StoreRecord store_of(std::uint64_t number) {
  StoreRecord store;
  store.id = birth_of(number, 8);
  store.created_at = 1'000 + static_cast<UnixMillis>(number);
  store.revision = 1;
  store.seal_key_id = "0A";
  store.seal = bytes_of(number, 9);
  return store;
}

bool same_but_uses(const TokenRecord& a, const TokenRecord& b) {
  return a.id == b.id && a.owner_birth == b.owner_birth && a.revoke_all_count == b.revoke_all_count &&
         a.expired_at == b.expired_at && a.key_id == b.key_id && a.verifier == b.verifier && a.owner == b.owner &&
         a.description == b.description && a.scopes == b.scopes && a.metadata == b.metadata &&
         a.created_at == b.created_at && a.created_by == b.created_by && a.not_before == b.not_before &&
         a.expires_at == b.expires_at && a.revoked_at == b.revoked_at && a.revoked_by == b.revoked_by &&
         a.revoke_reason == b.revoke_reason && a.revision == b.revision && a.seal_key_id == b.seal_key_id &&
         a.seal == b.seal;
}

bool same(const TokenRecord& a, const TokenRecord& b) {
  return same_but_uses(a, b) && a.last_used_at == b.last_used_at && a.last_used_from == b.last_used_from;
}

bool same(const OwnerRecord& a, const OwnerRecord& b) {
  return a.owner == b.owner && a.birth == b.birth && a.may_issue == b.may_issue && a.may_use == b.may_use &&
         a.suspended_at == b.suspended_at && a.suspended_by == b.suspended_by && a.suspend_reason == b.suspend_reason &&
         a.revoke_all_count == b.revoke_all_count && a.revision == b.revision && a.seal_key_id == b.seal_key_id &&
         a.seal == b.seal;
}

bool same(const WorkspaceRecord& a, const WorkspaceRecord& b) {
  return a.workspace == b.workspace && a.birth == b.birth && a.tokens_enabled == b.tokens_enabled &&
         a.users_may_issue == b.users_may_issue && a.never_allowed == b.never_allowed &&
         a.longest_lifetime == b.longest_lifetime && a.default_lifetime == b.default_lifetime &&
         a.most_active_per_owner == b.most_active_per_owner && a.created_at == b.created_at &&
         a.revision == b.revision && a.seal_key_id == b.seal_key_id && a.seal == b.seal;
}

bool same(const StoreRecord& a, const StoreRecord& b) {
  return a.id == b.id && a.created_at == b.created_at && a.revision == b.revision && a.seal_key_id == b.seal_key_id &&
         a.seal == b.seal;
}

CommitResult commit(Backend& backend, std::vector<Mutation> batch, std::string_view workspace) {
  const bool changes = std::any_of(batch.begin(), batch.end(),
                                   [](const Mutation& one) { return one.action != Mutation::Action::check; });
  return changes ? commit_announced(backend, std::move(batch), workspace)
                 : commit_unannounced(backend, std::move(batch), workspace);
}

CommitResult commit_announced(Backend& backend, std::vector<Mutation> batch, std::string_view workspace) {
  const Names names(batch);
  return backend.commit(workspace, batch, &names);
}

CommitResult commit_unannounced(Backend& backend, std::vector<Mutation> batch, std::string_view workspace) {
  return backend.commit(workspace, batch, nullptr);
}

CommitResult must_commit(Trial& trial, Backend& backend, std::vector<Mutation> batch, std::string_view workspace) {
  CommitResult result = commit(backend, std::move(batch), workspace);
  if (!trial.check(result.outcome == CommitOutcome::committed, __FILE__, __LINE__,
                   "a batch whose preconditions hold was not committed: " + shown(result))) {
    throw Stop{};
  }
  return result;
}

Mutation put_new(Record record) {
  return Mutation::put(std::move(record), 0);
}

TokenRecord next_of(TokenRecord token) {
  ++token.revision;
  return token;
}

Mutation replace(const TokenRecord& with) {
  return Mutation::put(with, with.revision - 1);
}

std::vector<TokenRecord> list_all(Trial& trial, Backend& backend, TokenQuery query, std::string_view workspace) {
  std::vector<TokenRecord> all;
  for (;;) {
    TokenList part = VALUE(trial, backend.list_tokens(workspace, query));
    HOLDS(trial, part.tokens.size() <= query.limit);
    for (TokenRecord& token : part.tokens) {
      if (!query.before_id.empty()) HOLDS(trial, token.id < query.before_id);
      if (!all.empty()) HOLDS(trial, token.id < all.back().id);
      if (!part.next_before_id.empty()) HOLDS(trial, token.id >= part.next_before_id);
      all.push_back(std::move(token));
    }
    if (part.next_before_id.empty()) return all;
    if (!query.before_id.empty() && !HOLDS(trial, part.next_before_id < query.before_id)) throw Stop{};
    query.before_id = part.next_before_id;
  }
}

std::vector<std::string> ids_of(const std::vector<TokenRecord>& tokens) {
  std::vector<std::string> ids;
  for (const TokenRecord& token : tokens) ids.push_back(token.id);
  return ids;
}

std::string name_of(RecordKind kind, std::string_view key) {
  return std::to_string(static_cast<int>(kind)) + ":" + std::string(key);
}

std::set<std::string> names_in(const Changes& changes) {
  std::set<std::string> names;
  for (const Changes::Entry& entry : changes.entries) {
    std::string_view rest = entry.text;
    while (rest.size() >= 2) {
      const std::size_t size = static_cast<std::size_t>(static_cast<unsigned char>(rest[0])) << 8 |
                               static_cast<std::size_t>(static_cast<unsigned char>(rest[1]));
      names.insert(std::string(rest.substr(2, size)));
      rest.remove_prefix(std::min(rest.size(), 2 + size));
    }
  }
  return names;
}

bool is_linked(const Changes& changes, std::uint64_t after, const Bytes32& link) {
  Bytes32 previous = link;
  std::uint64_t revision = after;
  for (const Changes::Entry& entry : changes.entries) {
    if (entry.revision != ++revision || entry.link != link_of(entry.text, revision, previous)) return false;
    previous = entry.link;
  }
  return revision == changes.revision && previous == changes.link;
}

TokenQuery::State state_at(const TokenRecord& token, UnixMillis now) {
  if (token.revoked_at != time_max) return TokenQuery::State::revoked;
  if (token.expired_at != time_max || now >= token.expires_at) return TokenQuery::State::expired;
  if (now < token.not_before) return TokenQuery::State::pending;
  return TokenQuery::State::active;
}

bool contains_text(std::string_view text, std::string_view part) {
  const auto fold = [](std::string_view from) {
    std::string folded(from);
    for (char& c : folded) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
    }
    return folded;
  };
  return fold(text).find(fold(part)) != std::string::npos;
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  add_commit_cases(cases);
  add_visibility_cases(cases);
  add_feed_cases(cases);
  add_use_cases(cases);
  add_list_cases(cases);
  add_filter_cases(cases);
  add_count_cases(cases);
  add_round_trip_cases(cases);
  add_isolation_cases(cases);
  add_thread_cases(cases);
  add_storage_cases(cases);
  add_process_cases(cases);
  add_store_cases(cases);
  add_model_cases(cases);
  return cases;
}

std::vector<Case> cases_for(const BackendTraits& traits, const BackendFactory& factory) {
  std::vector<Case> cases = all_cases();
  std::erase_if(cases, [&](const Case& one) {
    return (one.needs_many_handles && !traits.many_handles) || (one.needs_persistence && !traits.persistent) ||
           (one.needs_feed && !traits.has_feed) || (one.needs_exact_pulse && !traits.exact_pulse) ||
           (one.needs_feed_bound && traits.feed_bound == 0) || (one.needs_read_only && !factory.open_read_only);
  });
  return cases;
}

std::vector<Failure> run(const Case& which, const BackendFactory& factory, const BackendTraits& traits,
                         const Effort& effort) {
  Trial trial(factory, traits, effort);
  try {
    which.body(trial);
  } catch (const Stop&) {
    HOLDS(trial, trial.failed());
  } catch (const std::exception& error) {
    trial.check(false, __FILE__, __LINE__, std::string("an exception came out of the backend: ") + error.what());
  }
  return trial.take_failures();
}

std::string describe(const std::vector<Failure>& failures) {
  std::string out;
  for (const Failure& failure : failures) {
    out += failure.file + ":" + std::to_string(failure.line) + ": " + failure.text + "\n";
  }
  return out;
}

}  // namespace tokenstore::conformance
