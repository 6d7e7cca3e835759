#include "base/at_fork.hpp"

#include <pthread.h>

#include <mutex>
#include <new>

namespace tokenstore::base {

// Made at compile time and never destroyed: a fork may come before main() and after exit().
struct AtForkHandlers {
  std::mutex mutex;
  bool installed = false;
  AtForkEntry* first = nullptr;

  void prepare() noexcept;
  void resume(bool in_child) noexcept {
    for (AtForkEntry* entry = first; entry != nullptr; entry = entry->next_) entry->subject_.resume(in_child);
    mutex.unlock();
  }
};

namespace {

constinit AtForkHandlers handlers;

}  // namespace

// The mutex stays locked over the fork: nothing comes or goes meanwhile, and the child's one thread is the
// one that holds it.
void AtForkHandlers::prepare() noexcept {
  mutex.lock();
  const auto deadline = std::chrono::steady_clock::now() + AtFork::longest_wait;
  for (AtForkEntry* entry = first; entry != nullptr; entry = entry->next_) entry->subject_.rest(deadline);
}

AtForkEntry::AtForkEntry(AtFork& subject) : subject_(subject) {
  const std::lock_guard lock(handlers.mutex);
  if (!handlers.installed) {
    const int code =
        pthread_atfork([] { handlers.prepare(); }, [] { handlers.resume(false); }, [] { handlers.resume(true); });
    if (code != 0) throw std::bad_alloc();
    handlers.installed = true;
  }
  next_ = handlers.first;
  if (next_ != nullptr) next_->previous_ = this;
  handlers.first = this;
}

AtForkEntry::~AtForkEntry() {
  const std::lock_guard lock(handlers.mutex);
  (previous_ != nullptr ? previous_->next_ : handlers.first) = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
}

}  // namespace tokenstore::base
