/// The workspace's policy.
#include "store/refused_endings.hpp"
#include "store/rules.hpp"
#include "store/store_impl.hpp"

namespace tokenstore {

Result<Policy> TokenStore::policy(const Actor& actor) {
  if (auto good = rules::check_actor(actor); !good.ok()) return good.error();
  auto record = impl_->load_workspace();
  if (!record.ok()) return record.error();
  return rules::policy_of(*record);
}

Result<Policy> TokenStore::set_policy(const Actor& actor, const Policy& policy) {
  if (auto good = rules::require_administrator(actor); !good.ok()) return good.error();
  if (auto good = rules::check_policy(policy); !good.ok()) return good.error();
  auto answer = impl_->retrying<Policy>([&]() -> Result<Policy> {
    auto record = impl_->load_workspace();
    if (!record.ok()) return record.error();
    rules::set_policy(*record, policy);
    const Mutation batch[] = {impl_->next_revision(std::move(*record))};
    if (auto done = impl_->commit(batch, {journal::Deed::policy_set, actor}); !done.ok()) return done.error();
    return policy;
  });
  validate::Denials& denials = impl_->validator.denials();
  if (answer.ok()) {
    denials.allow_everything();
  } else if (!policy.tokens_enabled) {
    remember_switching_off(denials, answer.status());
  }
  return answer;
}

}  // namespace tokenstore
