// A module for the kit: the memory backend, sound, or as bad as TOKENSTORE_KIT_BACKEND says.
#include <chrono>
#include <cstdlib>
#include <thread>

#include "backend/export.hpp"
#include "broken_backends.hpp"
#include "support/forwarding_backend.hpp"
#include "tokenstore/backends/memory.hpp"
#include "tokenstore_conformance.h"

namespace tokenstore::conformance {
namespace {

struct Crashes : test::ForwardingBackend {
  Crashes() : ForwardingBackend(memory_backend()) {}
  Result<bool> maintain(std::chrono::milliseconds) override { std::abort(); }
};

struct Hangs : test::ForwardingBackend {
  Hangs() : ForwardingBackend(memory_backend()) {}
  Result<bool> maintain(std::chrono::milliseconds) override {
    for (;;) std::this_thread::sleep_for(std::chrono::seconds(1));
  }
};

Result<std::shared_ptr<Backend>> wanted_backend(const std::string& wanted) {
  if (wanted.empty()) return memory_backend();
  if (wanted == "crashes") return std::shared_ptr<Backend>(std::make_shared<Crashes>());
  if (wanted == "hangs") return std::shared_ptr<Backend>(std::make_shared<Hangs>());
  for (const BrokenBackend& broken : broken_backends()) {
    if (broken.name == wanted) return broken.open_fresh();
  }
  return Error(Status::cannot_open, "there is no such broken backend");
}

int32_t make(const tokenstore_conformance_place* place, tokenstore_backend* out_backend) {
  if (place->how != TOKENSTORE_CONFORMANCE_FRESH) return TOKENSTORE_UNSUPPORTED;
  const char* set = std::getenv("TOKENSTORE_KIT_BACKEND");
  const std::string wanted = set != nullptr ? set : "";
  if (wanted == "cannot be made") return TOKENSTORE_CANNOT_OPEN;
  *out_backend = capi::export_backend("memory", 0, [wanted] { return wanted_backend(wanted); });
  return TOKENSTORE_OK;
}

}  // namespace
}  // namespace tokenstore::conformance

const tokenstore_conformance_subject tokenstore_conformance = {
    sizeof tokenstore_conformance,
    tokenstore::conformance::make,
    nullptr,
    10'000,
    TOKENSTORE_BACKEND_CONTRACT,
    TOKENSTORE_CONFORMANCE_VOLATILE | TOKENSTORE_CONFORMANCE_ONE_HANDLE,
};
