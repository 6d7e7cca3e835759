/// Forms (application/x-www-form-urlencoded), strictly: cpp-httplib knows them in one spelling of their type, and
/// guesses at what is malformed.
///
/// Pure functions; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hosting {

/// Is a Content-Type of this media type, whatever its case and parameters (RFC 9110 section 8.3.1)? `type` is in
/// lower case.
bool is_media_type(std::string_view content_type, std::string_view type);

/// Undoes percent-encoding, and '+' for a space. Nothing if a percent sign stands without two digits.
std::optional<std::string> decode_form_text(std::string_view text);

/// The fields in their order; nothing if one is malformed.
std::optional<std::vector<std::pair<std::string, std::string>>> read_form(std::string_view body);

}  // namespace hosting
