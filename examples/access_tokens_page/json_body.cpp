#include "json_body.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/form.hpp"
#include "problem.hpp"

namespace access_page {
namespace {

const nlohmann::json* find(const nlohmann::json& body, const char* name) {
  const auto found = body.find(name);
  return found == body.end() || found->is_null() ? nullptr : &*found;
}

}  // namespace

nlohmann::json read_body(const httplib::Request& request, std::initializer_list<std::string_view> fields,
                         bool may_be_empty) {
  if (may_be_empty && request.body.empty()) return nlohmann::json::object();
  // A form of another site can send other types without asking, but not this one.
  if (!hosting::is_media_type(request.get_header_value("Content-Type"), "application/json")) {
    throw BadBody{415, "wrong-content-type", "The body must be application/json."};
  }
  auto body = nlohmann::json::parse(request.body, nullptr, false);
  if (body.is_discarded()) throw BadBody{400, "malformed-json", "The body is not well-formed JSON in UTF-8."};
  if (!body.is_object()) throw BadBody{400, "malformed-json", "The body must be a JSON object."};
  for (const auto& [name, value] : body.items()) {
    if (std::find(fields.begin(), fields.end(), name) != fields.end()) continue;
    std::string known;
    for (const auto field : fields) known.append(known.empty() ? "" : ", ").append(field);
    throw BadBody{400, "unknown-field", "The body has a field that is not known here. Known are: " + known + "."};
  }
  return body;
}

std::optional<std::string> text_field(const nlohmann::json& body, const char* name) {
  const auto* field = find(body, name);
  if (field == nullptr) return std::nullopt;
  if (!field->is_string()) throw BadBody{.detail = std::string(name) + " must be text."};
  return field->get<std::string>();
}

std::optional<bool> flag_field(const nlohmann::json& body, const char* name) {
  const auto* field = find(body, name);
  if (field == nullptr) return std::nullopt;
  if (!field->is_boolean()) throw BadBody{.detail = std::string(name) + " must be true or false."};
  return field->get<bool>();
}

std::optional<std::int64_t> integer_field(const nlohmann::json& body, const char* name) {
  const auto* field = find(body, name);
  if (field == nullptr) return std::nullopt;
  if (field->is_number_float()) {  // to JSON, 60.0 is a whole number
    constexpr double exact = 9007199254740992.0;
    const auto number = field->get<double>();
    if (number == std::trunc(number) && std::abs(number) <= exact) return static_cast<std::int64_t>(number);
  }
  constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (!field->is_number_integer() || (field->is_number_unsigned() && field->get<std::uint64_t>() > most)) {
    throw BadBody{.detail = std::string(name) + " must be a whole number."};
  }
  return field->get<std::int64_t>();
}

void answer_bad_body(httplib::Response& response, const BadBody& bad) {
  send_problem(response, Problem{bad.status, bad.kind, bad.detail});
}

}  // namespace access_page
