/// The client's address as a proxy's header names it. Proxies write an address alone, with a port, in brackets, or with
/// a zone; all of them are one client.
///
/// Pure function; any thread.
#pragma once

#include <string>
#include <string_view>

namespace hosting {

/// The address in one spelling: IPv4 as 192.0.2.1, also where it is mapped into IPv6; IPv6 as RFC 5952 has it, without
/// brackets, port and zone. Empty if the text is none.
std::string canonical_address(std::string_view text);

}  // namespace hosting
