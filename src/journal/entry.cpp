#include "journal/entry.hpp"

#include "journal/octets.hpp"

namespace tokenstore::journal {

namespace {

constexpr std::size_t feed_revision_at = 4 + 1 + 1 + 1 + 8 + 8;

bool is_deed(std::uint8_t deed) noexcept {
  return deed >= static_cast<std::uint8_t>(Deed::issued) && deed <= static_cast<std::uint8_t>(Deed::accepted);
}

}  // namespace

std::string encode_entry(const Entry& entry) {
  std::string octets(4, '\0');
  OctetWriter writer(octets);
  writer.octet(static_cast<std::uint8_t>(entry.deed));
  writer.octet(static_cast<std::uint8_t>(entry.kind));
  writer.octet(entry.restricts ? 1 : 0);
  writer.time(entry.at);
  writer.count(entry.revision);
  writer.count(entry.feed_revision);
  writer.time(entry.until);
  writer.time(entry.ends_at);
  for (const std::string_view text :
       {entry.workspace, entry.key, entry.owner, entry.actor, entry.reason, entry.record}) {
    writer.text(text);
  }
  std::string size;
  OctetWriter(size).number(octets.size() - 4, 4);
  octets.replace(0, 4, size);
  return octets;
}

SomeEntries first_entries(std::string_view encoded, std::size_t most) noexcept {
  SomeEntries some;
  std::size_t taken = 0;
  while (taken < encoded.size()) {
    const std::size_t size = 4 + OctetReader(encoded.substr(taken)).number(4);
    if (some.count != 0 && taken + size > most) break;
    taken += size;
    ++some.count;
  }
  some.octets = encoded.substr(0, taken);
  return some;
}

void set_feed_revision(std::string& encoded, std::uint64_t revision) noexcept {
  for (std::size_t at = 0; at < encoded.size();) {
    for (unsigned i = 0; i < 8; ++i) encoded[at + feed_revision_at + i] = static_cast<char>(revision >> (56 - 8 * i));
    at += first_entries(std::string_view(encoded).substr(at), 0).octets.size();
  }
}

std::optional<Entry> take_entry(std::string_view& octets) {
  OctetReader outer(octets);
  const std::size_t size = outer.number(4);
  if (!outer.ok() || size > octets.size() - 4) return std::nullopt;
  OctetReader reader(octets.substr(4, size));
  Entry entry;
  const std::uint8_t deed = reader.octet();
  const std::uint8_t kind = reader.octet();
  const std::uint8_t restricts = reader.octet();
  entry.at = reader.time();
  entry.revision = reader.count();
  entry.feed_revision = reader.count();
  entry.until = reader.time();
  entry.ends_at = reader.time();
  for (std::string_view* text :
       {&entry.workspace, &entry.key, &entry.owner, &entry.actor, &entry.reason, &entry.record}) {
    *text = reader.text();
  }
  if (!reader.finished() || !is_deed(deed) || kind < 1 || kind > 4 || restricts > 1) return std::nullopt;
  entry.deed = static_cast<Deed>(deed);
  entry.kind = static_cast<RecordKind>(kind);
  entry.restricts = restricts == 1;
  octets.remove_prefix(4 + size);
  return entry;
}

}  // namespace tokenstore::journal
