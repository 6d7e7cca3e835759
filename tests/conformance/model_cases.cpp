// A random program of calls, against plain maps.
#include <algorithm>
#include <map>

#include "trial.hpp"

namespace tokenstore::conformance {
namespace {

/// What a workspace holds, in the plainest way.
struct Plain {
  std::map<std::string, TokenRecord> tokens;
  std::map<std::string, OwnerRecord> owners;
  std::map<std::string, WorkspaceRecord> settings;
  std::uint64_t revision = 0;

  RecordRevision at(RecordKind kind, const std::string& key) const {
    if (kind == RecordKind::token) return tokens.contains(key) ? tokens.at(key).revision : 0;
    if (kind == RecordKind::owner) return owners.contains(key) ? owners.at(key).revision : 0;
    return settings.contains(key) ? settings.at(key).revision : 0;
  }

  bool apply(const std::vector<Mutation>& batch) {
    for (const Mutation& one : batch) {
      if (at(one.kind, one.key) != one.expected) return false;
    }
    for (const Mutation& one : batch) {
      if (one.action == Mutation::Action::check) continue;
      if (one.action == Mutation::Action::remove) {
        tokens.erase(one.key);
      } else if (const auto* token = std::get_if<TokenRecord>(&one.record)) {
        TokenRecord next = *token;
        if (const auto old = tokens.find(one.key); old != tokens.end()) {
          next.last_used_at = old->second.last_used_at;
          next.last_used_from = old->second.last_used_from;
        }
        tokens[one.key] = next;
      } else if (const auto* owner = std::get_if<OwnerRecord>(&one.record)) {
        owners[one.key] = *owner;
      } else {
        settings[one.key] = std::get<WorkspaceRecord>(one.record);
      }
    }
    return true;
  }
};

class Program {
 public:
  Program(Trial& trial, Backend& backend) : trial_(trial), backend_(backend) {}

  void step() {
    const std::string workspace = trial_.pick(4) == 0 ? "second" : home;
    Plain& plain = plain_[workspace];
    switch (trial_.pick(10)) {
      case 0:
        use(workspace, plain);
        break;
      case 1:
        look(workspace, plain);
        break;
      case 2:
        list(workspace, plain);
        break;
      default:
        change(workspace, plain);
    }
  }

  void compare_all() {
    for (auto& [workspace, plain] : plain_) {
      std::vector<TokenRecord> expected;
      for (const auto& [id, token] : plain.tokens) expected.push_back(token);
      std::reverse(expected.begin(), expected.end());
      const auto listed = list_all(trial_, backend_, {}, workspace);
      HOLDS(trial_, std::equal(listed.begin(), listed.end(), expected.begin(), expected.end(),
                               [](const TokenRecord& a, const TokenRecord& b) { return same(a, b); }));
      const auto owners = VALUE(trial_, backend_.list_owners(workspace, "", 1'000)).owners;
      HOLDS(trial_, std::equal(owners.begin(), owners.end(), plain.owners.begin(), plain.owners.end(),
                               [](const auto& a, const auto& b) { return same(a, b.second); }));
      EQUAL(trial_, VALUE(trial_, backend_.changes(workspace, 0)).revision, plain.revision);
    }
  }

 private:
  UnixMillis some_time() { return static_cast<UnixMillis>(trial_.pick(50)); }
  std::string some_owner() { return std::string(1, static_cast<char>('a' + trial_.pick(4))); }

  Mutation some_step(const std::string& workspace, const Plain& plain) {
    const bool right = trial_.pick(12) != 0;
    const auto expected = [&](RecordKind kind, const std::string& key) {
      return right ? plain.at(kind, key) : RecordRevision{trial_.pick(4)};
    };
    const std::size_t what = trial_.pick(12);
    const std::string id = id_of(trial_.pick(30));
    if (what < 6) {
      const RecordRevision from = expected(RecordKind::token, id);
      TokenRecord token = token_of(trial_.random() % 1'000, some_owner());
      token.id = id;
      token.revision = from + 1;
      token.not_before = some_time();
      token.expires_at = trial_.pick(5) == 0 ? time_max : some_time();
      if (trial_.pick(4) == 0) token.expired_at = some_time();
      if (trial_.pick(3) == 0) token.revoked_at = some_time();
      return Mutation::put(token, from);
    }
    if (what < 8) {
      // A removal expects a token that is there.
      return Mutation::remove_token(id, std::max<RecordRevision>(1, expected(RecordKind::token, id)));
    }
    if (what == 8) return Mutation::check(RecordKind::token, id, expected(RecordKind::token, id));
    if (what == 9) {
      const RecordRevision from = expected(RecordKind::workspace, workspace);
      WorkspaceRecord settings = workspace_of(workspace);
      settings.revision = from + 1;
      settings.default_lifetime = static_cast<std::int64_t>(trial_.pick(1'000));
      return Mutation::put(settings, from);
    }
    OwnerRecord owner = owner_of(some_owner());
    const RecordRevision from = expected(RecordKind::owner, owner.owner);
    if (what == 10) return Mutation::check(RecordKind::owner, owner.owner, from);
    owner.revision = from + 1;
    owner.may_use = trial_.pick(2) == 0;
    return Mutation::put(owner, from);
  }

  void change(const std::string& workspace, Plain& plain) {
    std::vector<Mutation> batch;
    std::set<std::string> touched;
    for (std::size_t steps = 1 + trial_.pick(3); steps > 0; --steps) {
      Mutation one = some_step(workspace, plain);
      if (touched.insert(name_of(one.kind, one.key)).second) batch.push_back(std::move(one));
    }
    const std::uint64_t before = plain.revision;
    const bool committed = plain.apply(batch);
    const bool announced = trial_.pick(3) != 0;
    const Bytes32 link = VALUE(trial_, backend_.changes(workspace, before)).link;
    const CommitResult result =
        announced ? commit_announced(backend_, batch, workspace) : commit_unannounced(backend_, batch, workspace);
    if (committed && announced) ++plain.revision;
    EQUAL(trial_, result.outcome, committed ? CommitOutcome::committed : CommitOutcome::conflict);
    if (committed) EQUAL(trial_, result.revision, plain.revision);
    const Changes changes = VALUE(trial_, backend_.changes(workspace, before));
    EQUAL(trial_, changes.revision, plain.revision);
    if (changes.everything || before == plain.revision) return;
    HOLDS(trial_, is_linked(changes, before, link));
    const std::set<std::string> named = names_in(changes);
    for (const Mutation& one : batch) {
      if (one.action != Mutation::Action::check) HOLDS(trial_, named.contains(name_of(one.kind, one.key)));
    }
  }

  void use(const std::string& workspace, Plain& plain) {
    std::vector<Use> uses;
    for (std::size_t count = trial_.pick(4); count > 0; --count) {
      const Use use = {id_of(trial_.pick(35)), ++use_time_ - static_cast<UnixMillis>(trial_.pick(2) * 40),
                       shown(trial_.pick(1'000))};
      uses.push_back(use);
      const auto token = plain.tokens.find(use.id);
      if (token == plain.tokens.end() || token->second.last_used_at > use.used_at) continue;
      if (token->second.last_used_at == use.used_at) {
        uses.pop_back();  // which of two uses at the same time stays is not said
        continue;
      }
      token->second.last_used_at = use.used_at;
      token->second.last_used_from = use.used_from;
    }
    VALUE(trial_, backend_.record_uses(workspace, uses));
  }

  void look(const std::string& workspace, const Plain& plain) {
    const std::string id = id_of(trial_.pick(30));
    const auto token = VALUE(trial_, backend_.load_token(workspace, id));
    const auto expected = plain.tokens.find(id);
    if (HOLDS(trial_, token.has_value() == (expected != plain.tokens.end())) && token) {
      HOLDS(trial_, same(*token, expected->second));
    }
    const UnixMillis now = some_time();
    const std::string owner = some_owner();
    std::uint64_t live = 0;
    std::size_t ended = 0;
    for (const auto& [key, one] : plain.tokens) {
      if (one.owner == owner && one.ends_at() > now) ++live;
      if (one.ends_at() < now) ++ended;
    }
    EQUAL(trial_, VALUE(trial_, backend_.count_live(workspace, owner, now, 1'000)), live);
    EQUAL(trial_, VALUE(trial_, backend_.list_ended(workspace, now, 1'000)).size(), ended);
  }

  void list(const std::string& workspace, const Plain& plain) {
    TokenQuery query;
    query.now = some_time();
    query.limit = 1 + trial_.pick(10);
    query.scan_limit = 1 + trial_.pick(40);
    query.state = static_cast<TokenQuery::State>(trial_.pick(5));
    if (trial_.pick(2) == 0) query.owner = some_owner();
    if (trial_.pick(3) == 0) query.text = shown(trial_.pick(10));
    if (trial_.pick(2) == 0) query.before_id = id_of(trial_.pick(32));
    std::vector<std::string> expected;
    for (auto at = plain.tokens.rbegin(); at != plain.tokens.rend(); ++at) {
      const TokenRecord& token = at->second;
      if (!query.before_id.empty() && token.id >= query.before_id) continue;
      if (!query.owner.empty() && token.owner != query.owner) continue;
      if (query.state != TokenQuery::State::any && state_at(token, query.now) != query.state) continue;
      if (contains_text(token.description, query.text)) expected.push_back(token.id);
    }
    EQUAL(trial_, ids_of(list_all(trial_, backend_, query, workspace)), expected);
  }

  Trial& trial_;
  Backend& backend_;
  std::map<std::string, Plain> plain_;
  UnixMillis use_time_ = 1'000;
};

void random_program(Trial& trial) {
  const auto backend = trial.open_bare();
  Program program(trial, *backend);
  for (std::size_t step = 0; step < trial.steps(3'000) && !trial.failed(); ++step) {
    program.step();
    if (step % 250 == 0) program.compare_all();
  }
  program.compare_all();
  if (trial.failed()) {
    trial.check(false, __FILE__, __LINE__, "the program of seed " + std::to_string(trial.effort.seed) + " failed");
  }
}

}  // namespace

void add_model_cases(std::vector<Case>& cases) {
  cases.push_back({"a random program of calls gives what plain maps give", random_program});
}

}  // namespace tokenstore::conformance
