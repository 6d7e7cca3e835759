#include "transfer/mirror.hpp"

#include <optional>

#include "transfer/token_walk.hpp"

namespace tokenstore::transfer {
namespace {

constexpr std::size_t page_size = 500;

Error used_by_another() {
  return {Status::conflict,
          "the target holds newer records than the source: it is in use; name an empty target, or copy the other way"};
}

template <typename Stored>
bool equal(const Stored& one, const Stored& other) {
  return one.revision == other.revision && one.seal == other.seal && one.seal_key_id == other.seal_key_id;
}

/// The step that makes the target's record the source's; none if it is already.
template <typename Stored>
Result<std::optional<Mutation>> step_for(const Stored& source, const Stored* target) {
  if (target == nullptr) return std::optional(Mutation::put(source, 0));
  if (equal(source, *target)) return std::optional<Mutation>();
  if (target->revision >= source.revision) return used_by_another();
  return std::optional(Mutation::put(source, target->revision));
}

template <typename Stored>
const Stored* pointer(const std::optional<Stored>& record) {
  return record ? &*record : nullptr;
}

}  // namespace

Result<void> Mirror::flush() {
  if (!batch_.empty()) {
    seal::SealedAnnouncement announcement(sealer_, place_);
    announcement.name_changes(batch_);
    CommitResult result = to_.commit(workspace(), batch_, &announcement);
    if (result.outcome == CommitOutcome::conflict) return used_by_another();
    if (result.outcome != CommitOutcome::committed) {
      return result.error.value_or(Error(Status::unavailable, "the target could not be written; copy again"));
    }
    counts_.written += batch_.size();
    batch_.clear();
  }
  if (!uses_.empty()) {
    if (auto noted = to_.record_uses(workspace(), uses_); !noted.ok()) return noted;
  }
  uses_.clear();
  return {};
}

Result<void> Mirror::add(Mutation mutation) {
  batch_.push_back(std::move(mutation));
  if (batch_.size() < page_size) return {};
  return flush();
}

Result<void> Mirror::copy_settings() {
  auto source = from_.load_workspace(workspace());
  if (!source.ok()) return source.error();
  if (!source->has_value()) return {};
  auto target = to_.load_workspace(workspace());
  if (!target.ok()) return target.error();
  auto step = step_for(**source, pointer(*target));
  if (!step.ok()) return step.error();
  return *step ? add(std::move(**step)) : Result<void>{};
}

Result<void> Mirror::walk_owners(const std::function<Result<void>(const OwnerRecord&)>& each) {
  std::string after;
  for (bool more = true; more;) {
    auto page = from_.list_owners(workspace(), after, page_size);
    if (!page.ok()) return page.error();
    more = page->more && !page->owners.empty();
    for (const OwnerRecord& owner : page->owners) {
      if (auto done = each(owner); !done.ok()) return done;
    }
    if (more) after = page->owners.back().owner;
  }
  return {};
}

Result<void> Mirror::copy_owners() {
  auto walked = walk_owners([&](const OwnerRecord& owner) -> Result<void> {
    ++counts_.owners;
    auto target = to_.load_owner(workspace(), owner.owner);
    if (!target.ok()) return target.error();
    auto step = step_for(owner, pointer(*target));
    if (!step.ok()) return step.error();
    return *step ? add(std::move(**step)) : Result<void>{};
  });
  return walked.ok() ? flush() : walked;
}

Result<void> Mirror::take_extra(const TokenRecord& extra) {
  if (delete_extra_) return add(Mutation::remove_token(extra.id, extra.revision));
  return Error(Status::conflict,
               "the target holds tokens that the source does not; have them deleted, or name an "
               "empty target");
}

Result<void> Mirror::take_wanted(const TokenRecord& wanted, const TokenRecord* there) {
  // A new record takes its last use with it.
  if (there != nullptr && wanted.last_used_at > there->last_used_at) {
    uses_.push_back({wanted.id, wanted.last_used_at, wanted.last_used_from});
  }
  auto step = step_for(wanted, there);
  if (!step.ok()) return step.error();
  return *step ? add(std::move(**step)) : Result<void>{};
}

Result<void> Mirror::walk_tokens(bool only_count) {
  TokenWalk source(from_, workspace());
  TokenWalk target(to_, workspace());
  for (;;) {
    auto next = source.current();
    if (!next.ok()) return next.error();
    auto present = target.current();
    if (!present.ok()) return present.error();
    const TokenRecord* wanted = *next;
    const TokenRecord* there = *present;
    if (wanted == nullptr && there == nullptr) break;
    if (wanted == nullptr || (there != nullptr && there->id > wanted->id)) {
      ++different_;
      if (!only_count) {
        if (auto done = take_extra(*there); !done.ok()) return done;
      }
      target.step();
      continue;
    }
    if (there != nullptr && wanted->id > there->id) there = nullptr;
    if (there == nullptr || !equal(*wanted, *there)) ++different_;
    if (!only_count) {
      if (auto done = take_wanted(*wanted, there); !done.ok()) return done;
      ++counts_.tokens;
      if (progress_ && !progress_(counts_.tokens))
        return Error(Status::conflict, "the copy was stopped before its end");
    }
    source.step();
    if (there != nullptr) target.step();
  }
  return flush();
}

Result<void> Mirror::apply(const seal::ChangedRecord& changed) {
  switch (changed.kind) {
    case RecordKind::store:
      return {};  // sealed anew: the record says what it said
    case RecordKind::workspace:
      return copy_settings();
    case RecordKind::owner: {
      auto source = from_.load_owner(workspace(), changed.key);
      if (!source.ok()) return source.error();
      if (!source->has_value()) return {};
      auto target = to_.load_owner(workspace(), changed.key);
      if (!target.ok()) return target.error();
      auto step = step_for(**source, pointer(*target));
      if (!step.ok()) return step.error();
      return *step ? add(std::move(**step)) : Result<void>{};
    }
    case RecordKind::token:
      break;
  }
  auto source = from_.load_token(workspace(), changed.key);
  if (!source.ok()) return source.error();
  auto target = to_.load_token(workspace(), changed.key);
  if (!target.ok()) return target.error();
  if (source->has_value()) return take_wanted(**source, pointer(*target));
  if (!target->has_value()) return {};
  return add(Mutation::remove_token((*target)->id, (*target)->revision));
}

Result<void> Mirror::follow(Changes position) {
  for (;;) {
    auto changes = from_.changes(workspace(), position.revision);
    if (!changes.ok()) return changes.error();
    const auto named = seal::read_on(sealer_, place_, position.revision, position.link, *changes).named;
    if (named && named->empty()) break;
    if (!named) {
      if (auto done = copy_settings(); !done.ok()) return done;
      if (auto done = copy_owners(); !done.ok()) return done;
      if (auto done = walk_tokens(false); !done.ok()) return done;
    } else {
      // What is named twice is read twice; it has to be written before it is compared again.
      for (const seal::ChangedRecord& changed : *named) {
        if (auto done = apply(changed); !done.ok()) return done;
        if (auto done = flush(); !done.ok()) return done;
      }
    }
    position = std::move(*changes);
  }
  return {};
}

Result<MirrorCounts> Mirror::copy() {
  counts_ = {};
  // Asked before the walk: whatever is announced meanwhile is in the feed after it.
  auto position = from_.changes(workspace(), seal::far_ahead);
  if (!position.ok()) return position.error();
  if (auto done = copy_settings(); !done.ok()) return done.error();
  if (auto done = copy_owners(); !done.ok()) return done.error();
  if (auto done = walk_tokens(false); !done.ok()) return done.error();
  if (auto done = follow(std::move(*position)); !done.ok()) return done.error();
  return counts_;
}

Result<std::uint64_t> Mirror::differences() {
  different_ = 0;
  if (auto walked = walk_tokens(true); !walked.ok()) return walked.error();
  auto source = from_.load_workspace(workspace());
  if (!source.ok()) return source.error();
  auto target = to_.load_workspace(workspace());
  if (!target.ok()) return target.error();
  if (source->has_value() != target->has_value() || (source->has_value() && !equal(**source, **target))) ++different_;
  auto walked = walk_owners([&](const OwnerRecord& owner) -> Result<void> {
    auto there = to_.load_owner(workspace(), owner.owner);
    if (!there.ok()) return there.error();
    if (!there->has_value() || !equal(owner, **there)) ++different_;
    return {};
  });
  if (!walked.ok()) return walked.error();
  return different_;
}

}  // namespace tokenstore::transfer
