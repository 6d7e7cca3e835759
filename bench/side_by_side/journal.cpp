// What a journal of many endings costs: validations, endings, issues, opening and memory, with it and without.
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>

#include "journal/journal.hpp"
#include "lookup.hpp"
#include "suite.hpp"

namespace bench {

namespace {

using tokenstore::Actor;
using tokenstore::journal::Entry;
using tokenstore::journal::Log;

constexpr tokenstore::UnixMillis year = 365LL * 86'400'000;
constexpr std::size_t small_cache = std::size_t{4} << 20;

std::filesystem::path fresh(const std::filesystem::path& file) {
  for (const char* end : {"", "-wal", "-shm", ".key"}) std::filesystem::remove(file.string() + end);
  return file;
}

std::unique_ptr<tokenstore::TokenStore> open_with(const std::filesystem::path& file,
                                                  const std::filesystem::path& journal, std::size_t cache) {
  tokenstore::OpenSqlite options;
  options.sqlite.path = file.string();
  options.store.cache_bytes = cache;
  options.store.journal = journal.string();
  return std::move(must(tokenstore::open_sqlite(std::move(options))).store);
}

class Nobody final : public tokenstore::journal::Listener {
 public:
  void entry(std::uint64_t, const Entry&) override {}
  void ended(std::string_view, const tokenstore::journal::EndedToken&) override {}
};

/// The database of a store, and its journal. The store is not open.
class JournaledFile {
 public:
  JournaledFile(std::filesystem::path file, std::filesystem::path journal)
      : file_(std::move(file)), journal_(std::move(journal)) {}

  const std::filesystem::path& file() const noexcept { return file_; }
  const std::filesystem::path& journal() const noexcept { return journal_; }

  /// A journal in which as many tokens of the store's were revoked, each of which would live for another year, as the
  /// store itself would have written it: with the sealed records, and a new segment whenever one is due. The tokens are
  /// made up: to revoke a million one by one takes an hour.
  void fill(std::size_t endings) const {
    progress(fmt::format("a journal of {} endings", endings));
    using namespace tokenstore;
    auto backend = must(sqlite_backend({.path = file_.string()}));
    const auto about = must(backend->load_store());
    TokenQuery any;
    any.limit = 1;
    const auto page = must(backend->list_tokens("default", any));
    if (!about || page.tokens.empty()) give_up("no store in " + file_.string());
    TokenRecord record = page.tokens.front();
    seal::LiveSealer keys(must(seal::Sealer::create(must(Keyring::from_file(file_.string() + ".key")))));
    const UnixMillis now = record.created_at;
    record.revision = 2;
    record.revoked_at = now;
    record.revoked_by = "administrator:root";
    record.revoke_reason = "the laptop was lost";
    Nobody nobody;
    const auto log = must(Log::open({journal_.string()}, keys, about->id, now, nobody));
    const auto random = system_random();
    constexpr std::size_t at_once = 1000;
    for (std::size_t done = 0; done < endings; done += at_once) {
      const std::size_t count = std::min(at_once, endings - done);
      std::string entries;
      for (std::size_t i = 0; i < count; ++i) {
        std::uint64_t drawn = 0;
        random->fill({reinterpret_cast<std::uint8_t*>(&drawn), sizeof drawn});
        record.id = text::make_id(now, drawn >> 17);
        const std::string octets = journal::encode_record(record);
        Entry entry = revocation_of(record, now);
        entry.record = octets;
        entries += journal::encode_entry(entry);
      }
      expect(log->append(entries, static_cast<std::uint32_t>(count), nobody));
      const journal::Position& at = log->position();
      if (at.offset - at.summary_end > journal::Journal::segment_growth + at.summary_end) {
        expect(log->begin_segment(now, nobody));
      }
    }
  }

 private:
  static Entry revocation_of(const tokenstore::TokenRecord& record, tokenstore::UnixMillis now) {
    Entry entry;
    entry.deed = tokenstore::journal::Deed::revoked;
    entry.restricts = true;
    entry.at = now;
    entry.revision = record.revision;
    entry.feed_revision = 1;
    entry.until = now + year;
    entry.ends_at = now;
    entry.workspace = "default";
    entry.key = record.id;
    entry.owner = record.owner;
    entry.actor = record.revoked_by;
    entry.reason = record.revoke_reason;
    return entry;
  }
  static void expect(const tokenstore::Result<void>& done) {
    if (!done.ok()) give_up(done.error().message());
  }

  std::filesystem::path file_;
  std::filesystem::path journal_;
};

/// Allocated now by the whole process, whatever the allocator keeps besides.
double octets_in_use() {
  const struct mallinfo2 now = mallinfo2();
  return static_cast<double>(now.uordblks + now.hblkhd);
}

constexpr const char* without = "tokenstore, no journal";
constexpr const char* with = "tokenstore, a journal";

void compare_validations(const Settings& settings, const Population& population, const JournaledFile& journaled,
                         std::size_t endings, Report& report) {
  progress("validations with and without a journal");
  const auto open = [&](bool journal, std::size_t cache) {
    return open_with(population.file, journal ? journaled.journal() : std::filesystem::path(), cache);
  };
  {
    // As many tokens as fit into the processor's caches twice over: what two tables of a million are apart by, by the
    // pages that they happen to get, is more than what is looked for.
    const std::size_t hot = std::min(settings.small, population.tokens);
    const auto bare = open(false, population.ample_cache());
    const auto kept = open(true, population.ample_cache());
    const auto way_bare = our_look_up(*bare, false);
    const auto way_kept = our_look_up(*kept, false);
    const Order order = uniform_order(hot, settings.calls * (settings.rounds + 1), 41);
    for (LookUp* way : {way_bare.get(), way_kept.get()})
      ask_about(population, shuffled_order(hot, 42), answer_of(*way));
    const auto timed = [&](LookUp& way) {
      return [&](std::size_t round) {
        return time_right_requests(population, slice_of_round(order, round, settings.calls), answer_of(way),
                                   "with a journal");
      };
    };
    const auto group = take_turns({{without, timed(*way_bare)}, {with, timed(*way_kept)}}, settings.rounds);
    report.add("Hot look-ups, with and without a journal", hot, 1, group);
    report.require({fmt::format("hot with a journal of {} endings, against none", endings), Requirement::Sense::at_most,
                    1.02, ratio(group[1], group[0])});
  }
  // Not the first token of an owner: that one makes the owner known.
  Order order = shuffled_order(population.tokens, 43);
  std::erase_if(order, [](std::uint32_t token) { return token % tokens_per_owner == 0; });
  const std::size_t calls = std::min(order.size() / (settings.rounds + 1), settings.calls / 20);
  const auto bare = open(false, population.ample_cache());
  const auto kept = open(true, population.ample_cache());
  const auto way_bare = our_look_up(*bare, false);
  const auto way_kept = our_look_up(*kept, false);
  const auto timed = [&](LookUp& way) {
    return [&](std::size_t round) {
      const Slice slice = slice_of_round(order, round, calls);
      Order firsts;
      for (const std::uint32_t token : slice) firsts.push_back(token - token % tokens_per_owner);
      ask_about(population, firsts, answer_of(way));
      return time_right_requests(population, slice, answer_of(way), "misses with a journal");
    };
  };
  const auto group = take_turns({{without, timed(*way_bare)}, {with, timed(*way_kept)}}, settings.rounds);
  for (const auto* store : {&bare, &kept}) {
    if ((*store)->statistics().misses < calls * settings.rounds) give_up("the misses were no misses");
  }
  report.add("Misses, with and without a journal", population.tokens, 1, group);
  report.require({fmt::format("miss with a journal of {} endings, against none", endings), Requirement::Sense::at_most,
                  1.05, ratio(group[1], group[0])});
}

void measure_opening(const Settings& settings, const JournaledFile& journaled, std::size_t endings, Report& report) {
  progress("opening with a journal");
  const double before = octets_in_use();
  auto bare = open_with(journaled.file(), {}, small_cache);
  const double of_bare = octets_in_use() - before;
  bare.reset();
  const double between = octets_in_use();
  auto kept = open_with(journaled.file(), journaled.journal(), small_cache);
  const double of_journal = octets_in_use() - between - of_bare;
  kept.reset();
  const auto opening = [&](const std::filesystem::path& journal) {
    return [&, journal](std::size_t) {
      return time_per_call(1, [&] { open_with(journaled.file(), journal, small_cache); });
    };
  };
  const auto group = take_turns({{without, opening({})}, {with, opening(journaled.journal())}},
                                std::min<std::size_t>(settings.rounds, 5));
  report.add("Opening, with and without a journal", endings, 1, group);
  report.require({fmt::format("opening with a journal of {} endings", endings), Requirement::Sense::at_most, 1000,
                  group[1].median() / 1e6, "ms"});
  report.require({fmt::format("memory of a journal of {} endings", endings), Requirement::Sense::at_most, 24,
                  of_journal / 1e6, "MB"});
  report.note(
      fmt::format("a journal of {} endings, as its store would have written it: {:.0f} MB in the active segment",
                  endings, static_cast<double>(std::filesystem::file_size(journaled.journal())) / 1e6));
}

/// A store, and tokens in it that are revoked one after the other.
class Revoking {
 public:
  Revoking(const std::filesystem::path& file, const std::filesystem::path& journal, std::size_t tokens)
      : store_(open_with(file, journal, small_cache)) {
    constexpr std::size_t at_once = 20'000;
    for (std::size_t first = 0; first < tokens; first += at_once) {
      const auto issued =
          must(store_->issue_many(Actor::host(), issue_requests(first, std::min(at_once, tokens - first))));
      for (const auto& one : issued) ids_.push_back(one.info.id);
    }
  }

  double time(unsigned threads, std::size_t each) {
    const std::size_t first = next_;
    next_ += threads * each;
    if (next_ > ids_.size()) give_up("no tokens left to revoke");
    return time_threads(threads, threads * each, [&, first](unsigned thread) {
      for (std::size_t i = 0; i < each; ++i) must(store_->revoke(Actor::host(), ids_[first + thread * each + i]));
    });
  }

 private:
  std::unique_ptr<tokenstore::TokenStore> store_;
  std::vector<std::string> ids_;
  std::size_t next_ = 0;
};

void compare_endings(const Settings& settings, std::size_t endings, Report& report) {
  progress("revoking with and without a journal");
  constexpr unsigned many = 8;
  const std::size_t each = settings.single_issues;
  const std::size_t tokens = (settings.rounds + 1) * (1 + many) * each;
  Revoking bare(fresh(settings.directory / "revoke-bare.db"), {}, tokens);
  const JournaledFile journaled(fresh(settings.directory / "revoke.db"), settings.directory / "revoke.journal");
  // The store has to be there, with a token in it, before its journal is.
  must(open_with(journaled.file(), {}, small_cache)->issue_many(Actor::host(), issue_requests(0, 1)));
  journaled.fill(endings);
  Revoking kept(journaled.file(), journaled.journal(), tokens);
  for (const unsigned threads : {1U, many}) {
    const auto group = take_turns({{without, [&](std::size_t) { return bare.time(threads, each); }},
                                   {with, [&](std::size_t) { return kept.time(threads, each); }}},
                                  settings.rounds);
    report.add("Durable revocation, with and without a journal", endings, threads, group);
    report.require({fmt::format("revoking with a journal of {} endings, {}, against none", endings,
                                threads == 1 ? "one thread" : "eight threads"),
                    Requirement::Sense::at_most, threads == 1 ? 2.2 : 1.5, ratio(group[1], group[0])});
  }
}

void compare_bulk_issue(const Settings& settings, Report& report) {
  progress("bulk issue with and without a journal");
  const auto wanted = issue_requests(0, settings.bulk);
  const auto issuing = [&](const std::filesystem::path& journal) {
    return [&, journal](std::size_t) {
      if (!journal.empty()) std::filesystem::remove(journal);
      const auto store = open_with(fresh(settings.directory / "journal-bulk.db"), journal, small_cache);
      return time_per_call(settings.bulk, [&] { must(store->issue_many(Actor::host(), wanted)); });
    };
  };
  const auto group = take_turns({{without, issuing({})}, {with, issuing(settings.directory / "bulk.journal")}},
                                std::max<std::size_t>(settings.rounds / 3, 2));
  report.add("Bulk issue, with and without a journal", settings.bulk, 1, group);
  report.require({fmt::format("bulk issue of {} with a journal, against none", settings.bulk),
                  Requirement::Sense::at_most, 1.1, ratio(group[1], group[0])});
}

}  // namespace

void measure_journal(const Settings& settings, const Population& population, Report& report) {
  const std::size_t endings = settings.large;
  const JournaledFile journaled(population.file, settings.directory / "population.journal");
  journaled.fill(endings);
  compare_validations(settings, population, journaled, endings, report);
  measure_opening(settings, journaled, endings, report);
  compare_endings(settings, endings, report);
  compare_bulk_issue(settings, report);
}

}  // namespace bench
