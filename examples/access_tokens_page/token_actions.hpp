/// What people and administrators alike do to tokens: list, look at, delete, expire, revoke. The actor
/// decides whose; the library holds them to it.
///
/// Each function answers the request. Throws BadBody for a malformed body.
#pragma once

#include <string>

#include <httplib.h>
#include <tokenstore/model.hpp>

#include "host.hpp"

namespace access_page {

/// `owner`: whose tokens, or empty for all that the actor may see. From the query: limit, cursor, status, text.
void list_tokens(Host& host, const tokenstore::Actor& actor, const std::string& owner, const httplib::Request& request,
                 httplib::Response& response);
void show_token(Host& host, const tokenstore::Actor& actor, const std::string& id, httplib::Response& response);
void delete_token(Host& host, const tokenstore::Actor& actor, const std::string& id, httplib::Response& response);
/// Body, may be empty: {"at": time}.
void expire_token(Host& host, const tokenstore::Actor& actor, const std::string& id, const httplib::Request& request,
                  httplib::Response& response);
/// Body, may be empty: {"reason": text}.
void revoke_token(Host& host, const tokenstore::Actor& actor, const std::string& id, const httplib::Request& request,
                  httplib::Response& response);

/// A number of the query within limits, or `fallback` if it is absent. Throws BadBody.
std::size_t number_in_query(const httplib::Request& request, const char* name, std::size_t least, std::size_t most,
                            std::size_t fallback);

}  // namespace access_page
