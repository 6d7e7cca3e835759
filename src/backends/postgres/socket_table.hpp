/// The sockets of a backend, readable after a fork whatever the parent's threads were doing.
///
/// Thread use: any. A child calls close_all() before it has threads of its own.
#pragma once

#include <unistd.h>

#include <array>
#include <atomic>

namespace tokenstore::postgres {

class SocketTable {
 public:
  static constexpr std::size_t size = 128;

  SocketTable() noexcept {
    for (auto& slot : slots_) slot.store(-1, std::memory_order_relaxed);
  }

  /// The slot it was put in; -1: no room.
  int add(int socket) noexcept {
    for (std::size_t at = 0; at < size; ++at) {
      int empty = -1;
      if (slots_[at].compare_exchange_strong(empty, socket)) return static_cast<int>(at);
    }
    return -1;
  }
  void remove(int slot) noexcept {
    if (slot >= 0) slots_[static_cast<std::size_t>(slot)].store(-1);
  }

  /// In a child: the parent's connections stay open, because a socket lives until its last holder closes it.
  void close_all() noexcept {
    for (auto& slot : slots_) {
      if (const int socket = slot.exchange(-1); socket >= 0) ::close(socket);
    }
  }

 private:
  std::array<std::atomic<int>, size> slots_;
};

}  // namespace tokenstore::postgres
