// The hot path. An answer from memory is given with the interpreter lock held: letting go of it and taking it back
// costs more than the answer. What has to ask storage lets go of it.
#include <cstring>

#include "secret_text.hpp"
#include "store.hpp"
#include "verdict.hpp"

namespace tokenstore::python {

namespace {

struct Question {
  PyObject* text = nullptr;
  PyObject* scope = nullptr;
  PyObject* address = nullptr;
};

bool is_name(PyObject* given, PyObject* name) {
  return given == name || PyUnicode_Compare(given, name) == 0;
}

bool put(PyObject*& place, PyObject* value, const char* name) {
  if (place != nullptr) {
    PyErr_Format(PyExc_TypeError, "validate() got two values for '%s'", name);
    return false;
  }
  place = value;
  return true;
}

bool read_question(const State& state, PyObject* const* args, Py_ssize_t count, PyObject* names, Question& out) {
  if (count > 2) {
    PyErr_SetString(PyExc_TypeError, "validate() takes a text and a scope; client_address= is named");
    return false;
  }
  if (count > 0) out.text = args[0];
  if (count > 1) out.scope = args[1];
  const Py_ssize_t named = names == nullptr ? 0 : PyTuple_Size(names);
  for (Py_ssize_t i = 0; i < named; ++i) {
    PyObject* name = PyTuple_GetItem(names, i);
    PyObject* value = args[count + i];
    if (is_name(name, state.scope)) {
      if (!put(out.scope, value, "scope")) return false;
    } else if (is_name(name, state.client_address)) {
      out.address = value;
    } else if (is_name(name, state.text)) {
      if (!put(out.text, value, "text")) return false;
    } else {
      PyErr_Format(PyExc_TypeError, "validate() has no argument '%U': it takes text, scope and client_address", name);
      return false;
    }
  }
  if (out.text == nullptr || out.scope == nullptr) {
    PyErr_Format(PyExc_TypeError, "validate() needs the %s", out.text == nullptr ? "text of the token" : "scope");
    return false;
  }
  return true;
}

// A secret that another thread wipes while it is asked about would be read half wiped: it is copied for the while.
class Copied {
 public:
  Copied() noexcept = default;
  Copied(const Copied&) = delete;
  Copied& operator=(const Copied&) = delete;
  ~Copied() { wipe(text_, size_); }

  bool take(PyObject* secret, Text& out) {
    if (!read_secret_text(secret, out)) return false;
    size_ = out.size < sizeof text_ ? out.size : sizeof text_;
    std::memcpy(text_, out.data, size_);
    out.data = text_;
    out.size = size_;
    return true;
  }

 private:
  char text_[TOKENSTORE_TOKEN_TEXT_BUFFER_SIZE];
  std::size_t size_ = 0;
};

PyObject* ask(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names, bool may_wait) {
  StoreObject& store = *store_from(self);
  if (!usable(store)) return nullptr;
  const State& state = state_of(store.module);
  Question question;
  Text text;
  Text scope;
  Text address;
  Copied copied;
  if (!read_question(state, args, count, names, question)) return nullptr;
  if (!(is_secret_text(state, question.text) ? copied.take(question.text, text)
                                             : text.read(question.text, "the token text")) ||
      !scope.read(question.scope, "scope") ||
      (question.address != nullptr && !address.read_optional(question.address, "client_address"))) {
    return nullptr;
  }
  const tokenstore_demand demand = {sizeof demand, scope.data, scope.size, address.data, address.size};
  tokenstore_verdict verdict;
  verdict.struct_size = sizeof verdict;
  LibraryError error;
  std::int32_t decided = 0;
  std::int32_t status =
      tokenstore_try_validate(store.handle, text.data, text.size, &demand, &verdict, &decided, error.out());
  if (status == TOKENSTORE_OK && decided == 0) {
    if (!may_wait) {
      Py_INCREF(Py_None);
      return Py_None;
    }
    const Call call(self);
    status = unlocked(
        [&] { return tokenstore_validate(call.handle(), text.data, text.size, &demand, &verdict, error.out()); });
  }
  if (status != TOKENSTORE_OK) {
    raise_status(state, status, error);
    return nullptr;
  }
  return new_verdict(store.module, state, verdict);
}

}  // namespace

PyObject* store_validate(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  return ask(self, args, count, names, true);
}

PyObject* store_try_validate(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  return ask(self, args, count, names, false);
}

// (message or None, milliseconds)
PyObject* store_why_unavailable(PyObject* self, PyObject* /*unused*/) {
  Call call(self);
  if (!call) return nullptr;
  LibraryError why;
  std::int64_t at = 0;
  if (!call.succeeded(tokenstore_why_unavailable(call.handle(), why.out(), &at, call.error().out()))) return nullptr;
  if (why.get() == nullptr) return Py_BuildValue("(OL)", Py_None, 0LL);
  std::size_t size = 0;
  const char* message = tokenstore_error_message(why.get(), &size);
  return Py_BuildValue("(NL)", text_object(message, size), static_cast<long long>(at));
}

}  // namespace tokenstore::python
