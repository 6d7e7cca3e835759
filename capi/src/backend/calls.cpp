#include "backend/calls.hpp"

#include <algorithm>
#include <memory>
#include <new>

#include "backend/records.hpp"
#include "guard.hpp"
#include "values.hpp"

namespace tokenstore::capi {
namespace {

constexpr std::size_t message_max = 500;
constexpr std::string_view emitted_too_much = "it emitted more than was asked for";

/// One line of printable ASCII, whatever came.
std::string one_line(std::string_view text) {
  std::string line(text.substr(0, message_max));
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  return line;
}

}  // namespace

/// What a backend holds of a call. Outlives it.
struct Calls::Slot : tokenstore_answer {
  std::atomic<bool> taken{true};
  std::atomic<bool> used_elsewhere{false};  ///< by another thread, while the call lasts
  Slot* next = nullptr;
};

namespace {

/// The calls that this thread is in, innermost first: null whenever it is in none. In the thread itself, because
/// a backend that calls back has nothing to be recognised by but the thread it comes in; and in the static
/// block, which needs no memory at first use.
__attribute__((tls_model("initial-exec"))) thread_local Calls::Call* innermost = nullptr;

}  // namespace

Calls::~Calls() {
  for (Slot* slot = slots_.load(); slot != nullptr;) delete std::exchange(slot, slot->next);
}

bool Calls::inside() const noexcept {
  for (const Call* call = innermost; call != nullptr; call = call->outer_) {
    if (&call->calls_ == this) return true;
  }
  return false;
}

Calls::Slot* Calls::take_slot() {
  for (Slot* slot = slots_.load(std::memory_order_acquire); slot != nullptr; slot = slot->next) {
    if (!slot->taken.load(std::memory_order_relaxed) && !slot->taken.exchange(true, std::memory_order_acquire)) {
      slot->used_elsewhere.store(false);
      return slot;
    }
  }
  auto fresh = std::make_unique<Slot>();
  wire(*fresh);
  fresh->next = slots_.load(std::memory_order_relaxed);
  while (!slots_.compare_exchange_weak(fresh->next, fresh.get(), std::memory_order_release)) {
  }
  return fresh.release();
}

Calls::Call::Call(const Calls& calls) noexcept : calls_(calls), outer_(innermost) {
  innermost = this;
}

Calls::Call::Call(Calls& calls, Answered& answered)
    : calls_(calls), slot_(calls.take_slot()), answered_(&answered), outer_(innermost) {
  innermost = this;
}

Calls::Call::~Call() {
  innermost = outer_;
  if (slot_ == nullptr) return;
  // What another thread was told is lost to the caller: better no answer than half of one.
  if (slot_->used_elsewhere.load()) {
    answered_->at_fault = true;
    answered_->fault.clear();
  }
  slot_->taken.store(false, std::memory_order_release);
}

tokenstore_answer* Calls::Call::answer() const noexcept {
  return slot_;
}

Calls::Call* Calls::here(tokenstore_answer* answer) noexcept {
  if (answer == nullptr) return nullptr;
  for (Call* call = innermost; call != nullptr; call = call->outer_) {
    if (call->slot_ == answer) return call;
  }
  static_cast<Slot*>(answer)->used_elsewhere.store(true);
  return nullptr;
}

/// Runs `body` on what the call has answered so far, if the answer may be used here and may be of this kind.
template <typename Body>
std::int32_t Calls::accept(tokenstore_answer* answer, Answers kind, const Body& body) noexcept {
  Call* call = here(answer);
  if (call == nullptr) return 0;
  Answered& to = *call->answered_;
  try {
    if (to.at_fault || to.no_memory) return 0;
    if (kind != Answers::nothing && !includes(to.expected, kind)) refuse("it emitted what was not asked for");
    return body(to) ? 1 : 0;
  } catch (const Failure& failure) {
    to.at_fault = true;
    try {
      to.fault = failure.message();
    } catch (const std::bad_alloc&) {
      to.no_memory = true;
    }
  } catch (const std::bad_alloc&) {
    to.no_memory = true;
  } catch (...) {
    to.at_fault = true;
  }
  return 0;
}

namespace {

/// Keeps one more record; a backend that does not stop at the limit is not believed at all.
template <typename Record, typename Make>
bool keep(std::vector<Record>& records, std::uint64_t most, const Make& make) {
  if (records.size() >= most) refuse(emitted_too_much);
  records.push_back(make());
  return true;
}

/// A record that a backend emits. Its contract says which fields it has: a size beyond them is a lie, and nothing is
/// read that may not be there.
template <typename Record>
auto copy_emitted(const Record* record) {
  if (record != nullptr && record->struct_size > sizeof *record) refuse("it emitted a struct_size that is wrong");
  return copy(record);
}

constexpr std::size_t entry_octets_max = std::size_t{64} << 20;

Bytes32 link_of(const std::uint8_t* link) {
  if (link == nullptr) refuse("it emitted no link");
  Bytes32 copied;
  std::copy_n(link, copied.size(), copied.begin());
  return copied;
}

template <typename Value>
bool keep_once(std::optional<Value>& place, Value value) {
  if (place) refuse(emitted_too_much);
  place = std::move(value);
  return true;
}

}  // namespace

void Calls::wire(tokenstore_answer& answer) noexcept {
  answer.struct_size = sizeof answer;
  answer.emit_token = [](tokenstore_answer* to, const tokenstore_token_record* record) -> std::int32_t {
    return accept(to, Answers::token,
                  [&](Answered& it) { return keep(it.tokens, it.most, [&] { return copy_emitted(record); }); });
  };
  answer.emit_owner = [](tokenstore_answer* to, const tokenstore_owner_record* record) -> std::int32_t {
    return accept(to, Answers::owner,
                  [&](Answered& it) { return keep(it.owners, it.most, [&] { return copy_emitted(record); }); });
  };
  answer.emit_workspace = [](tokenstore_answer* to, const tokenstore_workspace_record* record) -> std::int32_t {
    return accept(to, Answers::workspace,
                  [&](Answered& it) { return keep(it.workspaces, it.most, [&] { return copy_emitted(record); }); });
  };
  answer.emit_ended = [](tokenstore_answer* to, const char* id, size_t id_size, uint64_t revision) -> std::int32_t {
    return accept(to, Answers::ended, [&](Answered& it) {
      return keep(it.ended, it.most, [&] {
        return EndedToken{cut_text(id, id_size, TOKENSTORE_ID_SIZE, "the id"), revision};
      });
    });
  };
  answer.emit_store = [](tokenstore_answer* to, const tokenstore_store_record* record) -> std::int32_t {
    return accept(to, Answers::store,
                  [&](Answered& it) { return keep(it.stores, it.most, [&] { return copy_emitted(record); }); });
  };
  answer.emit_head = [](tokenstore_answer* to, uint64_t revision, const uint8_t* link,
                        uint64_t complete_from) -> std::int32_t {
    return accept(to, Answers::change, [&](Answered& it) {
      Changes head;
      head.revision = revision;
      head.link = link_of(link);
      head.complete_from = complete_from;
      return keep_once(it.head, std::move(head));
    });
  };
  answer.emit_entry = [](tokenstore_answer* to, uint64_t revision, const char* entry, size_t entry_size,
                         const uint8_t* link) -> std::int32_t {
    return accept(to, Answers::change, [&](Answered& it) {
      const std::string_view octets = text(entry, entry_size, "the entry");
      // A longer feed is answered as "everything": cheaper than reading it, and a bound on what is kept.
      it.everything =
          it.everything || it.entries.size() >= it.most || octets.size() > entry_octets_max - it.entry_octets;
      if (it.everything) {
        it.entries.clear();
        return false;
      }
      it.entry_octets += octets.size();
      it.entries.push_back({revision, std::string(octets), link_of(link)});
      return true;
    });
  };
  answer.emit_everything = [](tokenstore_answer* to) -> std::int32_t {
    return accept(to, Answers::change, [](Answered& it) { return it.everything = true; });
  };
  answer.emit_number = [](tokenstore_answer* to, uint64_t number) -> std::int32_t {
    return accept(to, Answers::number, [&](Answered& it) { return keep_once(it.number, std::uint64_t{number}); });
  };
  answer.emit_counts = [](tokenstore_answer* to, uint64_t active, uint64_t pending, uint64_t expired,
                          uint64_t revoked) -> std::int32_t {
    return accept(to, Answers::counts, [&](Answered& it) {
      return keep_once(it.counts, TokenCounts{active, pending, expired, revoked});
    });
  };
  answer.emit_next = [](tokenstore_answer* to, const char* id, size_t id_size) -> std::int32_t {
    return accept(to, Answers::next, [&](Answered& it) {
      if (text(id, id_size, "the id").size() != TOKENSTORE_ID_SIZE) refuse("it emitted an id that is not 16 bytes");
      return keep_once(it.next, std::string(id, id_size));
    });
  };
  answer.emit_problem = [](tokenstore_answer* to, const char* line, size_t line_size) -> std::int32_t {
    return accept(to, Answers::problem, [&](Answered& it) {
      if (it.problems.size() >= it.most) return false;
      it.problems.push_back(one_line(text(line, line_size, "the line")));
      return true;
    });
  };
  answer.progress = [](tokenstore_answer* to, uint64_t done, uint64_t total) -> std::int32_t {
    return accept(to, Answers::nothing,
                  [&](Answered& it) { return it.report == nullptr || !*it.report || (*it.report)(done, total); });
  };
  answer.fail = [](tokenstore_answer* to, int32_t status, const char* message, size_t message_size) -> std::int32_t {
    accept(to, Answers::nothing, [&](Answered& it) {
      it.failed = true;
      try {
        it.message = one_line(text(message, message_size, "the message"));
      } catch (const std::bad_alloc&) {
        it.message.clear();  // the status is what counts
      }
      return true;
    });
    return status;
  };
}

}  // namespace tokenstore::capi
