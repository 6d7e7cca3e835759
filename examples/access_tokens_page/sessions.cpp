#include "sessions.hpp"

#include <array>

#include <sodium.h>

namespace access_page {
namespace {

std::string random_text() {
  std::array<unsigned char, 32> bytes{};
  randombytes_buf(bytes.data(), bytes.size());
  std::array<char, sodium_base64_ENCODED_LEN(32, sodium_base64_VARIANT_URLSAFE_NO_PADDING)> text{};
  sodium_bin2base64(text.data(), text.size(), bytes.data(), bytes.size(), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
  return text.data();
}

/// Entries are found by a hash, so that the time of a look-up says nothing about a cookie's value.
std::string key_of(std::string_view value) {
  std::array<unsigned char, crypto_generichash_BYTES> hash{};
  const std::string octets(value);
  crypto_generichash(hash.data(), hash.size(), reinterpret_cast<const unsigned char*>(octets.data()), octets.size(),
                     nullptr, 0);
  return {hash.begin(), hash.end()};
}

}  // namespace

/// Browsers send a cookie to every port of a host: two servers with one name would sign each other's people out.
std::string Sessions::cookie_name(const httplib::Request& request) const {
  const std::string name = options_.cookie.empty() ? "session-" + std::to_string(request.local_port) : options_.cookie;
  return options_.secure ? "__Host-" + name : name;
}

/// Empty if there is none, or more than one: somebody else's cookie must not be chosen instead of ours.
std::string Sessions::cookie_of(const httplib::Request& request) const {
  const std::string wanted = cookie_name(request) + "=";
  std::string found;
  const auto [first, last] = request.headers.equal_range("Cookie");
  for (auto header = first; header != last; ++header) {
    std::string_view rest = header->second;
    while (!rest.empty()) {
      const std::size_t end = rest.find(';');
      std::string_view pair = rest.substr(0, end);
      rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
      while (!pair.empty() && pair.front() == ' ') pair.remove_prefix(1);
      if (pair.substr(0, wanted.size()) != wanted) continue;
      if (!found.empty()) return {};
      found = pair.substr(wanted.size());
    }
  }
  return found.size() <= 64 ? found : std::string{};
}

void Sessions::set_cookie(const httplib::Request& request, httplib::Response& response, const std::string& value,
                          std::chrono::seconds age) const {
  response.set_header("Set-Cookie", cookie_name(request) + "=" + value +
                                        "; Path=/; HttpOnly; SameSite=Strict; Max-Age=" + std::to_string(age.count()) +
                                        (options_.secure ? "; Secure" : ""));
}

bool Sessions::ended(const Entry& entry, Time now) const {
  return now - entry.used >= options_.idle || now - entry.started >= options_.longest;
}

void Sessions::make_room(Time now) {
  if (entries_.size() < options_.most) return;
  auto oldest = entries_.begin();
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    if (ended(entry->second, now)) {
      if (oldest == entry) oldest = std::next(entry);
      entry = entries_.erase(entry);
      continue;
    }
    if (entry->second.used < oldest->second.used) oldest = entry;
    ++entry;
  }
  if (entries_.size() >= options_.most && oldest != entries_.end()) entries_.erase(oldest);
}

Session Sessions::start(const std::string& user, const httplib::Request& request, httplib::Response& response) {
  const std::string value = random_text();
  const Session session{user, random_text()};
  const Time now = std::chrono::steady_clock::now();
  {
    const std::lock_guard lock(mutex_);
    make_room(now);
    entries_[key_of(value)] = {session, now, now};
  }
  set_cookie(request, response, value, options_.longest);
  return session;
}

std::optional<Session> Sessions::find(const httplib::Request& request) {
  const std::string value = cookie_of(request);
  if (value.empty()) return std::nullopt;
  const Time now = std::chrono::steady_clock::now();
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(key_of(value));
  if (found == entries_.end()) return std::nullopt;
  if (ended(found->second, now)) {
    entries_.erase(found);
    return std::nullopt;
  }
  found->second.used = now;
  return found->second.session;
}

bool Sessions::brought_cookie(const httplib::Request& request) const {
  return !cookie_of(request).empty();
}

void Sessions::forget(const httplib::Request& request) {
  const std::string value = cookie_of(request);
  if (value.empty()) return;
  const std::lock_guard lock(mutex_);
  entries_.erase(key_of(value));
}

void Sessions::end(const httplib::Request& request, httplib::Response& response) {
  forget(request);
  set_cookie(request, response, "", std::chrono::seconds(0));
}

bool Sessions::is_csrf_token(const Session& session, std::string_view sent) {
  return sent.size() == session.csrf_token.size() &&
         sodium_memcmp(sent.data(), session.csrf_token.data(), sent.size()) == 0;
}

}  // namespace access_page
