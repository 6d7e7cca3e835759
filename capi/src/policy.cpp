// The rules of a workspace.
#include "guard.hpp"
#include "structs.hpp"
#include "tokenstore.h"
#include "tokenstore/store.hpp"
#include "values.hpp"

using namespace tokenstore;
using namespace tokenstore::capi;

namespace {

Policy policy_of(const tokenstore_policy* given) {
  const auto known = TOKENSTORE_READ(tokenstore_policy, POLICY, given, "the policy");
  Policy policy;
  if (known.longest_lifetime_ms == TOKENSTORE_NEVER) {
    policy.longest_lifetime = never;
  } else if (known.longest_lifetime_ms != 0) {
    policy.longest_lifetime = known.longest_lifetime_ms;
  }
  if (known.default_lifetime_ms != 0) policy.default_lifetime = known.default_lifetime_ms;
  policy.most_active_per_owner = known.most_active_per_owner;
  policy.never_allowed = flag(known.never_allowed, "never_allowed");
  policy.users_may_issue = !flag(known.users_may_not_issue, "users_may_not_issue");
  policy.tokens_enabled = !flag(known.tokens_disabled, "tokens_disabled");
  return policy;
}

}  // namespace

int32_t tokenstore_policy_get(tokenstore_store* store, const tokenstore_actor* actor, tokenstore_policy* out_policy,
                              tokenstore_error** out_error) {
  return guard(out_error, [&] {
    const Policy policy = take(opened_store(store).policy(capi::actor(actor)));
    tokenstore_policy out{};
    out.longest_lifetime_ms = end_time(policy.longest_lifetime);
    out.default_lifetime_ms = policy.default_lifetime;
    out.most_active_per_owner = policy.most_active_per_owner;
    out.never_allowed = flag(policy.never_allowed);
    out.users_may_not_issue = flag(!policy.users_may_issue);
    out.tokens_disabled = flag(!policy.tokens_enabled);
    TOKENSTORE_WRITE(tokenstore_policy, POLICY, out_policy, "the policy", out);
  });
}

int32_t tokenstore_policy_set(tokenstore_store* store, const tokenstore_actor* actor, const tokenstore_policy* policy,
                              tokenstore_error** out_error) {
  return guard(out_error, [&] {
    TokenStore& opened = opened_store(store);
    static_cast<void>(take(opened.set_policy(capi::actor(actor), policy_of(policy))));
  });
}
