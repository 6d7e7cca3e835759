/// What this process denies although storage could not be told: an ending that failed on a full disk still ends
/// here, at once, until it is repeated with success or known to be in storage.
///
/// One meaning for all endings: of a token (revoke, expire, delete), of an owner (suspend, may not use, revoke all:
/// every token of theirs, also one that is issued until it succeeds) and of the workspace (tokens disabled).
///
/// Thread-safe. Reading takes no lock, so that a hit that something else is denied beside costs two loads more, and a
/// forked child can take over what its parent denied, whatever another thread was doing at the fork. What has
/// been denied once stays in memory, switched off, as long as this lives.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <forward_list>
#include <mutex>
#include <string>
#include <string_view>

#include "validate/fingerprint.hpp"

namespace tokenstore::validate {

/// What stops an owner: storage can know of one and not of the other.
enum class OwnerStop : std::uint8_t { suspension = 1, may_not_use = 2, revoke_all = 4 };

class Denials {
 public:
  explicit Denials(const Fingerprinter& fingerprinter) noexcept : fingerprinter_(fingerprinter) {}

  void deny_token(std::string_view id) { deny_token_of(id, {}); }
  /// A user asked for the end of a token whose record could not be read: it is denied if it turns out to be theirs.
  /// Past `most_unread` of these no more are remembered, so that nobody fills the memory with ids.
  void deny_token_of(std::string_view id, std::string_view owner);
  void deny_owner(std::string_view owner, OwnerStop why);
  void deny_everything() noexcept;
  /// Storage knows by now.
  void allow_token(std::string_view id);
  void allow_owner(std::string_view owner, OwnerStop why);
  void allow_everything() noexcept;
  /// In a forked child: takes over what its parent denied. A repetition in the parent does not reach it.
  void inherit(const Denials& parent);

  bool any() const noexcept { return count_.load(std::memory_order_acquire) != 0; }
  /// False: surely not denied. `place` is the id's, `group` the owner's.
  bool may_deny(std::uint64_t place, std::uint16_t group) const noexcept {
    return everything_.load(std::memory_order_acquire) || head(tokens_, place) != nullptr ||
           head(owners_, group) != nullptr;
  }
  bool denies(std::string_view id, std::string_view owner) const noexcept;

  static constexpr std::size_t most_unread = std::size_t{1} << 16;

 private:
  /// Never changes but for `why`, and never goes.
  struct Denial {
    std::string name;                      ///< a token id or an owner
    std::string owner;                     ///< of a token: denied only if it is this owner's; empty: anyway
    mutable std::atomic<unsigned> why{0};  ///< 0: switched off. Of an owner: OwnerStop bits
    const Denial* next = nullptr;
  };
  static constexpr std::size_t chains = 256;
  using Chains = std::array<std::atomic<const Denial*>, chains>;

  static const Denial* head(const Chains& in, std::uint64_t key) noexcept {
    return in[key % chains].load(std::memory_order_acquire);
  }
  std::uint64_t place_of(std::string_view id) const noexcept { return fingerprinter_.place(IdWords::of(id.data())); }
  void add(Chains& to, std::uint64_t key, std::string_view name, std::string_view owner, unsigned why);
  void remove(Chains& from, std::uint64_t key, std::string_view name, unsigned why);

  const Fingerprinter& fingerprinter_;
  Chains tokens_{}, owners_{};
  std::atomic<bool> everything_{false};
  std::atomic<std::size_t> count_{0};  ///< denials that are not switched off
  std::mutex mutex_;                   ///< of writers
  std::forward_list<Denial> denials_;
  std::size_t unread_ = 0;
};

}  // namespace tokenstore::validate
