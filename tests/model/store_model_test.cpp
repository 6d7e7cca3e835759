/// A random program of calls by random actors, in two handles of one store and in a model of it: no difference.
///
/// A seed decides everything. A difference names the seed and the step: TOKENSTORE_MODEL_SEED repeats it.
#include "model/store_model.hpp"

#include <catch2/catch.hpp>
#include <sstream>

#include "model/choices.hpp"
#include "support/count_from.hpp"
#include "support/fake_clock.hpp"
#include "support/seeded_random.hpp"
#include "support/temp_directory.hpp"
#include "tokenstore/backends/memory.hpp"
#include "tokenstore/backends/sqlite.hpp"
#include "tokenstore/store.hpp"

using namespace tokenstore;
using namespace tokenstore::test;

namespace {

enum class Storage : std::uint8_t { memory, sqlite };

constexpr UnixMillis start = 1'767'225'600'000;

/// Runs one program. Whoever differs first is told by difference().
class Program : private Choices {
 public:
  Program(Storage storage, std::uint64_t seed, Flaw flaw)
      : Choices(seed), seed_(seed), on_file_(storage == Storage::sqlite), model_(flaw) {
    model_.now = start;
    clock_ = std::make_shared<FakeClock>(start);
    ids_ = std::make_shared<SeededRandom>(seed * 7919 + 1);
    if (!on_file_) memory_ = memory_backend();
    for (std::unique_ptr<TokenStore>& handle : handles_) handle = open();
  }

  void run(int steps) {
    for (step_ = 0; step_ < steps && difference_.empty(); ++step_) step();
    if (difference_.empty()) compare_everything();
  }

  const std::string& difference() const { return difference_; }

 private:
  std::unique_ptr<TokenStore> open() {
    std::shared_ptr<Backend> backend = memory_;
    if (on_file_) {
      SqliteOptions options;
      options.path = directory_.file("store.db");
      options.durability = SqliteOptions::Durability::survives_crash_but_not_power_cut;  // no power is cut here
      backend = sqlite_backend(options).value();
    }
    StoreOptions options;
    options.clock = clock_;
    options.random = ids_;
    // A cache so small that it evicts, a usual one, or none.
    constexpr std::size_t sizes[] = {0, std::size_t{1} << 14, std::size_t{1} << 20};
    options.cache_bytes = sizes[random_.below(3)];
    std::array<std::uint8_t, master_key_size> key{};
    key.fill(7);
    return TokenStore::open(backend, Keyring::from_bytes(key, "0A").value(), options).value();
  }

  // Choices.

  TokenStore& handle() { return *handles_[random_.below(2)]; }
  Actor some_actor() {
    switch (random_.below(4)) {
      case 0:
        return Actor::host();
      case 1:
        return Actor::administrator(some_owner());
      default:
        return Actor::user(some_owner());
    }
  }
  std::string some_id() { return Choices::some_id(texts_); }
  std::optional<TokenState> some_state() {
    constexpr TokenState states[] = {TokenState::active, TokenState::pending, TokenState::expired, TokenState::revoked};
    if (one_in(2)) return std::nullopt;
    return states[random_.below(4)];
  }
  static std::string label(const Actor& actor) {
    if (actor.kind() == Actor::Kind::host) return "host";
    return (actor.kind() == Actor::Kind::user ? "user:" : "administrator:") + std::string(actor.name());
  }

  // Comparing.

  template <typename T>
  static std::string shown(const T& value) {
    std::ostringstream text;
    if constexpr (std::is_enum_v<T>) {
      text << static_cast<int>(value);
    } else {
      text << value;
    }
    return text.str();
  }
  template <typename A, typename B>
  void same(const char* what, const A& got, const B& expected) {
    if (got == expected || !difference_.empty()) return;
    difference_ = "seed " + std::to_string(seed_) + ", step " + std::to_string(step_) + ", " + what +
                  ": the store says " + shown(got) + ", the model " + shown(expected);
  }

  void compare(const TokenInfo& info, const ModelToken& token) {
    same("owner", info.owner, token.owner);
    same("description", info.description, token.description);
    same("state", info.state, model_.state_of(token));
    same("not before", info.not_before, token.not_before);
    same("end", info.expires_at, token.expires_at);
    same("revoked at", info.revoked_at.value_or(-1), token.revoked_at.value_or(-1));
    same("revoked by", info.revoked_by, token.revoked_by);
    same("scopes", std::set<std::string>(info.scopes.begin(), info.scopes.end()) == token.scopes, true);
  }

  void compare_everything() {
    for (const std::unique_ptr<TokenStore>& store : handles_) {
      for (const auto& [id, text] : texts_) validate(*store, id, text, "r");
      for (const auto& [id, token] : model_.tokens) {
        const auto info = store->get(Actor::host(), id);
        same("get", info.status(), Status::ok);
        if (info.ok()) compare(*info, token);
      }
      const auto report = store->check(Actor::host());
      same("check", report.ok() && report->problem_count == 0, true);
      if (report.ok()) same("tokens", report->tokens, static_cast<std::uint64_t>(model_.tokens.size()));
    }
  }

  void validate(TokenStore& store, const std::string& id, const std::string& text, const std::string& scope) {
    const Verdict verdict = store.validate(text, Demand(scope));
    const Reason expected = model_.validate(id, scope);
    same("valid", verdict.valid(), expected == Reason::none);
    same("available", verdict.outcome() != Outcome::unavailable, true);
    same("scope is what is missing", verdict.reason() == Reason::insufficient_scope,
         expected == Reason::insufficient_scope);
    // Of several reasons a remembered one may be told; where there is only one it is that.
    if (!verdict.valid()) return;
    const ModelToken& token = model_.tokens.at(id);
    same("id", std::string(verdict.id()), id);
    same("verdict's owner", std::string(verdict.owner()), token.owner);
    same("verdict's end", verdict.expires_at(), token.expires_at);
    same("verdict's metadata", std::string(verdict.metadata()), token.description);
  }

  // Steps.

  void step() {
    switch (random_.below(24)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return issue();
      case 4:
        return expire();
      case 5:
      case 6: {
        const Actor actor = some_actor();
        const std::string id = some_id();
        const auto answer = handle().revoke(actor, id, "because");
        return same("revoke", answer.status(), model_.revoke(actor, id, label(actor)));
      }
      case 7: {
        const Actor actor = some_actor();
        const std::string id = some_id();
        return same("remove", handle().remove(actor, id).status(), model_.remove(actor, id));
      }
      case 8:
        return one_in(3) ? revoke_all() : purge();
      case 9:
        return change_owner();
      case 10:
        return one_in(2) ? set_policy() : move_clock();
      case 11:
        return move_clock();
      case 12:
        return list();
      case 13:
        return count();
      case 14: {
        if (one_in(4)) return reopen();
        const Actor actor = some_actor();
        const std::string id = some_id();
        const auto info = handle().get(actor, id);
        const ModelToken* token = model_.visible(actor, id);
        same("get", info.status(), token != nullptr ? Status::ok : Status::not_found);
        if (info.ok() && token != nullptr) compare(*info, *token);
        return;
      }
      default: {
        const std::string id = some_id();
        const auto known = texts_.find(id);
        if (known != texts_.end()) validate(handle(), id, known->second, some_scope());
      }
    }
  }

  void issue() {
    const Actor actor = some_actor();
    std::vector<IssueRequest> requests(1 + (one_in(5) ? random_.below(4) : 0));
    for (IssueRequest& request : requests) {
      request.owner = actor.kind() == Actor::Kind::host || one_in(6) ? some_owner() : std::string(actor.name());
      request.description = "token " + std::to_string(random_.below(30));
      request.metadata = request.description;
      for (std::uint64_t scopes = random_.below(4); scopes > 0; --scopes) request.scopes.push_back(some_scope());
      switch (random_.below(6)) {
        case 0:
          request.lifetime = Lifetime::never();
          break;
        case 1:
          request.lifetime = Lifetime::millis(-static_cast<std::int64_t>(random_.below(3)));
          break;
        case 2:
          break;
        default:
          request.lifetime = Lifetime::millis(1 + static_cast<std::int64_t>(random_.below(400)));
      }
      if (one_in(3)) request.not_before = model_.now + static_cast<UnixMillis>(random_.below(300)) - 20;
    }
    std::vector<UnixMillis> ends;
    const Status expected = model_.issue(actor, requests, ends);
    const auto issued = handle().issue_many(actor, requests);
    same("issue", issued.status(), expected);
    if (!issued.ok() || expected != Status::ok) return;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const IssueRequest& request = requests[i];
      ModelToken token;
      token.text = std::string((*issued)[i].text.reveal());
      token.owner = request.owner;
      token.description = request.description;
      token.scopes.insert(request.scopes.begin(), request.scopes.end());
      token.not_before = request.not_before.value_or(model_.now);
      token.expires_at = ends[i];
      const TokenInfo& info = (*issued)[i].info;
      same("a new id", texts_.contains(info.id), false);
      same("issued by", info.created_by, label(actor));
      compare(info, token);
      texts_[info.id] = token.text;
      model_.tokens[info.id] = std::move(token);
      model_.owners.try_emplace(request.owner);
    }
  }

  void expire() {
    const Actor actor = some_actor();
    const std::string id = some_id();
    std::optional<UnixMillis> at;
    if (!one_in(3)) at = model_.now + static_cast<UnixMillis>(random_.below(300)) - 50;
    const auto answer = handle().expire(actor, id, at);
    same("expire", answer.status(), model_.expire(actor, id, at));
  }

  void revoke_all() {
    const Actor actor = some_actor();
    const std::string owner = some_owner();
    const auto answer = handle().revoke_all(actor, owner);
    const auto expected = model_.revoke_all(actor, owner, label(actor));
    same("revoke all", answer.status(), expected ? Status::ok : Status::not_found);
    if (answer.ok() && expected) same("revoked", *answer, *expected);
  }

  void purge() {
    const Actor actor = some_actor();
    const UnixMillis before = model_.now + static_cast<UnixMillis>(random_.below(60)) - 50;
    const auto answer = handle().purge(actor, before, std::chrono::milliseconds(1'000'000));
    if (!StoreModel::administers(actor)) return same("purge", answer.status(), Status::permission_denied);
    if (before > model_.now) return same("purge", answer.status(), Status::invalid_argument);
    same("purge", answer.status(), Status::ok);
    if (answer.ok()) same("purged", answer->removed, model_.purge(before));
  }

  void change_owner() {
    const Actor actor = some_actor();
    const std::string name = some_owner();
    const bool may = StoreModel::administers(actor);
    const OwnerSettings settings{!one_in(4), !one_in(4)};
    Status status = Status::ok;
    ModelOwner changed = model_.owners.contains(name) ? model_.owners[name] : ModelOwner{};
    switch (random_.below(3)) {
      case 0:
        status = handle().suspend(actor, name).status();
        changed.suspended = true;
        break;
      case 1:
        status = handle().set_owner(actor, name, settings).status();
        changed.settings = settings;
        break;
      default:
        status = handle().resume(actor, name).status();
        changed.suspended = false;
    }
    same("a change of an owner", status, may ? Status::ok : Status::permission_denied);
    if (may) model_.owners[name] = changed;
    const auto seen = handle().owner(Actor::host(), name);
    same("owner", seen.ok(), model_.owners.contains(name));
    if (seen.ok() && model_.owners.contains(name)) {
      same("suspended", seen->suspended, model_.owners[name].suspended);
      same("may use", seen->settings.may_use, model_.owners[name].settings.may_use);
      same("may issue", seen->settings.may_issue, model_.owners[name].settings.may_issue);
    }
  }

  void set_policy() {
    const Actor actor = some_actor();
    const Policy policy = some_policy();
    const bool may = StoreModel::administers(actor);
    same("set policy", handle().set_policy(actor, policy).status(), may ? Status::ok : Status::permission_denied);
    if (may) model_.policy = policy;
  }

  /// Time passes; now and then somebody sets the wall clock back, which must change nothing.
  void move_clock() {
    if (one_in(4)) {
      for (const std::unique_ptr<TokenStore>& store : handles_) same("now", store->now(), model_.now);
      clock_->set_wall(model_.now - static_cast<UnixMillis>(random_.below(100'000)));
      for (const std::unique_ptr<TokenStore>& store : handles_) same("now", store->now(), model_.now);
      return;
    }
    const auto passed = static_cast<std::int64_t>(random_.below(one_in(5) ? 500 : 20));
    clock_->advance(passed);
    model_.now += passed;
  }

  void list() {
    const Actor actor = some_actor();
    ListQuery query;
    if (one_in(2)) query.owner = some_owner();
    query.state = some_state();
    if (one_in(3)) query.text = "token " + std::to_string(random_.below(3));
    query.limit = 1 + random_.below(7);
    const std::vector<std::string> expected = model_.list(actor, query.owner, query.state, query.text);
    std::vector<std::string> ids;
    TokenStore& store = handle();
    do {
      const auto page = store.list(actor, query);
      same("list", page.status(), Status::ok);
      if (!page.ok()) return;
      for (const TokenInfo& token : page->tokens) ids.push_back(token.id);
      query.cursor = page->next;
    } while (!query.cursor.empty());
    same("listed", ids == expected, true);
  }

  void count() {
    const Actor actor = some_actor();
    const std::string owner = one_in(2) ? some_owner() : std::string();
    const auto counts = handle().count(actor, owner);
    same("count", counts.status(), Status::ok);
    if (!counts.ok()) return;
    const auto expected = [&](TokenState state) {
      return static_cast<std::uint64_t>(model_.list(actor, owner, state, "").size());
    };
    same("active", counts->active, expected(TokenState::active));
    same("pending", counts->pending, expected(TokenState::pending));
    same("expired", counts->expired, expected(TokenState::expired));
    same("revoked", counts->revoked, expected(TokenState::revoked));
  }

  /// One handle is closed and opened again, sometimes both.
  void reopen() {
    clock_->set_wall(model_.now);  // an older wall clock would be believed by a new handle: nothing else tells it
    const bool both = one_in(2);
    handles_[0].reset();
    if (both) handles_[1].reset();
    handles_[0] = open();
    if (both) handles_[1] = open();
  }

  std::uint64_t seed_;
  bool on_file_;
  TempDirectory directory_;
  StoreModel model_;
  std::shared_ptr<FakeClock> clock_;
  std::shared_ptr<SeededRandom> ids_;
  std::shared_ptr<Backend> memory_;
  std::array<std::unique_ptr<TokenStore>, 2> handles_;
  std::map<std::string, std::string> texts_;  ///< of every token ever issued, by id
  std::string difference_;
  int step_ = 0;
};

std::string run(Storage storage, std::uint64_t seed, int steps, Flaw flaw = Flaw::none) {
  Program program(storage, seed, flaw);
  program.run(steps);
  return program.difference();
}

int steps_of_a_program() {
  return count_from("TOKENSTORE_MODEL_STEPS", 500);
}

void compare_with_model(Storage storage) {
  const int first = count_from("TOKENSTORE_MODEL_SEED", 1);
  const int seeds = count_from("TOKENSTORE_MODEL_SEEDS", 20);
  for (int seed = first; seed < first + seeds; ++seed) {
    CHECK(run(storage, static_cast<std::uint64_t>(seed), steps_of_a_program()) == "");
  }
}

}  // namespace

TEST_CASE("a random program of calls gives what the model gives, in memory") {
  compare_with_model(Storage::memory);
}

TEST_CASE("a random program of calls gives what the model gives, on SQLite") {
  compare_with_model(Storage::sqlite);
}

TEST_CASE("a long random program of calls gives what the model gives") {
  for (const Storage storage : {Storage::memory, Storage::sqlite}) {
    CHECK(run(storage, 4711, 10 * steps_of_a_program()) == "");
  }
}

TEST_CASE("control: a model that is wrong in any one rule is found out") {
  for (const Flaw flaw :
       {Flaw::revoked_tokens_go_on, Flaw::the_end_is_late_by_a_millisecond, Flaw::users_see_everybodys_tokens,
        Flaw::the_cap_forgets_pending_tokens, Flaw::suspension_is_ignored, Flaw::purge_takes_what_ends_at_the_time,
        Flaw::empty_scopes_grant_all, Flaw::expire_moves_the_end_back}) {
    INFO("flaw " << static_cast<int>(flaw));
    bool found = false;
    for (std::uint64_t seed = 1; seed <= 20 && !found; ++seed) found = !run(Storage::memory, seed, 500, flaw).empty();
    CHECK(found);
  }
}
