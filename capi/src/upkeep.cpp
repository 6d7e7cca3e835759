// Purging, housekeeping, checking and counting.
#include <memory>

#include "guard.hpp"
#include "structs.hpp"
#include "tokenstore.h"
#include "tokenstore/store.hpp"
#include "values.hpp"

using namespace tokenstore;
using namespace tokenstore::capi;

int32_t tokenstore_purge(tokenstore_store* store, const tokenstore_actor* actor, int64_t ended_before,
                         int64_t budget_ms, uint64_t* out_removed, int32_t* out_complete,
                         tokenstore_error** out_error) {
  return guard(out_error, [&] {
    need(out_removed, "the pointer for the number removed") = 0;
    need(out_complete, "the pointer for whether it is complete") = 0;
    TokenStore& opened = opened_store(store);
    const PurgeResult result = take(opened.purge(capi::actor(actor), ended_before, budget(budget_ms, 1000)));
    *out_removed = result.removed;
    *out_complete = flag(result.complete);
  });
}

int32_t tokenstore_reseal(tokenstore_store* store, const tokenstore_actor* actor, const char* cursor,
                          size_t cursor_size, int64_t budget_ms, tokenstore_reseal_summary* out_summary,
                          tokenstore_error** out_error) {
  return guard(out_error, [&] {
    TokenStore& opened = opened_store(store);
    const std::string_view from = text(cursor, cursor_size, "the cursor");
    const ResealResult result = take(opened.reseal(capi::actor(actor), from, budget(budget_ms, 1000)));
    tokenstore_reseal_summary out{0, result.resealed, result.kept, result.refused, result.next.size(), {}};
    result.next.copy(out.next, sizeof out.next);
    TOKENSTORE_WRITE(tokenstore_reseal_summary, RESEAL_SUMMARY, out_summary, "the summary", out);
  });
}

int32_t tokenstore_heal(tokenstore_store* store, const tokenstore_actor* actor, tokenstore_progress progress,
                        void* context, tokenstore_heal_summary* out_summary, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    TokenStore& opened = opened_store(store);
    need(out_summary, "the summary");
    const Progress tell = progress_of(progress, context);
    const HealReport healed = take(opened.heal(capi::actor(actor), tell));
    const tokenstore_heal_summary out{
        0, healed.looked_at, healed.ended, healed.removed, healed.settings, healed.refused};
    TOKENSTORE_WRITE(tokenstore_heal_summary, HEAL_SUMMARY, out_summary, "the summary", out);
  });
}

int32_t tokenstore_maintain(tokenstore_store* store, int64_t budget_ms, int32_t* out_more,
                            tokenstore_error** out_error) {
  return guard(out_error, [&] {
    if (out_more != nullptr) *out_more = 0;
    const bool more = take(opened_store(store).maintain(budget(budget_ms, 50)));
    if (out_more != nullptr) *out_more = flag(more);
  });
}

int32_t tokenstore_check(tokenstore_store* store, const tokenstore_actor* actor, tokenstore_progress progress,
                         void* context, tokenstore_check_report** out_report, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    auto*& out = need_output(out_report);
    TokenStore& opened = opened_store(store);
    const Progress tell = progress_of(progress, context);
    auto report = std::make_unique<tokenstore_check_report>();
    report->report = take(opened.check(capi::actor(actor), tell));
    out = report.release();
  });
}

int32_t tokenstore_check_report_read(const tokenstore_check_report* report, tokenstore_check_summary* out_summary,
                                     tokenstore_error** out_error) {
  return guard(out_error, [&] {
    const CheckReport& found = need(report, "the report").report;
    const tokenstore_check_summary out{0, found.tokens, found.owners, found.problem_count, found.problems.size()};
    TOKENSTORE_WRITE(tokenstore_check_summary, CHECK_SUMMARY, out_summary, "the summary", out);
  });
}

const char* tokenstore_check_report_problem(const tokenstore_check_report* report, size_t index, size_t* out_size) {
  return guard_value(no_text(out_size), [&] {
    if (report == nullptr || index >= report->report.problems.size()) return no_text(out_size);
    return returned_text(report->report.problems[index], out_size);
  });
}

int32_t tokenstore_check_report_key(const tokenstore_check_report* report, size_t index,
                                    tokenstore_key_usage* out_usage, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    const std::vector<KeyUsage>& keys = need(report, "the report").report.keys;
    if (index >= keys.size()) fail(Status::not_found, "the report has no key at this index");
    const KeyUsage& key = keys[index];
    const tokenstore_key_usage out{0, key.key_id.data(), key.key_id.size(), key.seals, key.living_tokens};
    TOKENSTORE_WRITE(tokenstore_key_usage, KEY_USAGE, out_usage, "the usage", out);
  });
}

void tokenstore_check_report_free(tokenstore_check_report* report) {
  guard_free(report);
}

int32_t tokenstore_read_statistics(tokenstore_store* store, tokenstore_statistics* out_statistics,
                                   tokenstore_error** out_error) {
  return guard(out_error, [&] {
    const Statistics counted = opened_store(store).statistics();
    const tokenstore_statistics out{0,
                                    counted.hits,
                                    counted.misses,
                                    counted.negative_hits,
                                    counted.malformed,
                                    counted.forged,
                                    counted.unavailable,
                                    counted.catch_ups,
                                    counted.dropped_all,
                                    counted.evictions,
                                    counted.uses_written,
                                    counted.cached_tokens,
                                    counted.cache_bytes,
                                    counted.not_kept_busy,
                                    counted.not_kept_changed,
                                    counted.not_kept_no_room,
                                    counted.feed_mismatches,
                                    counted.keys_taken,
                                    counted.keys_refused,
                                    counted.rolled_back,
                                    counted.healed};
    TOKENSTORE_WRITE(tokenstore_statistics, STATISTICS, out_statistics, "the statistics", out);
  });
}
