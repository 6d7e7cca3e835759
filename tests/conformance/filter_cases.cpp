// Filters of the token list: state at exact times, literal text, and the bound on what is looked at.
#include <algorithm>

#include "trial.hpp"

namespace tokenstore::conformance {
namespace {

using State = TokenQuery::State;
constexpr State states[] = {State::any, State::active, State::pending, State::expired, State::revoked};

std::vector<std::string> matching(const std::vector<TokenRecord>& tokens, const TokenQuery& query) {
  std::vector<std::string> ids;
  for (const TokenRecord& token : tokens) {
    if (!query.owner.empty() && token.owner != query.owner) continue;
    if (query.state != State::any && state_at(token, query.now) != query.state) continue;
    if (!contains_text(token.description, query.text)) continue;
    ids.push_back(token.id);
  }
  std::sort(ids.rbegin(), ids.rend());
  return ids;
}

void exact_times(Trial& trial) {
  const auto backend = trial.open();
  const std::vector<UnixMillis> times = {time_min, -1, 0, 999, 1'000, 1'001, time_max - 1, time_max};
  std::vector<TokenRecord> tokens;
  std::vector<Mutation> batch;
  for (const UnixMillis not_before : times) {
    for (const UnixMillis expires : times) {
      for (const UnixMillis revoked : {time_max, UnixMillis{1'000}, time_max - 1}) {
        TokenRecord token = token_of(tokens.size(), tokens.size() % 3 == 0 ? "alice" : "bob");
        token.not_before = not_before;
        token.expires_at = expires;
        token.revoked_at = revoked;
        tokens.push_back(token);
        batch.push_back(put_new(token));
      }
    }
  }
  must_commit(trial, *backend, batch);
  for (const UnixMillis now : times) {
    for (const State state : states) {
      for (const std::string owner : {"", "alice"}) {
        TokenQuery query;
        query.now = now;
        query.state = state;
        query.owner = owner;
        query.limit = 17;
        EQUAL(trial, ids_of(list_all(trial, *backend, query)), matching(tokens, query));
      }
    }
  }
}

/// The boundaries once more, in words, so that a mistake in the model above would show.
void boundaries(Trial& trial) {
  const auto backend = trial.open();
  TokenRecord token = token_of(1);
  token.not_before = 1'000;
  token.expires_at = 2'000;
  must_commit(trial, *backend, {put_new(token)});
  const auto is = [&](State state, UnixMillis now) {
    TokenQuery query;
    query.state = state;
    query.now = now;
    return list_all(trial, *backend, query).size() == 1;
  };
  HOLDS(trial, is(State::pending, 999) && !is(State::active, 999));
  HOLDS(trial, is(State::active, 1'000) && !is(State::pending, 1'000));
  HOLDS(trial, is(State::active, 1'999) && !is(State::expired, 1'999));
  HOLDS(trial, is(State::expired, 2'000) && !is(State::active, 2'000));
  token = next_of(token);
  token.revoked_at = 2'500;
  must_commit(trial, *backend, {replace(token)});
  HOLDS(trial, is(State::revoked, 3'000) && !is(State::expired, 3'000));
  HOLDS(trial, is(State::revoked, 1'500) && !is(State::active, 1'500));
  TokenRecord endless = token_of(2);
  endless.expires_at = time_max;
  must_commit(trial, *backend, {put_new(endless), Mutation::remove_token(token.id, 2)});
  HOLDS(trial, is(State::active, time_max - 1) && !is(State::expired, time_max - 1));
}

std::string with_nul(std::string_view before, std::string_view after) {
  std::string text(before);
  text += '\0';
  return text.append(after);
}

void literal_text(Trial& trial) {
  const auto backend = trial.open();
  const std::vector<std::string> descriptions = {"",
                                                 "plain",
                                                 "Plain",
                                                 "100% sure",
                                                 "100 sure",
                                                 "a_b",
                                                 "aXb",
                                                 "it's",
                                                 "its",
                                                 "say \"hi\"",
                                                 "back\\slash",
                                                 "backslash",
                                                 "50%_%",
                                                 "*",
                                                 "?",
                                                 "[a-z]",
                                                 "a",
                                                 "Z",
                                                 "\xc3\x89t\xc3\xa9",
                                                 "\xc3\xa9t\xc3\xa9",
                                                 "\xe2\x84\xaa",
                                                 "k",
                                                 with_nul("left", "right"),
                                                 "left",
                                                 "right",
                                                 with_nul("", "x"),
                                                 with_nul("PLAIN", "plain"),
                                                 "tab\ttab",
                                                 "ss",
                                                 "\xc3\x9f",
                                                 "  two  spaces ",
                                                 std::string(1024, 'q'),
                                                 std::string(1023, 'q') + "W",
                                                 "'; drop table tokens; --",
                                                 "\xff\xfe",
                                                 "\x80"};
  std::vector<TokenRecord> tokens;
  std::vector<Mutation> batch;
  for (const std::string& description : descriptions) {
    TokenRecord token = token_of(tokens.size());
    token.description = description;
    tokens.push_back(token);
    batch.push_back(put_new(token));
  }
  must_commit(trial, *backend, batch);
  std::vector<std::string> asked = descriptions;
  const std::vector<std::string> more = {"%",    "_",        "%%",   "__",   "\\",
                                         "\\%",  "\\_",      "'",    "''",   "\"",
                                         "LAIN", "pLaIn",    "A_B",  "IT'S", with_nul("", ""),
                                         "ft",   "\xc3\xa9", "\xc3", "K",    "SS",
                                         "[a",   "nowhere",  " ",    "QW",   std::string(1025, 'q'),
                                         "x"};
  asked.insert(asked.end(), more.begin(), more.end());
  for (const std::string& text : asked) {
    TokenQuery query;
    query.text = text;
    const auto found = ids_of(list_all(trial, *backend, query));
    const auto expected = matching(tokens, query);
    if (found != expected) {
      trial.check(false, __FILE__, __LINE__,
                  "for text " + shown(text) + " the list has " + shown(found) + ", expected " + shown(expected));
    }
  }
}

/// Pages through a filter; each step looks at no more than it may, and all that matches is reached.
void walk_bounded(Trial& trial, Backend& backend, TokenQuery query, const std::vector<std::string>& candidates,
                  const std::vector<std::string>& expected) {
  std::vector<std::string> seen;
  std::size_t at = 0;
  for (;;) {
    const TokenList list = VALUE(trial, backend.list_tokens(home, query));
    for (const TokenRecord& token : list.tokens) seen.push_back(token.id);
    if (list.next_before_id.empty()) {
      HOLDS(trial, candidates.size() - at <= query.scan_limit);
      break;
    }
    const auto next = std::find(candidates.begin(), candidates.end(), list.next_before_id);
    if (!HOLDS(trial, next != candidates.end())) break;
    const std::size_t looked_up_to = static_cast<std::size_t>(next - candidates.begin()) + 1;
    HOLDS(trial, looked_up_to - at <= query.scan_limit);
    if (!HOLDS(trial, looked_up_to > at)) break;
    at = looked_up_to;
    query.before_id = list.next_before_id;
  }
  EQUAL(trial, seen, expected);
}

void bounded_scan(Trial& trial) {
  const auto backend = trial.open();
  std::vector<Mutation> batch;
  std::vector<std::string> all;
  std::vector<std::string> alices;
  std::vector<std::string> rare;
  for (std::uint64_t number = 500; number > 0; --number) {
    TokenRecord token = token_of(number, number % 5 == 0 ? "alice" : "bob");
    if (number % 97 == 0 || number % 125 == 0) token.description = "a Needle in here";
    if (number == 7) token.revoked_at = 5;
    all.push_back(token.id);
    if (token.owner == "alice") alices.push_back(token.id);
    if (token.description != "token " + std::to_string(number)) rare.push_back(token.id);
    batch.push_back(put_new(token));
  }
  must_commit(trial, *backend, batch);
  std::vector<std::string> rare_alices;
  std::set_intersection(rare.begin(), rare.end(), alices.begin(), alices.end(), std::back_inserter(rare_alices),
                        std::greater<>());
  HOLDS(trial, !rare_alices.empty());
  for (const std::size_t scan_limit : {1U, 2U, 10U, 97U, 499U, 500U, 501U}) {
    TokenQuery query;
    query.scan_limit = scan_limit;
    query.text = "nEEDLE";
    walk_bounded(trial, *backend, query, all, rare);
    query.owner = "alice";
    walk_bounded(trial, *backend, query, alices, rare_alices);
    query.owner.clear();
    query.text = "not there";
    walk_bounded(trial, *backend, query, all, {});
    query.text.clear();
    // A backend may have an order of its own for a state, and then looks at fewer.
    query.state = TokenQuery::State::revoked;
    EQUAL(trial, ids_of(list_all(trial, *backend, query)), std::vector<std::string>{id_of(7)});
    query.state = TokenQuery::State::any;
    query.limit = 1'000;
    walk_bounded(trial, *backend, query, all, all);
    query.limit = 3;
    walk_bounded(trial, *backend, query, all, all);
  }
}

void literal_owner(Trial& trial) {
  const auto backend = trial.open();
  const std::vector<std::string> owners = {"a",
                                           "A",
                                           "a%",
                                           "a_",
                                           "ab",
                                           "%",
                                           "_",
                                           "a'",
                                           "a\"",
                                           "a\\",
                                           "a ",
                                           " a",
                                           "aa",
                                           with_nul("a", ""),
                                           with_nul("a", "b"),
                                           "\xc3\xa9",
                                           "e\xcc\x81"};
  std::vector<TokenRecord> tokens;
  std::vector<Mutation> batch;
  for (const std::string& owner : owners) {
    for (int count = 0; count < 3; ++count) {
      TokenRecord token = token_of(tokens.size() * 7 % 101, owner);
      tokens.push_back(token);
      batch.push_back(put_new(token));
    }
  }
  must_commit(trial, *backend, batch);
  for (const std::string& owner : owners) {
    TokenQuery query;
    query.owner = owner;
    query.limit = 2;
    EQUAL(trial, ids_of(list_all(trial, *backend, query)), matching(tokens, query));
    EQUAL(trial, VALUE(trial, backend->count_live(home, owner, 0, 100)), std::uint64_t{3});
    EQUAL(trial, VALUE(trial, backend->count_tokens(home, owner, 999'999)).active, std::uint64_t{3});
  }
}

}  // namespace

void add_filter_cases(std::vector<Case>& cases) {
  cases.push_back({"each state is listed at exact times up to the ends of the range", exact_times});
  cases.push_back({"a token is active from its not-before and expired from its end", boundaries});
  cases.push_back({"text is searched literally and in either case of ASCII letters alone", literal_text});
  cases.push_back({"an owner filter is literal", literal_owner});
  cases.push_back({"a list looks at no more records than it may and still reaches everything", bounded_scan});
}

}  // namespace tokenstore::conformance
