#include "common/request_head.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <optional>

#include "common/bounded_server.hpp"

namespace hosting {
namespace {

constexpr std::string_view line_end = "\r\n";
constexpr std::size_t longest_target = 8192;  // which is cpp-httplib's, whose own answer keeps the connection

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same_word(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

bool is_token(std::string_view text) {  // RFC 9110 section 5.6.2
  constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || marks.find(c) != std::string_view::npos;
  });
}

bool is_value(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto octet = static_cast<unsigned char>(c);
    return octet == '\t' || (octet >= ' ' && octet != 0x7f);
  });
}

std::string_view trimmed(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

bool names(std::string_view list, std::string_view word) {
  for (;;) {
    const std::size_t comma = list.find(',');
    if (same_word(trimmed(list.substr(0, comma)), word)) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
}

bool is_known_method(std::string_view method) {
  constexpr std::string_view known[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"};
  return std::find(std::begin(known), std::end(known), method) != std::end(known);
}

Refusal judge_request_line(std::string_view line, bool& version_1_1, std::string& passed_on) {
  constexpr Refusal malformed{400, "The request line is malformed."};
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || last <= first + 1) return malformed;
  const std::string_view method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (!is_token(method) || (version != "HTTP/1.1" && version != "HTTP/1.0")) return malformed;
  if (std::any_of(target.begin(), target.end(), [](char c) { return c <= ' ' || c == 0x7f; })) return malformed;
  if (target.size() > longest_target) return {414, "The address is too long."};
  version_1_1 = version == "HTTP/1.1";
  // cpp-httplib refuses a method that it does not know before it looks at the path. No route takes this one either.
  passed_on.append(is_known_method(method) ? method : "TRACE").append(line.substr(first)).append(line_end);
  return {};
}

/// What the fields say that decides about the request's end and the connection's.
struct Said {
  int hosts = 0;
  std::optional<std::string_view> length{};
  std::optional<std::string_view> transfer{};
  bool close = false;
  bool keep = false;
};

Refusal note(std::string_view name, std::string_view value, Said& said, RequestHead& head) {
  if (same_word(name, "host")) {
    if (++said.hosts > 1) return {400, "The request has more than one Host field."};
  } else if (same_word(name, "content-length")) {
    if (said.length) return {400, "The request has more than one Content-Length field."};
    said.length = value;
  } else if (same_word(name, "transfer-encoding")) {
    if (said.transfer) return {400, "The request has more than one Transfer-Encoding field."};
    said.transfer = value;
  } else if (same_word(name, "content-encoding")) {
    // cpp-httplib would unpack it, to any size.
    if (!value.empty() && !same_word(value, "identity")) return {415, "A compressed body is not taken."};
  } else if (same_word(name, "connection")) {
    said.close = said.close || names(value, "close");
    said.keep = said.keep || names(value, "keep-alive");
  } else if (same_word(name, "expect")) {
    head.expects_continue = head.expects_continue || same_word(value, "100-continue");
  }
  return {};
}

/// Fields that are dealt with here, and those that would make cpp-httplib answer with a part of the whole.
bool is_passed_on(std::string_view name) {
  constexpr std::string_view kept_back[] = {
      "content-length", "transfer-encoding", "connection", "expect", "trailer", "te", "range", "if-range"};
  return std::none_of(std::begin(kept_back), std::end(kept_back),
                      [name](std::string_view known) { return same_word(name, known); });
}

Refusal find_end(const Said& said, bool version_1_1, const Limits& limits, RequestHead& head) {
  if (said.transfer) {
    if (said.length) return {400, "The request has both Content-Length and Transfer-Encoding: send one of them."};
    if (!version_1_1) return {400, "A request of HTTP/1.0 has no Transfer-Encoding."};
    if (!same_word(*said.transfer, "chunked")) return {501, "The only transfer coding known here is chunked."};
    head.chunked = true;
    return {};
  }
  if (!said.length) return {};
  const char* end = said.length->data() + said.length->size();
  const bool digits = !said.length->empty() && std::all_of(said.length->begin(), said.length->end(),
                                                           [](char c) { return c >= '0' && c <= '9'; });
  if (!digits) return {400, "Content-Length is not a number."};
  const auto read = std::from_chars(said.length->data(), end, head.length);
  if (read.ec != std::errc{} || head.length > limits.body) return {413, "The body is too large."};
  return {};
}

}  // namespace

RequestHead judge_head(std::string_view text, const Limits& limits) {
  RequestHead head;
  head.passed_on.reserve(text.size());
  Said said;
  const std::size_t first = text.find(line_end);
  bool version_1_1 = false;
  head.refusal = judge_request_line(text.substr(0, first), version_1_1, head.passed_on);
  if (head.refusal.status != 0) return head;
  text.remove_prefix(first + line_end.size());
  for (std::size_t end = text.find(line_end); end != 0 && end != std::string_view::npos; end = text.find(line_end)) {
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + line_end.size());
    const std::size_t colon = line.find(':');
    const std::string_view name = line.substr(0, colon);
    // A space before the colon, or a line that goes on with the one before, is read differently by different servers.
    if (colon == std::string_view::npos || !is_token(name) || !is_value(line)) {
      head.refusal = {400, "A header field is malformed."};
      return head;
    }
    head.refusal = note(name, trimmed(line.substr(colon + 1)), said, head);
    if (head.refusal.status != 0) return head;
    if (is_passed_on(name)) head.passed_on.append(line).append(line_end);
  }
  if (version_1_1 && said.hosts == 0) {
    head.refusal = {400, "The request has no Host field."};
    return head;
  }
  // In the only spelling that cpp-httplib knows.
  if (said.close) head.passed_on.append("Connection: close\r\n");
  if (said.keep && !said.close && !version_1_1) head.passed_on.append("Connection: Keep-Alive\r\n");
  head.refusal = find_end(said, version_1_1, limits, head);
  return head;
}

}  // namespace hosting
