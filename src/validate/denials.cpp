#include "validate/denials.hpp"

#include "text/token_text.hpp"

namespace tokenstore::validate {

void Denials::add(Chains& to, std::uint64_t key, std::string_view name, std::string_view owner, unsigned why) {
  std::atomic<const Denial*>& chain = to[key % chains];
  for (const Denial* known = chain.load(); known != nullptr; known = known->next) {
    if (known->name != name || known->owner != owner) continue;
    if (known->why.fetch_or(why) == 0) count_.fetch_add(1);
    return;
  }
  if (!owner.empty() && ++unread_ > most_unread) return;
  Denial& made = denials_.emplace_front();
  made.name = name;
  made.owner = owner;
  made.why = why;
  made.next = chain.load();
  chain.store(&made, std::memory_order_release);
  count_.fetch_add(1);
}

void Denials::remove(Chains& from, std::uint64_t key, std::string_view name, unsigned why) {
  if (!any()) return;
  const std::lock_guard lock(mutex_);
  for (const Denial* known = head(from, key); known != nullptr; known = known->next) {
    if (known->name != name) continue;
    const unsigned before = known->why.fetch_and(~why);
    if (before != 0 && (before & ~why) == 0) count_.fetch_sub(1);
  }
}

void Denials::deny_token_of(std::string_view id, std::string_view owner) {
  if (!text::is_id(id)) return;
  const std::lock_guard lock(mutex_);
  add(tokens_, place_of(id), id, owner, 1);
}

void Denials::deny_owner(std::string_view owner, OwnerStop why) {
  const std::lock_guard lock(mutex_);
  add(owners_, fingerprinter_.group(owner), owner, {}, static_cast<unsigned>(why));
}

void Denials::deny_everything() noexcept {
  if (!everything_.exchange(true)) count_.fetch_add(1);
}

void Denials::allow_token(std::string_view id) {
  if (text::is_id(id)) remove(tokens_, place_of(id), id, ~0U);
}

void Denials::allow_owner(std::string_view owner, OwnerStop why) {
  remove(owners_, fingerprinter_.group(owner), owner, static_cast<unsigned>(why));
}

void Denials::allow_everything() noexcept {
  if (everything_.exchange(false)) count_.fetch_sub(1);
}

void Denials::inherit(const Denials& parent) {
  // The parent's mutex may be held for ever by a thread that is not here. Whatever a chain shows is whole.
  const std::lock_guard lock(mutex_);
  const auto each = [](const Chains& from, const auto& take) {
    for (const auto& chain : from)
      for (const Denial* known = chain.load(std::memory_order_acquire); known != nullptr; known = known->next)
        if (const unsigned why = known->why.load(); why != 0) take(*known, why);
  };
  each(parent.tokens_,
       [this](const Denial& known, unsigned why) { add(tokens_, place_of(known.name), known.name, known.owner, why); });
  each(parent.owners_, [this](const Denial& known, unsigned why) {
    add(owners_, fingerprinter_.group(known.name), known.name, {}, why);
  });
  if (parent.everything_.load()) deny_everything();
}

bool Denials::denies(std::string_view id, std::string_view owner) const noexcept {
  if (everything_.load(std::memory_order_acquire)) return true;
  for (const Denial* known = text::is_id(id) ? head(tokens_, place_of(id)) : nullptr; known; known = known->next) {
    if (known->why.load(std::memory_order_acquire) != 0 && known->name == id &&
        (known->owner.empty() || known->owner == owner))
      return true;
  }
  for (const Denial* known = head(owners_, fingerprinter_.group(owner)); known != nullptr; known = known->next) {
    if (known->why.load(std::memory_order_acquire) != 0 && known->name == owner) return true;
  }
  return false;
}

}  // namespace tokenstore::validate
