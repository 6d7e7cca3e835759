/// Opening and closing a store, and the calls that only pass on.
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

/// The keyring must be the one that this storage's workspaces were sealed with.
Result<void> check_key(Backend& backend, const seal::Sealer& sealer) {
  auto others = backend.list_workspaces({}, 1);
  if (!others.ok()) return others.error();
  for (const WorkspaceRecord& record : *others) {
    if (sealer.verify(record) != seal::SealCheck::genuine) return not_this_key();
  }
  return {};
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

}  // namespace

TokenStore::TokenStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

TokenStore::~TokenStore() {
  impl_->upkeep.reset();
  try {
    // Nobody is left to tell: a last use that cannot be written is lost, as it is in a crash.
    static_cast<void>(impl_->validator.write_all_uses().ok());
  } catch (...) {  // NOLINT(bugprone-empty-catch): as above
  }
}

Result<std::unique_ptr<TokenStore>> TokenStore::open(std::shared_ptr<Backend> backend, Keyring keyring,
                                                     StoreOptions options) {
  if (!backend) return Error(Status::invalid_argument, "no backend was given");
  if (auto good = rules::check_workspace_name(options.workspace); !good.ok()) return good.error();
  if (!text::is_prefix(options.prefix)) {
    return Error(Status::invalid_argument,
                 "the prefix is not 2 to 24 lower-case letters, digits and single underscores, letter first");
  }
  if (options.use_interval.count() < 1) {
    return Error(Status::invalid_argument, "the interval for writing last uses is below 1 ms");
  }
  auto sealer = seal::Sealer::create(std::move(keyring));
  if (!sealer.ok()) return sealer.error();

  auto present = backend->load_workspace(options.workspace);
  if (!present.ok()) return present.error();
  const bool create_workspace = options.create_workspace;
  const auto pause = std::min(options.use_interval, longest_upkeep_pause);
  const bool upkeep_thread = options.upkeep_thread;
  auto impl = std::make_unique<Impl>(std::move(backend), std::move(*sealer), std::move(options));

  if (!present->has_value()) {
    if (auto good = check_key(*impl->backend, *impl->sealer); !good.ok()) return good.error();
    if (!create_workspace || impl->backend->read_only()) {
      return Error(Status::not_found, "there is no workspace of this name; open it for writing once to create it");
    }
    if (auto good = check_never_used(*impl->backend, impl->workspace); !good.ok()) return good.error();
    WorkspaceRecord fresh;
    fresh.workspace = impl->workspace;
    fresh.created_at = impl->clock.now();
    rules::set_policy(fresh, Policy{});
    const Mutation batch[] = {impl->next_revision(std::move(fresh))};
    // A conflict is another process creating the same workspace; what it made is read below.
    if (auto done = impl->commit(batch); !done.ok() && done.status() != Status::conflict) return done.error();
  }
  auto loaded = impl->load_workspace();
  if (loaded.status() == Status::tampered) return not_this_key();
  if (!loaded.ok()) return loaded.error();

  if (upkeep_thread) impl->start_upkeep(pause);
  return std::unique_ptr<TokenStore>(new TokenStore(std::move(impl)));
}

Verdict TokenStore::validate(std::string_view text, const Demand& demand) noexcept {
  Verdict verdict;
  impl_->validator.validate(text, demand, verdict);
  return verdict;
}

void TokenStore::validate(std::string_view text, const Demand& demand, Verdict& verdict) noexcept {
  impl_->validator.validate(text, demand, verdict);
}

Result<bool> TokenStore::maintain(std::chrono::milliseconds budget) {
  const auto left = impl_->maintain(budget);
  if (!left.ok()) return left.error();
  return left->uses || left->storage;
}
Statistics TokenStore::statistics() const noexcept {
  return impl_->validator.statistics();
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
