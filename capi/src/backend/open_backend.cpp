// Opening a store on storage of the host's own.
#include <memory>

#include "backend/adapter.hpp"
#include "guard.hpp"
#include "open_options.hpp"
#include "structs.hpp"
#include "tokenstore.h"
#include "tokenstore_backend.h"

using namespace tokenstore;
using namespace tokenstore::capi;

int32_t tokenstore_open_backend(const tokenstore_open_options* options, const tokenstore_backend* backend,
                                tokenstore_store** out_store, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    if (out_store != nullptr) *out_store = nullptr;
    // Before all that can be wrong, so that the context is closed whatever it is.
    std::shared_ptr<AdaptedBackend> adapted = AdaptedBackend::adopt(backend);
    auto*& out = need_output(out_store);
    const auto known = TOKENSTORE_READ(tokenstore_open_options, OPEN_OPTIONS, options, "the options");
    refuse_sqlite_options(known, "on a backend of its own");
    StoreOptions store_options = store_options_of(known);
    std::optional<Keyring> keyring = keyring_of(known);
    const std::shared_ptr<KeySource> source = any_key_source_of(known);
    if (!keyring && !source) keyring = keyring_or_descriptor_of(known);
    if (!keyring && !source)
      refuse(
          "a store on a backend of its own needs a key: set one of keyring, key_bytes, key_file, key_credential and "
          "key_source");
    // Said before storage is opened.
    if (source) take(source->keyring());

    auto handle = std::make_unique<tokenstore_store>();
    take(adapted->open());
    handle->store = take(source ? TokenStore::open(adapted, source, std::move(store_options))
                                : TokenStore::open(adapted, *std::move(keyring), std::move(store_options)));
    handle->guest = std::move(adapted);
    out = handle.release();
  });
}
