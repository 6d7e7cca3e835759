// The keyring, for hosts that keep their keys elsewhere than in a file beside the database.
#include "tokenstore/keyring.hpp"

#include <memory>

#include "guard.hpp"
#include "open_options.hpp"
#include "structs.hpp"
#include "tokenstore.h"
#include "tokenstore/environment.hpp"
#include "values.hpp"

using namespace tokenstore;
using namespace tokenstore::capi;

namespace {

tokenstore_keyring* handle(Keyring keyring) {
  return std::make_unique<tokenstore_keyring>(tokenstore_keyring{std::move(keyring)}).release();
}

KeyUse key_use(std::int32_t use) {
  switch (use) {
    case TOKENSTORE_KEY_ACTIVE:
      return KeyUse::active;
    case TOKENSTORE_KEY_VERIFY_ONLY:
      return KeyUse::verify_only;
    case TOKENSTORE_KEY_RETIRED:
      return KeyUse::retired;
    default:
      refuse("the use of the key is not known: set it to one of TOKENSTORE_KEY_...");
  }
}

std::string key_file_path(const char* data, std::size_t size) {
  std::string result = path(data, size, "the path");
  if (result.empty()) refuse("the path is empty: name the key file");
  return result;
}

}  // namespace

int32_t tokenstore_keyring_generate(tokenstore_keyring** out_keyring, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    auto*& out = need_output(out_keyring);
    out = handle(take(Keyring::generate(*system_random())));
  });
}

int32_t tokenstore_keyring_from_bytes(const uint8_t* master, size_t master_size, const char* id, size_t id_size,
                                      tokenstore_keyring** out_keyring, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    auto*& out = need_output(out_keyring);
    const auto key = bytes(&need(master, "the key"), master_size, "the key");
    const auto name = text(id, id_size, "the key id");
    out = handle(take(name.empty() ? Keyring::from_bytes(key) : Keyring::from_bytes(key, name)));
  });
}

int32_t tokenstore_keyring_from_file(const char* path, size_t path_size, tokenstore_keyring** out_keyring,
                                     tokenstore_error** out_error) {
  return guard(out_error, [&] {
    auto*& out = need_output(out_keyring);
    out = handle(take(Keyring::from_file(key_file_path(path, path_size))));
  });
}

int32_t tokenstore_keyring_from_file_trusting(const char* path, size_t path_size, int32_t trust,
                                              tokenstore_keyring** out_keyring, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    auto*& out = need_output(out_keyring);
    out = handle(take(Keyring::from_file(key_file_path(path, path_size), key_file_trust_of(trust))));
  });
}

int32_t tokenstore_keyring_from_credential(const char* name, size_t name_size, tokenstore_keyring** out_keyring,
                                           tokenstore_error** out_error) {
  return guard(out_error, [&] {
    auto*& out = need_output(out_keyring);
    out = handle(take(Keyring::from_credential(text(name, name_size, "the name of the credential"))));
  });
}

int32_t tokenstore_keyring_from_text(const char* text, size_t text_size, tokenstore_keyring** out_keyring,
                                     tokenstore_error** out_error) {
  return guard(out_error, [&] {
    auto*& out = need_output(out_keyring);
    out = handle(take(Keyring::from_text(capi::text(text, text_size, "the text"))));
  });
}

int32_t tokenstore_keyring_add(tokenstore_keyring* keyring, const char* id, size_t id_size, int32_t use,
                               const uint8_t* master, size_t master_size, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    need(keyring, "the keyring");
    const auto name = text(id, id_size, "the key id");
    const auto key = bytes(&need(master, "the key"), master_size, "the key");
    take(keyring->keyring.add(name, key_use(use), key));
  });
}

size_t tokenstore_keyring_count(const tokenstore_keyring* keyring) {
  return guard_value(std::size_t{0}, [&] { return keyring == nullptr ? 0 : keyring->keyring.keys().size(); });
}

int32_t tokenstore_keyring_key(const tokenstore_keyring* keyring, size_t index, tokenstore_key_info* out_info,
                               tokenstore_error** out_error) {
  return guard(out_error, [&] {
    const auto& keys = need(keyring, "the keyring").keyring.keys();
    if (index >= keys.size()) fail(Status::not_found, "the keyring has no key at this index");
    tokenstore_key_info info{};
    info.id = keys[index].id.c_str();
    info.id_size = keys[index].id.size();
    info.use = static_cast<std::int32_t>(keys[index].use);
    TOKENSTORE_WRITE(tokenstore_key_info, KEY_INFO, out_info, "the key info", info);
  });
}

int32_t tokenstore_keyring_write_new_file(const tokenstore_keyring* keyring, const char* path, size_t path_size,
                                          tokenstore_error** out_error) {
  return guard(out_error, [&] {
    need(keyring, "the keyring");
    take(keyring->keyring.write_new_file(key_file_path(path, path_size)));
  });
}

int32_t tokenstore_keyring_reveal_text(const tokenstore_keyring* keyring, char* buffer, size_t buffer_size,
                                       size_t* out_size, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    const SecretText text = need(keyring, "the keyring").keyring.reveal_text();
    write_text(text.reveal(), buffer, buffer_size, out_size);
  });
}

void tokenstore_keyring_free(tokenstore_keyring* keyring) {
  guard_free(keyring);
}
