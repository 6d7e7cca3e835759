/// Reads the Authorization header of a cpp-httplib request: the one place where credentials may be,
/// never the URL, never a form (RFC 6750 section 2).
///
/// Pure functions; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <httplib.h>

namespace hosting {

enum class Scheme {
  none,       ///< no Authorization header, or a scheme not named here
  bearer,     ///< RFC 6750
  basic,      ///< RFC 7617
  ambiguous,  ///< several headers, or a scheme without credentials: a client that is broken or probing
};

/// What stands in the header. `credentials` is the client's, unchecked: wipe it after use.
struct Authorization {
  Scheme scheme = Scheme::none;
  std::string credentials{};
};

Authorization read_authorization(const httplib::Request& request);

struct NameAndPassword {
  std::string name{};
  std::string password{};  ///< wipe it after use
};

/// The user and password of Basic credentials (RFC 7617); nothing if they are malformed.
std::optional<NameAndPassword> read_basic(std::string_view credentials);

}  // namespace hosting
