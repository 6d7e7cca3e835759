// The journal as an audit trail.
#include "tokenstore/journal.hpp"

#include <array>
#include <string>

#include "guard.hpp"
#include "structs.hpp"
#include "tokenstore.h"
#include "values.hpp"

using namespace tokenstore;
using namespace tokenstore::capi;

namespace {

std::string journal_path(const char* data, std::size_t size) {
  return path(data, size, "the path of the journal");
}

/// A copy, because the sealer takes the keys over.
Keyring keys_of(const tokenstore_keyring* keyring) {
  return take(Keyring::from_text(need(keyring, "the keyring").keyring.reveal_text().reveal()));
}

/// Texts with a zero byte behind them, as the library hands them out; the memory is used again for each entry.
class EntryTexts {
 public:
  const char* keep(std::string_view text, std::size_t& size) {
    std::string& kept = texts_.at(used_++);
    kept = text;
    return returned_text(kept, &size);
  }
  void begin() noexcept { used_ = 0; }

 private:
  std::array<std::string, 6> texts_;
  std::size_t used_ = 0;
};

tokenstore_journal_entry described(const JournalEntry& entry, EntryTexts& texts) {
  tokenstore_journal_entry out{};
  out.struct_size = sizeof out;
  out.number = entry.number;
  out.segment = entry.segment;
  out.at = entry.at;
  out.ends_at = end_time(entry.ends_at);
  out.revision = entry.revision;
  out.deed = static_cast<std::int32_t>(entry.deed);
  out.record = static_cast<std::int32_t>(entry.kind);
  out.gone = flag(entry.gone);
  texts.begin();
  out.workspace = texts.keep(entry.workspace, out.workspace_size);
  out.token_id = texts.keep(entry.token_id, out.token_id_size);
  out.key_id = texts.keep(entry.key_id, out.key_id_size);
  out.owner = texts.keep(entry.owner, out.owner_size);
  out.actor = texts.keep(entry.actor, out.actor_size);
  out.reason = texts.keep(entry.reason, out.reason_size);
  return out;
}

std::optional<JournalDeed> deed_of(std::int32_t deed) {
  if (deed == 0) return std::nullopt;
  if (deed < TOKENSTORE_DEED_ISSUED || deed > TOKENSTORE_DEED_ACCEPTED) {
    refuse("the deed of the query is not known: set it to 0 or one of TOKENSTORE_DEED_...");
  }
  return static_cast<JournalDeed>(deed);
}

JournalQuery query_of(const tokenstore_journal_query* given) {
  JournalQuery query;
  if (given == nullptr) return query;
  const auto known = TOKENSTORE_READ(tokenstore_journal_query, JOURNAL_QUERY, given, "the query");
  need_zero(known.reserved, "the query");
  if (known.from != 0) query.from = known.from;
  if (known.to != 0) query.to = known.to;
  query.deed = deed_of(known.deed);
  query.workspace = text(known.workspace, known.workspace_size, "the workspace");
  query.owner = text(known.owner, known.owner_size, "the owner");
  query.token_id = text(known.token_id, known.token_id_size, "the token id");
  query.actor = text(known.actor, known.actor_size, "the actor");
  query.after = text(known.after, known.after_size, "the place to go on from");
  return query;
}

void tell_problems(const JournalReport& report, tokenstore_journal_found found, void* context) {
  if (found == nullptr) return;
  for (const JournalProblem& problem : report.problems) {
    tokenstore_journal_problem out{};
    out.struct_size = sizeof out;
    out.kind = static_cast<std::int32_t>(problem.kind);
    out.accepted = flag(problem.accepted);
    out.segment = problem.segment;
    out.octet = problem.octet;
    out.entry = problem.entry;
    out.file = returned_text(problem.file, &out.file_size);
    out.what = returned_text(problem.what, &out.what_size);
    found(context, &out);
  }
}

}  // namespace

int32_t tokenstore_journal_read(const char* journal, size_t journal_size, const tokenstore_keyring* keyring,
                                const tokenstore_journal_query* query, tokenstore_journal_take take_entry,
                                tokenstore_journal_found found, void* context, tokenstore_journal_reading* out_reading,
                                tokenstore_error** out_error) {
  return guard(out_error, [&] {
    struct_size_of(out_reading, TOKENSTORE_JOURNAL_READING_SIZE_1_0, sizeof *out_reading, "the reading");
    if (take_entry == nullptr) refuse("the function that takes the entries is NULL");
    EntryTexts texts;
    const auto reading = take(read_journal(journal_path(journal, journal_size), keys_of(keyring), query_of(query),
                                           [&](const JournalEntry& entry) {
                                             const auto told = described(entry, texts);
                                             return take_entry(context, &told) == 0;
                                           }));
    tell_problems(reading.report, found, context);
    tokenstore_journal_reading out{};
    out.told = reading.told;
    out.stopped = flag(reading.stopped);
    out.damaged = flag(reading.report.damaged());
    out.lacks_key = flag(reading.report.lacks_key());
    out.next_size = reading.next.copy(out.next, sizeof out.next - 1);
    TOKENSTORE_WRITE(tokenstore_journal_reading, JOURNAL_READING, out_reading, "the reading", out);
  });
}

int32_t tokenstore_journal_verify(const char* journal, size_t journal_size, const tokenstore_keyring* keyring,
                                  tokenstore_journal_found found, void* context, tokenstore_journal_report* out_report,
                                  tokenstore_error** out_error) {
  return guard(out_error, [&] {
    struct_size_of(out_report, TOKENSTORE_JOURNAL_REPORT_SIZE_1_0, sizeof *out_report, "the report");
    const auto report = take(verify_journal(journal_path(journal, journal_size), keys_of(keyring)));
    tell_problems(report, found, context);
    tokenstore_journal_report out{};
    out.segments = report.segments;
    out.first_segment = report.first_segment;
    out.entries = report.entries;
    out.last_entry = report.last_entry;
    out.torn = report.torn;
    out.problems = report.problems.size();
    out.damaged = flag(report.damaged());
    out.lacks_key = flag(report.lacks_key());
    for (std::size_t i = 0; i < report.store.size(); ++i) {
      constexpr char digits[] = "0123456789abcdef";
      out.store[2 * i] = digits[report.store[i] >> 4U];
      out.store[2 * i + 1] = digits[report.store[i] & 15U];
    }
    TOKENSTORE_WRITE(tokenstore_journal_report, JOURNAL_REPORT, out_report, "the report", out);
  });
}

int32_t tokenstore_journal_accept(const char* journal, size_t journal_size, const tokenstore_keyring* keyring,
                                  const tokenstore_actor* actor, tokenstore_journal_acceptance* out_acceptance,
                                  tokenstore_error** out_error) {
  return guard(out_error, [&] {
    struct_size_of(out_acceptance, TOKENSTORE_JOURNAL_ACCEPTANCE_SIZE_1_0, sizeof *out_acceptance, "the acceptance");
    const Actor who = capi::actor(actor);
    const auto done = take(accept_journal(journal_path(journal, journal_size), keys_of(keyring), who));
    tokenstore_journal_acceptance out{};
    out.segment = done.segment;
    out.last_entry = done.found.last_entry;
    // It was given a name by the system, whose names are shorter.
    out.kept_file_size = done.kept_file.copy(out.kept_file, sizeof out.kept_file - 1);
    TOKENSTORE_WRITE(tokenstore_journal_acceptance, JOURNAL_ACCEPTANCE, out_acceptance, "the acceptance", out);
  });
}
