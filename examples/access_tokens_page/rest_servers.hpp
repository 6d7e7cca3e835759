/// What other servers ask about the tokens that are shown to them: /introspect (RFC 7662) and /auth (for
/// nginx's auth_request); and /revoke (RFC 7009) for their clients.
#pragma once

#include "host.hpp"
#include "router.hpp"

namespace access_page {

void add_server_routes(Router& router, Host& host);

}  // namespace access_page
