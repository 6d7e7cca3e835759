#include "security_headers.hpp"

namespace access_page {

httplib::Headers security_headers(bool secure) {
  httplib::Headers headers{
      // Nothing inline, nothing from elsewhere, no markup made from text, and no frame around it.
      {"Content-Security-Policy",
       "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
       "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
       "trusted-types 'none'"},
      {"X-Content-Type-Options", "nosniff"},
      {"X-Frame-Options", "DENY"},
      {"Referrer-Policy", "no-referrer"},
      {"Cross-Origin-Opener-Policy", "same-origin"},
      {"Cross-Origin-Resource-Policy", "same-origin"},
      {"Permissions-Policy",
       "camera=(), geolocation=(), microphone=(), payment=(), usb=(), clipboard-read=(), clipboard-write=(self)"},
  };
  if (secure) headers.emplace("Strict-Transport-Security", "max-age=31536000");
  return headers;
}

}  // namespace access_page
