/// Opening and closing a store, and the calls that only pass on.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "store/rules.hpp"
#include "store/store_impl.hpp"

namespace tokenstore {

namespace {

constexpr std::chrono::milliseconds longest_upkeep_pause{1000};

Error not_this_key() {
  return {Status::wrong_key,
          "the keyring does not fit this store: its settings were sealed with another key, or changed outside the "
          "library; give the key file that was made with it"};
}

/// A seal that does not open the store, as an error; empty if it is genuine.
std::optional<Error> refusal(seal::SealCheck check, const std::string& key_id) {
  switch (check) {
    case seal::SealCheck::genuine:
      return std::nullopt;
    case seal::SealCheck::retired_key:
      return Error(Status::wrong_key,
                   fmt::format("the store's settings are sealed with key {}, which is retired; make it verify-only, "
                               "seal everything anew, then retire it",
                               key_id));
    case seal::SealCheck::tampered:
    case seal::SealCheck::unknown_key:
      break;
  }
  return not_this_key();
}

/// A workspace whose record was deleted must not come back with default settings.
Result<void> check_never_used(Backend& backend, const std::string& workspace) {
  TokenQuery any_token;
  any_token.limit = 1;
  any_token.scan_limit = 1;
  auto tokens = backend.list_tokens(workspace, any_token);
  if (!tokens.ok()) return tokens.error();
  auto owners = backend.list_owners(workspace, {}, 1);
  if (!owners.ok()) return owners.error();
  if (tokens->tokens.empty() && tokens->next_before_id.empty() && owners->owners.empty()) return {};
  return rules::tampered("the record of this workspace is missing although it has owners or tokens: the store");
}

/// The records that say where a store's records belong. Absent: not made yet.
struct Found {
  std::optional<StoreRecord> store;
  std::optional<WorkspaceRecord> workspace;
};

/// Reads them, and believes neither before its seal is verified.
Result<Found> look(Backend& backend, const seal::Sealer& sealer, const std::string& workspace) {
  Found found;
  auto store = backend.load_store();
  if (!store.ok()) return store.error();
  found.store = std::move(*store);
  auto settings = backend.load_workspace(workspace);
  if (!settings.ok()) return settings.error();
  found.workspace = std::move(*settings);

  if (!found.store) {
    auto others = backend.list_workspaces({}, 1);
    if (!others.ok()) return others.error();
    if (found.workspace || !others->empty()) {
      return rules::tampered("the record of the store is missing although it has workspaces: the store");
    }
    return found;
  }
  if (auto no = refusal(sealer.verify(*found.store), found.store->seal_key_id)) return *no;
  if (found.workspace) {
    const WorkspaceRecord& record = *found.workspace;
    if (record.workspace != workspace) return not_this_key();
    if (auto no = refusal(sealer.verify(found.store->id, record), record.seal_key_id)) return *no;
  }
  return found;
}

Bytes16 drawn(RandomSource& random) {
  Bytes16 birth;
  random.fill(birth);
  return birth;
}

/// Makes the workspace, and the store with the first of them. `conflict`: somebody else did.
Result<void> create(Backend& backend, const seal::Sealer& sealer, RandomSource& random, UnixMillis now,
                    const std::string& workspace, std::optional<StoreRecord> store) {
  if (auto good = check_never_used(backend, workspace); !good.ok()) return good;
  std::vector<Mutation> batch;
  if (store) {
    batch.push_back(Mutation::check(RecordKind::store, {}, store->revision));
  } else {
    store.emplace();
    store->id = drawn(random);
    store->created_at = now;
    store->revision = 1;
    sealer.seal(*store);
    batch.push_back(Mutation::put(*store, 0));
  }
  WorkspaceRecord fresh;
  fresh.workspace = workspace;
  fresh.birth = drawn(random);
  fresh.created_at = now;
  fresh.revision = 1;
  rules::set_policy(fresh, Policy{});
  sealer.seal(store->id, fresh);
  const seal::Place place{store->id, workspace, fresh.birth};
  batch.push_back(Mutation::put(std::move(fresh), 0));
  seal::SealedAnnouncement announcement(sealer, place);
  announcement.name_changes(batch);
  const CommitResult done = backend.commit(workspace, batch, &announcement);
  switch (done.outcome) {
    case CommitOutcome::committed:
      return {};
    case CommitOutcome::conflict:
      return Error(Status::conflict, "somebody else makes the same workspace");
    case CommitOutcome::failed:
    case CommitOutcome::unknown:
      break;
  }
  return done.error.value_or(Error(Status::unavailable, "storage failed while the workspace was made; open it again"));
}

/// Where the records of a workspace belong, which is made first if it has to be.
Result<seal::Place> find_place(Backend& backend, const seal::Sealer& sealer, const StoreOptions& options) {
  auto found = look(backend, sealer, options.workspace);
  if (found.ok() && !found->workspace) {
    if (!options.create_workspace || backend.read_only()) {
      return Error(Status::not_found, "there is no workspace of this name; open it for writing once to create it");
    }
    const auto random = options.random ? options.random : system_random();
    const auto clock = options.clock ? options.clock : system_clock();
    auto made = create(backend, sealer, *random, clock->wall(), options.workspace, std::move(found->store));
    // Whoever was faster made what is read now.
    if (!made.ok() && made.status() != Status::conflict) return made.error();
    found = look(backend, sealer, options.workspace);
  }
  if (!found.ok()) return found.error();
  if (!found->workspace) {
    return Error(Status::unavailable, "the workspace that was just made cannot be read; check the storage");
  }
  return seal::Place{found->store->id, options.workspace, found->workspace->birth};
}

}  // namespace

TokenStore::TokenStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

TokenStore::~TokenStore() {
  impl_->upkeep.reset();
  try {
    if (impl_->journal) static_cast<void>(impl_->journal->write_waiting().ok());
    // Nobody is left to tell: a last use that cannot be written is lost, as it is in a crash.
    static_cast<void>(impl_->validator.write_all_uses().ok());
  } catch (...) {  // NOLINT(bugprone-empty-catch): as above
  }
}

namespace {

/// The keys that a store is opened with, and what they are watched by.
struct Keys {
  std::unique_ptr<seal::Sealer> sealer;
  std::shared_ptr<KeySource> source;
  std::optional<KeySource::Mark> mark;
};

Result<Keys> ask_for_keys(std::shared_ptr<KeySource> source) {
  Keys keys;
  keys.mark = source->mark();
  auto keyring = source->keyring();
  if (!keyring.ok()) return keyring.error();
  auto sealer = seal::Sealer::create(*std::move(keyring));
  if (!sealer.ok()) return sealer.error();
  keys.sealer = *std::move(sealer);
  keys.source = std::move(source);
  return keys;
}

/// The same, and asks once more if the keys may have changed under it.
Result<seal::Place> find_place(Backend& backend, Keys& keys, const StoreOptions& options) {
  auto place = find_place(backend, *keys.sealer, options);
  if (place.ok() || place.status() != Status::wrong_key || !keys.source) return place;
  auto later = ask_for_keys(keys.source);
  if (!later.ok() || later->sealer->has_keys_of(*keys.sealer)) return place;
  keys = *std::move(later);
  return find_place(backend, *keys.sealer, options);
}

Result<void> check_opening(const std::shared_ptr<Backend>& backend, const StoreOptions& options) {
  if (!backend) return Error(Status::invalid_argument, "no backend was given");
  if (auto good = rules::check_workspace_name(options.workspace); !good.ok()) return good.error();
  if (!text::is_prefix(options.prefix)) {
    return Error(Status::invalid_argument,
                 "the prefix is not 2 to 24 lower-case letters, digits and single underscores, letter first");
  }
  if (options.use_interval.count() < 1) {
    return Error(Status::invalid_argument, "the interval for writing last uses is below 1 ms");
  }
  if (options.journal_segment_age.count() < 0) {
    return Error(Status::invalid_argument, "the age of a journal's segment is below zero; give 0 for none");
  }
  return {};
}

Result<std::unique_ptr<TokenStore::Impl>> make(std::shared_ptr<Backend> backend, Keys keys, StoreOptions options) {
  auto place = find_place(*backend, keys, options);
  if (!place.ok()) return place.error();
  const auto pause = std::min(options.use_interval, longest_upkeep_pause);
  const bool upkeep_thread = options.upkeep_thread;
  const std::uint64_t segment_bytes =
      options.journal_segment_bytes != 0 ? options.journal_segment_bytes : journal::Journal::segment_growth;
  const UnixMillis segment_age =
      options.journal_segment_age.count() != 0 ? options.journal_segment_age.count() : journal::no_end;
  const journal::Whereabouts where{options.journal, options.journal_owner_of, backend->read_only()};
  auto sealer = std::make_unique<seal::LiveSealer>(std::move(keys.sealer), std::move(keys.source), keys.mark);
  auto impl =
      std::make_unique<TokenStore::Impl>(std::move(backend), std::move(sealer), *std::move(place), std::move(options));
  if (!where.path.empty()) {
    auto opened = journal::Journal::open(
        {where, *impl->sealer, impl->place, impl->clock, *impl->random, segment_bytes, segment_age});
    if (!opened.ok()) return opened.error();
    impl->journal = std::move(*opened);
    impl->heal_at_opening();
  }
  if (upkeep_thread) impl->start_upkeep(pause);
  return impl;
}

}  // namespace

Result<std::unique_ptr<TokenStore>> TokenStore::open(std::shared_ptr<Backend> backend, Keyring keyring,
                                                     StoreOptions options) {
  if (auto good = check_opening(backend, options); !good.ok()) return good.error();
  auto sealer = seal::Sealer::create(std::move(keyring));
  if (!sealer.ok()) return sealer.error();
  auto impl = make(std::move(backend), Keys{*std::move(sealer), nullptr, {}}, std::move(options));
  if (!impl.ok()) return impl.error();
  return std::unique_ptr<TokenStore>(new TokenStore(*std::move(impl)));
}

Result<std::unique_ptr<TokenStore>> TokenStore::open(std::shared_ptr<Backend> backend, std::shared_ptr<KeySource> keys,
                                                     StoreOptions options) {
  if (auto good = check_opening(backend, options); !good.ok()) return good.error();
  if (!keys) return Error(Status::invalid_argument, "no source of keys was given");
  auto asked = ask_for_keys(std::move(keys));
  if (!asked.ok()) return asked.error();
  auto impl = make(std::move(backend), *std::move(asked), std::move(options));
  if (!impl.ok()) return impl.error();
  return std::unique_ptr<TokenStore>(new TokenStore(*std::move(impl)));
}

Verdict TokenStore::validate(std::string_view text, const Demand& demand) noexcept {
  Verdict verdict;
  impl_->validator.validate(text, demand, verdict);
  return verdict;
}

void TokenStore::validate(std::string_view text, const Demand& demand, Verdict& verdict) noexcept {
  impl_->validator.validate(text, demand, verdict);
}

bool TokenStore::try_validate(std::string_view text, const Demand& demand, Verdict& verdict) noexcept {
  return impl_->validator.try_validate(text, demand, verdict);
}

Result<bool> TokenStore::maintain(std::chrono::milliseconds budget) {
  const auto left = impl_->maintain(budget);
  if (!left.ok()) return left.error();
  return left->uses || left->storage;
}

Statistics TokenStore::statistics() const noexcept {
  Statistics figures = impl_->validator.statistics();
  figures.keys_taken = impl_->sealer->taken();
  figures.keys_refused = impl_->sealer->refused();
  figures.rolled_back = impl_->rolled_back();
  figures.healed = impl_->healing.healed.load(std::memory_order_relaxed);
  return figures;
}

std::optional<Unavailability> TokenStore::why_unavailable() const {
  return impl_->validator.why_unavailable();
}
std::string TokenStore::scanner_pattern() const {
  return text::scanner_pattern(impl_->prefix);
}
const std::string& TokenStore::workspace() const noexcept {
  return impl_->workspace;
}
const std::string& TokenStore::prefix() const noexcept {
  return impl_->prefix;
}
UnixMillis TokenStore::now() noexcept {
  return impl_->clock.now();
}

}  // namespace tokenstore
