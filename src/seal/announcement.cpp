#include "seal/announcement.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/wipe.hpp"

namespace tokenstore::seal {

namespace {

constexpr std::uint8_t kind_of_everything = 0;
/// Well below what a link can cover. Whoever names more than this changes what most others remember.
constexpr std::size_t entry_max = 60'000;

bool is_kind(std::uint8_t kind) noexcept {
  return kind >= static_cast<std::uint8_t>(RecordKind::token) && kind <= static_cast<std::uint8_t>(RecordKind::store);
}

}  // namespace

SealedAnnouncement::SealedAnnouncement(const Sealer& sealer, const Place& place)
    : sealer_(sealer), place_(place), entry_(sealer.active_key_id()) {}

void SealedAnnouncement::add(std::uint8_t kind, std::string_view key) {
  entry_.push_back(static_cast<char>(kind));
  entry_.push_back(static_cast<char>(key.size() >> 8));
  entry_.push_back(static_cast<char>(key.size()));
  entry_.append(key);
}

void SealedAnnouncement::name(RecordKind kind, std::string_view key) {
  if (everything_) return;
  if (entry_.size() + key.size() + 3 > entry_max) {
    everything_ = true;
    entry_ = sealer_.active_key_id();
    return add(kind_of_everything, {});
  }
  add(static_cast<std::uint8_t>(kind), key);
}

void SealedAnnouncement::name_changes(std::span<const Mutation> batch) {
  for (const Mutation& step : batch) {
    if (step.action != Mutation::Action::check) name(step.kind, step.key);
  }
}

Bytes32 SealedAnnouncement::link(std::uint64_t revision, const Bytes32& previous) const noexcept {
  // The active key is held and not retired, so there always is one.
  return sealer_.feed_link(place_, sealer_.active_key_id(), revision, previous, entry_).value_or(Bytes32{});
}

std::optional<std::vector<ChangedRecord>> changes_named(std::string_view entry) {
  if (entry.size() < text::key_id_size) return std::nullopt;
  entry.remove_prefix(text::key_id_size);
  std::vector<ChangedRecord> named;
  while (!entry.empty()) {
    if (entry.size() < 3) return std::nullopt;
    const auto kind = static_cast<std::uint8_t>(entry[0]);
    const std::size_t size =
        static_cast<std::size_t>(static_cast<std::uint8_t>(entry[1])) << 8 | static_cast<std::uint8_t>(entry[2]);
    entry.remove_prefix(3);
    if (!is_kind(kind) || size > entry.size()) return std::nullopt;
    named.push_back({static_cast<RecordKind>(kind), std::string(entry.substr(0, size))});
    entry.remove_prefix(size);
  }
  return named;
}

std::string_view key_of_entry(std::string_view entry) noexcept {
  return entry.size() < text::key_id_size ? std::string_view() : entry.substr(0, text::key_id_size);
}

bool is_linked(const Sealer& sealer, const Place& place, const Changes::Entry& entry,
               const Bytes32& previous) noexcept {
  const auto expected = sealer.feed_link(place, key_of_entry(entry.text), entry.revision, previous, entry.text);
  return expected && base::equal_constant_time(*expected, entry.link);
}

bool is_linked_by_retired(const Sealer& sealer, const Place& place, const Changes::Entry& entry,
                          const Bytes32& previous) noexcept {
  const std::string_view key = key_of_entry(entry.text);
  const auto expected = sealer.feed_link_of_retired(place, key, entry.revision, previous, entry.text);
  return expected && base::equal_constant_time(*expected, entry.link);
}

FeedReading read_on(const Sealer& sealer, const Place& place, std::uint64_t revision, Bytes32 link,
                    const Changes& changes) {
  if (changes.everything) return {};
  std::vector<ChangedRecord> all;
  bool everything = false;
  for (const Changes::Entry& entry : changes.entries) {
    if (entry.revision != revision + 1) return {false, std::nullopt};
    if (!is_linked(sealer, place, entry, link)) {
      return {is_linked_by_retired(sealer, place, entry, link), std::nullopt};
    }
    revision = entry.revision;
    link = entry.link;
    auto named = changes_named(entry.text);
    everything = everything || !named;
    if (named) std::move(named->begin(), named->end(), std::back_inserter(all));
  }
  if (revision != changes.revision || link != changes.link) return {false, std::nullopt};
  if (everything) return {};
  return {true, std::move(all)};
}

}  // namespace tokenstore::seal
