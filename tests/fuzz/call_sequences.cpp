// Sequences of calls of the C ABI on one store and on what comes out of it: a token validates exactly as long as it was
// not ended, by a shadow of the store in a few maps; sizes, errors and handles agree with the answers.
//
// The values are valid ones that the input chooses, so that long sequences lead somewhere; arguments.cpp has the
// others.
#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "backend/export.hpp"
#include "fuzz/c_calls.hpp"
#include "tokenstore/backends/memory.hpp"

using tokenstore::test::check_answer;
using tokenstore::test::Input;
using tokenstore::test::promise;

namespace {

constexpr std::array<const char*, 4> owners{"alice", "bob", "carol", "\xC3\xA9mile"};
constexpr std::array<const char*, 4> scopes{"read", "read write", "", "write admin"};
constexpr std::array<const char*, 3> demands{"read", "write", "admin"};
#ifdef TOKENSTORE_FUZZ_CONTROL
constexpr bool shadow_sees_suspensions = false;  // a token that is denied without its knowing has to be seen
#else
constexpr bool shadow_sees_suspensions = true;
#endif
constexpr std::int64_t start = 1'795'000'000'000;

struct Time {
  std::int64_t wall = start;
  std::int64_t monotonic = 1000;
};

struct Token {
  std::string text;
  std::string id;
  std::size_t owner = 0;
  std::string scopes;
  std::int64_t not_before = 0;
  std::int64_t ends = 0;  ///< TOKENSTORE_NEVER: no end
  bool ended = false;     ///< revoked or gone, for good
  bool gone = false;
};

struct Owner {
  bool known = false;
  bool suspended = false;
  bool may_not_use = false;
};

class Sequence {
 public:
  Sequence(const std::uint8_t* data, std::size_t size) : input_(data, size) {
    clock_.struct_size = sizeof clock_;
    clock_.wall = [](void* time) { return static_cast<Time*>(time)->wall; };
    clock_.monotonic = [](void* time) { return static_cast<Time*>(time)->monotonic; };
    clock_.context = &time_;
    store_ = open();
  }
  ~Sequence() {
    tokenstore_page_free(page_);
    tokenstore_token_free(kept_);
    tokenstore_free(store_);
  }
  Sequence(const Sequence&) = delete;
  Sequence& operator=(const Sequence&) = delete;

  void run() {
    for (int calls = 0; calls < 64 && !input_.rest().empty(); ++calls) call();
    for (Token& token : tokens_) validate(token, "read");
    count_all();
  }

 private:
  void call() {
    switch (input_.octet() % 17) {
      case 0:
      case 1:
      case 2:
        return issue();
      case 3:
        return with_token([this](Token& token) { expire(token); });
      case 4:
        return with_token([this](Token& token) { revoke(token); });
      case 5:
        return with_token([this](Token& token) { remove(token); });
      case 6:
        return revoke_all();
      case 7:
        return stop_or_start();
      case 8:
        return set_owner();
      case 9:
        return change_policy();
      case 10:
        return list();
      case 11:
        return purge();
      case 12:
        return pass_time();
      case 13:
        return with_token([this](Token& token) { get(token); });
      case 14:
        return upkeep();
      case 16:
        return reseal();
      default:
        return with_token([this](Token& token) { validate(token, demands[input_.octet() % demands.size()]); });
    }
  }

  template <typename Call>
  void with_token(Call call) {
    if (!tokens_.empty()) call(tokens_[input_.octet() % tokens_.size()]);
  }

  static std::string key_id(std::uint8_t number) { return {'0', static_cast<char>('A' + number)}; }

  /// Another handle of the same storage. The newest key is active, those before it go on verifying.
  tokenstore_store* open() {
    tokenstore_keyring* keyring = nullptr;
    for (std::uint8_t older = 0; older <= newest_key_; ++older) {
      const auto number = static_cast<std::uint8_t>(newest_key_ - older);
      const std::array<std::uint8_t, TOKENSTORE_MASTER_KEY_SIZE> master{3, 1, 4, 1, 5, number};
      const std::string id = key_id(number);
      const std::int32_t status =
          older == 0
              ? tokenstore_keyring_from_bytes(master.data(), master.size(), id.data(), id.size(), &keyring, &error_)
              : tokenstore_keyring_add(keyring, id.data(), id.size(), TOKENSTORE_KEY_VERIFY_ONLY, master.data(),
                                       master.size(), &error_);
      promise(checked(status) == TOKENSTORE_OK, "a keyring is made");
    }
    tokenstore_open_options options{};
    options.struct_size = sizeof options;
    options.keyring = keyring;
    options.cache_bytes = 1 << 20;
    options.clock = &clock_;
    const tokenstore_backend backend =
        tokenstore::capi::export_backend("shared-memory", 0, [memory = memory_] { return memory; });
    tokenstore_store* store = nullptr;
    promise(checked(tokenstore_open_backend(&options, &backend, &store, &error_)) == TOKENSTORE_OK, "a store opens");
    tokenstore_keyring_free(keyring);
    return store;
  }

  /// The host, or now and then another.
  tokenstore_actor actor(std::size_t owner) {
    tokenstore_actor who{};
    who.struct_size = sizeof who;
    const std::uint8_t kind = input_.octet() % 8;
    who.kind = kind == 0 ? TOKENSTORE_ACTOR_USER : kind == 1 ? TOKENSTORE_ACTOR_ADMINISTRATOR : TOKENSTORE_ACTOR_HOST;
    if (who.kind != TOKENSTORE_ACTOR_HOST) {
      who.name = owners[owner];
      who.name_size = std::strlen(owners[owner]);
    }
    return who;
  }

  std::int32_t checked(std::int32_t status) {
    check_answer(status, error_);
    error_ = nullptr;
    return status;
  }

  bool has_ended(const Token& token) const {
    return token.ended || (token.ends != TOKENSTORE_NEVER && token.ends <= time_.wall);
  }

  void issue() {
    const std::size_t owner = input_.octet() % owners.size();
    const tokenstore_actor who = actor(owner);
    tokenstore_issue_request request{};
    request.struct_size = sizeof request;
    request.owner = owners[owner];
    request.owner_size = std::strlen(owners[owner]);
    request.scopes = scopes[input_.octet() % scopes.size()];
    request.scopes_size = std::strlen(request.scopes);
    request.metadata = request.scopes;
    request.metadata_size = request.scopes_size;
    const std::uint8_t lifetime = input_.octet();
    request.lifetime_ms = lifetime == 255 ? TOKENSTORE_NEVER : lifetime * 10;
    const std::uint8_t later = input_.octet();
    request.not_before = later < 200 ? 0 : time_.wall + later - 220;
    const bool small = input_.octet() % 16 == 15;
    std::array<char, TOKENSTORE_TOKEN_TEXT_BUFFER_SIZE> text{};
    std::size_t size = 0;
    tokenstore_token* token = nullptr;
    const std::int32_t status = checked(
        tokenstore_issue(store_, &who, &request, text.data(), small ? 20 : text.size(), &size, &token, &error_));
    promise((status == TOKENSTORE_OK) == (token != nullptr), "a token comes with OK alone");
    promise(!small || status != TOKENSTORE_OK, "a text does not go into a small buffer");
    promise(status != TOKENSTORE_BUFFER_TOO_SMALL || (small && size > 20 && text[0] == '\0'), "the size is told");
    if (status != TOKENSTORE_OK) return;
    promise(std::strlen(text.data()) == size, "a text has its size");
    tokenstore_token_info info{};
    info.struct_size = sizeof info;
    promise(checked(tokenstore_token_read(token, &info, &error_)) == TOKENSTORE_OK, "a token can be read");
    tokens_.push_back({std::string(text.data(), size), std::string(info.id, info.id_size), owner, request.scopes,
                       info.not_before, info.expires_at});
    owners_[owner].known = true;
    tokenstore_token_free(token);
  }

  void validate(const Token& token, const std::string& scope) {
    tokenstore_demand demand{};
    demand.struct_size = sizeof demand;
    demand.scope = scope.data();
    demand.scope_size = scope.size();
    static tokenstore_verdict verdict;
    verdict.struct_size = sizeof verdict;
    const std::int32_t status =
        checked(tokenstore_validate(store_, token.text.data(), token.text.size(), &demand, &verdict, &error_));
    promise(status == TOKENSTORE_OK && verdict.outcome != TOKENSTORE_OUTCOME_UNAVAILABLE, "memory can be asked");
    const Owner& owner = owners_[token.owner];
    const bool lives =
        !has_ended(token) && token.not_before <= time_.wall && !owner.suspended && !owner.may_not_use && !disabled_;
    const bool granted = (" " + token.scopes + " ").find(" " + scope + " ") != std::string::npos;
    promise((verdict.outcome == TOKENSTORE_OUTCOME_VALID) == (lives && granted), "a token is valid while it lives");
    if (verdict.outcome != TOKENSTORE_OUTCOME_VALID) return;
    promise(token.id == verdict.id && std::strcmp(verdict.owner, owners[token.owner]) == 0, "a verdict says whose");
    promise(token.scopes.size() == verdict.metadata_size, "a verdict hands the metadata back");
  }

  void expire(Token& token) {
    const tokenstore_actor who = actor(token.owner);
    const std::uint8_t later = input_.octet();
    const std::int64_t at = later == 0 ? 0 : time_.wall + later - 50;
    const std::int32_t status =
        checked(tokenstore_expire(store_, &who, token.id.data(), token.id.size(), at, another_handle(), &error_));
    promise(status == TOKENSTORE_OK || status == TOKENSTORE_NOT_FOUND || status == TOKENSTORE_INVALID_ARGUMENT,
            "a token can be expired");
    promise((status == TOKENSTORE_NOT_FOUND) == token.gone, "a token is there until it is deleted");
    if (status != TOKENSTORE_OK || has_ended(token)) return;
    const std::int64_t end = at < time_.wall ? time_.wall : at;
    if (token.ends == TOKENSTORE_NEVER || end < token.ends) token.ends = end;
  }

  void revoke(Token& token) {
    const tokenstore_actor who = actor(token.owner);
    const std::int32_t status = checked(tokenstore_revoke(store_, &who, token.id.data(), token.id.size(),
                                                          TOKENSTORE_LITERAL("lost"), another_handle(), &error_));
    promise(status == (token.gone ? TOKENSTORE_NOT_FOUND : TOKENSTORE_OK), "a token can be revoked");
    token.ended = true;
    validate(token, "read");
  }

  void remove(Token& token) {
    const tokenstore_actor who = actor(token.owner);
    const std::int32_t status = checked(tokenstore_delete(store_, &who, token.id.data(), token.id.size(), &error_));
    promise(status == (token.gone ? TOKENSTORE_NOT_FOUND : TOKENSTORE_OK), "a token can be deleted once");
    token.ended = token.gone = true;
    validate(token, "read");
  }

  void get(const Token& token) {
    const tokenstore_actor who = actor(token.owner);
    const std::int32_t status =
        checked(tokenstore_get(store_, &who, token.id.data(), token.id.size(), another_handle(), &error_));
    promise(status == (token.gone ? TOKENSTORE_NOT_FOUND : TOKENSTORE_OK), "a token is there until it is deleted");
    promise((status == TOKENSTORE_OK) == (kept_ != nullptr), "a handle comes with OK alone");
    if (kept_ == nullptr) return;
    tokenstore_token_info info{};
    info.struct_size = sizeof info;
    promise(checked(tokenstore_token_read(kept_, &info, &error_)) == TOKENSTORE_OK, "a token can be read");
    const bool over = info.state == TOKENSTORE_STATE_REVOKED || info.state == TOKENSTORE_STATE_EXPIRED;
    promise(over == has_ended(token), "what is shown is what validates");
  }

  /// A token handle outlives the calls after it; the last one is freed when the next is asked for.
  tokenstore_token** another_handle() {
    tokenstore_token_free(kept_);
    kept_ = nullptr;
    return &kept_;
  }

  void revoke_all() {
    const std::size_t owner = input_.octet() % owners.size();
    const tokenstore_actor who = actor(owner);
    std::uint64_t revoked = 0;
    const std::int32_t status = checked(
        tokenstore_revoke_all(store_, &who, owners[owner], std::strlen(owners[owner]), nullptr, 0, &revoked, &error_));
    promise(status == (owners_[owner].known ? TOKENSTORE_OK : TOKENSTORE_NOT_FOUND), "all can be revoked");
    std::uint64_t expected = 0;
    for (Token& token : tokens_) {
      if (token.owner != owner || has_ended(token)) continue;
      token.ended = true;
      ++expected;
    }
    promise(status != TOKENSTORE_OK || revoked == expected, "the number of the revoked is right");
  }

  void stop_or_start() {
    const std::size_t owner = input_.octet() % owners.size();
    const tokenstore_actor who = actor(owner);
    const bool stop = input_.octet() % 2 == 0;
    const std::size_t size = std::strlen(owners[owner]);
    tokenstore_owner* handle = nullptr;
    const std::int32_t status =
        stop ? checked(tokenstore_owner_suspend(store_, &who, owners[owner], size, nullptr, 0, &handle, &error_))
             : checked(tokenstore_owner_resume(store_, &who, owners[owner], size, &handle, &error_));
    settle(owner, who, status, handle);
    if (status == TOKENSTORE_OK) owners_[owner].suspended = stop && shadow_sees_suspensions;
  }

  void set_owner() {
    const std::size_t owner = input_.octet() % owners.size();
    const tokenstore_actor who = actor(owner);
    tokenstore_owner_settings settings{};
    settings.struct_size = sizeof settings;
    settings.may_not_issue = input_.octet() % 2;
    settings.may_not_use = input_.octet() % 2;
    tokenstore_owner* handle = nullptr;
    const std::int32_t status = checked(
        tokenstore_owner_set(store_, &who, owners[owner], std::strlen(owners[owner]), &settings, &handle, &error_));
    settle(owner, who, status, handle);
    if (status == TOKENSTORE_OK) owners_[owner].may_not_use = settings.may_not_use == 1;
  }

  void settle(std::size_t owner, const tokenstore_actor& who, std::int32_t status, tokenstore_owner* handle) {
    promise((status == TOKENSTORE_OK) == (handle != nullptr), "an owner comes with OK alone");
    promise(who.kind != TOKENSTORE_ACTOR_USER || status == TOKENSTORE_PERMISSION_DENIED, "a user is no administrator");
    if (status == TOKENSTORE_OK) owners_[owner].known = true;
    tokenstore_owner_info info{};
    info.struct_size = sizeof info;
    if (handle != nullptr)
      promise(checked(tokenstore_owner_read(handle, &info, &error_)) == TOKENSTORE_OK, "an owner can be read");
    tokenstore_owner_free(handle);
  }

  void change_policy() {
    const tokenstore_actor who = actor(0);
    tokenstore_policy policy{};
    policy.struct_size = sizeof policy;
    std::int32_t status = checked(tokenstore_policy_get(store_, &who, &policy, &error_));
    if (status == TOKENSTORE_OK) promise((policy.tokens_disabled == 1) == disabled_, "a policy is what was set");
    policy = {};
    policy.struct_size = sizeof policy;
    const std::uint8_t bits = input_.octet();
    policy.tokens_disabled = bits % 8 == 0 ? 1 : 0;
    policy.never_allowed = bits >> 3U & 1U;
    policy.users_may_not_issue = bits >> 4U & 1U;
    policy.most_active_per_owner = bits >> 5U;
    status = checked(tokenstore_policy_set(store_, &who, &policy, &error_));
    if (status == TOKENSTORE_OK) disabled_ = policy.tokens_disabled == 1;
  }

  /// The next page of the last one, or a first page.
  void list() {
    const tokenstore_actor who = actor(0);
    tokenstore_list_query query{};
    query.struct_size = sizeof query;
    query.limit = input_.octet() % 8;
    const std::uint8_t how = input_.octet();
    query.state = how % 5;
    const std::string cursor = how < 128 ? std::string() : std::string(tokenstore_page_next(page_, nullptr));
    query.cursor = cursor.data();
    query.cursor_size = cursor.size();
    tokenstore_page_free(page_);
    page_ = nullptr;
    const std::int32_t status = checked(tokenstore_list(store_, &who, &query, &page_, &error_));
    promise(status == TOKENSTORE_OK && page_ != nullptr, "there is a page");
    const std::size_t count = tokenstore_page_count(page_);
    promise(count <= (query.limit == 0 ? 50 : query.limit), "a page has its limit");
    for (std::size_t i = 0; i <= count; ++i) {
      tokenstore_token_info info{};
      info.struct_size = sizeof info;
      const std::int32_t read = checked(tokenstore_page_token(page_, i, &info, &error_));
      promise(read == (i < count ? TOKENSTORE_OK : TOKENSTORE_NOT_FOUND), "a page has as many as it says");
      promise(i == count || query.state == 0 || info.state == query.state, "a list has what was asked for");
    }
  }

  void purge() {
    const tokenstore_actor who = actor(0);
    const std::int64_t before = time_.wall - input_.octet();
    std::uint64_t removed = 0;
    std::int32_t complete = 0;
    const std::int32_t status =
        checked(tokenstore_purge(store_, &who, before, 1'000'000, &removed, &complete, &error_));
    if (status != TOKENSTORE_OK) return;
    // Which of them are gone is what the store says; that each had ended is the promise.
    std::uint64_t gone = 0;
    for (Token& token : tokens_) {
      if (token.gone) continue;
      tokenstore_actor host{};
      host.struct_size = sizeof host;
      host.kind = TOKENSTORE_ACTOR_HOST;
      const std::int32_t got =
          checked(tokenstore_get(store_, &host, token.id.data(), token.id.size(), another_handle(), &error_));
      if (got == TOKENSTORE_OK) continue;
      promise(has_ended(token), "only what has ended is purged");
      token.ended = token.gone = true;
      ++gone;
    }
    promise(gone == removed, "the number of the purged is right");
  }

  /// Forwards; the wall clock alone is also set back, which must not matter.
  void pass_time() {
    const std::int64_t passed = input_.octet() * 10;
    time_.monotonic += passed;
    time_.wall += passed;
    std::int64_t now = 0;
    promise(checked(tokenstore_now(store_, &now, &error_)) == TOKENSTORE_OK && now == time_.wall, "time is told");
    if (input_.octet() % 4 != 0) return;
    const std::int64_t wall = time_.wall;
    time_.wall = start - 1'000'000;
    promise(checked(tokenstore_now(store_, &now, &error_)) == TOKENSTORE_OK && now == wall, "time does not go back");
    time_.wall = wall;
  }

  void upkeep() {
    std::int32_t more = 0;
    promise(checked(tokenstore_maintain(store_, 1'000, &more, &error_)) == TOKENSTORE_OK, "upkeep works");
    tokenstore_statistics statistics{};
    statistics.struct_size = sizeof statistics;
    promise(checked(tokenstore_read_statistics(store_, &statistics, &error_)) == TOKENSTORE_OK &&
                statistics.malformed + statistics.forged + statistics.unavailable == 0,
            "genuine texts are taken for such");
    const tokenstore_actor who = actor(0);
    tokenstore_check_report* report = nullptr;
    const std::int32_t status = checked(tokenstore_check(store_, &who, nullptr, nullptr, &report, &error_));
    tokenstore_check_summary summary{};
    summary.struct_size = sizeof summary;
    if (status == TOKENSTORE_OK) {
      promise(
          checked(tokenstore_check_report_read(report, &summary, &error_)) == TOKENSTORE_OK && summary.problems == 0,
          "nothing is damaged");
    }
    tokenstore_check_report_free(report);
  }

  /// Often under a new key, in a new handle. What validates is what validated before.
  void reseal() {
    const tokenstore_actor who = actor(0);
    if (input_.octet() % 2 == 0 && newest_key_ < most_keys) {
      ++newest_key_;
      tokenstore_store* rotated = open();
      tokenstore_free(store_);
      store_ = rotated;
    }
    const std::string cursor(input_.text());
    tokenstore_reseal_summary summary{};
    summary.struct_size = sizeof summary;
    const std::int32_t status =
        checked(tokenstore_reseal(store_, &who, cursor.data(), cursor.size(), 0, &summary, &error_));
    if (who.kind == TOKENSTORE_ACTOR_USER) return promise(status == TOKENSTORE_PERMISSION_DENIED, "no user reseals");
    promise(status == TOKENSTORE_OK || (!cursor.empty() && status == TOKENSTORE_INVALID_ARGUMENT), "all is resealed");
    if (status != TOKENSTORE_OK) return;
    std::uint64_t records = 2;  // the store's and the workspace's
    for (const Owner& owner : owners_) records += owner.known ? 1U : 0U;
    for (const Token& token : tokens_) records += token.gone ? 0U : 1U;
    const std::uint64_t seen = summary.resealed + summary.kept;
    promise(summary.refused == 0 && summary.next_size == 0, "every record is genuine");
    promise(cursor.empty() ? seen == records : seen < records, "every record behind the cursor is looked at");
    if (cursor.empty()) check_keys(who, records);
  }

  /// After a resealing, everything hangs on the newest key.
  void check_keys(const tokenstore_actor& who, std::uint64_t records) {
    tokenstore_check_report* report = nullptr;
    promise(checked(tokenstore_check(store_, &who, nullptr, nullptr, &report, &error_)) == TOKENSTORE_OK, "it checks");
    tokenstore_key_usage usage{};
    usage.struct_size = sizeof usage;
    for (std::size_t i = 0; i <= most_keys; ++i) {
      const std::int32_t read = checked(tokenstore_check_report_key(report, i, &usage, &error_));
      if (read == TOKENSTORE_NOT_FOUND) break;
      const bool newest = std::string(usage.key_id, usage.key_id_size) == key_id(newest_key_);
      promise(usage.seals == (newest ? records : 0), "a key that was resealed from holds nothing");
    }
    tokenstore_check_report_free(report);
  }

  void count_all() {
    tokenstore_actor host{};
    host.struct_size = sizeof host;
    host.kind = TOKENSTORE_ACTOR_HOST;
    tokenstore_counts counts{};
    counts.struct_size = sizeof counts;
    promise(checked(tokenstore_count(store_, &host, nullptr, 0, &counts, &error_)) == TOKENSTORE_OK, "counting works");
    std::uint64_t live = 0;
    std::uint64_t all = 0;
    for (const Token& token : tokens_) {
      all += token.gone ? 0U : 1U;
      live += has_ended(token) ? 0U : 1U;
    }
    promise(counts.active + counts.pending == live, "the living are counted");
    promise(counts.active + counts.pending + counts.expired + counts.revoked == all, "all are counted");
  }

  static constexpr std::uint8_t most_keys = 8;

  Input input_;
  Time time_;
  tokenstore_clock clock_{};
  std::shared_ptr<tokenstore::Backend> memory_ = tokenstore::memory_backend();
  std::uint8_t newest_key_ = 0;
  tokenstore_store* store_ = nullptr;
  tokenstore_page* page_ = nullptr;
  tokenstore_token* kept_ = nullptr;
  tokenstore_error* error_ = nullptr;
  std::vector<Token> tokens_;
  std::array<Owner, owners.size()> owners_;
  bool disabled_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Sequence(data, size).run();
  return 0;
}
