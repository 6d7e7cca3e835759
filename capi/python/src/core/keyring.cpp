#include "keyring.hpp"

#include <array>
#include <cstdint>

#include "arguments.hpp"

namespace tokenstore::python {

namespace {

struct KeyringObject {
  PyObject_HEAD  // NOLINT(readability-misleading-indentation): the macro brings its own semicolon
      PyObject* module;
  tokenstore_keyring* handle;
};

KeyringObject* from(PyObject* self) {
  return reinterpret_cast<KeyringObject*>(self);
}
const State& state_of_keyring(PyObject* self) {
  return state_of(from(self)->module);
}

void keyring_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  tokenstore_keyring_free(from(self)->handle);
  Py_XDECREF(from(self)->module);
  reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free))(self);
  Py_DECREF(type);
}

PyObject* keyring_new(PyTypeObject* /*type*/, PyObject* /*args*/, PyObject* /*kwargs*/) {
  PyErr_SetString(PyExc_TypeError, "make a keyring by Keyring.generate(), from_bytes(), from_file() or from_text()");
  return nullptr;
}

// Where keys come from: the first argument of make_keyring.
enum Source { generated = 0, of_bytes = 1, of_file = 2, of_credential = 3, of_text = 4 };

int32_t fill(tokenstore_keyring*& out, std::int32_t source, const Text& what, const Text& id, std::int32_t trust,
             LibraryError& error) {
  switch (source) {
    case generated:
      return tokenstore_keyring_generate(&out, error.out());
    case of_bytes:
      return tokenstore_keyring_from_bytes(reinterpret_cast<const std::uint8_t*>(what.data), what.size, id.data,
                                           id.size, &out, error.out());
    case of_file:
      return unlocked([&] {
        return trust == TOKENSTORE_KEY_FILE_STRICT
                   ? tokenstore_keyring_from_file(what.data, what.size, &out, error.out())
                   : tokenstore_keyring_from_file_trusting(what.data, what.size, trust, &out, error.out());
      });
    case of_credential:
      return unlocked([&] { return tokenstore_keyring_from_credential(what.data, what.size, &out, error.out()); });
    default:
      return tokenstore_keyring_from_text(what.data, what.size, &out, error.out());
  }
}

// make_keyring(cls, source, what, id, trust)
PyObject* make_keyring(PyObject* module, PyObject* const* args, Py_ssize_t count) {
  if (!takes("make_keyring", count, 5)) return nullptr;
  std::int32_t source = 0;
  std::int32_t trust = 0;
  Text what;
  Text id;
  if (!read_small_number(args[1], "source", source) || !id.read_optional(args[3], "id") ||
      !read_small_number(args[4], "trust", trust)) {
    return nullptr;
  }
  if (source == of_bytes ? !read_secret_bytes(args[2], "the key", what)
                         : !what.read_optional(args[2], source == of_text ? "the text" : "the name")) {
    return nullptr;
  }
  Ref made(PyType_GenericAlloc(reinterpret_cast<PyTypeObject*>(args[0]), 0));
  if (!made) return nullptr;
  Py_INCREF(module);
  from(made.get())->module = module;
  LibraryError error;
  const int32_t status = fill(from(made.get())->handle, source, what, id, trust, error);
  if (status != TOKENSTORE_OK) {
    raise_status(state_of(module), status, error);
    return nullptr;
  }
  return made.release();
}

PyObject* keyring_add(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  Text id;
  std::int32_t use = 0;
  Text master;
  if (!takes("_add", count, 3) || !id.read(args[0], "id") || !read_small_number(args[1], "use", use) ||
      !read_secret_bytes(args[2], "the key", master)) {
    return nullptr;
  }
  LibraryError error;
  const int32_t status =
      tokenstore_keyring_add(from(self)->handle, id.data, id.size, use,
                             reinterpret_cast<const std::uint8_t*>(master.data), master.size, error.out());
  if (status != TOKENSTORE_OK) {
    raise_status(state_of_keyring(self), status, error);
    return nullptr;
  }
  Py_INCREF(Py_None);
  return Py_None;
}

PyObject* keyring_keys(PyObject* self, PyObject* /*unused*/) {
  const std::size_t keys = tokenstore_keyring_count(from(self)->handle);
  Ref list(PyList_New(0));
  for (std::size_t i = 0; list && i < keys; ++i) {
    tokenstore_key_info info{};
    info.struct_size = sizeof info;
    LibraryError error;
    const int32_t status = tokenstore_keyring_key(from(self)->handle, i, &info, error.out());
    if (status != TOKENSTORE_OK) {
      raise_status(state_of_keyring(self), status, error);
      return nullptr;
    }
    const Ref key(Py_BuildValue("(Ni)", text_object(info.id, info.id_size), static_cast<int>(info.use)));
    if (!key || PyList_Append(list.get(), key.get()) != 0) return nullptr;
  }
  return list.release();
}

PyObject* keyring_write_new_file(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  Text path;
  if (!takes("_write_new_file", count, 1) || !path.read(args[0], "path")) return nullptr;
  LibraryError error;
  // Not unlocked: another thread could add a key meanwhile. It is done once in the life of a store.
  const int32_t status = tokenstore_keyring_write_new_file(from(self)->handle, path.data, path.size, error.out());
  if (status != TOKENSTORE_OK) {
    raise_status(state_of_keyring(self), status, error);
    return nullptr;
  }
  Py_INCREF(Py_None);
  return Py_None;
}

PyObject* keyring_reveal_text(PyObject* self, PyObject* /*unused*/) {
  std::array<char, 16384> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): written before it is read
  std::size_t size = 0;
  LibraryError error;
  const int32_t status =
      tokenstore_keyring_reveal_text(from(self)->handle, buffer.data(), buffer.size(), &size, error.out());
  PyObject* text = nullptr;
  if (status == TOKENSTORE_OK) {
    text = text_object(buffer.data(), size);
  } else {
    raise_status(state_of_keyring(self), status, error);
  }
  wipe(buffer.data(), buffer.size());
  return text;
}

PyObject* keyring_refuse_pickle(PyObject* /*self*/, PyObject* const* /*args*/, Py_ssize_t /*count*/) {
  PyErr_SetString(PyExc_TypeError, "a Keyring is neither copied nor pickled: reveal_text() or write_new_file() it");
  return nullptr;
}

PyMethodDef methods[] = {
    fast("_add", keyring_add),
    plain("_keys", keyring_keys),
    fast("_write_new_file", keyring_write_new_file),
    plain("reveal_text", keyring_reveal_text,
          "reveal_text($self, /)\n--\n\nThe text of a key file with all keys: a secret that opens every token."),
    fast("__reduce__", keyring_refuse_pickle),
    fast("__reduce_ex__", keyring_refuse_pickle),
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(keyring_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(keyring_dealloc)},
    {Py_tp_methods, methods},
    {0, nullptr},
};

PyType_Spec spec = {"tokenstore._core.Keyring", sizeof(KeyringObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
                    slots};

PyMethodDef functions[] = {
    fast("make_keyring", make_keyring),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool read_keyring(const State& state, PyObject* object, const tokenstore_keyring*& out) {
  if (object == Py_None) return true;
  const int is_keyring = PyObject_IsInstance(object, state.keyring_type);
  if (is_keyring <= 0) return is_keyring == 0 && refuse_type(object, "key", "a Keyring, bytes or None");
  out = from(object)->handle;
  return true;
}

bool add_keyring(PyObject* module, State& state) {
  return add_type(module, spec, "Keyring", state.keyring_type) && PyModule_AddFunctions(module, functions) == 0;
}

}  // namespace tokenstore::python
