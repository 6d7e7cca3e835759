/// Issuing tokens.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <new>
#include <utility>

#include "base/wipe.hpp"
#include "store/rules.hpp"
#include "store/store_impl.hpp"

namespace tokenstore {

namespace {

/// One owner's part of an issue: their record as read, and how many tokens they are to get.
struct OwnerShare {
  OwnerRecord record;  ///< revision 0: they have none yet
  std::uint64_t tokens = 0;
};
using OwnerShares = std::map<std::string, OwnerShare, std::less<>>;

/// A user and an administrator issue for themselves, whatever else the request says.
Result<void> check_owner(const Actor& actor, const IssueRequest& request) {
  if (actor.kind() == Actor::Kind::host || request.owner == actor.name()) return {};
  return Error(Status::permission_denied,
               "a token can only be issued for the one who asks; leave the owner to the host");
}

Result<void> check_owner_settings(const Actor& actor, const Policy& policy, const OwnerRecord& owner) {
  if (!policy.tokens_enabled) return Error(Status::refused, "access tokens are switched off in this workspace");
  if (owner.suspended_at != not_ended) return Error(Status::refused, "the owner is suspended; resume them first");
  if (actor.kind() == Actor::Kind::user && !policy.users_may_issue) {
    return Error(Status::refused, "only administrators may issue tokens in this workspace");
  }
  if (actor.kind() != Actor::Kind::host && !owner.may_issue) {
    return Error(Status::refused, "this owner may not issue tokens; an administrator can allow it");
  }
  return {};
}

bool has_equal_ids(std::span<const Issued> issued) {
  if (issued.size() < 2) return false;
  std::vector<std::string_view> ids;
  ids.reserve(issued.size());
  for (const Issued& token : issued) ids.push_back(token.info.id);
  std::sort(ids.begin(), ids.end());
  return std::adjacent_find(ids.begin(), ids.end()) != ids.end();
}

struct Draft {
  TokenRecord record;
  SecretText text;
};

class Issue {
 public:
  Issue(TokenStore::Impl& store, const Actor& actor, std::span<const IssueRequest> requests)
      : store_(store), actor_(actor), requests_(requests) {}

  /// One try: read, judge, compose, commit. `conflict`: what was read has changed.
  Result<std::vector<Issued>> attempt() {
    const bool first = std::exchange(first_, false);
    if (!first) return attempt(Settings::from_storage);
    auto issued = attempt(Settings::recent_too);
    // Settings that were remembered are no reason to refuse anything. Only of a "revoke all" since then it cannot be
    // told whether it overtook this issue: rather one that has to be asked for again (where the pulse lags, as on
    // PostgreSQL) than a token that survives.
    const bool refused = issued.status() == Status::refused || issued.status() == Status::invalid_argument ||
                         issued.status() == Status::conflict;
    if (!used_recent_ || !refused) return issued;
    return attempt(Settings::from_storage);
  }

 private:
  enum class Settings : std::uint8_t { recent_too, from_storage };

  Result<std::vector<Issued>> attempt(Settings settings);
  Result<WorkspaceRecord> read_workspace(Settings settings);
  Result<OwnerRecord> read_owner(Settings settings, std::string_view owner);
  Result<OwnerShares> read_owners(Settings settings);
  void remember(const WorkspaceRecord& workspace, const OwnerShares& shares, std::span<const Mutation> batch) noexcept;
  Result<void> check_cap(const Policy& policy, const OwnerShares& shares, UnixMillis now);
  Result<Draft> draft(const seal::Sealer& sealer, const Policy& policy, const IssueRequest& request,
                      const OwnerRecord& owner, UnixMillis now);

  TokenStore::Impl& store_;
  const Actor& actor_;
  std::span<const IssueRequest> requests_;
  /// "Revoke all" counts seen at the first try: an issue that such a call overtakes is not tried again.
  std::map<std::string, std::uint64_t, std::less<>> revoke_all_counts_;
  bool first_ = true;
  bool used_recent_ = false;
  std::uint64_t pulse_ = 0;  ///< as it was before anything was read
};

Result<WorkspaceRecord> Issue::read_workspace(Settings settings) {
  if (settings == Settings::recent_too) {
    if (auto recent = store_.recent.workspace(pulse_)) {
      used_recent_ = true;
      return std::move(*recent);
    }
  }
  auto loaded = store_.load_workspace();
  if (loaded.ok()) store_.recent.remember(pulse_, *loaded);
  return loaded;
}

Result<OwnerRecord> Issue::read_owner(Settings settings, std::string_view owner) {
  if (settings == Settings::recent_too) {
    if (auto recent = store_.recent.owner(pulse_, owner)) {
      used_recent_ = true;
      return std::move(*recent);
    }
  }
  auto loaded = store_.load_or_start_owner(owner);
  if (loaded.ok() && loaded->revision != 0) store_.recent.remember(pulse_, *loaded);
  return loaded;
}

Result<OwnerShares> Issue::read_owners(Settings settings) {
  OwnerShares shares;
  for (const IssueRequest& request : requests_) {
    auto [at, inserted] = shares.try_emplace(request.owner);
    ++at->second.tokens;
    if (!inserted) continue;
    auto loaded = read_owner(settings, request.owner);
    if (!loaded.ok()) return loaded.error();
    at->second.record = std::move(*loaded);
    const std::uint64_t count = at->second.record.revoke_all_count;
    if (revoke_all_counts_.try_emplace(request.owner, count).first->second != count) {
      return Error(Status::refused, "every token of this owner was revoked meanwhile; ask again if it is still wanted");
    }
  }
  return shares;
}

Result<void> Issue::check_cap(const Policy& policy, const OwnerShares& shares, UnixMillis now) {
  const std::uint64_t most = policy.most_active_per_owner;
  if (most == 0) return {};
  for (const auto& [owner, share] : shares) {
    auto live = store_.backend->count_live(store_.workspace, owner, now, most);
    if (!live.ok()) return live.error();
    if (share.tokens > most || *live > most - share.tokens) {
      return Error(Status::refused,
                   fmt::format("the owner would have more than {} active tokens; end or delete one first", most));
    }
  }
  return {};
}

Result<Draft> Issue::draft(const seal::Sealer& sealer, const Policy& policy, const IssueRequest& request,
                           const OwnerRecord& owner, UnixMillis now) {
  auto end = rules::end_of_life(policy, request.lifetime, now);
  if (!end.ok()) return end.error();
  if (request.not_before && *request.not_before >= *end) {
    return Error(Status::invalid_argument, "the token would expire before it becomes valid; give a longer lifetime");
  }

  std::array<std::uint8_t, 8> random_octets{};
  store_.random->fill(random_octets);
  std::uint64_t random47 = 0;
  for (const std::uint8_t octet : random_octets) random47 = random47 << 8 | octet;

  Draft made;
  TokenRecord& record = made.record;
  record.id = text::make_id(now, random47 >> 17);
  record.key_id = sealer.active_key_id();
  record.owner = request.owner;
  record.owner_birth = owner.birth;
  record.revoke_all_count = owner.revoke_all_count;
  record.description = request.description;
  record.scopes = rules::canonical_scopes(request.scopes);
  record.metadata = request.metadata;
  record.created_at = now;
  record.created_by = rules::actor_label(actor_);
  if (request.not_before) record.not_before = *request.not_before;
  record.expires_at = *end;

  const SecretText secret = text::make_secret(*store_.random);
  const std::string handle = "1" + record.key_id + record.id;
  record.verifier = sealer.make_verifier(store_.workspace, handle, secret.reveal());
  std::string tagged = text::compose_tagged(store_.prefix, record.key_id, record.id, secret.reveal());
  const auto tag = sealer.make_tag(tagged);
  made.text = text::compose(std::move(tagged), std::string_view(tag.data(), tag.size()));
  return made;
}

void Issue::remember(const WorkspaceRecord& workspace, const OwnerShares& shares,
                     std::span<const Mutation> batch) noexcept {
  // This commit has moved the pulse, and its preconditions have shown that these records are the latest.
  const std::uint64_t pulse = store_.backend->pulse().counter;
  try {
    store_.recent.remember(pulse, workspace);
    for (const Mutation& step : batch) {
      if (step.kind != RecordKind::owner) continue;
      const auto* written = std::get_if<OwnerRecord>(&step.record);
      store_.recent.remember(pulse, written != nullptr ? *written : shares.find(step.key)->second.record);
    }
  } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): the tokens are issued; the next issue reads again
  }
}

Result<std::vector<Issued>> Issue::attempt(Settings settings) {
  pulse_ = store_.backend->pulse().counter;
  auto workspace = read_workspace(settings);
  if (!workspace.ok()) return workspace.error();
  // The workspace's record is a precondition of the commit, and changes when another key becomes the active one.
  const seal::Sealer& sealer = store_.sealer_after(workspace->seal_key_id);
  const Policy policy = rules::policy_of(*workspace);
  auto shares = read_owners(settings);
  if (!shares.ok()) return shares.error();
  for (const auto& [owner, share] : *shares) {
    if (auto good = check_owner_settings(actor_, policy, share.record); !good.ok()) return good.error();
  }
  const UnixMillis now = store_.clock.now();
  if (auto good = check_cap(policy, *shares, now); !good.ok()) return good.error();

  std::vector<Mutation> batch;
  batch.reserve(requests_.size() + shares->size() + 1);
  std::vector<Issued> issued;
  issued.reserve(requests_.size());
  for (const IssueRequest& request : requests_) {
    auto made = draft(sealer, policy, request, shares->find(request.owner)->second.record, now);
    if (!made.ok()) return made.error();
    issued.push_back({std::move(made->text), rules::describe(made->record, now)});
    batch.push_back(store_.next_revision(std::move(made->record)));
  }
  // By chance two tokens of one millisecond may have got the same id; others are drawn then.
  if (has_equal_ids(issued)) return Error(Status::conflict, "two new tokens got the same id; ask again");

  bool first_tokens = false;
  batch.push_back(Mutation::check(RecordKind::workspace, store_.workspace, workspace->revision));
  for (auto& [owner, share] : *shares) {
    first_tokens = first_tokens || share.record.revision == 0;
    // Under a cap every issue changes its owner's record, so that of two that counted the same tokens
    // only one can commit.
    if (share.record.revision == 0 || policy.most_active_per_owner != 0) {
      batch.push_back(store_.next_revision(std::move(share.record)));
    } else {
      batch.push_back(Mutation::check(RecordKind::owner, owner, share.record.revision));
    }
  }
  // A new token's text is known to nobody yet, and nothing that is remembered of an owner changes with a new token.
  // That an owner had no record may be remembered.
  const Act act{journal::Deed::issued, actor_};
  const auto done = first_tokens ? store_.commit(batch, act) : store_.commit_unannounced(batch, act);
  if (!done.ok()) return done.error();
  remember(*workspace, *shares, batch);
  return issued;
}

}  // namespace

Result<std::vector<Issued>> TokenStore::issue_many(const Actor& actor, std::span<const IssueRequest> requests) {
  if (auto good = rules::check_actor(actor); !good.ok()) return good.error();
  for (const IssueRequest& request : requests) {
    if (auto good = rules::check_request(request); !good.ok()) return good.error();
    if (auto good = check_owner(actor, request); !good.ok()) return good.error();
  }
  if (requests.empty()) return std::vector<Issued>{};
  Issue issue(*impl_, actor, requests);
  return impl_->retrying<std::vector<Issued>>([&] { return issue.attempt(); });
}

Result<Issued> TokenStore::issue(const Actor& actor, const IssueRequest& request) {
  auto issued = issue_many(actor, {&request, 1});
  if (!issued.ok()) return issued.error();
  return std::move(issued->front());
}

}  // namespace tokenstore
