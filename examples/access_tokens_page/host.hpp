/// What every route of this server shares. Made once in main; outlives the server.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <httplib.h>
#include <tokenstore/store.hpp>

#include "accounts.hpp"
#include "common/client_address.hpp"
#include "rate_limit.hpp"
#include "sessions.hpp"

namespace access_page {

/// A scope that people may give to their tokens here. What is not offered cannot be had.
struct OfferedScope {
  std::string name;
  std::string description;
  bool administrators_only = false;
};

/// A bearer token needs these for the routes of this server itself.
inline constexpr std::string_view manage_scope = "tokens:manage";          ///< its owner's own tokens
inline constexpr std::string_view administer_scope = "tokens:administer";  ///< everybody's, of an administrator
inline constexpr std::string_view introspect_scope = "tokens:introspect";  ///< asking about tokens that others show

struct Host {
  tokenstore::TokenStore& store;
  Accounts& accounts;
  Sessions& sessions;
  RateLimit& sign_in_limit;
  std::vector<OfferedScope> scopes;
  std::string address_header;  ///< of a proxy in front that is trusted to say the client's address; may be empty
  /// One line for each answer. It names the route, never a path, a query or a header of the request: those
  /// are the client's words, and may hold a token.
  std::function<void(const std::string& line)> log;

  /// Who is at the other end: from the connection, or as the trusted proxy says.
  /// In one spelling, without a port: what counts by address has to find one client again.
  std::string client_address(const httplib::Request& request) const {
    if (!address_header.empty() && request.get_header_value_count(address_header) == 1) {
      const std::string said = request.get_header_value(address_header);
      // Of a list, as in X-Forwarded-For, the proxy itself wrote the last one; the client may have written the others.
      std::string address = hosting::canonical_address(std::string_view(said).substr(said.rfind(',') + 1));
      if (!address.empty()) return address;
    }
    return hosting::canonical_address(request.remote_addr);
  }
};

}  // namespace access_page
