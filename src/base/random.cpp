#include <sodium.h>

#include <new>

#include "tokenstore/environment.hpp"

namespace tokenstore {
namespace {

/// libsodium asks the kernel for every call, so that a forked child draws other bytes than its parent.
class SystemRandom final : public RandomSource {
 public:
  void fill(std::span<std::uint8_t> out) noexcept override { randombytes_buf(out.data(), out.size()); }
};

}  // namespace

std::shared_ptr<RandomSource> system_random() {
  // Safe to repeat and from several threads. It fails only where the kernel has no generator at all.
  if (sodium_init() < 0) throw std::bad_alloc();
  return std::make_shared<SystemRandom>();
}

}  // namespace tokenstore
