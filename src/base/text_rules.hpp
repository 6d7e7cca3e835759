/// What text may look like: shared by every limit of the model.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "tokenstore/status.hpp"

namespace tokenstore::base {

/// Well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms) without control characters (C0,
/// DEL, C1).
bool is_plain_text(std::string_view text) noexcept;
/// Checks a name or description: `what` names it in the error; `min`..`max` octets.
Result<void> check_text(std::string_view what, std::string_view text, std::size_t min, std::size_t max);
/// RFC 6749 section 3.3 scope-token, 1..scope_max octets.
bool is_scope(std::string_view text) noexcept;
/// True if `scope` is one of the words of the canonical (space separated) `scopes`.
bool has_scope(std::string_view scopes, std::string_view scope) noexcept;
/// ASCII-case-insensitive, literal containment.
bool contains_ignoring_ascii_case(std::string_view text, std::string_view part) noexcept;
/// For an error message: what may hold anything, with a question mark for each control character (C0, DEL).
std::string on_one_line(std::string_view text);
/// IPv4 or IPv6 text form, without a zone.
bool is_client_address(std::string_view text) noexcept;

}  // namespace tokenstore::base
