/// Reads a request's JSON object strictly: its type, its form, and no field that the route does not know.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include <httplib.h>
#include <nlohmann/json.hpp>

namespace access_page {

/// Thrown by the readers below; answered by read_body's caller through answer_bad_body.
struct BadBody {
  int status = 400;
  const char* kind = "invalid-field";
  std::string detail;
};

/// The object. An empty body is an empty object if `may_be_empty`. Throws BadBody.
nlohmann::json read_body(const httplib::Request& request, std::initializer_list<std::string_view> fields,
                         bool may_be_empty = false);

/// A field of a type, or nothing if it is absent (or null). Throws BadBody if it is of another type.
std::optional<std::string> text_field(const nlohmann::json& body, const char* name);
std::optional<bool> flag_field(const nlohmann::json& body, const char* name);
std::optional<std::int64_t> integer_field(const nlohmann::json& body, const char* name);

void answer_bad_body(httplib::Response& response, const BadBody& bad);

}  // namespace access_page
