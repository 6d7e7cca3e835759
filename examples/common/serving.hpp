/// Starts a cpp-httplib server and stops it gracefully at SIGINT or SIGTERM: requests under way are
/// answered first.
#pragma once

#include <functional>
#include <string>

#include <httplib.h>

namespace hosting {

/// Call it in main, before any thread is made: every thread inherits the mask, so that the signals reach
/// serve() and nothing else.
void block_stop_signals();

/// Listens on `address` and `port` (0: a free one), calls `started` with the port, and returns the
/// process's exit status when it was told to stop. `port` may be taken: that is 1, with a line on stderr.
int serve(httplib::Server& server, const std::string& address, int port, const std::function<void(int)>& started);

}  // namespace hosting
