/// A backend behind the C functions that behaves as badly as a test tells it to. Otherwise it is the memory
/// backend.
///
/// Set the hooks while nobody calls; the counters may be read at any time.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "backend/export.hpp"
#include "tokenstore/backends/memory.hpp"
#include "tokenstore_backend.h"

namespace tokenstore::test {

enum class Entry : std::uint8_t {
  open,
  load_token,
  load_owner,
  load_workspace,
  load_store,
  list_tokens,
  list_owners,
  list_workspaces,
  count_tokens,
  count_live,
  list_ended,
  commit,
  changes,
  pulse,
  record_uses,
  maintain,
  check_integrity,
  close,
};
inline constexpr std::size_t entry_count = 18;

struct FeedHead {
  std::uint64_t revision;
  const std::uint8_t* link;
  std::uint64_t complete_from;
};
struct FeedEntry {
  std::uint64_t revision;
  std::string_view bytes;
  const std::uint8_t* link;
};

struct HostileBackend {
  /// Run first in each entry. A status: the entry returns it and does nothing else. (Of `pulse` and `close` only
  /// the side effects count.)
  std::function<std::optional<std::int32_t>(Entry, tokenstore_answer*)> before{};
  /// Run after the entry has done its work.
  std::function<std::optional<std::int32_t>(Entry, tokenstore_answer*)> after{};
  /// What is emitted can be altered; its pointers have to live as long as the hook.
  std::function<void(tokenstore_token_record&)> alter_token{};
  std::function<void(tokenstore_owner_record&)> alter_owner{};
  std::function<void(tokenstore_workspace_record&)> alter_workspace{};
  std::function<void(tokenstore_store_record&)> alter_store{};
  /// Run instead of emit_head and emit_entry: emits what it likes through the answer that it is given.
  std::function<std::int32_t(tokenstore_answer*, FeedHead)> emit_head{};
  std::function<std::int32_t(tokenstore_answer*, FeedEntry)> emit_entry{};

  std::array<std::atomic<std::uint64_t>, entry_count> calls{};
  std::atomic<int> closed{0};
  tokenstore_signal* signal = nullptr;

  std::uint64_t called(Entry entry) const { return calls[static_cast<std::size_t>(entry)].load(); }

  /// The struct to open a store on. The backend has to outlive it.
  tokenstore_backend entries(std::uint32_t capabilities = TOKENSTORE_BACKEND_THREAD_SAFE);
  /// What stores everything; the same in each of the structs.
  std::shared_ptr<Backend> memory = memory_backend();

  tokenstore_backend behind{};
};

}  // namespace tokenstore::test
