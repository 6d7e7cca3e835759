// Owners and the policy: who may have tokens, and which.
#include "store.hpp"

namespace tokenstore::python {

namespace {

using Owner = Handle<tokenstore_owner, tokenstore_owner_free>;
using OwnerPage = Handle<tokenstore_owner_page, tokenstore_owner_page_free>;

// The order of tokenstore._values.Owner.
PyObject* owner_tuple(const tokenstore_owner_info& info) {
  return Py_BuildValue(
      "(NNNLiiii)", text_object(info.owner, info.owner_size), text_object(info.suspended_by, info.suspended_by_size),
      text_object(info.suspend_reason, info.suspend_reason_size), static_cast<long long>(info.suspended_at),
      static_cast<int>(info.may_not_issue), static_cast<int>(info.may_not_use), static_cast<int>(info.suspended),
      static_cast<int>(info.tampered));
}

PyObject* described(Call& call, const Owner& owner) {
  tokenstore_owner_info info{};
  info.struct_size = sizeof info;
  if (!call.succeeded(tokenstore_owner_read(owner.get(), &info, call.error().out()))) return nullptr;
  return owner_tuple(info);
}

}  // namespace

PyObject* store_owner_get(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  Call call(self);
  tokenstore_actor actor;
  Text name;
  if (!call || !takes("_owner_get", count, 3) || !read_actor(args, actor) || !name.read(args[2], "owner")) {
    return nullptr;
  }
  Owner owner;
  const int32_t status = unlocked([&] {
    return tokenstore_owner_get(call.handle(), &actor, name.data, name.size, owner.out(), call.error().out());
  });
  return call.succeeded(status) ? described(call, owner) : nullptr;
}

PyObject* store_owner_set(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  Call call(self);
  tokenstore_actor actor;
  Text name;
  tokenstore_owner_settings settings{};
  settings.struct_size = sizeof settings;
  if (!call || !takes("_owner_set", count, 5) || !read_actor(args, actor) || !name.read(args[2], "owner") ||
      !read_flag(args[3], "may_not_issue", settings.may_not_issue) ||
      !read_flag(args[4], "may_not_use", settings.may_not_use)) {
    return nullptr;
  }
  Owner owner;
  const int32_t status = unlocked([&] {
    return tokenstore_owner_set(call.handle(), &actor, name.data, name.size, &settings, owner.out(),
                                call.error().out());
  });
  return call.succeeded(status) ? described(call, owner) : nullptr;
}

PyObject* store_owner_suspend(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  Call call(self);
  tokenstore_actor actor;
  Text name;
  Text reason;
  if (!call || !takes("_owner_suspend", count, 4) || !read_actor(args, actor) || !name.read(args[2], "owner") ||
      !reason.read(args[3], "reason")) {
    return nullptr;
  }
  Owner owner;
  const int32_t status = unlocked([&] {
    return tokenstore_owner_suspend(call.handle(), &actor, name.data, name.size, reason.data, reason.size, owner.out(),
                                    call.error().out());
  });
  return call.succeeded(status) ? described(call, owner) : nullptr;
}

PyObject* store_owner_resume(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  Call call(self);
  tokenstore_actor actor;
  Text name;
  if (!call || !takes("_owner_resume", count, 3) || !read_actor(args, actor) || !name.read(args[2], "owner")) {
    return nullptr;
  }
  Owner owner;
  const int32_t status = unlocked([&] {
    return tokenstore_owner_resume(call.handle(), &actor, name.data, name.size, owner.out(), call.error().out());
  });
  return call.succeeded(status) ? described(call, owner) : nullptr;
}

// _owner_list(kind, name, cursor, limit): (owners, next cursor)
PyObject* store_owner_list(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  Call call(self);
  tokenstore_actor actor;
  Text cursor;
  std::int32_t limit = 0;
  if (!call || !takes("_owner_list", count, 4) || !read_actor(args, actor) || !cursor.read(args[2], "cursor") ||
      !read_small_number(args[3], "limit", limit)) {
    return nullptr;
  }
  OwnerPage page;
  const int32_t status = unlocked([&] {
    return tokenstore_owner_list(call.handle(), &actor, cursor.data, cursor.size, static_cast<std::size_t>(limit),
                                 page.out(), call.error().out());
  });
  if (!call.succeeded(status)) return nullptr;
  Ref owners(PyList_New(0));
  const std::size_t found = tokenstore_owner_page_count(page.get());
  for (std::size_t i = 0; owners && i < found; ++i) {
    tokenstore_owner_info info{};
    info.struct_size = sizeof info;
    if (!call.succeeded(tokenstore_owner_page_owner(page.get(), i, &info, call.error().out()))) return nullptr;
    const Ref owner(owner_tuple(info));
    if (!owner || PyList_Append(owners.get(), owner.get()) != 0) return nullptr;
  }
  if (!owners) return nullptr;
  std::size_t next_size = 0;
  const char* next = tokenstore_owner_page_next(page.get(), &next_size);
  return Py_BuildValue("(NN)", owners.release(), text_object(next, next_size));
}

// (longest lifetime, default lifetime, most active per owner, never allowed, users may not issue, tokens disabled)
PyObject* store_policy_get(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  Call call(self);
  tokenstore_actor actor;
  if (!call || !takes("_policy_get", count, 2) || !read_actor(args, actor)) return nullptr;
  tokenstore_policy policy{};
  policy.struct_size = sizeof policy;
  if (!call.succeeded(
          unlocked([&] { return tokenstore_policy_get(call.handle(), &actor, &policy, call.error().out()); }))) {
    return nullptr;
  }
  return Py_BuildValue("(LLIiii)", static_cast<long long>(policy.longest_lifetime_ms),
                       static_cast<long long>(policy.default_lifetime_ms),
                       static_cast<unsigned int>(policy.most_active_per_owner), static_cast<int>(policy.never_allowed),
                       static_cast<int>(policy.users_may_not_issue), static_cast<int>(policy.tokens_disabled));
}

PyObject* store_policy_set(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  Call call(self);
  tokenstore_actor actor;
  tokenstore_policy policy{};
  policy.struct_size = sizeof policy;
  std::int64_t most = 0;
  if (!call || !takes("_policy_set", count, 8) || !read_actor(args, actor) ||
      !read_number(args[2], "longest_lifetime", policy.longest_lifetime_ms) ||
      !read_number(args[3], "default_lifetime", policy.default_lifetime_ms) ||
      !read_number(args[4], "most_active_per_owner", most) ||
      !read_flag(args[5], "never_allowed", policy.never_allowed) ||
      !read_flag(args[6], "users_may_not_issue", policy.users_may_not_issue) ||
      !read_flag(args[7], "tokens_disabled", policy.tokens_disabled)) {
    return nullptr;
  }
  if (most < 0 || most > INT64_C(0xffffffff)) {
    PyErr_SetString(PyExc_ValueError, "most_active_per_owner must be between 0 (no limit) and 4294967295");
    return nullptr;
  }
  policy.most_active_per_owner = static_cast<std::uint32_t>(most);
  if (!call.succeeded(
          unlocked([&] { return tokenstore_policy_set(call.handle(), &actor, &policy, call.error().out()); }))) {
    return nullptr;
  }
  Py_INCREF(Py_None);
  return Py_None;
}

}  // namespace tokenstore::python
