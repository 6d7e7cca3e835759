#include "progress.hpp"

#include "arguments.hpp"

namespace tokenstore::python {

bool Progress::read(PyObject* object) {
  if (object == Py_None) return true;
  if (PyCallable_Check(object) == 0) return refuse_type(object, "progress", "a function or None");
  function_ = object;
  return true;
}

int32_t Progress::tell(void* context, uint64_t done, uint64_t total) {
  auto& progress = *static_cast<Progress*>(context);
  if (progress.raised_) return 1;
  PyEval_RestoreThread(progress.thread_);
  if (progress.store_ != nullptr) progress.store_->telling = PyThread_get_thread_ident();
  {
    // Dropped while this thread may: it can be anything, and have a finalizer.
    const Ref answer(
        total == 0 ? PyObject_CallFunction(progress.function_, "KO", static_cast<unsigned long long>(done), Py_None)
                   : PyObject_CallFunction(progress.function_, "KK", static_cast<unsigned long long>(done),
                                           static_cast<unsigned long long>(total)));
    progress.raised_ = !answer;
  }
  if (progress.store_ != nullptr) progress.store_->telling = 0;
  progress.raised_ = progress.raised_ || PyErr_CheckSignals() != 0;
  const int32_t stop = progress.raised_ ? 1 : 0;
  progress.thread_ = PyEval_SaveThread();
  return stop;
}

}  // namespace tokenstore::python
