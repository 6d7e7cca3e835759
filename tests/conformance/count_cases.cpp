// Counts and ended tokens, against plain code.
#include <algorithm>
#include <map>

#include "trial.hpp"

namespace tokenstore::conformance {
namespace {

const std::vector<UnixMillis>& times() {
  static const std::vector<UnixMillis> all = {time_min, -5, 0, 1, 99, 100, 101, 5'000, time_max - 1, time_max};
  return all;
}

std::vector<TokenRecord> random_tokens(Trial& trial, std::size_t count) {
  const auto some = [&] { return times()[trial.pick(times().size())]; };
  std::vector<TokenRecord> tokens;
  for (std::uint64_t number = 0; number < count; ++number) {
    TokenRecord token = token_of(number, trial.pick(3) == 0 ? "alice" : "bob");
    token.not_before = some();
    token.expires_at = some();
    if (trial.pick(3) == 0) token.revoked_at = some();
    tokens.push_back(token);
  }
  return tokens;
}

void put_all(Trial& trial, Backend& backend, const std::vector<TokenRecord>& tokens) {
  std::vector<Mutation> batch;
  for (const TokenRecord& token : tokens) batch.push_back(put_new(token));
  must_commit(trial, backend, batch);
}

void counts_equal_a_model(Trial& trial) {
  const auto backend = trial.open();
  std::vector<TokenRecord> tokens = random_tokens(trial, 300);
  put_all(trial, *backend, tokens);
  for (int round = 0; round < 2; ++round) {
    for (const UnixMillis now : times()) {
      for (const std::string owner : {"", "alice", "bob", "nobody"}) {
        std::map<TokenQuery::State, std::uint64_t> expected;
        std::uint64_t live = 0;
        for (const TokenRecord& token : tokens) {
          if (!owner.empty() && token.owner != owner) continue;
          ++expected[state_at(token, now)];
          if (token.ends_at() > now) ++live;
        }
        const TokenCounts counts = VALUE(trial, backend->count_tokens(home, owner, now));
        EQUAL(trial, counts.active, expected[TokenQuery::State::active]);
        EQUAL(trial, counts.pending, expected[TokenQuery::State::pending]);
        EQUAL(trial, counts.expired, expected[TokenQuery::State::expired]);
        EQUAL(trial, counts.revoked, expected[TokenQuery::State::revoked]);
        if (owner.empty()) continue;
        for (const std::uint64_t at_most : {std::uint64_t{0}, std::uint64_t{1}, live - (live > 0 ? 1U : 0U), live,
                                            live + 1, std::numeric_limits<std::uint64_t>::max()}) {
          EQUAL(trial, VALUE(trial, backend->count_live(home, owner, now, at_most)), std::min(live, at_most));
        }
      }
    }
    // Once more after every record has changed its times.
    std::vector<Mutation> batch;
    const std::vector<TokenRecord> others = random_tokens(trial, tokens.size());
    for (std::size_t at = 0; at < tokens.size(); ++at) {
      tokens[at] = next_of(tokens[at]);
      tokens[at].not_before = others[at].not_before;
      tokens[at].expires_at = others[at].expires_at;
      tokens[at].revoked_at = others[at].revoked_at;
      batch.push_back(replace(tokens[at]));
    }
    if (round == 0) must_commit(trial, *backend, batch);
  }
}

void live_is_strict(Trial& trial) {
  const auto backend = trial.open();
  TokenRecord token = token_of(1);
  token.expires_at = 100;
  TokenRecord revoked = token_of(2);
  revoked.expires_at = time_max;
  revoked.revoked_at = 50;
  put_all(trial, *backend, {token, revoked});
  const auto live = [&](UnixMillis now) { return VALUE(trial, backend->count_live(home, "alice", now, 10)); };
  EQUAL(trial, live(49), std::uint64_t{2});
  EQUAL(trial, live(50), std::uint64_t{1});
  EQUAL(trial, live(99), std::uint64_t{1});
  EQUAL(trial, live(100), std::uint64_t{0});
  TokenRecord endless = token_of(3);
  endless.expires_at = time_max;
  put_all(trial, *backend, {endless});
  EQUAL(trial, live(time_max - 1), std::uint64_t{1});
  EQUAL(trial, live(time_max), std::uint64_t{0});
}

void ended_in_order(Trial& trial) {
  const auto backend = trial.open();
  std::vector<TokenRecord> tokens = random_tokens(trial, 200);
  put_all(trial, *backend, tokens);
  tokens[3] = next_of(tokens[3]);
  tokens[3].expires_at = -7;
  must_commit(trial, *backend, {replace(tokens[3])});
  std::map<std::string, TokenRecord> by_id;
  for (const TokenRecord& token : tokens) by_id[token.id] = token;
  for (const UnixMillis before : times()) {
    const auto expected = static_cast<std::size_t>(std::count_if(
        tokens.begin(), tokens.end(), [&](const TokenRecord& token) { return token.ends_at() < before; }));
    for (const std::size_t limit : {std::size_t{0}, std::size_t{1}, expected - (expected > 0 ? 1U : 0U), expected,
                                    expected + 1, std::numeric_limits<std::size_t>::max()}) {
      const auto ended = VALUE(trial, backend->list_ended(home, before, limit));
      EQUAL(trial, ended.size(), std::min(limit, expected));
      std::set<std::string> seen;
      UnixMillis last = time_min;
      for (const EndedToken& one : ended) {
        const TokenRecord& token = by_id[one.id];
        EQUAL(trial, one.revision, token.revision);
        HOLDS(trial, token.ends_at() < before);
        HOLDS(trial, token.ends_at() >= last);
        HOLDS(trial, seen.insert(one.id).second);
        last = token.ends_at();
      }
      // None that ended earlier than the last one given was left out.
      if (limit != 0 && limit < expected) {
        const auto earlier = std::count_if(tokens.begin(), tokens.end(),
                                           [&](const TokenRecord& token) { return token.ends_at() < last; });
        HOLDS(trial, static_cast<std::size_t>(earlier) < limit);
      }
    }
  }
}

void purge_by_ended(Trial& trial) {
  const auto backend = trial.open();
  const std::vector<TokenRecord> tokens = random_tokens(trial, 200);
  put_all(trial, *backend, tokens);
  for (;;) {
    const auto ended = VALUE(trial, backend->list_ended(home, 101, 13));
    if (ended.empty()) break;
    std::vector<Mutation> batch;
    for (const EndedToken& one : ended) batch.push_back(Mutation::remove_token(one.id, one.revision));
    must_commit(trial, *backend, batch);
  }
  std::vector<std::string> left;
  for (const TokenRecord& token : tokens) {
    if (token.ends_at() >= 101) left.push_back(token.id);
  }
  std::reverse(left.begin(), left.end());
  EQUAL(trial, ids_of(list_all(trial, *backend, {})), left);
}

}  // namespace

void add_count_cases(std::vector<Case>& cases) {
  cases.push_back({"counts equal those of plain code", counts_equal_a_model});
  cases.push_back({"a token is live while its end lies ahead and not at its end", live_is_strict});
  cases.push_back({"ended tokens come longest ended first and strictly before the time", ended_in_order});
  cases.push_back({"removing ended tokens slice by slice leaves exactly the others", purge_by_ended});
}

}  // namespace tokenstore::conformance
