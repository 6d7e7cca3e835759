/// /v4/admin: what administrators do: everyone's tokens, people, and the workspace's settings. These routes
/// exist also while tokens are switched off, or nobody could switch them on again.
#pragma once

#include "host.hpp"
#include "router.hpp"

namespace access_page {

void add_admin_routes(Router& router, Host& host);

}  // namespace access_page
