#include "hostile_backend.hpp"

namespace tokenstore::test {
namespace {

/// Passes on to the real answer, through the hooks.
struct Relay : tokenstore_answer {
  HostileBackend* backend;
  tokenstore_answer* to;

  Relay(HostileBackend& hostile, tokenstore_answer* real) : tokenstore_answer(*real), backend(&hostile), to(real) {
    emit_token = [](tokenstore_answer* a, const tokenstore_token_record* record) -> std::int32_t {
      tokenstore_token_record altered = *record;
      if (self(a).backend->alter_token) self(a).backend->alter_token(altered);
      return self(a).to->emit_token(self(a).to, &altered);
    };
    emit_owner = [](tokenstore_answer* a, const tokenstore_owner_record* record) -> std::int32_t {
      tokenstore_owner_record altered = *record;
      if (self(a).backend->alter_owner) self(a).backend->alter_owner(altered);
      return self(a).to->emit_owner(self(a).to, &altered);
    };
    emit_workspace = [](tokenstore_answer* a, const tokenstore_workspace_record* record) -> std::int32_t {
      tokenstore_workspace_record altered = *record;
      if (self(a).backend->alter_workspace) self(a).backend->alter_workspace(altered);
      return self(a).to->emit_workspace(self(a).to, &altered);
    };
    emit_store = [](tokenstore_answer* a, const tokenstore_store_record* record) -> std::int32_t {
      tokenstore_store_record altered = *record;
      if (self(a).backend->alter_store) self(a).backend->alter_store(altered);
      return self(a).to->emit_store(self(a).to, &altered);
    };
    emit_ended = [](tokenstore_answer* a, const char* id, size_t size, uint64_t revision) -> std::int32_t {
      return self(a).to->emit_ended(self(a).to, id, size, revision);
    };
    emit_head = [](tokenstore_answer* a, uint64_t revision, const uint8_t* link,
                   uint64_t complete_from) -> std::int32_t {
      const auto& hook = self(a).backend->emit_head;
      if (hook) return hook(self(a).to, {revision, link, complete_from});
      return self(a).to->emit_head(self(a).to, revision, link, complete_from);
    };
    emit_entry = [](tokenstore_answer* a, uint64_t revision, const char* entry, size_t size,
                    const uint8_t* link) -> std::int32_t {
      const auto& hook = self(a).backend->emit_entry;
      if (hook) return hook(self(a).to, {revision, {entry, size}, link});
      return self(a).to->emit_entry(self(a).to, revision, entry, size, link);
    };
    emit_everything = [](tokenstore_answer* a) -> std::int32_t { return self(a).to->emit_everything(self(a).to); };
    emit_number = [](tokenstore_answer* a, uint64_t number) -> std::int32_t {
      return self(a).to->emit_number(self(a).to, number);
    };
    emit_counts = [](tokenstore_answer* a, uint64_t one, uint64_t two, uint64_t three, uint64_t four) -> std::int32_t {
      return self(a).to->emit_counts(self(a).to, one, two, three, four);
    };
    emit_next = [](tokenstore_answer* a, const char* id, size_t size) -> std::int32_t {
      return self(a).to->emit_next(self(a).to, id, size);
    };
    emit_problem = [](tokenstore_answer* a, const char* line, size_t size) -> std::int32_t {
      return self(a).to->emit_problem(self(a).to, line, size);
    };
    progress = [](tokenstore_answer* a, uint64_t done, uint64_t total) -> std::int32_t {
      return self(a).to->progress(self(a).to, done, total);
    };
    fail = [](tokenstore_answer* a, int32_t status, const char* message, size_t size) -> std::int32_t {
      return self(a).to->fail(self(a).to, status, message, size);
    };
  }
  static Relay& self(tokenstore_answer* answer) { return *static_cast<Relay*>(answer); }
};

template <typename Call>
std::int32_t run(void* context, Entry entry, tokenstore_answer* answer, const Call& call) {
  auto& backend = *static_cast<HostileBackend*>(context);
  backend.calls[static_cast<std::size_t>(entry)].fetch_add(1);
  if (backend.before) {
    if (const auto status = backend.before(entry, answer)) return *status;
  }
  Relay relay(backend, answer);
  std::int32_t status = call(backend.behind, &relay);
  if (backend.after) status = backend.after(entry, answer).value_or(status);
  return status;
}

}  // namespace

tokenstore_backend HostileBackend::entries(std::uint32_t capabilities) {
  if (behind.close != nullptr) behind.close(behind.context);
  behind = capi::export_backend("hostile", 0, [this]() -> Result<std::shared_ptr<Backend>> { return memory; });
  tokenstore_backend out{};
  out.struct_size = sizeof out;
  out.contract = TOKENSTORE_BACKEND_CONTRACT;
  out.capabilities = capabilities;
  out.name = "hostile";
  out.name_size = 7;
  out.context = this;
  out.open = [](void* context, tokenstore_signal* given, tokenstore_answer* answer) -> std::int32_t {
    static_cast<HostileBackend*>(context)->signal = given;
    return run(context, Entry::open, answer, [&](const tokenstore_backend& inner, tokenstore_answer* to) {
      return inner.open(inner.context, given, to);
    });
  };
  out.close = [](void* context) {
    auto& backend = *static_cast<HostileBackend*>(context);
    backend.closed.fetch_add(1);
    if (backend.before) backend.before(Entry::close, nullptr);
    backend.behind.close(backend.behind.context);
    backend.behind = {};
  };
  out.load_token = [](void* context, const char* workspace, size_t workspace_size, const char* id, size_t id_size,
                      tokenstore_answer* answer) -> std::int32_t {
    return run(context, Entry::load_token, answer, [&](const tokenstore_backend& inner, tokenstore_answer* to) {
      return inner.load_token(inner.context, workspace, workspace_size, id, id_size, to);
    });
  };
  out.load_owner = [](void* context, const char* workspace, size_t workspace_size, const char* owner, size_t owner_size,
                      tokenstore_answer* answer) -> std::int32_t {
    return run(context, Entry::load_owner, answer, [&](const tokenstore_backend& inner, tokenstore_answer* to) {
      return inner.load_owner(inner.context, workspace, workspace_size, owner, owner_size, to);
    });
  };
  out.load_workspace = [](void* context, const char* workspace, size_t workspace_size,
                          tokenstore_answer* answer) -> std::int32_t {
    return run(context, Entry::load_workspace, answer, [&](const tokenstore_backend& inner, tokenstore_answer* to) {
      return inner.load_workspace(inner.context, workspace, workspace_size, to);
    });
  };
  out.load_store = [](void* context, tokenstore_answer* answer) -> std::int32_t {
    return run(context, Entry::load_store, answer, [&](const tokenstore_backend& inner, tokenstore_answer* to) {
      return inner.load_store(inner.context, to);
    });
  };
  out.list_tokens = [](void* context, const char* workspace, size_t workspace_size, const tokenstore_token_query* query,
                       tokenstore_answer* answer) -> std::int32_t {
    return run(context, Entry::list_tokens, answer, [&](const tokenstore_backend& inner, tokenstore_answer* to) {
      return inner.list_tokens(inner.context, workspace, workspace_size, query, to);
    });
  };
  out.list_owners = [](void* context, const char* workspace, size_t workspace_size, const char* name, size_t name_size,
                       uint64_t limit, tokenstore_answer* answer) -> std::int32_t {
    return run(context, Entry::list_owners, answer, [&](const tokenstore_backend& inner, tokenstore_answer* to) {
      return inner.list_owners(inner.context, workspace, workspace_size, name, name_size, limit, to);
    });
  };
  out.list_workspaces = [](void* context, const char* name, size_t name_size, uint64_t limit,
                           tokenstore_answer* answer) -> std::int32_t {
    return run(context, Entry::list_workspaces, answer, [&](const tokenstore_backend& inner, tokenstore_answer* to) {
      return inner.list_workspaces(inner.context, name, name_size, limit, to);
    });
  };
  out.count_tokens = [](void* context, const char* workspace, size_t workspace_size, const char* owner,
                        size_t owner_size, int64_t now, tokenstore_answer* answer) -> std::int32_t {
    return run(context, Entry::count_tokens, answer, [&](const tokenstore_backend& inner, tokenstore_answer* to) {
      return inner.count_tokens(inner.context, workspace, workspace_size, owner, owner_size, now, to);
    });
  };
  out.count_live = [](void* context, const char* workspace, size_t workspace_size, const char* owner, size_t owner_size,
                      int64_t now, uint64_t at_most, tokenstore_answer* answer) -> std::int32_t {
    return run(context, Entry::count_live, answer, [&](const tokenstore_backend& inner, tokenstore_answer* to) {
      return inner.count_live(inner.context, workspace, workspace_size, owner, owner_size, now, at_most, to);
    });
  };
  out.list_ended = [](void* context, const char* workspace, size_t workspace_size, int64_t ended_before, uint64_t limit,
                      tokenstore_answer* answer) -> std::int32_t {
    return run(context, Entry::list_ended, answer, [&](const tokenstore_backend& inner, tokenstore_answer* to) {
      return inner.list_ended(inner.context, workspace, workspace_size, ended_before, limit, to);
    });
  };
  out.commit = [](void* context, const char* workspace, size_t workspace_size, const tokenstore_mutation* const* batch,
                  size_t count, const tokenstore_announcement* announcement,
                  tokenstore_answer* answer) -> std::int32_t {
    return run(context, Entry::commit, answer, [&](const tokenstore_backend& inner, tokenstore_answer* to) {
      return inner.commit(inner.context, workspace, workspace_size, batch, count, announcement, to);
    });
  };
  out.changes = [](void* context, const char* workspace, size_t workspace_size, uint64_t after_revision,
                   tokenstore_answer* answer) -> std::int32_t {
    return run(context, Entry::changes, answer, [&](const tokenstore_backend& inner, tokenstore_answer* to) {
      return inner.changes(inner.context, workspace, workspace_size, after_revision, to);
    });
  };
  out.pulse = [](void* context) -> tokenstore_pulse {
    auto& backend = *static_cast<HostileBackend*>(context);
    backend.calls[static_cast<std::size_t>(Entry::pulse)].fetch_add(1);
    if (backend.before) backend.before(Entry::pulse, nullptr);
    return backend.behind.pulse(backend.behind.context);
  };
  out.record_uses = [](void* context, const char* workspace, size_t workspace_size, const tokenstore_use* const* uses,
                       size_t count, tokenstore_answer* answer) -> std::int32_t {
    return run(context, Entry::record_uses, answer, [&](const tokenstore_backend& inner, tokenstore_answer* to) {
      return inner.record_uses(inner.context, workspace, workspace_size, uses, count, to);
    });
  };
  out.maintain = [](void* context, int64_t budget_ms, tokenstore_answer* answer) -> std::int32_t {
    return run(context, Entry::maintain, answer, [&](const tokenstore_backend& inner, tokenstore_answer* to) {
      return inner.maintain(inner.context, budget_ms, to);
    });
  };
  out.check_integrity = [](void* context, uint64_t most, tokenstore_answer* answer) -> std::int32_t {
    return run(context, Entry::check_integrity, answer, [&](const tokenstore_backend& inner, tokenstore_answer* to) {
      return inner.check_integrity(inner.context, most, to);
    });
  };
  return out;
}

}  // namespace tokenstore::test
