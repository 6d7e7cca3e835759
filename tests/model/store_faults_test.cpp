/// A random program of calls, failing file calls, crashes and clock moves, in two handles of one store on SQLite and in
/// a model of it: no difference.
///
/// After a failure that promises that nothing happened, nothing has; after `unknown`, all of it or nothing, and what
/// had not happened may still be in the WAL, for a crash before the next commit to bring back. A change of several
/// commits may be half done. An ending that failed denies in the handle that was asked for it, until the
/// handle is closed. A crash is a copy of the files as they lie there, opened anew: what was acknowledged is in it.
///
/// A seed decides everything. A difference names the seed and the step: TOKENSTORE_MODEL_SEED repeats it.
#include <catch2/catch.hpp>
#include <functional>
#include <sstream>

#include "model/choices.hpp"
#include "model/described.hpp"
#include "model/faults.hpp"
#include "support/count_from.hpp"
#include "support/fake_clock.hpp"
#include "support/temp_directory.hpp"
#include "tokenstore/backends/sqlite.hpp"

using namespace tokenstore;
using namespace tokenstore::test;

namespace {

constexpr UnixMillis start = 1'767'225'600'000;

/// What is wrong on purpose, so that the comparison can be seen to notice.
enum class Wrong : std::uint8_t { nothing, a_crash_loses_the_wal, failed_endings_do_not_deny, failures_are_done };

/// How a change fails as a whole.
enum class Commits : std::uint8_t { one, several };

class Program : private Choices {
 public:
  Program(std::uint64_t seed, Wrong wrong) : Choices(seed), seed_(seed), wrong_(wrong), vfs_(weather_) {
    model_.now = start;
    clock_ = std::make_shared<FakeClock>(start);
    ids_ = std::make_shared<SeededRandom>(seed * 7919 + 1);
    path_ = directory_.file("store-0.db");
    reopen();
  }

  void run(int steps) {
    for (step_ = 0; step_ < steps && difference_.empty(); ++step_) step();
    compare();
    const auto report = handles_[0].store->check(Actor::host());
    same("check", report.ok() && report->problem_count == 0, true);
  }

  const std::string& difference() const { return difference_; }
  int failures() const { return failures_; }

 private:
  struct Handle {
    std::unique_ptr<TokenStore> store;
    Denied denied;
    std::set<std::string> maybe_stopped{};  ///< owners whose "revoke all" failed here
    std::uint64_t opened = 0;               ///< how often: a handle that was opened anew denies nothing of its own
  };

  Result<std::unique_ptr<TokenStore>> open() {
    SqliteOptions options;
    options.path = path_;
    options.vfs = vfs_.name();
    options.busy_timeout = std::chrono::milliseconds(20);
    auto backend = sqlite_backend(options);
    if (!backend.ok()) return backend.error();
    StoreOptions store;
    store.clock = clock_;
    store.random = ids_;
    store.cache_bytes = one_in(3) ? 0 : std::size_t{1} << 16;
    std::array<std::uint8_t, master_key_size> key{};
    key.fill(7);
    return TokenStore::open(*backend, Keyring::from_bytes(key, "0A").value(), store);
  }

  // Comparing.

  void differ(const std::string& what) {
    if (!difference_.empty()) return;
    difference_ = "seed " + std::to_string(seed_) + ", step " + std::to_string(step_) + ", " + what;
  }
  template <typename T>
  void same(const char* what, const T& got, const T& expected) {
    if (got == expected) return;
    std::ostringstream text;
    text << what << ": the store says " << static_cast<int>(got) << ", the model " << static_cast<int>(expected);
    differ(text.str());
  }

  void compare() {
    for (Handle& handle : handles_) {
      const std::string found = first_difference(lines_of(*handle.store), lines_of(model_));
      if (!found.empty()) differ(found);
    }
    for (const auto& [id, text] : texts_) {
      for (Handle& handle : handles_) validate(handle, id, text);
    }
  }

  void validate(Handle& handle, const std::string& id, const std::string& text) {
    const std::string scope = some_scope();
    const Verdict verdict = handle.store->validate(text, Demand(scope));
    if (verdict.outcome() == Outcome::unavailable) {
      if (!weather_.bad()) differ("a store that works is unavailable");
      return;
    }
    const bool granted = model_.validate(id, scope) == Reason::none;
    const auto token = model_.tokens.find(id);
    const std::string owner = token == model_.tokens.end() ? "" : token->second.owner;
    const Denial denial = wrong_ == Wrong::failed_endings_do_not_deny ? Denial::none : handle.denied.of(id, owner);
    if (granted && (denial == Denial::possible || maybe_ended_.contains(id) || handle.maybe_stopped.contains(owner))) {
      return;
    }
    same("valid", verdict.valid(), granted && denial == Denial::none);
  }

  // Failing.

  /// A change that failed and may have happened. What was `unknown` and had not may lie in the WAL until the next
  /// commit writes over it: a crash before that brings it back.
  struct Ghost {
    Commits commits;
    StoreModel changed;
    std::string issued_to;  ///< of an issue: nobody was given the id, so `changed` does not have its token
  };

  /// Makes one change in the store and in the model, maybe in bad weather, and settles what has happened.
  Status change(Handle& handle, Commits commits, const std::function<Status(TokenStore&)>& in_store,
                const std::function<Status(StoreModel&)>& in_model) {
    StoreModel changed = model_;
    const Status expected = in_model(changed);
    if (one_in(3)) weather_.turn(random_);
    const Status status = in_store(*handle.store);
    if (weather_.bad() && status != expected) {
      failed(status, {commits, std::move(changed), {}});
    } else {
      same("status", status, expected);
      const bool wrote = lines_of(changed) != lines_of(model_);
      model_ = std::move(changed);
      succeeded(wrote);
    }
    return status;
  }

  void succeeded(bool wrote) {
    if (wrote) ghosts_.clear();
    const bool bad = weather_.bad();
    const bool crashes = bad && one_in(4);
    if (crashes) crash();  // before the weather clears
    weather_.clear();
    if (bad) settle(crashes ? std::exchange(ghosts_, {}) : std::vector<Ghost>());
  }

  void failed(Status status, const Ghost& change) {
    ++failures_;
    if (!storage_failed(status)) differ("a failure of storage is told as " + std::string(status_name(status)));
    const bool crashes = one_in(4);
    if (crashes) crash();
    weather_.clear();
    std::vector<Ghost> possible = crashes ? std::exchange(ghosts_, {}) : std::vector<Ghost>();
    if (status == Status::unknown || change.commits == Commits::several) possible.push_back(change);
    if (wrong_ == Wrong::failures_are_done) model_ = change.changed;
    settle(possible);
    if (status == Status::unknown && !crashes) ghosts_.push_back(change);
  }

  /// What the store says now is what the model says, or what it says if one of these has happened after all.
  void settle(const std::vector<Ghost>& possible) {
    TokenStore& store = *some_handle().store;
    const Lines got = lines_of(store);
    const std::string found = first_difference(got, lines_of(model_));
    if (found.empty()) return;
    for (const Ghost& ghost : possible) {
      if (become(ghost, store, got)) return;
    }
    differ(found);
  }

  bool become(const Ghost& ghost, TokenStore& store, const Lines& got) {
    if (!ghost.issued_to.empty()) {
      // Nobody was given the token's text: it is deleted.
      StoreModel with_owner = model_;
      with_owner.owners.try_emplace(ghost.issued_to);
      Lines rest = got;
      const std::size_t made = std::erase_if(rest, [this](const auto& line) {
        return line.first.starts_with("token ") && !model_.tokens.contains(line.first.substr(6));
      });
      if (made != 1 || rest != lines_of(with_owner)) return false;
      model_ = with_owner;
      for (const auto& [name, text] : got) {
        if (rest.contains(name)) continue;
        same("the token can be deleted", store.remove(Actor::host(), name.substr(6)).status(), Status::ok);
      }
      return true;
    }
    StoreModel next = ghost.changed;
    if (ghost.commits == Commits::several) {  // each token as it was or as it was to become
      next = model_;
      const Lines before = lines_of(model_);
      for (const auto& [id, token] : model_.tokens) {
        const auto line = got.find("token " + id);
        if (line != got.end() && line->second == before.at("token " + id)) continue;
        next.tokens.erase(id);
        const auto changed = ghost.changed.tokens.find(id);
        if (line != got.end() && changed != ghost.changed.tokens.end()) next.tokens.insert(*changed);
      }
    }
    if (lines_of(next) != got) return false;
    model_ = std::move(next);
    return true;
  }

  /// The files as they lie there are all that is left.
  void crash() {
    const std::string copy = directory_.file("store-" + std::to_string(step_ + 1) + ".db");
    std::filesystem::copy_file(path_, copy);
    const bool wal = wrong_ != Wrong::a_crash_loses_the_wal && std::filesystem::exists(path_ + "-wal");
    if (wal) std::filesystem::copy_file(path_ + "-wal", copy + "-wal");
    path_ = copy;
    weather_.clear();
    reopen();
  }

  void reopen() {
    clock_->set_wall(model_.now);  // an older wall clock would be believed by a new handle: nothing else tells it
    for (Handle& handle : handles_) handle = {nullptr, {}, {}, handle.opened + 1};
    for (Handle& handle : handles_) {
      if (step_ > 0 && one_in(4)) {
        weather_.turn(random_);
        auto opened = open();
        if (!opened.ok() && opened.error().message().empty()) differ("opening failed without a word");
        weather_.clear();
      }
      auto opened = open();
      if (!opened.ok()) throw std::runtime_error("the store does not open: " + opened.error().message());
      handle.store = std::move(*opened);
    }
  }

  // Steps.

  Handle& some_handle() { return handles_[random_.below(2)]; }

  void step() {
    switch (random_.below(14)) {
      case 0:
      case 1:
      case 2:
        return issue();
      case 3:
        return expire();
      case 4:
      case 5:
        return revoke();
      case 6:
        return remove();
      case 7:
        return one_in(2) ? revoke_all() : purge();
      case 8:
        return change_owner();
      case 9:
        return one_in(3) ? set_policy() : move_clock();
      case 10:
        one_in(2) ? crash() : reopen();
        return settle(std::exchange(ghosts_, {}));
      case 11: {
        if (one_in(2)) weather_.turn(random_);
        (void)some_handle().store->maintain().ok();
        weather_.clear();
        return;
      }
      case 12:
        return compare();
      default: {
        if (texts_.empty()) return;
        if (one_in(3)) weather_.turn(random_);
        const auto known = texts_.find(Choices::some_id(texts_));
        if (known != texts_.end()) validate(some_handle(), known->first, known->second);
        weather_.clear();
      }
    }
  }

  void issue() {
    IssueRequest request;
    request.owner = some_owner();
    for (std::uint64_t scopes = random_.below(4); scopes > 0; --scopes) request.scopes.push_back(some_scope());
    request.lifetime =
        one_in(5) ? Lifetime::never() : Lifetime::millis(1 + static_cast<std::int64_t>(random_.below(400)));
    if (one_in(4)) request.not_before = model_.now + static_cast<UnixMillis>(random_.below(100));
    std::vector<UnixMillis> ends;
    const Status expected = model_.issue(Actor::host(), {request}, ends);
    if (one_in(3)) weather_.turn(random_);
    const auto issued = some_handle().store->issue(Actor::host(), request);
    if (weather_.bad() && issued.status() != expected) {
      return failed(issued.status(), {Commits::one, model_, request.owner});
    }
    same("issue", issued.status(), expected);
    if (issued.ok()) {
      ModelToken token;
      token.owner = request.owner;
      token.scopes.insert(request.scopes.begin(), request.scopes.end());
      token.not_before = request.not_before.value_or(model_.now);
      token.expires_at = ends.at(0);
      texts_[issued->info.id] = std::string(issued->text.reveal());
      model_.tokens[issued->info.id] = std::move(token);
      model_.owners.try_emplace(request.owner);
    }
    succeeded(issued.ok());
  }

  void expire() {
    Handle& handle = some_handle();
    const std::string id = Choices::some_id(texts_);
    std::optional<UnixMillis> at;
    if (!one_in(3)) at = model_.now + static_cast<UnixMillis>(random_.below(300)) - 50;
    const std::uint64_t opened = handle.opened;
    const Status status = change(
        handle, Commits::one, [&](TokenStore& store) { return store.expire(Actor::host(), id, at).status(); },
        [&](StoreModel& model) { return model.expire(Actor::host(), id, at); });
    if (opened != handle.opened || at.value_or(model_.now) > model_.now) return;
    if (status == Status::ok) handle.denied.forget(id);
    if (storage_failed(status)) handle.denied.maybe(id);  // only if the token could be read
  }

  void revoke() {
    const std::string id = Choices::some_id(texts_);
    end(
        id, [&](TokenStore& store) { return store.revoke(Actor::host(), id).status(); },
        [&](StoreModel& model) { return model.revoke(Actor::host(), id, "host"); });
  }
  void remove() {
    const std::string id = Choices::some_id(texts_);
    end(
        id, [&](TokenStore& store) { return store.remove(Actor::host(), id).status(); },
        [&](StoreModel& model) { return model.remove(Actor::host(), id); });
  }
  void end(const std::string& id, const std::function<Status(TokenStore&)>& in_store,
           const std::function<Status(StoreModel&)>& in_model) {
    Handle& handle = some_handle();
    const std::uint64_t opened = handle.opened;
    const Status status = change(handle, Commits::one, in_store, in_model);
    if (opened != handle.opened) return;
    if (status == Status::ok || status == Status::not_found) handle.denied.forget(id);
    if (storage_failed(status)) handle.denied.add(id);
  }

  void revoke_all() {
    Handle& handle = some_handle();
    const std::string owner = some_owner();
    const std::uint64_t opened = handle.opened;
    const Status status = change(
        handle, Commits::several, [&](TokenStore& store) { return store.revoke_all(Actor::host(), owner).status(); },
        [&](StoreModel& model) {
          return model.revoke_all(Actor::host(), owner, "host") ? Status::ok : Status::not_found;
        });
    // The owner's record may count it already, whichever of the tokens were marked.
    if (storage_failed(status)) {
      for (const auto& [id, token] : model_.tokens) {
        if (token.owner == owner) maybe_ended_.insert(id);
      }
    }
    if (opened != handle.opened) return;
    if (status == Status::ok) handle.maybe_stopped.erase(owner);
    if (storage_failed(status)) handle.maybe_stopped.insert(owner);
  }

  void purge() {
    Handle& handle = some_handle();
    const UnixMillis before = model_.now - static_cast<UnixMillis>(random_.below(50));
    change(
        handle, Commits::several,
        [&](TokenStore& store) {
          return store.purge(Actor::host(), before, std::chrono::milliseconds(1'000'000)).status();
        },
        [&](StoreModel& model) {
          model.purge(before);
          return Status::ok;
        });
  }

  void change_owner() {
    Handle& handle = some_handle();
    const std::string name = some_owner();
    const OwnerSettings settings{!one_in(4), !one_in(4)};
    const std::uint64_t how = random_.below(3);
    const Actor host = Actor::host();
    const std::uint64_t opened = handle.opened;
    const Status status = change(
        handle, Commits::one,
        [&](TokenStore& store) {
          if (how == 0) return store.suspend(host, name).status();
          return how == 1 ? store.set_owner(host, name, settings).status() : store.resume(host, name).status();
        },
        [&](StoreModel& model) {
          ModelOwner& owner = model.owners[name];
          if (how == 1) owner.settings = settings;
          if (how != 1) owner.suspended = how == 0;
          return Status::ok;
        });
    if (opened != handle.opened) return;
    const bool stops = how == 0 || (how == 1 && !settings.may_use);
    const auto why = how == 1 ? Denied::Stop::may_not_use : Denied::Stop::suspension;
    if (status == Status::ok) handle.denied.forget_owner(name, why);
    if (stops && storage_failed(status)) handle.denied.add_owner(name, why);
  }

  void set_policy() {
    Handle& handle = some_handle();
    const Policy policy = some_policy();
    const std::uint64_t opened = handle.opened;
    const Status status = change(
        handle, Commits::one, [&](TokenStore& store) { return store.set_policy(Actor::host(), policy).status(); },
        [&](StoreModel& model) {
          model.policy = policy;
          return Status::ok;
        });
    if (opened != handle.opened) return;
    if (status == Status::ok) handle.denied.everything = false;
    if (!policy.tokens_enabled && storage_failed(status)) handle.denied.everything = true;
  }

  /// Time passes; now and then somebody sets the wall clock back, which must change nothing.
  void move_clock() {
    for (Handle& handle : handles_) same("now", handle.store->now() == model_.now, true);
    if (one_in(3)) {
      clock_->set_wall(model_.now - static_cast<UnixMillis>(random_.below(100'000)));
    } else {
      const auto passed = static_cast<std::int64_t>(random_.below(one_in(5) ? 500 : 20));
      clock_->advance(passed);
      model_.now += passed;
    }
    for (Handle& handle : handles_) same("now", handle.store->now() == model_.now, true);
  }

  static bool storage_failed(Status status) {
    return status == Status::unavailable || status == Status::storage_full || status == Status::unknown;
  }

  std::uint64_t seed_;
  Wrong wrong_;
  TempDirectory directory_;
  Weather weather_;
  FaultVfs vfs_;
  StoreModel model_{Flaw::none};
  std::set<std::string> maybe_ended_;  ///< ids: a "revoke all" of their owner failed, and may have happened
  std::shared_ptr<FakeClock> clock_;
  std::shared_ptr<SeededRandom> ids_;
  std::string path_;
  std::array<Handle, 2> handles_;
  std::map<std::string, std::string> texts_;  ///< of every token ever issued, by id
  std::vector<Ghost> ghosts_;
  std::string difference_;
  int step_ = 0;
  int failures_ = 0;
};

struct Ran {
  std::string difference;
  int failures = 0;
};

Ran run(std::uint64_t seed, int steps, Wrong wrong = Wrong::nothing) {
  Program program(seed, wrong);
  program.run(steps);
  return {program.difference(), program.failures()};
}

}  // namespace

TEST_CASE("a random program of calls, faults, crashes and clock moves gives what the model gives") {
  const int first = count_from("TOKENSTORE_MODEL_SEED", 1);
  const int seeds = count_from("TOKENSTORE_MODEL_SEEDS", 20);
  int failures = 0;
  for (int seed = first; seed < first + seeds; ++seed) {
    const Ran ran = run(static_cast<std::uint64_t>(seed), count_from("TOKENSTORE_MODEL_STEPS", 200));
    CHECK(ran.difference.empty());
    if (!ran.difference.empty()) WARN(ran.difference);
    failures += ran.failures;
  }
  CHECK(failures > seeds);  // the weather is bad enough to be noticed
}

TEST_CASE(
    "control: a crash that loses acknowledged changes, a failed ending that does not deny and a failure that is "
    "taken for done are found out") {
  for (const Wrong wrong :
       {Wrong::a_crash_loses_the_wal, Wrong::failed_endings_do_not_deny, Wrong::failures_are_done}) {
    INFO("wrong " << static_cast<int>(wrong));
    bool found = false;
    for (std::uint64_t seed = 1; seed <= 20 && !found; ++seed) found = !run(seed, 200, wrong).difference.empty();
    CHECK(found);
  }
}
