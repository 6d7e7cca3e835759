/// The library's answers as JSON and as text. Field names of the JSON are stable: add, never rename.
#pragma once

#include <string>
#include <vector>

#include "cli/output.hpp"
#include "tokenstore/model.hpp"
#include "tokenstore/verdict.hpp"

namespace tokenstore::cli {

Json to_json(const TokenInfo& token);
Json to_json(const OwnerInfo& owner);
Json to_json(const Policy& policy);
Json to_json(const StateCounts& counts);
Json to_json(const Verdict& verdict);

std::string to_text(const TokenInfo& token);
std::string to_text(const OwnerInfo& owner);
std::string to_text(const Policy& policy);
std::string to_text(const StateCounts& counts);
std::string to_text(const Verdict& verdict);

std::string join(const std::vector<std::string>& words);
std::string yes_no(bool value);

}  // namespace tokenstore::cli
