/// What was measured, as an aligned table for people and JSON for programs.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "rounds.hpp"

namespace bench {

struct Row {
  std::string section;  ///< what the rows are compared within
  std::string name;
  std::size_t tokens = 0;
  unsigned threads = 1;
  double ns = 0;             ///< per call, median of the rounds
  double best_ns = 0;        ///< per call, best round
  double ratio_to_ours = 0;  ///< 0: not comparable
};

struct Requirement {
  enum class Sense { at_most, at_least };
  std::string what;
  Sense sense;
  double limit;
  double measured;
  std::string unit = "x";
  bool met() const { return sense == Sense::at_most ? measured <= limit : measured >= limit; }
};

class Report {
 public:
  /// Adds a group that took turns; the first is ours.
  void add(const std::string& section, std::size_t tokens, unsigned threads, const std::vector<Samples>& group);
  void add(Row row) { rows_.push_back(std::move(row)); }
  void require(Requirement requirement) { requirements_.push_back(std::move(requirement)); }
  void note(std::string text) { notes_.push_back(std::move(text)); }

  /// Median ns of a row; 0 if it is not there.
  double find(const std::string& section, const std::string& name, std::size_t tokens) const;

  std::string table() const;
  std::string json(const std::string& mode) const;

 private:
  std::vector<Row> rows_;
  std::vector<Requirement> requirements_;
  std::vector<std::string> notes_;
};

}  // namespace bench
