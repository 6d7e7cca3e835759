#include "backend/export.hpp"

#include <chrono>
#include <new>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "backend/records.hpp"
#include "guard.hpp"
#include "values.hpp"

namespace tokenstore::capi {
namespace {

struct Exported {
  std::string name;
  std::function<Result<std::shared_ptr<Backend>>()> make;
  std::shared_ptr<Backend> backend{};
};

std::int32_t fail(tokenstore_answer* answer, Status status, std::string_view message) noexcept {
  return answer->fail(answer, static_cast<std::int32_t>(status), message.data(), message.size());
}
std::int32_t fail(tokenstore_answer* answer, const Error& error) noexcept {
  return fail(answer, error.status(), error.message());
}

/// Runs `body(backend)`, which answers a status; whatever it throws is a failure.
template <typename Body>
std::int32_t run(void* context, tokenstore_answer* answer, const Body& body) noexcept {
  try {
    return body(*static_cast<Exported*>(context)->backend);
  } catch (const std::bad_alloc&) {
    return fail(answer, Status::out_of_memory, "no memory is left; free some and try again");
  } catch (const Failure& failure) {
    return fail(answer, Status::invalid_argument, failure.message());
  } catch (...) {
    return fail(answer, Status::internal, "the storage failed in a way it should not; please report it");
  }
}

/// The same for an entry that emits the value of a Result.
template <typename Ask, typename Emit>
std::int32_t reply(void* context, tokenstore_answer* answer, const Ask& ask, const Emit& emit) noexcept {
  return run(context, answer, [&](Backend& backend) -> std::int32_t {
    const auto result = ask(backend);
    if (!result.ok()) return fail(answer, result.error());
    emit(*result);
    return TOKENSTORE_OK;
  });
}

std::string_view octets(const char* data, std::size_t size) {
  return text(data, size, "a text");
}

std::int32_t emit(tokenstore_answer* answer, const TokenRecord& record) noexcept {
  const auto shown = view(record);
  return answer->emit_token(answer, &shown);
}
std::int32_t emit(tokenstore_answer* answer, const OwnerRecord& record) noexcept {
  const auto shown = view(record);
  return answer->emit_owner(answer, &shown);
}
std::int32_t emit(tokenstore_answer* answer, const WorkspaceRecord& record) noexcept {
  const auto shown = view(record);
  return answer->emit_workspace(answer, &shown);
}

std::int32_t emit(tokenstore_answer* answer, const StoreRecord& record) noexcept {
  const auto shown = view(record);
  return answer->emit_store(answer, &shown);
}

/// The library's announcement, for a backend that lies behind the C functions.
class GivenAnnouncement final : public Announcement {
 public:
  explicit GivenAnnouncement(const tokenstore_announcement& given) noexcept : given_(given) {}
  std::string_view entry() const noexcept override { return {given_.entry, given_.entry_size}; }
  Bytes32 link(std::uint64_t revision, const Bytes32& previous) const noexcept override {
    Bytes32 linked{};
    given_.link(&given_, revision, previous.data(), linked.data());
    return linked;
  }

 private:
  const tokenstore_announcement& given_;
};

Mutation mutation_of(const tokenstore_mutation& step) {
  Mutation one;
  one.kind = record_kind(step.kind);
  one.key = octets(step.key, step.key_size);
  one.expected = step.expected;
  switch (step.step) {
    case TOKENSTORE_STEP_PUT:
      one.action = Mutation::Action::put;
      if (step.token != nullptr) one.record = copy(step.token);
      if (step.owner != nullptr) one.record = copy(step.owner);
      if (step.workspace != nullptr) one.record = copy(step.workspace);
      if (step.store != nullptr) one.record = copy(step.store);
      break;
    case TOKENSTORE_STEP_REMOVE:
      one.action = Mutation::Action::remove;
      break;
    case TOKENSTORE_STEP_CHECK:
      one.action = Mutation::Action::check;
      break;
    default:
      refuse("a batch has a step that is not known");
  }
  return one;
}

TokenQuery query_of(const tokenstore_token_query& part) {
  TokenQuery query;
  query.owner = octets(part.owner, part.owner_size);
  query.state = state_filter(part.state);
  query.now = part.now;
  query.text = octets(part.text, part.text_size);
  query.before_id = octets(part.before_id, part.before_id_size);
  query.limit = part.limit;
  query.scan_limit = part.scan_limit;
  return query;
}

std::int32_t open(void* context, tokenstore_signal*, tokenstore_answer* answer) noexcept {
  auto& exported = *static_cast<Exported*>(context);
  try {
    auto made = exported.make();
    if (!made.ok()) return fail(answer, made.error());
    exported.backend = *std::move(made);
    return TOKENSTORE_OK;
  } catch (...) {
    return fail(answer, Status::out_of_memory, "no memory is left; free some and try again");
  }
}

void close(void* context) noexcept {
  delete static_cast<Exported*>(context);
}

std::int32_t load_token(void* context, const char* workspace, size_t workspace_size, const char* id, size_t id_size,
                        tokenstore_answer* answer) noexcept {
  return reply(
      context, answer,
      [&](Backend& backend) { return backend.load_token(octets(workspace, workspace_size), octets(id, id_size)); },
      [&](const auto& token) { token&& emit(answer, *token); });
}

std::int32_t load_owner(void* context, const char* workspace, size_t workspace_size, const char* owner,
                        size_t owner_size, tokenstore_answer* answer) noexcept {
  return reply(
      context, answer,
      [&](Backend& backend) {
        return backend.load_owner(octets(workspace, workspace_size), octets(owner, owner_size));
      },
      [&](const auto& record) { record&& emit(answer, *record); });
}

std::int32_t load_workspace(void* context, const char* workspace, size_t workspace_size,
                            tokenstore_answer* answer) noexcept {
  return reply(
      context, answer, [&](Backend& backend) { return backend.load_workspace(octets(workspace, workspace_size)); },
      [&](const auto& record) { record&& emit(answer, *record); });
}

std::int32_t load_store(void* context, tokenstore_answer* answer) noexcept {
  return reply(
      context, answer, [](Backend& backend) { return backend.load_store(); },
      [&](const auto& record) { record&& emit(answer, *record); });
}

std::int32_t list_tokens(void* context, const char* workspace, size_t workspace_size,
                         const tokenstore_token_query* query, tokenstore_answer* answer) noexcept {
  return reply(
      context, answer,
      [&](Backend& backend) { return backend.list_tokens(octets(workspace, workspace_size), query_of(*query)); },
      [&](const TokenList& list) {
        for (const TokenRecord& token : list.tokens) emit(answer, token);
        if (!list.next_before_id.empty()) {
          answer->emit_next(answer, list.next_before_id.data(), list.next_before_id.size());
        }
      });
}

std::int32_t list_owners(void* context, const char* workspace, size_t workspace_size, const char* after,
                         size_t after_size, uint64_t limit, tokenstore_answer* answer) noexcept {
  return reply(
      context, answer,
      [&](Backend& backend) {
        return backend.list_owners(octets(workspace, workspace_size), octets(after, after_size), limit);
      },
      [&](const OwnerList& list) {
        for (const OwnerRecord& owner : list.owners) emit(answer, owner);
        if (list.more) answer->emit_number(answer, 1);
      });
}

std::int32_t list_workspaces(void* context, const char* after, size_t after_size, uint64_t limit,
                             tokenstore_answer* answer) noexcept {
  return reply(
      context, answer, [&](Backend& backend) { return backend.list_workspaces(octets(after, after_size), limit); },
      [&](const auto& list) {
        for (const WorkspaceRecord& workspace : list) emit(answer, workspace);
      });
}

std::int32_t count_tokens(void* context, const char* workspace, size_t workspace_size, const char* owner,
                          size_t owner_size, int64_t now, tokenstore_answer* answer) noexcept {
  return reply(
      context, answer,
      [&](Backend& backend) {
        return backend.count_tokens(octets(workspace, workspace_size), octets(owner, owner_size), now);
      },
      [&](const TokenCounts& counts) {
        answer->emit_counts(answer, counts.active, counts.pending, counts.expired, counts.revoked);
      });
}

std::int32_t count_live(void* context, const char* workspace, size_t workspace_size, const char* owner,
                        size_t owner_size, int64_t now, uint64_t at_most, tokenstore_answer* answer) noexcept {
  return reply(
      context, answer,
      [&](Backend& backend) {
        return backend.count_live(octets(workspace, workspace_size), octets(owner, owner_size), now, at_most);
      },
      [&](std::uint64_t live) { answer->emit_number(answer, live); });
}

std::int32_t list_ended(void* context, const char* workspace, size_t workspace_size, int64_t ended_before,
                        uint64_t limit, tokenstore_answer* answer) noexcept {
  return reply(
      context, answer,
      [&](Backend& backend) { return backend.list_ended(octets(workspace, workspace_size), ended_before, limit); },
      [&](const auto& list) {
        for (const EndedToken& one : list) answer->emit_ended(answer, one.id.data(), one.id.size(), one.revision);
      });
}

std::int32_t commit(void* context, const char* workspace, size_t workspace_size,
                    const tokenstore_mutation* const* batch, size_t count, const tokenstore_announcement* announcement,
                    tokenstore_answer* answer) noexcept {
  std::vector<Mutation> steps;
  const std::int32_t read = run(context, answer, [&](Backend&) -> std::int32_t {
    steps.reserve(count);
    for (const tokenstore_mutation* step : std::span(batch, count)) steps.push_back(mutation_of(*step));
    return TOKENSTORE_OK;
  });
  if (read != TOKENSTORE_OK) return read;
  try {
    std::optional<GivenAnnouncement> given;
    if (announcement != nullptr) given.emplace(*announcement);
    const CommitResult result = static_cast<Exported*>(context)->backend->commit(octets(workspace, workspace_size),
                                                                                 steps, given ? &*given : nullptr);
    switch (result.outcome) {
      case CommitOutcome::committed:
        answer->emit_number(answer, result.revision);
        return TOKENSTORE_OK;
      case CommitOutcome::conflict:
        return TOKENSTORE_CONFLICT;
      case CommitOutcome::failed:
        return result.error ? fail(answer, *result.error) : TOKENSTORE_UNAVAILABLE;
      case CommitOutcome::unknown:
        return fail(answer, Status::unknown, result.error ? result.error->message() : std::string());
    }
  } catch (...) {
    // Not to be told from one that came too late to undo anything.
  }
  return TOKENSTORE_UNKNOWN;
}

std::int32_t changes(void* context, const char* workspace, size_t workspace_size, uint64_t after,
                     tokenstore_answer* answer) noexcept {
  return reply(
      context, answer, [&](Backend& backend) { return backend.changes(octets(workspace, workspace_size), after); },
      [&](const Changes& changes) {
        answer->emit_head(answer, changes.revision, changes.link.data(), changes.complete_from);
        if (changes.everything) answer->emit_everything(answer);
        for (const Changes::Entry& entry : changes.entries) {
          answer->emit_entry(answer, entry.revision, entry.text.data(), entry.text.size(), entry.link.data());
        }
      });
}

tokenstore_pulse pulse(void* context) noexcept {
  const Pulse pulse = static_cast<Exported*>(context)->backend->pulse();
  return {pulse.counter, pulse.trusted_until};
}

std::int32_t record_uses(void* context, const char* workspace, size_t workspace_size, const tokenstore_use* const* uses,
                         size_t count, tokenstore_answer* answer) noexcept {
  return run(context, answer, [&](Backend& backend) -> std::int32_t {
    std::vector<Use> given;
    given.reserve(count);
    for (const tokenstore_use* use : std::span(uses, count)) {
      given.push_back({std::string(octets(use->id, use->id_size)), use->used_at,
                       std::string(octets(use->used_from, use->used_from_size))});
    }
    const Result<void> result = backend.record_uses(octets(workspace, workspace_size), given);
    return result.ok() ? TOKENSTORE_OK : fail(answer, result.error());
  });
}

std::int32_t maintain(void* context, int64_t budget_ms, tokenstore_answer* answer) noexcept {
  return reply(
      context, answer, [&](Backend& backend) { return backend.maintain(std::chrono::milliseconds(budget_ms)); },
      [&](bool more) { answer->emit_number(answer, more ? 1 : 0); });
}

std::int32_t check_integrity(void* context, uint64_t most, tokenstore_answer* answer) noexcept {
  return reply(
      context, answer,
      [&](Backend& backend) {
        return backend.check_integrity(
            most, [&](std::uint64_t done, std::uint64_t total) { return answer->progress(answer, done, total) != 0; });
      },
      [&](const auto& problems) {
        for (const std::string& problem : problems) answer->emit_problem(answer, problem.data(), problem.size());
      });
}

}  // namespace

tokenstore_backend export_backend(std::string name, std::uint32_t capabilities,
                                  std::function<Result<std::shared_ptr<Backend>>()> make) {
  auto exported = std::make_unique<Exported>();
  exported->name = std::move(name);
  exported->make = std::move(make);
  tokenstore_backend backend{};
  backend.struct_size = sizeof backend;
  backend.contract = TOKENSTORE_BACKEND_CONTRACT;
  backend.capabilities = capabilities | TOKENSTORE_BACKEND_THREAD_SAFE;
  backend.name = exported->name.data();
  backend.name_size = exported->name.size();
  backend.open = open;
  backend.close = close;
  backend.load_token = load_token;
  backend.load_owner = load_owner;
  backend.load_workspace = load_workspace;
  backend.load_store = load_store;
  backend.list_tokens = list_tokens;
  backend.list_owners = list_owners;
  backend.list_workspaces = list_workspaces;
  backend.count_tokens = count_tokens;
  backend.count_live = count_live;
  backend.list_ended = list_ended;
  backend.commit = commit;
  backend.changes = changes;
  backend.pulse = pulse;
  backend.record_uses = record_uses;
  backend.maintain = maintain;
  backend.check_integrity = check_integrity;
  backend.context = exported.release();
  return backend;
}

}  // namespace tokenstore::capi
