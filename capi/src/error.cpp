#include <new>

#include "guard.hpp"
#include "tokenstore.h"
#include "values.hpp"

namespace tokenstore::capi {

std::int32_t report(tokenstore_error** out_error, std::int32_t status, std::string_view message) noexcept {
  if (out_error == nullptr) return status;
  try {
    *out_error = new tokenstore_error{std::string(message)};
  } catch (...) {
    *out_error = nullptr;
  }
  return status;
}

}  // namespace tokenstore::capi

using namespace tokenstore::capi;

const char* tokenstore_error_message(const tokenstore_error* error, size_t* out_size) {
  return guard_value(no_text(out_size),
                     [&] { return error == nullptr ? no_text(out_size) : returned_text(error->message, out_size); });
}

void tokenstore_error_free(tokenstore_error* error) {
  guard_free(error);
}
