/// What the fuzz targets of the C ABI share.
#pragma once

#include "fuzz/fuzz.hpp"
#include "tokenstore.h"

namespace tokenstore::test {

/// A store in memory with a key of its own, on this clock (null: the system's).
inline tokenstore_store* open_c_store(const tokenstore_clock* clock = nullptr) {
  static const std::uint8_t key[32] = {3, 1, 4, 1, 5};
  tokenstore_open_options options{};
  options.struct_size = sizeof options;
  options.backend = TOKENSTORE_BACKEND_MEMORY;
  options.key_bytes = key;
  options.key_bytes_size = sizeof key;
  options.cache_bytes = 1 << 20;
  options.clock = clock;
  tokenstore_store* store = nullptr;
  promise(tokenstore_open(&options, &store, nullptr) == TOKENSTORE_OK, "a store in memory opens");
  return store;
}

/// What holds for every answer. Frees the error.
inline void check_answer(std::int32_t status, tokenstore_error* error) {
  promise((status == TOKENSTORE_OK) == (error == nullptr), "an error comes with every failure, and with nothing else");
  promise(status != TOKENSTORE_INTERNAL, "no input is an internal error");
  std::size_t size = 0;
  const char* message = tokenstore_error_message(error, &size);
  promise((status == TOKENSTORE_OK) == (size == 0) && message[size] == '\0', "a failure has words");
  tokenstore_error_free(error);
}

}  // namespace tokenstore::test
