/// Everything that a validator remembers, in one piece, so that a forked child can start afresh: it
/// must not touch locks that another thread of its parent may have held, nor write out its uses.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>

#include "validate/cache_table.hpp"
#include "validate/denials.hpp"
#include "validate/fingerprint.hpp"
#include "validate/freshness.hpp"
#include "validate/generations.hpp"
#include "validate/remembered_settings.hpp"
#include "validate/use_log.hpp"
#include "validate/use_writer.hpp"

namespace tokenstore::validate {

struct Memory {
  /// `cache_bytes` 0: remembers no tokens, only uses and denials.
  Memory(Backend& backend, seal::LiveSealer& sealer, base::EffectiveClock& clock, RandomSource& random,
         const seal::Place& place, const std::unique_ptr<journal::Journal>& journal, StoredSettings& stored,
         std::size_t cache_bytes, std::chrono::milliseconds use_interval)
      : fingerprinter(random),
        tokens(fingerprinter),
        owners(fingerprinter),
        settings(stored, owners, fingerprinter, cache_bytes),
        denials(fingerprinter),
        table(new_table(cache_bytes)),
        use_writer(backend, clock, place.workspace, use_interval, uses, table.get(), unwritten_since) {
    if (!table) return;
    freshness = std::make_unique<Freshness>(backend, sealer, clock, place, journal, *table, settings, tokens, owners,
                                            uses, unwritten_since);
  }

  const Fingerprinter fingerprinter;
  Generations tokens;
  Generations owners;
  RememberedSettings settings;
  Denials denials;
  UseLog uses;
  std::unique_ptr<CacheTable> table;
  std::unique_ptr<Freshness> freshness;
  std::atomic<UnixMillis> unwritten_since{0};  ///< uses of cached tokens from here on are not in storage
  UseWriter use_writer;

 private:
  std::unique_ptr<CacheTable> new_table(std::size_t cache_bytes) const {
    if (cache_bytes == 0) return nullptr;
    return std::make_unique<CacheTable>(cache_bytes - std::min(cache_bytes, settings.bytes()), fingerprinter);
  }
};

}  // namespace tokenstore::validate
