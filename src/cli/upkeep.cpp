// check and stats: is the store well, and how full is it?
#include <fmt/format.h>
#include <sys/stat.h>

#include "cli/command.hpp"
#include "cli/terminal.hpp"

namespace tokenstore::cli {
namespace {

struct CheckOptions {};

ExitCode run_check(Session& session, const CheckOptions&) {
  TokenStore& store = session.store();
  const CheckReport report = [&] {
    ProgressLine line("checked", session.quiet());
    return take(store.check(session.actor(), [&line](std::uint64_t done, std::uint64_t total) {
      line.update(done, total);
      return true;
    }));
  }();
  const bool sound = report.problem_count == 0;
  Json json;
  json["ok"] = sound;
  json["tokens"] = report.tokens;
  json["owners"] = report.owners;
  json["problem_count"] = report.problem_count;
  json["problems"] = report.problems;
  json["keys"] = Json::array();
  for (const KeyUsage& key : report.keys) {
    json["keys"].push_back({{"key", key.key_id}, {"seals", key.seals}, {"living_tokens", key.living_tokens}});
  }
  std::string text;
  for (const std::string& problem : report.problems) text += printable(problem) + "\n";
  if (sound) {
    text += fmt::format("sound: {} tokens and {} owners checked\n", report.tokens, report.owners);
  } else {
    text += fmt::format("{} problems in {} tokens and {} owners\n", report.problem_count, report.tokens, report.owners);
  }
  Table keys({"KEY", "SEALS", "LIVING TOKENS"});
  for (const KeyUsage& key : report.keys) {
    keys.add({printable(key.key_id), std::to_string(key.seals), std::to_string(key.living_tokens)});
  }
  text += keys.take_text();
  session.answer(json, text);
  return sound ? ExitCode::ok : ExitCode::damaged;
}

struct StatsOptions {};

std::uint64_t size_of(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

ExitCode run_stats(Session& session, const StatsOptions&) {
  TokenStore& store = session.store();
  const StateCounts counts = take(store.count(session.actor()));
  const std::string& path = session.globals().database;
  const bool file = !is_postgres(path);
  const std::uint64_t bytes = file ? size_of(path) : 0;
  const std::uint64_t log_bytes = file ? size_of(path + "-wal") : 0;
  Json json;
  json["database"] = shown_place(path);
  json["workspace"] = store.workspace();
  json["prefix"] = store.prefix();
  json["database_bytes"] = file ? Json(bytes) : Json(nullptr);
  json["log_bytes"] = file ? Json(log_bytes) : Json(nullptr);
  json["tokens"] = to_json(counts);
  Card card;
  card.add("database", shown_place(path));
  card.add("workspace", store.workspace());
  card.add("prefix", store.prefix());
  if (file) {
    card.add("database bytes", std::to_string(bytes));
    card.add("log bytes", std::to_string(log_bytes));
  }
  card.add("active", std::to_string(counts.active));
  card.add("pending", std::to_string(counts.pending));
  card.add("expired", std::to_string(counts.expired));
  card.add("revoked", std::to_string(counts.revoked));
  session.answer(json, card.text());
  return ExitCode::ok;
}

}  // namespace

void add_upkeep_commands(CLI::App& app, Run& chosen) {
  std::shared_ptr<CheckOptions> check;
  add_command(app, chosen, "check", "Verify every seal, the indexes and the database's own integrity", run_check,
              check);
  std::shared_ptr<StatsOptions> stats;
  add_command(app, chosen, "stats", "Show how many tokens there are and what they take", run_stats, stats);
}

}  // namespace tokenstore::cli
