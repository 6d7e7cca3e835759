#include "problem.hpp"

#include <nlohmann/json.hpp>

namespace access_page {
namespace {

using tokenstore::Status;

std::string_view title_of(int status) {
  switch (status) {
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 429:
      return "Too Many Requests";
    case 503:
      return "Service Unavailable";
    default:
      return status >= 500 ? "Internal Server Error" : "The request was refused";
  }
}

/// The library's one impersonal line as a sentence.
std::string sentence(std::string text) {
  if (text.empty()) return text;
  if (text.front() >= 'a' && text.front() <= 'z') text.front() = static_cast<char>(text.front() - 'a' + 'A');
  if (text.back() != '.') text.push_back('.');
  return text;
}

}  // namespace

void send_problem(httplib::Response& response, const Problem& problem) {
  nlohmann::ordered_json body;
  body["type"] = problem.kind.empty() ? "about:blank" : "urn:access-tokens:problem:" + std::string(problem.kind);
  body["title"] = title_of(problem.status);
  body["status"] = problem.status;
  if (!problem.detail.empty()) body["detail"] = problem.detail;
  if (!problem.oauth_error.empty()) body["error"] = problem.oauth_error;
  response.status = problem.status;
  if (problem.status == 503 || problem.status == 429) {
    if (!response.has_header("Retry-After")) response.set_header("Retry-After", "1");
  }
  response.set_content(body.dump(), "application/problem+json");
}

Problem problem_of(const tokenstore::Error& error) {
  switch (error.status()) {
    case Status::invalid_argument:
      return {400, "invalid-argument", sentence(error.message())};
    case Status::not_found:
      return {404, "not-found", sentence(error.message())};
    case Status::permission_denied:
      return {403, "permission-denied", sentence(error.message())};
    case Status::refused:
      return {403, "refused", sentence(error.message())};
    case Status::conflict:
      return {409, "conflict", "Somebody else changed the same thing meanwhile. Load it again and retry."};
    case Status::tampered:
      return {409, "damaged", "The stored record is damaged. Only its id can be believed; it can be deleted."};
    case Status::unknown:
      return {503, "outcome-unknown",
              "The storage failed at the end: the change may have been made. Look before retrying."};
    case Status::unavailable:
    case Status::storage_full:
    case Status::read_only:
    case Status::out_of_memory:
      return {503, "unavailable",
              "The token store cannot be reached at the moment. Nothing was changed; try again soon."};
    default:
      return {500, "internal", "The request failed. The server's log says more."};
  }
}

void send_problem(httplib::Response& response, const tokenstore::Error& error) {
  send_problem(response, problem_of(error));
}

void send_problem_without_kind(httplib::Response& response) {
  send_problem(response, Problem{response.status, {}, {}});
}

}  // namespace access_page
