/// The calls of a backend's entries that are under way, and what they have answered: the library's side of
/// tokenstore_answer.
///
/// A backend may be wrong in any way that does not corrupt memory. So an answer object lives as long as the
/// backend, and is deaf unless the thread that was called uses it while the call lasts.
///
/// Thread use: any number of threads may open calls at once; an Answered belongs to the thread that opened one.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenstore/backend.hpp"
#include "tokenstore_backend.h"

namespace tokenstore::capi {

/// What an entry may answer with, as bits.
enum class Answers : unsigned {
  nothing = 0,
  token = 1,
  owner = 2,
  workspace = 4,
  ended = 8,
  change = 16,
  number = 32,
  counts = 64,
  next = 128,
  problem = 256,
  store = 512,
};
constexpr Answers operator|(Answers a, Answers b) noexcept {
  return static_cast<Answers>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr bool includes(Answers all, Answers one) noexcept {
  return (static_cast<unsigned>(all) & static_cast<unsigned>(one)) != 0;
}

/// What one call has answered so far.
struct Answered {
  explicit Answered(Answers may_answer, std::uint64_t most_records = 1) : expected(may_answer), most(most_records) {}

  const Answers expected;
  const std::uint64_t most;  ///< records; what comes beyond is a fault
  const Progress* report = nullptr;

  std::vector<TokenRecord> tokens;
  std::vector<OwnerRecord> owners;
  std::vector<WorkspaceRecord> workspaces;
  std::vector<EndedToken> ended;
  std::vector<StoreRecord> stores;
  std::optional<Changes> head;  ///< without its entries
  std::vector<Changes::Entry> entries;
  std::size_t entry_octets = 0;
  bool everything = false;
  std::vector<std::string> problems;
  std::optional<std::uint64_t> number;
  std::optional<TokenCounts> counts;
  std::optional<std::string> next;

  bool failed = false;  ///< `fail` was called
  std::string message;
  std::string fault;  ///< how the backend broke a rule; empty: it did not
  bool at_fault = false;
  bool no_memory = false;
};

class Calls {
  struct Slot;

 public:
  Calls() = default;
  ~Calls();
  Calls(const Calls&) = delete;
  Calls& operator=(const Calls&) = delete;

  /// Is this thread in a call of this backend?
  bool inside() const noexcept;

  /// A call of this thread, as long as this object lives.
  class Call {
   public:
    /// A call that answers nothing: `pulse` and `close`.
    explicit Call(const Calls& calls) noexcept;
    /// Throws std::bad_alloc.
    Call(Calls& calls, Answered& answered);
    ~Call();
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

    tokenstore_answer* answer() const noexcept;

   private:
    friend class Calls;
    const Calls& calls_;
    Slot* slot_ = nullptr;
    Answered* answered_ = nullptr;
    Call* outer_;  ///< the call of this thread in which this one was made
  };

 private:
  /// The call of this thread that `answer` belongs to, or null.
  static Call* here(tokenstore_answer* answer) noexcept;
  template <typename Body>
  static std::int32_t accept(tokenstore_answer* answer, Answers kind, const Body& body) noexcept;
  static void wire(tokenstore_answer& answer) noexcept;
  Slot* take_slot();

  /// Slots are only ever added, so that the list can be walked without a lock.
  std::atomic<Slot*> slots_{nullptr};
};

}  // namespace tokenstore::capi
