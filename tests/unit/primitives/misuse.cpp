// What must not compile. Compiled once as it is, which must succeed, and once with each MISUSE_..., which
// must not.
#include <iostream>
#include <string>
#include <utility>

#include "tokenstore/keyring.hpp"
#include "tokenstore/secret.hpp"

namespace {

using tokenstore::Keyring;
using tokenstore::SecretText;

[[maybe_unused]] bool use(SecretText& secret, SecretText& other, Keyring& keyring) {
  SecretText moved = std::move(other);
  secret = std::move(moved);
  Keyring taken = std::move(keyring);
  bool same = secret.reveal() == taken.reveal_text().reveal();
#if defined(MISUSE_COPY)
  SecretText copy = secret;
#elif defined(MISUSE_ASSIGN)
  moved = secret;
#elif defined(MISUSE_PRINT)
  std::cout << secret;
#elif defined(MISUSE_EQUAL)
  same = secret == moved;
#elif defined(MISUSE_UNEQUAL)
  same = secret != moved;
#elif defined(MISUSE_EQUAL_TEXT)
  same = secret == "text";
#elif defined(MISUSE_EQUAL_TEXT_REVERSED)
  same = std::string("text") == secret;
#elif defined(MISUSE_CONVERT)
  const std::string_view text = secret;
  same = text.empty();
#elif defined(MISUSE_CONVERT_FROM)
  secret = std::string_view("text");
#elif defined(MISUSE_COPY_KEYRING)
  Keyring copy = taken;
#elif defined(MISUSE_IGNORE_RESULT)
  tokenstore::Keyring::from_text("text");
#endif
  return same;
}

}  // namespace
