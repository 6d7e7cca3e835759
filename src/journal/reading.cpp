// Reading the journal as an audit trail, and verifying it.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "journal/trail.hpp"

namespace tokenstore {

bool JournalReport::damaged() const noexcept {
  return std::any_of(problems.begin(), problems.end(), [](const JournalProblem& problem) {
    return problem.kind != JournalProblem::Kind::no_key && !problem.accepted;
  });
}

bool JournalReport::lacks_key() const noexcept {
  return std::any_of(problems.begin(), problems.end(),
                     [](const JournalProblem& problem) { return problem.kind == JournalProblem::Kind::no_key; });
}

namespace journal {
namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";

/// A place as text: five numbers and the MAC before it.
std::string text_of(const Footing& place) {
  if (place.segment == 0) return {};
  std::string text = fmt::format("{}-{}-{}-{}-{}-", place.segment, place.offset, place.number, place.told,
                                 place.tells_summary ? 1 : 0);
  for (const std::uint8_t octet : place.mac) {
    text += hex_digits[octet >> 4U];
    text += hex_digits[octet & 15U];
  }
  return text;
}

bool take_number(std::string_view& text, std::uint64_t& number) noexcept {
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  const auto size = static_cast<std::size_t>(end - text.data());
  if (problem != std::errc{} || size == text.size() || text[size] != '-') return false;
  text.remove_prefix(size + 1);
  return true;
}

Result<Footing> place_of(std::string_view text) {
  Footing place;
  if (text.empty()) return place;
  const Error refused(Status::invalid_argument,
                      "where to go on in the journal is no place in one; give what an earlier reading ended with");
  std::uint64_t tells_summary = 0;
  for (std::uint64_t* number : {&place.segment, &place.offset, &place.number, &place.told, &tells_summary}) {
    if (!take_number(text, *number)) return refused;
  }
  if (text.size() != 2 * place.mac.size() || place.segment == 0 || place.number == 0 || tells_summary > 1) {
    return refused;
  }
  for (std::size_t i = 0; i < place.mac.size(); ++i) {
    const std::size_t high = hex_digits.find(text[2 * i]);
    const std::size_t low = hex_digits.find(text[2 * i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return refused;
    place.mac[i] = static_cast<std::uint8_t>(high << 4U | low);
  }
  place.tells_summary = tells_summary == 1;
  return place;
}

/// "administrator:NAME" is asked for as that, or as NAME.
bool is_actor(std::string_view label, std::string_view asked) noexcept {
  if (label == asked) return true;
  const std::size_t colon = label.find(':');
  return colon != std::string_view::npos && label.substr(colon + 1) == asked;
}

/// Tells what was asked for.
class Telling final : public Audience {
 public:
  Telling(const JournalQuery& query, const std::function<bool(const JournalEntry&)>& take)
      : query_(query), take_(take) {}

  bool entry(std::uint64_t segment, std::uint64_t number, const Entry& entry) override {
    JournalEntry told;
    told.number = number;
    told.segment = segment;
    told.at = entry.at;
    told.deed = entry.deed;
    told.kind = entry.kind;
    told.gone = entry.revision == gone;
    told.revision = told.gone ? 0 : entry.revision;
    told.ends_at = entry.ends_at;
    told.workspace = entry.workspace;
    told.owner = entry.kind == RecordKind::owner ? entry.key : entry.owner;
    if (entry.kind == RecordKind::token) told.token_id = entry.key;
    if (entry.deed >= Deed::key_added && entry.deed <= Deed::key_removed) told.key_id = entry.key;
    told.actor = entry.actor;
    told.reason = entry.reason;
    return tell(told);
  }
  bool ended(std::uint64_t segment, std::string_view workspace, const EndedToken& token) override {
    JournalEntry told;
    told.segment = segment;
    told.deed = token.deed;
    told.gone = token.revision == gone;
    told.revision = told.gone ? 0 : token.revision;
    told.ends_at = token.ends_at;
    told.workspace = workspace;
    told.token_id = token.id;
    return tell(told);
  }

  std::uint64_t told() const noexcept { return told_; }

 private:
  bool tell(const JournalEntry& entry) {
    if (!is_asked_for(entry)) return true;
    ++told_;
    return take_(entry);
  }
  bool is_asked_for(const JournalEntry& entry) const noexcept {
    const auto differs = [](const std::string& asked, std::string_view is) { return !asked.empty() && asked != is; };
    if (query_.from && (entry.at == 0 || entry.at < *query_.from)) return false;
    if (query_.to && (entry.at == 0 || entry.at >= *query_.to)) return false;
    if (query_.deed && entry.deed != *query_.deed) return false;
    if (differs(query_.workspace, entry.workspace) || differs(query_.owner, entry.owner)) return false;
    if (differs(query_.token_id, entry.token_id)) return false;
    return query_.actor.empty() || is_actor(entry.actor, query_.actor);
  }

  const JournalQuery& query_;
  const std::function<bool(const JournalEntry&)>& take_;
  std::uint64_t told_ = 0;
};

class NoAudience final : public Audience {
 public:
  bool entry(std::uint64_t, std::uint64_t, const Entry&) override { return true; }
  bool ended(std::uint64_t, std::string_view, const EndedToken&) override { return true; }
};

}  // namespace
}  // namespace journal

Result<JournalReading> read_journal(const std::string& path, Keyring keyring, const JournalQuery& query,
                                    const std::function<bool(const JournalEntry&)>& take) {
  const auto from = journal::place_of(query.after);
  if (!from.ok()) return from.error();
  auto sealer = seal::Sealer::create(std::move(keyring));
  if (!sealer.ok()) return sealer.error();
  seal::LiveSealer keys(*std::move(sealer));
  journal::Telling telling(query, take);
  auto trail = journal::trail_of(path, keys, *from, telling);
  if (!trail.ok()) return trail.error();
  JournalReading reading;
  reading.told = telling.told();
  reading.next = journal::text_of(trail->next);
  reading.stopped = trail->stopped;
  reading.report = std::move(trail->report);
  return reading;
}

Result<JournalReport> verify_journal(const std::string& path, Keyring keyring) {
  auto sealer = seal::Sealer::create(std::move(keyring));
  if (!sealer.ok()) return sealer.error();
  seal::LiveSealer keys(*std::move(sealer));
  journal::NoAudience nobody;
  auto trail = journal::trail_of(path, keys, {}, nobody);
  if (!trail.ok()) return trail.error();
  return std::move(trail->report);
}

}  // namespace tokenstore
