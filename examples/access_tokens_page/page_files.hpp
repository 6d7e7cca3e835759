/// The files of the page, compiled into the program. Static; any thread.
#pragma once

#include "router.hpp"

namespace access_page {

void add_page_routes(Router& router);

}  // namespace access_page
