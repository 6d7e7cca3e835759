#include "verdict.hpp"

#include <cstdint>
#include <cstring>

#include "arguments.hpp"

namespace tokenstore::python {

namespace {

struct VerdictObject {
  PyObject_VAR_HEAD  // NOLINT(readability-misleading-indentation): the macro brings its own semicolon
      PyObject* module;
  std::int64_t expires_at;
  std::int32_t http_status;
  std::int16_t owner_size;
  std::int16_t scopes_size;
  std::int16_t metadata_size;
  std::int8_t outcome;
  std::int8_t reason;
  std::int8_t id_size;
  char texts[1];  // id, owner, scopes, metadata, one after the other
};

VerdictObject* from(PyObject* self) {
  return reinterpret_cast<VerdictObject*>(self);
}

void verdict_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  Py_DECREF(from(self)->module);
  PyObject_Free(self);
  Py_DECREF(type);
}

PyObject* verdict_new(PyTypeObject* /*type*/, PyObject* /*args*/, PyObject* /*kwargs*/) {
  PyErr_SetString(PyExc_TypeError, "a Verdict is not made by hand: ask TokenStore.validate() for one");
  return nullptr;
}

PyObject* get_valid(PyObject* self, void* /*unused*/) {
  return PyBool_FromLong(from(self)->outcome == TOKENSTORE_OUTCOME_VALID);
}

PyObject* member(PyObject* tuple, Py_ssize_t number) {
  PyObject* found = tuple == nullptr ? nullptr : PyTuple_GetItem(tuple, number);
  if (found == nullptr && PyErr_Occurred() == nullptr) PyErr_SetString(PyExc_SystemError, "import tokenstore first");
  Py_XINCREF(found);
  return found;
}

PyObject* get_outcome(PyObject* self, void* /*unused*/) {
  return member(state_of(from(self)->module).outcomes, from(self)->outcome);
}
PyObject* get_reason(PyObject* self, void* /*unused*/) {
  return member(state_of(from(self)->module).reasons, from(self)->reason);
}
PyObject* get_http_status(PyObject* self, void* /*unused*/) {
  return PyLong_FromLong(from(self)->http_status);
}

PyObject* get_id(PyObject* self, void* /*unused*/) {
  const VerdictObject* verdict = from(self);
  return text_object(verdict->texts, static_cast<std::size_t>(verdict->id_size));
}
PyObject* get_owner(PyObject* self, void* /*unused*/) {
  const VerdictObject* verdict = from(self);
  return text_object(verdict->texts + verdict->id_size, static_cast<std::size_t>(verdict->owner_size));
}
PyObject* get_metadata(PyObject* self, void* /*unused*/) {
  const VerdictObject* verdict = from(self);
  return PyBytes_FromStringAndSize(verdict->texts + verdict->id_size + verdict->owner_size + verdict->scopes_size,
                                   verdict->metadata_size);
}

PyObject* get_scopes(PyObject* self, void* /*unused*/) {
  const VerdictObject* verdict = from(self);
  const Ref text(text_object(verdict->texts + verdict->id_size + verdict->owner_size,
                             static_cast<std::size_t>(verdict->scopes_size)));
  if (!text) return nullptr;
  const Ref words(PyUnicode_Split(text.get(), nullptr, -1));
  return words ? PyList_AsTuple(words.get()) : nullptr;
}

PyObject* get_expires_at(PyObject* self, void* /*unused*/) {
  const VerdictObject* verdict = from(self);
  // 0 is what a verdict about a token that is not genuine has.
  if (verdict->expires_at == TOKENSTORE_NEVER || verdict->expires_at == 0) {
    Py_INCREF(Py_None);
    return Py_None;
  }
  return PyObject_CallFunction(state_of(verdict->module).to_time, "L", static_cast<long long>(verdict->expires_at));
}

int verdict_truth(PyObject* /*self*/) {
  PyErr_SetString(PyExc_TypeError, "a Verdict has no truth value: use verdict.valid");
  return -1;
}

PyObject* verdict_compare(PyObject* /*self*/, PyObject* other, int /*operation*/) {
  if (PyBool_Check(other)) {
    PyErr_SetString(PyExc_TypeError, "a Verdict is not compared with a bool: use verdict.valid");
    return nullptr;
  }
  Py_INCREF(Py_NotImplemented);
  return Py_NotImplemented;
}

Py_hash_t verdict_hash(PyObject* self) {
  const auto place = static_cast<Py_hash_t>(reinterpret_cast<std::uintptr_t>(self) >> 4);
  return place == -1 ? -2 : place;
}

PyObject* verdict_repr(PyObject* self) {
  const VerdictObject* verdict = from(self);
  const char* outcome = tokenstore_outcome_name(verdict->outcome);
  if (verdict->id_size == 0) {
    return PyUnicode_FromFormat("<Verdict %s: %s>", outcome, tokenstore_reason_name(verdict->reason));
  }
  const Ref id(get_id(self, nullptr));
  const Ref owner(get_owner(self, nullptr));
  const Ref scopes(get_scopes(self, nullptr));
  if (!id || !owner || !scopes) return nullptr;
  if (verdict->outcome == TOKENSTORE_OUTCOME_VALID) {
    return PyUnicode_FromFormat("<Verdict %s: id=%R owner=%R scopes=%R>", outcome, id.get(), owner.get(), scopes.get());
  }
  return PyUnicode_FromFormat("<Verdict %s: %s, id=%R owner=%R scopes=%R>", outcome,
                              tokenstore_reason_name(verdict->reason), id.get(), owner.get(), scopes.get());
}

PyGetSetDef attributes[] = {
    {"valid", get_valid, nullptr, "True if and only if the request may go on.", nullptr},
    {"outcome", get_outcome, nullptr, "An Outcome: VALID, INVALID, or UNAVAILABLE if storage could not be asked.",
     nullptr},
    {"reason", get_reason, nullptr, "A Reason, for your audit log alone.", nullptr},
    {"http_status", get_http_status, nullptr, "200, 401, 403 or 503, as RFC 6750 has it.", nullptr},
    {"id", get_id, nullptr, "The public id of the token; empty unless the token is genuine.", nullptr},
    {"owner", get_owner, nullptr, "Whose account the token acts for; empty unless the token is genuine.", nullptr},
    {"scopes", get_scopes, nullptr, "The token's scopes, sorted, as a tuple of str.", nullptr},
    {"metadata", get_metadata, nullptr, "The bytes that were given to issue().", nullptr},
    {"expires_at", get_expires_at, nullptr, "When the token ends, as an aware datetime in UTC; None for never.",
     nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

constexpr const char about[] =
    "The answer to one validation.\n\n"
    "Let the request go on if and only if ``valid`` is true. A verdict itself has no truth value: using it as one, or\n"
    "comparing it with True or False, raises TypeError. Who and what the token stands for is there when the token is\n"
    "genuine: if it is valid, or lacks nothing but the scope.";

PyType_Slot slots[] = {
    {Py_tp_doc, const_cast<char*>(about)},
    {Py_tp_new, reinterpret_cast<void*>(verdict_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(verdict_dealloc)},
    {Py_tp_repr, reinterpret_cast<void*>(verdict_repr)},
    {Py_tp_hash, reinterpret_cast<void*>(verdict_hash)},
    {Py_tp_richcompare, reinterpret_cast<void*>(verdict_compare)},
    {Py_nb_bool, reinterpret_cast<void*>(verdict_truth)},
    {Py_tp_getset, attributes},
    {0, nullptr},
};

PyType_Spec spec = {"tokenstore.Verdict", offsetof(VerdictObject, texts), 1, Py_TPFLAGS_DEFAULT, slots};

}  // namespace

PyObject* new_verdict(PyObject* module, const State& state, const tokenstore_verdict& verdict) {
  const std::size_t size = verdict.id_size + verdict.owner_size + verdict.scopes_size + verdict.metadata_size;
  auto* made = reinterpret_cast<VerdictObject*>(PyObject_NewVar(
      VerdictObject, reinterpret_cast<PyTypeObject*>(state.verdict_type), static_cast<Py_ssize_t>(size)));
  if (made == nullptr) return nullptr;
  Py_INCREF(module);
  made->module = module;
  made->expires_at = verdict.expires_at;
  made->http_status = verdict.http_status;
  made->outcome = static_cast<std::int8_t>(verdict.outcome);
  made->reason = static_cast<std::int8_t>(verdict.reason);
  made->id_size = static_cast<std::int8_t>(verdict.id_size);
  made->owner_size = static_cast<std::int16_t>(verdict.owner_size);
  made->scopes_size = static_cast<std::int16_t>(verdict.scopes_size);
  made->metadata_size = static_cast<std::int16_t>(verdict.metadata_size);
  char* place = made->texts;
  const auto put = [&place](const char* text, std::size_t octets) {
    std::memcpy(place, text, octets);
    place += octets;
  };
  put(verdict.id, verdict.id_size);
  put(verdict.owner, verdict.owner_size);
  put(verdict.scopes, verdict.scopes_size);
  put(verdict.metadata, verdict.metadata_size);
  return reinterpret_cast<PyObject*>(made);
}

bool add_verdict(PyObject* module, State& state) {
  return add_type(module, spec, "Verdict", state.verdict_type);
}

}  // namespace tokenstore::python
