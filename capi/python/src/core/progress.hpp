// Telling a Python function how far a long call has come, on the thread that made the call.
#ifndef TOKENSTORE_PYTHON_PROGRESS_HPP
#define TOKENSTORE_PYTHON_PROGRESS_HPP

#include "store.hpp"

namespace tokenstore::python {

/// A second call in another thread would have to wait for the first one's function: each store tells one at a time.
class Progress {
 public:
  /// From a function or None. False with TypeError for anything else.
  bool read(PyObject* object);
  /// Makes the call without the interpreter lock. `store`, whose call it is, or NULL. False: the function raised.
  template <typename Call>
  int32_t run(StoreObject* store, const Call& call) {
    store_ = store;
    thread_ = PyEval_SaveThread();
    const int32_t status = call();
    PyEval_RestoreThread(thread_);
    return status;
  }
  [[nodiscard]] bool raised() const noexcept { return raised_; }
  [[nodiscard]] tokenstore_progress function() const noexcept { return function_ == nullptr ? nullptr : tell; }

 private:
  static int32_t tell(void* context, uint64_t done, uint64_t total);

  PyObject* function_ = nullptr;
  StoreObject* store_ = nullptr;
  PyThreadState* thread_ = nullptr;
  bool raised_ = false;
};

}  // namespace tokenstore::python

#endif
