/// /session: signing in and out, and what the page needs to know about who it shows.
#pragma once

#include "host.hpp"
#include "router.hpp"

namespace access_page {

void add_session_routes(Router& router, Host& host);

}  // namespace access_page
