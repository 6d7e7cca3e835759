/// Children of a test that are forked to do one thing, and memory that they share with it.
#pragma once

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <new>
#include <utility>

namespace tokenstore::test {

/// Dies with the test, and with this at the latest.
class Child {
 public:
  /// Leaves with what `body` returns; with 99 if it throws.
  template <typename Body>
  explicit Child(const Body& body) : process_(::fork()) {
    if (process_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    try {
      ::_exit(body());
    } catch (...) {
      ::_exit(99);
    }
  }
  ~Child() {
    if (process_ <= 0) return;
    kill();
    static_cast<void>(status());
  }
  Child(Child&& other) noexcept : process_(std::exchange(other.process_, -1)) {}
  Child& operator=(Child&&) = delete;

  void kill() const noexcept { ::kill(process_, SIGKILL); }
  /// Waits for its end: what it left with, 1000 and the signal if it was killed, or -1 if there was none.
  int status() noexcept {
    int status = 0;
    const pid_t process = std::exchange(process_, -1);
    if (process <= 0 || ::waitpid(process, &status, 0) != process) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  }

 private:
  pid_t process_;
};

/// A value that the test and the children that it forks share. Who is killed leaves there what it wrote.
template <typename T>
class SharedMemory {
 public:
  SharedMemory() {
    void* pages = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) throw std::bad_alloc();
    at_ = new (pages) T{};
  }
  ~SharedMemory() { ::munmap(at_, sizeof(T)); }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  T& operator*() const noexcept { return *at_; }

 private:
  T* at_;
};

}  // namespace tokenstore::test
