#include "validate/hits.hpp"

#include "base/text_rules.hpp"
#include "text/token_text.hpp"
#include "validate/verdict_writer.hpp"

namespace tokenstore::validate {

Hits::Hits(const std::string& prefix, base::EffectiveClock& clock, Counters& counters)
    : id_at_(prefix.size() + 1 + (text::handle_size - text::id_size)), clock_(clock), counters_(counters) {}

bool Hits::answer(Memory& memory, std::string_view text, const Demand& demand, CatchUp catch_up,
                  std::optional<std::uint64_t>& pulse, Verdict& verdict) {
  // What is needed from memory is asked for first, and what needs none is done while it is on its way.
  __builtin_prefetch(text.data());
  __builtin_prefetch(text.data() + text.size() - 1);
  if (!memory.table) return false;

  const std::string_view id = text.substr(id_at_, text::id_size);
  const CacheTable::Home home = memory.table->locate(memory.fingerprinter.place(IdWords::of(id.data())));
  if (!demand.client_address.empty()) home.slot.prefetch_address();
  pulse = catch_up == CatchUp::yes ? memory.freshness->current() : memory.freshness->caught_up();
  const Asked asked{memory.table->scope_sets().wanted(demand.scope),
                    demand.client_address.empty() ? PackedAddress{} : PackedAddress::parse(demand.client_address),
                    clock_.coarse_now()};
  if (!pulse) return false;
  const Fingerprint print = memory.fingerprinter.fingerprint(text);
  Found found;
  return memory.table->find(home, print, found) && answer_from(memory, found, home.place, id, asked, verdict);
}

// Short on purpose: what depends on the slot waits for memory, and while little waits the processor goes on to the
// next call.
bool Hits::answer_from(Memory& memory, const Found& found, std::uint64_t place, std::string_view id, const Asked& asked,
                       Verdict& verdict) {
  const Slot slot = found.slot;
  const EntryTraits traits = EntryTraits::unpack(slot.load(Slot::traits));
  const std::uint64_t generation_and_text = slot.load(Slot::generation_and_text);
  if (traits.kind != EntryKind::live) return refuse(memory, found, asked, verdict);
  if (memory.owners.of(traits.owner_group) != static_cast<std::uint32_t>(generation_and_text)) return false;
  const auto expires_at = static_cast<UnixMillis>(slot.load(Slot::expires_at));
  const std::optional<UnixMillis> now = before_end(expires_at, asked);
  if (!now) return false;

  VerdictWriter answer(verdict);
  bool in_scope = false;
  if (generation_and_text >> 32 == 0) {
    const ScopeSets::Set scopes = memory.table->scope_sets().at(traits.scope_set);
    in_scope = asked.scope.bit == 0 || (scopes.bits() & asked.scope.bit) != 0;
    answer.identify<slot_owner_words>(
        in_scope ? Reason::none : Reason::insufficient_scope, id,
        [&slot](std::size_t word) { return slot.load(Slot::owner + word); }, traits.owner_size,
        [&scopes](std::size_t word) { return scopes.word(word); }, scopes.size(), expires_at);
    // The set may be another's by now: only the copy is searched.
    if (asked.scope.bit == 0) in_scope = base::has_scope(verdict.scopes(), asked.scope.scope);
    if (!in_scope) answer.lack_scope();
  } else if (!identify_by_text(memory, slot, id, asked, expires_at, in_scope, verdict)) {
    return false;
  }
  const UseWord use = slot.use_word();
  // Unchanged: everything read above belongs together.
  if (!found.unchanged()) return false;
  if (memory.denials.any() && memory.denials.may_deny(place, traits.owner_group) &&
      memory.denials.denies(id, verdict.owner())) {
    answer.refuse(Outcome::invalid, Reason::revoked);
    return true;
  }
  counters_.raise(Count::hits);
  if (in_scope && !note_use(slot, use, *now, asked.from)) memory.uses.note(id, *now, asked.from.text());
  return true;
}

std::optional<UnixMillis> Hits::before_end(UnixMillis expires_at, const Asked& asked) noexcept {
  // The exact time is asked only where the end is near. Before 1970 it always is: no lag can be taken from
  // such an end without overflow.
  if (expires_at > 0 && asked.coarse_now < expires_at - clock_.coarse_lag()) return asked.coarse_now;
  const UnixMillis now = clock_.now();
  return now < expires_at ? std::optional(now) : std::nullopt;
}

bool Hits::refuse(Memory& memory, const Found& found, const Asked& asked, Verdict& verdict) {
  const EntryTraits traits = EntryTraits::unpack(found.slot.load(Slot::traits));
  const auto generation = static_cast<std::uint32_t>(found.slot.load(Slot::generation_and_text));
  if (traits.kind == EntryKind::none) return false;
  const Generations& generations = traits.kind == EntryKind::gone ? memory.tokens : memory.owners;
  if (generations.of(traits.owner_group) != generation) return false;
  const auto until = static_cast<UnixMillis>(found.slot.load(Slot::expires_at));
  if (traits.kind == EntryKind::refused && !before_end(until, asked)) return false;
  if (!found.unchanged()) return false;
  counters_.raise(Count::gone_hits);
  VerdictWriter(verdict).refuse(Outcome::invalid, traits.reason);
  return true;
}

bool Hits::identify_by_text(Memory& memory, Slot entry, std::string_view id, const Asked& asked, UnixMillis expires_at,
                            bool& in_scope, Verdict& verdict) {
  LongTextCopy copy;  // NOLINT(cppcoreguidelines-pro-type-member-init): only written where it is read
  if (!memory.table->copy_text(entry, copy)) return false;
  const LongText text = copy.text();
  in_scope = base::has_scope(text.scopes, asked.scope.scope);
  VerdictWriter(verdict).identify(in_scope ? Reason::none : Reason::insufficient_scope, id, text.owner, text.scopes,
                                  text.metadata, expires_at);
  return true;
}

}  // namespace tokenstore::validate
