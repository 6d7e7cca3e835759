#include "report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <thread>

namespace bench {

namespace {

std::string number(double value) {
  return value >= 100 ? fmt::format("{:.0f}", value) : fmt::format("{:.2f}", value);
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

/// A line "key : value" of a file of /proc; empty if there is none.
std::string proc_value(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const std::size_t from = line.find_first_not_of(" \t", line.find(':') + 1);
    return from == std::string::npos ? std::string() : line.substr(from);
  }
  return {};
}

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace

void Report::add(const std::string& section, std::size_t tokens, unsigned threads, const std::vector<Samples>& group) {
  for (std::size_t i = 0; i < group.size(); ++i) {
    rows_.push_back({section, group[i].name, tokens, threads, group[i].median(), group[i].best(),
                     i == 0 ? 1 : ratio(group[i], group.front())});
  }
}

double Report::find(const std::string& section, const std::string& name, std::size_t tokens) const {
  for (const Row& row : rows_) {
    if (row.section == section && row.name == name && row.tokens == tokens) return row.ns;
  }
  return 0;
}

std::string Report::table() const {
  std::string out;
  std::string section;
  for (const Row& row : rows_) {
    if (row.section != section) {
      section = row.section;
      out += fmt::format("\n{}\n  {:<48} {:>10} {:>7} {:>13} {:>13} {:>10}\n", section, "", "tokens", "threads",
                         "ns per call", "best round", "to ours");
    }
    out += fmt::format("  {:<48} {:>10} {:>7} {:>13} {:>13} {:>10}\n", row.name, row.tokens, row.threads,
                       number(row.ns), number(row.best_ns),
                       row.ratio_to_ours == 0 ? std::string("-") : fmt::format("{:.2f}", row.ratio_to_ours));
  }
  out += fmt::format("\nRequired\n  {:<78} {:>12} {:>12}\n", "", "required", "measured");
  for (const Requirement& one : requirements_) {
    out += fmt::format("  {:<78} {:>12} {:>12}  {}\n", one.what,
                       fmt::format("{} {}{}", one.sense == Requirement::Sense::at_most ? "<=" : ">=",
                                   fmt::format("{:g}", one.limit), one.unit == "x" ? "x" : " " + one.unit),
                       number(one.measured), one.met() ? "met" : "MISSED");
  }
  for (const std::string& note : notes_) out += fmt::format("\nNote: {}", note);
  return out + (notes_.empty() ? "" : "\n");
}

std::string Report::json(const std::string& mode) const {
  std::string out = fmt::format(
      "{{\n  \"mode\": {}, \"processor\": {}, \"cores\": {}, \"memory\": {}, \"kernel\": {}, \"load\": {},\n"
      "  \"rows\": [",
      quoted(mode), quoted(proc_value("/proc/cpuinfo", "model name")), std::thread::hardware_concurrency(),
      quoted(proc_value("/proc/meminfo", "MemTotal")), quoted(first_line("/proc/sys/kernel/osrelease")),
      quoted(first_line("/proc/loadavg")));
  const char* comma = "";
  for (const Row& row : rows_) {
    out += fmt::format(
        "{}\n    {{\"section\": {}, \"name\": {}, \"tokens\": {}, \"threads\": {}, \"ns_per_call\": {:.2f}, "
        "\"best_ns\": {:.2f}, \"ratio_to_ours\": {:.4f}}}",
        comma, quoted(row.section), quoted(row.name), row.tokens, row.threads, row.ns, row.best_ns, row.ratio_to_ours);
    comma = ",";
  }
  out += "\n  ],\n  \"requirements\": [";
  comma = "";
  for (const Requirement& one : requirements_) {
    out += fmt::format(
        "{}\n    {{\"what\": {}, \"sense\": {}, \"limit\": {:g}, \"measured\": {:.4f}, \"unit\": {}, \"met\": {}}}",
        comma, quoted(one.what), quoted(one.sense == Requirement::Sense::at_most ? "at most" : "at least"), one.limit,
        one.measured, quoted(one.unit), one.met());
    comma = ",";
  }
  out += "\n  ],\n  \"notes\": [";
  comma = "";
  for (const std::string& note : notes_) {
    out += fmt::format("{}\n    {}", comma, quoted(note));
    comma = ",";
  }
  return out + "\n  ]\n}\n";
}

}  // namespace bench
