// The keys of an open store: changing them, and what hangs on each.
#include <array>

#include "store.hpp"

namespace tokenstore::python {

namespace {

using KeyReport = Handle<tokenstore_key_report, tokenstore_key_report_free>;

using ChangeKey = int32_t (*)(tokenstore_store*, const tokenstore_actor*, const char*, size_t, tokenstore_error**);

PyObject* change_key(PyObject* self, PyObject* const* args, Py_ssize_t count, const char* name, ChangeKey change) {
  Call call(self);
  tokenstore_actor actor;
  Text id;
  if (!call || !takes(name, count, 3) || !read_actor(args, actor) || !id.read(args[2], "the key id")) return nullptr;
  const int32_t status = unlocked([&] { return change(call.handle(), &actor, id.data, id.size, call.error().out()); });
  if (!call.succeeded(status)) return nullptr;
  Py_INCREF(Py_None);
  return Py_None;
}

}  // namespace

// _key_add(kind, name): the id
PyObject* store_key_add(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  Call call(self);
  tokenstore_actor actor;
  if (!call || !takes("_key_add", count, 2) || !read_actor(args, actor)) return nullptr;
  std::array<char, 3> id{};
  std::size_t size = 0;
  const int32_t status = unlocked(
      [&] { return tokenstore_key_add(call.handle(), &actor, id.data(), id.size(), &size, call.error().out()); });
  return call.succeeded(status) ? text_object(id.data(), size) : nullptr;
}

PyObject* store_key_activate(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  return change_key(self, args, count, "_key_activate", tokenstore_key_activate);
}

PyObject* store_key_retire(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  return change_key(self, args, count, "_key_retire", tokenstore_key_retire);
}

PyObject* store_key_remove(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  return change_key(self, args, count, "_key_remove", tokenstore_key_remove);
}

PyObject* store_keys_reload(PyObject* self, PyObject* /*unused*/) {
  Call call(self);
  if (!call) return nullptr;
  std::int32_t changed = 0;
  const int32_t status = unlocked([&] { return tokenstore_keys_reload(call.handle(), &changed, call.error().out()); });
  return call.succeeded(status) ? PyBool_FromLong(changed) : nullptr;
}

// _key_status(kind, name): [(key id, seals, living tokens, use or 0)]
PyObject* store_key_status(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  Call call(self);
  tokenstore_actor actor;
  if (!call || !takes("_key_status", count, 2) || !read_actor(args, actor)) return nullptr;
  KeyReport report;
  const int32_t status = unlocked(
      [&] { return tokenstore_key_status(call.handle(), &actor, nullptr, nullptr, report.out(), call.error().out()); });
  if (!call.succeeded(status)) return nullptr;
  Ref keys(PyList_New(0));
  for (std::size_t i = 0; keys && i < tokenstore_key_report_count(report.get()); ++i) {
    tokenstore_key_state state{};
    state.struct_size = sizeof state;
    if (!call.succeeded(tokenstore_key_report_key(report.get(), i, &state, call.error().out()))) return nullptr;
    const Ref key(Py_BuildValue("(NKKi)", text_object(state.key_id, state.key_id_size),
                                static_cast<unsigned long long>(state.seals),
                                static_cast<unsigned long long>(state.living_tokens), static_cast<int>(state.use)));
    if (!key || PyList_Append(keys.get(), key.get()) != 0) return nullptr;
  }
  return keys.release();
}

}  // namespace tokenstore::python
