#include "cli/mirror.hpp"

#include <limits>

#include "cli/exit_code.hpp"

namespace tokenstore::cli {
namespace {

constexpr std::size_t page_size = 500;

[[noreturn]] void used_by_another() {
  throw Failure(ExitCode::conflict, "conflict",
                "the target holds newer records than the source: it is in use; name an empty target, or copy the other "
                "way");
}

template <typename Stored>
bool equal(const Stored& one, const Stored& other) {
  return one.revision == other.revision && one.seal == other.seal && one.seal_key_id == other.seal_key_id;
}

/// The step that makes the target's record the source's; none if it is already.
template <typename Stored>
std::optional<Mutation> step_for(const Stored& source, const std::optional<Stored>& target) {
  if (!target) return Mutation::put(source, 0);
  if (equal(source, *target)) return std::nullopt;
  if (target->revision >= source.revision) used_by_another();
  return Mutation::put(source, target->revision);
}

}  // namespace

/// The tokens of a workspace from the highest id down, a page at a time.
struct Mirror::Pages {
  Pages(Backend& from, const std::string& name) : backend(from), workspace(name) { query.limit = page_size; }

  const TokenRecord* current() {
    while (at == page.tokens.size()) {
      if (started && page.next_before_id.empty()) return nullptr;
      query.before_id = page.next_before_id;
      page = take(backend.list_tokens(workspace, query));
      started = true;
      at = 0;
    }
    return &page.tokens[at];
  }

  Backend& backend;
  const std::string& workspace;
  TokenQuery query{};
  TokenList page{};
  std::size_t at = 0;
  bool started = false;
};

void Mirror::flush(const std::string& workspace) {
  if (!batch_.empty()) {
    const CommitResult result = to_.commit(workspace, batch_);
    if (result.outcome == CommitOutcome::conflict) used_by_another();
    if (result.outcome != CommitOutcome::committed) {
      throw Failure(result.error.value_or(Error(Status::unavailable, "the target could not be written; copy again")));
    }
    counts_.written += batch_.size();
    batch_.clear();
  }
  if (!uses_.empty()) take(to_.record_uses(workspace, uses_));
  uses_.clear();
}

void Mirror::add(const std::string& workspace, Mutation mutation) {
  batch_.push_back(std::move(mutation));
  if (batch_.size() >= page_size) flush(workspace);
}

void Mirror::copy_settings(const std::string& workspace) {
  const auto source = take(from_.load_workspace(workspace));
  if (!source) return;
  if (auto step = step_for(*source, take(to_.load_workspace(workspace)))) add(workspace, std::move(*step));
}

void Mirror::copy_owners(const std::string& workspace) {
  std::string after;
  for (bool more = true; more;) {
    const OwnerList page = take(from_.list_owners(workspace, after, page_size));
    more = page.more && !page.owners.empty();
    for (const OwnerRecord& owner : page.owners) {
      after = owner.owner;
      ++counts_.owners;
      if (auto step = step_for(owner, take(to_.load_owner(workspace, owner.owner)))) add(workspace, std::move(*step));
    }
  }
  flush(workspace);
}

void Mirror::walk_tokens(const std::string& workspace, bool only_count) {
  Pages source(from_, workspace);
  Pages target(to_, workspace);
  for (;;) {
    const TokenRecord* wanted = source.current();
    const TokenRecord* there = target.current();
    if (wanted == nullptr && there == nullptr) break;
    const bool extra = wanted == nullptr || (there != nullptr && there->id > wanted->id);
    const bool missing = there == nullptr || (wanted != nullptr && wanted->id > there->id);
    if (extra) {
      ++different_;
      if (!only_count) {
        if (!delete_extra_) {
          throw Failure(ExitCode::conflict, "conflict",
                        "the target holds tokens that the source does not: --delete-extra removes them");
        }
        add(workspace, Mutation::remove_token(there->id, there->revision));
      }
      ++target.at;
      continue;
    }
    if (missing || !equal(*wanted, *there)) ++different_;
    if (!only_count) {
      const auto before = missing ? std::nullopt : std::optional<TokenRecord>(*there);
      // A new record takes its last use with it.
      if (before && wanted->last_used_at > before->last_used_at) {
        uses_.push_back({wanted->id, wanted->last_used_at, wanted->last_used_from});
      }
      if (auto step = step_for(*wanted, before)) add(workspace, std::move(*step));
    }
    progress_(++counts_.tokens);
    ++source.at;
    if (!missing) ++target.at;
  }
  flush(workspace);
}

void Mirror::apply(const std::string& workspace, const Changes::Item& item) {
  if (item.kind == RecordKind::workspace) return copy_settings(workspace);
  if (item.kind == RecordKind::owner) {
    const auto source = take(from_.load_owner(workspace, item.key));
    if (!source) return;
    if (auto step = step_for(*source, take(to_.load_owner(workspace, item.key)))) add(workspace, std::move(*step));
    return;
  }
  const auto source = take(from_.load_token(workspace, item.key));
  const auto target = take(to_.load_token(workspace, item.key));
  if (source) {
    if (auto step = step_for(*source, target)) add(workspace, std::move(*step));
  } else if (target) {
    add(workspace, Mutation::remove_token(target->id, target->revision));
  }
}

void Mirror::follow(const std::string& workspace, std::uint64_t revision) {
  for (;;) {
    const Changes changes = take(from_.changes(workspace, revision));
    if (changes.everything) {
      copy_settings(workspace);
      copy_owners(workspace);
      walk_tokens(workspace, false);
    } else if (changes.items.empty()) {
      return;
    }
    // What is named twice is read twice; it has to be written before it is compared again.
    for (const Changes::Item& item : changes.items) {
      apply(workspace, item);
      flush(workspace);
    }
    revision = changes.revision;
  }
}

MirrorCounts Mirror::copy(const std::string& workspace) {
  counts_ = {};
  // Asked before the walk: whatever changes meanwhile is in the feed after it.
  constexpr std::uint64_t far_ahead = std::uint64_t{1} << 62U;
  const std::uint64_t revision = take(from_.changes(workspace, far_ahead)).revision;
  copy_settings(workspace);
  copy_owners(workspace);
  walk_tokens(workspace, false);
  follow(workspace, revision);
  return counts_;
}

std::uint64_t Mirror::differences(const std::string& workspace) {
  different_ = 0;
  walk_tokens(workspace, true);
  const auto source = take(from_.load_workspace(workspace));
  const auto target = take(to_.load_workspace(workspace));
  if (source.has_value() != target.has_value() || (source && !equal(*source, *target))) ++different_;
  std::string after;
  for (bool more = true; more;) {
    const OwnerList page = take(from_.list_owners(workspace, after, page_size));
    more = page.more && !page.owners.empty();
    for (const OwnerRecord& owner : page.owners) {
      after = owner.owner;
      const auto there = take(to_.load_owner(workspace, owner.owner));
      if (!there || !equal(owner, *there)) ++different_;
    }
  }
  return different_;
}

}  // namespace tokenstore::cli
