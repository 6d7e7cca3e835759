// The change feed: complete from any revision that it still knows, and honest about the others.
#include <algorithm>
#include <map>
#include <thread>

#include "trial.hpp"

namespace tokenstore::conformance {
namespace {

/// A random batch over a few records whose revisions it keeps track of, and the names it changes.
class Churn {
 public:
  explicit Churn(Trial& trial) : trial_(trial) {}

  std::vector<Mutation> next(std::set<std::string>& changed) {
    std::vector<Mutation> batch;
    const std::size_t steps = 1 + trial_.pick(4);
    while (batch.size() < steps) {
      const std::uint64_t number = trial_.pick(12);
      if (trial_.pick(4) == 0) {
        OwnerRecord owner = owner_of(id_of(number));  // the name of a token, to tell the kinds apart
        RecordRevision& at = owners_[owner.owner];
        if (!changed.insert(name_of(RecordKind::owner, owner.owner)).second) continue;
        owner.revision = at + 1;
        batch.push_back(Mutation::put(owner, at++));
        continue;
      }
      TokenRecord token = token_of(number);
      RecordRevision& at = tokens_[token.id];
      if (!changed.insert(name_of(RecordKind::token, token.id)).second) continue;
      if (at != 0 && trial_.pick(3) == 0) {
        batch.push_back(Mutation::remove_token(token.id, at));
        at = 0;
      } else {
        token.revision = at + 1;
        batch.push_back(Mutation::put(token, at++));
      }
    }
    return batch;
  }

 private:
  Trial& trial_;
  std::map<std::string, RecordRevision> tokens_;
  std::map<std::string, RecordRevision> owners_;
};

void feed_is_complete(Trial& trial) {
  const auto backend = trial.open();
  Churn churn(trial);
  std::vector<std::set<std::string>> changed_by = {{}, {name_of(RecordKind::workspace, home)}};  // by revision
  std::vector<Bytes32> links = {Bytes32{}, VALUE(trial, backend->changes(home, 1)).link};
  const auto audit = [&](std::uint64_t after) {
    const Changes changes = VALUE(trial, backend->changes(home, after));
    EQUAL(trial, changes.revision, std::uint64_t{changed_by.size() - 1});
    if (changes.everything) {
      HOLDS(trial, !trial.traits.has_feed);
      return;
    }
    HOLDS(trial, changes.complete_from <= after);
    HOLDS(trial, is_linked(changes, after, links[after]));
    const std::set<std::string> named = names_in(changes);
    for (std::size_t revision = after + 1; revision < changed_by.size(); ++revision) {
      for (const std::string& name : changed_by[revision]) {
        if (!named.contains(name)) trial.check(false, __FILE__, __LINE__, "the feed does not name " + name);
      }
    }
  };
  for (std::size_t round = 0; round < trial.steps(200); ++round) {
    std::set<std::string> changed;
    const auto batch = churn.next(changed);
    must_commit(trial, *backend, batch);
    changed_by.push_back(changed);
    links.push_back(VALUE(trial, backend->changes(home, changed_by.size() - 1)).link);
    audit(changed_by.size() - 2);
    audit(trial.pick(changed_by.size()));
  }
  for (std::size_t after = 0; after < changed_by.size(); ++after) audit(after);
}

void feed_is_quiet(Trial& trial) {
  const auto backend = trial.open();
  must_commit(trial, *backend, {put_new(token_of(1)), put_new(owner_of("alice"))});
  const std::uint64_t revision = VALUE(trial, backend->changes(home, 0)).revision;
  EQUAL(trial, commit(*backend, {put_new(token_of(1))}).outcome, CommitOutcome::conflict);
  must_commit(trial, *backend, {Mutation::check(RecordKind::token, id_of(1), 1)});
  const Changes changes = VALUE(trial, backend->changes(home, revision));
  EQUAL(trial, changes.revision, revision);
  HOLDS(trial, !changes.everything);
  HOLDS(trial, changes.entries.empty());
}

/// Whatever was announced, and never "nothing", when the reader is far behind.
void too_far_behind(Trial& trial) {
  const auto backend = trial.open();
  const std::uint64_t last = 1 + trial.traits.feed_bound + 1;
  std::vector<Bytes32> links = {Bytes32{}};
  // Empty batches suffice: it is the announcements that are counted.
  for (std::uint64_t revision = 1; revision < last; ++revision) {
    links.push_back(VALUE(trial, backend->changes(home, revision)).link);
    if (!HOLDS(trial, commit_announced(*backend, {}).outcome == CommitOutcome::committed)) return;
  }
  links.push_back(VALUE(trial, backend->changes(home, last)).link);
  for (int calls = 0; calls < 1000 && VALUE(trial, backend->maintain(std::chrono::milliseconds{50})); ++calls) {
  }
  const Changes behind = VALUE(trial, backend->changes(home, 0));
  HOLDS(trial, behind.everything);
  EQUAL(trial, behind.revision, last);
  HOLDS(trial, behind.link == links.back());
  const std::uint64_t from = behind.complete_from;
  HOLDS(trial, from > 0 && from < last);

  // From everywhere else: everything, or all of it. Exactly where the feed says that it is complete.
  std::vector<std::uint64_t> asked = {1, from - 1, from, from + 1, last - 1, last};
  for (int count = 0; count < 20; ++count) asked.push_back(1 + trial.pick(last));
  for (const std::uint64_t after : asked) {
    const Changes changes = VALUE(trial, backend->changes(home, after));
    EQUAL(trial, changes.everything, after < from);
    if (!changes.everything) HOLDS(trial, is_linked(changes, after, links[after]));
  }
}

void revision_ahead(Trial& trial) {
  const auto backend = trial.open();
  must_commit(trial, *backend, {put_new(token_of(1))});
  for (const std::uint64_t ahead : {std::uint64_t{3}, std::uint64_t{1'000'000}, std::uint64_t{1} << 62}) {
    const Changes changes = VALUE(trial, backend->changes(home, ahead));
    HOLDS(trial, changes.everything);
    EQUAL(trial, changes.revision, std::uint64_t{2});
  }
}

/// A mirror that only loads what the feed names must end up equal to the storage.
void follow(Trial& trial, Backend& writer, Backend& followed) {
  std::atomic<bool> done{false};
  std::map<std::string, RecordRevision> mirror;
  std::uint64_t revision = 0;
  Bytes32 link{};
  const auto catch_up = [&] {
    const auto changes = followed.changes(home, revision);
    if (!HOLDS(trial, changes.ok() && changes->revision >= revision)) return;
    std::set<std::string> ids;
    if (changes->everything) {
      mirror.clear();
      for (std::uint64_t number = 0; number < 12; ++number) ids.insert(id_of(number));
    }
    const std::string tokens = name_of(RecordKind::token, "");
    for (const std::string& name : names_in(*changes)) {
      if (name.starts_with(tokens)) ids.insert(name.substr(tokens.size()));
    }
    if (!changes->everything) HOLDS(trial, is_linked(*changes, revision, link));
    link = changes->link;
    for (const std::string& id : ids) {
      const auto token = followed.load_token(home, id);
      if (!HOLDS(trial, token.ok())) return;
      if (*token) {
        mirror[id] = (*token)->revision;
      } else {
        mirror.erase(id);
      }
    }
    revision = changes->revision;
  };
  std::thread follower([&] {
    while (!done.load()) catch_up();
  });
  Churn churn(trial);
  for (std::size_t round = 0; round < trial.steps(400); ++round) {
    std::set<std::string> changed;
    const auto batch = churn.next(changed);
    if (!HOLDS(trial, commit(writer, batch).outcome == CommitOutcome::committed)) break;
  }
  done.store(true);
  follower.join();
  catch_up();
  std::map<std::string, RecordRevision> stored;
  for (const TokenRecord& token : list_all(trial, followed, {})) stored[token.id] = token.revision;
  HOLDS(trial, mirror == stored);
}

void follow_in_thread(Trial& trial) {
  const auto backend = trial.open();
  follow(trial, *backend, *backend);
}

void follow_other_handle(Trial& trial) {
  const auto writer = trial.open();
  const auto followed = trial.reopen();
  follow(trial, *writer, *followed);
}

/// Sealed entries are octets of any kind and size.
void entries_come_back(Trial& trial) {
  struct Given final : Announcement {
    std::string text;
    std::string_view entry() const noexcept override { return text; }
    Bytes32 link(std::uint64_t revision, const Bytes32& previous) const noexcept override {
      Bytes32 link = previous;
      for (std::uint8_t& octet : link) octet = static_cast<std::uint8_t>(octet * 3 + revision + text.size() + 0x80);
      return link;
    }
  };
  const auto backend = trial.open();
  Changes before = VALUE(trial, backend->changes(home, 1));
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{255}, std::size_t{70'000}}) {
    Given given;
    for (std::size_t at = 0; at < size; ++at) given.text += static_cast<char>(static_cast<unsigned char>(at % 256));
    EQUAL(trial, backend->commit(home, {}, &given).outcome, CommitOutcome::committed);
    const Changes after = VALUE(trial, backend->changes(home, before.revision));
    HOLDS(trial, after.link == given.link(before.revision + 1, before.link));
    if (!after.everything && HOLDS(trial, after.entries.size() == 1)) {
      HOLDS(trial, after.entries[0].text == given.text);
      HOLDS(trial, after.entries[0].link == after.link);
      EQUAL(trial, after.entries[0].revision, before.revision + 1);
    }
    before = after;
  }
}

}  // namespace

void add_feed_cases(std::vector<Case>& cases) {
  cases.push_back({"the feed from any earlier revision gives each entry once, in order and linked", feed_is_complete});
  cases.push_back({.name = "conflicts and checks do not enter the feed", .body = feed_is_quiet, .needs_feed = true});
  cases.push_back({.name = "whoever is too far behind is told that everything changed",
                   .body = too_far_behind,
                   .needs_feed = true,
                   .needs_feed_bound = true});
  cases.push_back({"an entry and its link come back octet by octet", entries_come_back});
  cases.push_back({"a revision that lies ahead is answered with everything", revision_ahead});
  cases.push_back({"a mirror that follows the feed while others write ends up equal", follow_in_thread});
  cases.push_back({.name = "a mirror that follows the feed of another handle ends up equal",
                   .body = follow_other_handle,
                   .needs_many_handles = true});
}

}  // namespace tokenstore::conformance
