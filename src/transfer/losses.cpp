#include "transfer/losses.hpp"

#include <limits>

#include "transfer/token_walk.hpp"

namespace tokenstore::transfer {
namespace {

constexpr std::size_t records_at_once = 500;
constexpr UnixMillis never = std::numeric_limits<UnixMillis>::max();

class Comparison {
 public:
  Comparison(Backend& newer, Backend& older, UnixMillis now) : newer_(newer), older_(older), now_(now) {}

  Result<Losses> run() {
    for (std::string after;;) {
      const auto page = newer_.list_workspaces(after, records_at_once);
      if (!page.ok()) return page.error();
      if (page->empty()) return losses_;
      for (const WorkspaceRecord& workspace : *page) {
        after = workspace.workspace;
        if (auto done = compare_settings(workspace); !done.ok()) return done.error();
        if (auto done = compare_owners(after); !done.ok()) return done.error();
        if (auto done = compare_tokens(after); !done.ok()) return done.error();
      }
    }
  }

 private:
  bool lives(const TokenRecord& token) const noexcept { return token.expired_at == never && token.ends_at() > now_; }
  static bool may_use(const OwnerRecord& owner) noexcept { return owner.may_use && owner.suspended_at == never; }

  Result<void> compare_settings(const WorkspaceRecord& there) {
    const auto then = older_.load_workspace(there.workspace);
    if (!then.ok()) return then.error();
    if (!then->has_value() || (*then)->revision < there.revision) ++losses_.changes;
    return {};
  }

  Result<void> compare_owners(const std::string& workspace) {
    std::string after;
    for (bool more = true; more;) {
      const auto page = newer_.list_owners(workspace, after, records_at_once);
      if (!page.ok()) return page.error();
      more = page->more && !page->owners.empty();
      for (const OwnerRecord& there : page->owners) {
        after = there.owner;
        const auto then = older_.load_owner(workspace, there.owner);
        if (!then.ok()) return then.error();
        if (then->has_value() && (*then)->revision >= there.revision) continue;
        const bool worked = !then->has_value() || may_use(**then);
        ++(worked && !may_use(there) ? losses_.suspensions : losses_.changes);
      }
    }
    return {};
  }

  Result<void> compare_tokens(const std::string& workspace) {
    TokenWalk newer(newer_, workspace);
    TokenWalk older(older_, workspace);
    for (;;) {
      const auto there = newer.current();
      if (!there.ok()) return there.error();
      const auto then = older.current();
      if (!then.ok()) return then.error();
      const TokenRecord* is = *there;
      const TokenRecord* was = *then;
      if (is == nullptr && was == nullptr) return {};
      if (was == nullptr || (is != nullptr && is->id > was->id)) {
        ++losses_.tokens;
        newer.step();
      } else if (is == nullptr || was->id > is->id) {
        ++(lives(*was) ? losses_.endings : losses_.changes);
        older.step();
      } else {
        if (is->revision > was->revision) ++(lives(*was) && !lives(*is) ? losses_.endings : losses_.changes);
        newer.step();
        older.step();
      }
    }
  }

  Backend& newer_;
  Backend& older_;
  const UnixMillis now_;
  Losses losses_;
};

}  // namespace

Result<Losses> losses_between(Backend& newer, Backend& older, UnixMillis now) {
  return Comparison(newer, older, now).run();
}

}  // namespace tokenstore::transfer
