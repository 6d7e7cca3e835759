// The journal as an audit trail.
#include "arguments.hpp"
#include "keyring.hpp"
#include "store.hpp"

namespace tokenstore::python {

namespace {

/// Hands what the library tells to two Python functions, on the thread that made the call.
class Telling {
 public:
  Telling(PyObject* take, PyObject* found) : take_(take), found_(found) {}

  template <typename Call>
  int32_t run(const Call& call) {
    thread_ = PyEval_SaveThread();
    const int32_t status = call();
    PyEval_RestoreThread(thread_);
    return status;
  }
  [[nodiscard]] bool raised() const noexcept { return raised_; }

  static int32_t entry(void* context, const tokenstore_journal_entry* told) {
    return static_cast<Telling*>(context)->tell(*told);
  }
  static void problem(void* context, const tokenstore_journal_problem* told) {
    static_cast<Telling*>(context)->tell(*told);
  }

 private:
  int32_t tell(const tokenstore_journal_entry& told) {
    PyEval_RestoreThread(thread_);
    const int stop = stops(told);
    raised_ = stop < 0 || PyErr_CheckSignals() != 0;
    thread_ = PyEval_SaveThread();
    return raised_ || stop != 0 ? 1 : 0;
  }
  /// -1: the function raised.
  int stops(const tokenstore_journal_entry& told) {
    const Ref answer(PyObject_CallFunction(
        take_, "KKLLKiiNNNNNNN", static_cast<unsigned long long>(told.number),
        static_cast<unsigned long long>(told.segment), static_cast<long long>(told.at),
        static_cast<long long>(told.ends_at), static_cast<unsigned long long>(told.revision),
        static_cast<int>(told.deed), static_cast<int>(told.record), PyBool_FromLong(told.gone),
        text_object(told.workspace, told.workspace_size), text_object(told.token_id, told.token_id_size),
        text_object(told.key_id, told.key_id_size), text_object(told.owner, told.owner_size),
        text_object(told.actor, told.actor_size), text_object(told.reason, told.reason_size)));
    return answer ? PyObject_IsTrue(answer.get()) : -1;
  }
  void tell(const tokenstore_journal_problem& told) {
    if (raised_) return;
    PyEval_RestoreThread(thread_);
    raised_ = !find(told);
    thread_ = PyEval_SaveThread();
  }
  bool find(const tokenstore_journal_problem& told) {
    const Ref answer(
        PyObject_CallFunction(found_, "iNKKKNN", static_cast<int>(told.kind), PyBool_FromLong(told.accepted),
                              static_cast<unsigned long long>(told.segment),
                              static_cast<unsigned long long>(told.octet), static_cast<unsigned long long>(told.entry),
                              text_object(told.file, told.file_size), text_object(told.what, told.what_size)));
    return static_cast<bool>(answer);
  }

  PyObject* take_;
  PyObject* found_;
  PyThreadState* thread_ = nullptr;
  bool raised_ = false;
};

// journal_read(journal, keyring, from, to, deed, workspace, owner, token id, actor, after, take, found): (stopped,
// damaged, lacks key, next)
PyObject* journal_read(PyObject* module, PyObject* const* args, Py_ssize_t count) {
  State& state = state_of(module);
  Text journal, workspace, owner, token_id, actor, after;
  const tokenstore_keyring* keyring = nullptr;
  tokenstore_journal_query query{};
  query.struct_size = sizeof query;
  if (!takes("journal_read", count, 12) || !journal.read(args[0], "journal") ||
      !read_keyring(state, args[1], keyring) || !read_number(args[2], "since", query.from) ||
      !read_number(args[3], "until", query.to) || !read_small_number(args[4], "deed", query.deed) ||
      !workspace.read(args[5], "workspace") || !owner.read(args[6], "owner") || !token_id.read(args[7], "token_id") ||
      !actor.read(args[8], "actor") || !after.read(args[9], "after")) {
    return nullptr;
  }
  query.workspace = workspace.data;
  query.workspace_size = workspace.size;
  query.owner = owner.data;
  query.owner_size = owner.size;
  query.token_id = token_id.data;
  query.token_id_size = token_id.size;
  query.actor = actor.data;
  query.actor_size = actor.size;
  query.after = after.data;
  query.after_size = after.size;
  tokenstore_journal_reading reading{};
  reading.struct_size = sizeof reading;
  LibraryError error;
  Telling telling(args[10], args[11]);
  const int32_t status = telling.run([&] {
    return tokenstore_journal_read(journal.data, journal.size, keyring, &query, Telling::entry, Telling::problem,
                                   &telling, &reading, error.out());
  });
  if (telling.raised()) return nullptr;
  if (status != TOKENSTORE_OK) {
    raise_status(state, status, error);
    return nullptr;
  }
  return Py_BuildValue("(NNNN)", PyBool_FromLong(reading.stopped), PyBool_FromLong(reading.damaged),
                       PyBool_FromLong(reading.lacks_key), text_object(reading.next, reading.next_size));
}

// journal_verify(journal, keyring, found): (segments, first segment, entries, last entry, torn, problems, damaged,
// lacks key, store)
PyObject* journal_verify(PyObject* module, PyObject* const* args, Py_ssize_t count) {
  State& state = state_of(module);
  Text journal;
  const tokenstore_keyring* keyring = nullptr;
  if (!takes("journal_verify", count, 3) || !journal.read(args[0], "journal") ||
      !read_keyring(state, args[1], keyring)) {
    return nullptr;
  }
  tokenstore_journal_report report{};
  report.struct_size = sizeof report;
  LibraryError error;
  Telling telling(nullptr, args[2]);
  const int32_t status = telling.run([&] {
    return tokenstore_journal_verify(journal.data, journal.size, keyring, Telling::problem, &telling, &report,
                                     error.out());
  });
  if (telling.raised()) return nullptr;
  if (status != TOKENSTORE_OK) {
    raise_status(state, status, error);
    return nullptr;
  }
  return Py_BuildValue("(KKKKKKNNs)", static_cast<unsigned long long>(report.segments),
                       static_cast<unsigned long long>(report.first_segment),
                       static_cast<unsigned long long>(report.entries),
                       static_cast<unsigned long long>(report.last_entry), static_cast<unsigned long long>(report.torn),
                       static_cast<unsigned long long>(report.problems), PyBool_FromLong(report.damaged),
                       PyBool_FromLong(report.lacks_key), report.store);
}

// journal_accept(kind, name, journal, keyring): (segment, last entry, kept file)
PyObject* journal_accept(PyObject* module, PyObject* const* args, Py_ssize_t count) {
  State& state = state_of(module);
  tokenstore_actor actor;
  Text journal;
  const tokenstore_keyring* keyring = nullptr;
  if (!takes("journal_accept", count, 4) || !read_actor(args, actor) || !journal.read(args[2], "journal") ||
      !read_keyring(state, args[3], keyring)) {
    return nullptr;
  }
  tokenstore_journal_acceptance acceptance{};
  acceptance.struct_size = sizeof acceptance;
  LibraryError error;
  const int32_t status = unlocked(
      [&] { return tokenstore_journal_accept(journal.data, journal.size, keyring, &actor, &acceptance, error.out()); });
  if (status != TOKENSTORE_OK) {
    raise_status(state, status, error);
    return nullptr;
  }
  return Py_BuildValue("(KKN)", static_cast<unsigned long long>(acceptance.segment),
                       static_cast<unsigned long long>(acceptance.last_entry),
                       text_object(acceptance.kept_file, acceptance.kept_file_size));
}

PyMethodDef functions[] = {
    fast("journal_read", journal_read),
    fast("journal_verify", journal_verify),
    fast("journal_accept", journal_accept),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool add_journal(PyObject* module) {
  return PyModule_AddFunctions(module, functions) == 0;
}

}  // namespace tokenstore::python
