/// Sessions of signed-in people: a random name in a cookie that no script can read, and a CSRF token that
/// every change has to bring in a header. Kept in memory: a restart signs everybody out.
///
/// Thread use: every method may be called from several threads at once.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include <httplib.h>

namespace access_page {

struct SessionOptions {
  std::chrono::seconds idle{30 * 60};          ///< ends when unused for this long
  std::chrono::seconds longest{12 * 60 * 60};  ///< ends then, used or not
  std::size_t most = 10'000;                   ///< the least recently used one makes room for a new one
  bool secure = false;   ///< the page is reached over TLS: Secure, and a name that begins with __Host-
  std::string cookie{};  ///< the cookie's name; empty: session- and the port of the server
};

struct Session {
  std::string user;
  std::string csrf_token;
};

class Sessions {
 public:
  explicit Sessions(const SessionOptions& options) : options_(options) {}

  /// Starts one and sets its cookie.
  Session start(const std::string& user, const httplib::Request& request, httplib::Response& response);
  /// The session whose cookie the request brought; using it prolongs it.
  std::optional<Session> find(const httplib::Request& request);
  /// Did the request bring a cookie of ours, be it of a session that has ended?
  bool brought_cookie(const httplib::Request& request) const;
  /// Ends it, as before somebody signs in anew.
  void forget(const httplib::Request& request);
  /// Ends it and takes its cookie back.
  void end(const httplib::Request& request, httplib::Response& response);

  /// Compares in constant time.
  static bool is_csrf_token(const Session& session, std::string_view sent);

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Entry {
    Session session;
    Time started;
    Time used;
  };

  std::string cookie_name(const httplib::Request& request) const;
  std::string cookie_of(const httplib::Request& request) const;
  void set_cookie(const httplib::Request& request, httplib::Response& response, const std::string& value,
                  std::chrono::seconds age) const;
  bool ended(const Entry& entry, Time now) const;
  void make_room(Time now);

  SessionOptions options_;
  std::mutex mutex_;
  std::map<std::string, Entry> entries_;  ///< by the hash of the cookie's value
};

}  // namespace access_page
