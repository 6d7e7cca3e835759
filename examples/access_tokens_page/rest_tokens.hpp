/// /v4/apiAccessTokens: people's own tokens, in the shape that users of that API know.
#pragma once

#include "host.hpp"
#include "router.hpp"

namespace access_page {

void add_token_routes(Router& router, Host& host);

}  // namespace access_page
