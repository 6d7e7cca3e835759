/// Something that may crash or hang, in a process of its own.
#pragma once

#include <chrono>
#include <functional>
#include <string>

namespace tokenstore::conformance {

/// Empty: `body` returned an empty text in time. Else the text that it returned, or how its process ended. Throws
/// std::system_error if there is no process to be had. One thread, and no other threads in the caller.
std::string run_apart(const std::function<std::string()>& body, std::chrono::seconds limit);

}  // namespace tokenstore::conformance
