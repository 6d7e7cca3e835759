/// The headers that every answer carries.
#pragma once

#include <httplib.h>

namespace access_page {

/// `secure`: the page is reached over TLS, and browsers are told to stay with it.
httplib::Headers security_headers(bool secure);

}  // namespace access_page
