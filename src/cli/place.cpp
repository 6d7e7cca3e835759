#include "cli/place.hpp"

#include <algorithm>
#include <array>

namespace tokenstore::cli {
namespace {

/// What libpq takes before a `=`, but the rarest; and the other names that people give the same things.
constexpr std::array<std::string_view, 38> keywords{"application_name",
                                                    "authtype",
                                                    "channel_binding",
                                                    "client_encoding",
                                                    "connect_timeout",
                                                    "database",
                                                    "dbname",
                                                    "gssencmode",
                                                    "host",
                                                    "hostaddr",
                                                    "hostname",
                                                    "keepalives",
                                                    "keepalives_count",
                                                    "keepalives_idle",
                                                    "keepalives_interval",
                                                    "krbsrvname",
                                                    "load_balance_hosts",
                                                    "options",
                                                    "passfile",
                                                    "passwd",
                                                    "password",
                                                    "port",
                                                    "pwd",
                                                    "replication",
                                                    "require_auth",
                                                    "requirepeer",
                                                    "requiressl",
                                                    "server",
                                                    "service",
                                                    "servicefile",
                                                    "sslcert",
                                                    "sslkey",
                                                    "sslmode",
                                                    "sslpassword",
                                                    "sslrootcert",
                                                    "target_session_attrs",
                                                    "user",
                                                    "username"};

std::string lower(std::string_view text) {
  std::string low(text);
  std::transform(low.begin(), low.end(), low.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return low;
}

/// The word at the end of a text, before blanks. Words of a path and of a connection string alike: `my-user` ends
/// with `user`, which refuses a path too many rather than repeating a password.
std::string_view last_word(std::string_view text) {
  const std::size_t end = text.find_last_not_of(" \t\r\n") + 1;
  const std::size_t before = text.substr(0, end).find_last_not_of("abcdefghijklmnopqrstuvwxyz0123456789_");
  const std::size_t start = before == std::string_view::npos ? 0 : before + 1;
  return text.substr(start, end - start);
}

}  // namespace

bool is_postgres(std::string_view place) {
  // Anything that looks like one: taken for a path, it would be repeated in errors, and its password with it.
  const std::string start = lower(place.substr(0, 11));
  return start.starts_with("postgresql:") || start.starts_with("postgres:");
}

bool is_other_conninfo(std::string_view place) {
  if (is_postgres(place) || place.starts_with('/') || place.starts_with('.')) return false;
  const std::string text = lower(place);
  if (text.find("://") != std::string::npos) return true;
  for (std::size_t at = text.find('='); at != std::string::npos; at = text.find('=', at + 1)) {
    const std::string_view word = last_word(std::string_view(text).substr(0, at));
    if (std::find(keywords.begin(), keywords.end(), word) != keywords.end()) return true;
  }
  return false;
}

std::string shown_place(const std::string& place) {
  return is_postgres(place) ? "PostgreSQL" : place;
}

}  // namespace tokenstore::cli
