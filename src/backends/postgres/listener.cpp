#include "backends/postgres/listener.hpp"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <system_error>

#include "backends/postgres/schema.hpp"

namespace tokenstore::postgres {
namespace {

constexpr std::chrono::milliseconds shortest_interval{10};
constexpr std::chrono::milliseconds first_pause{50};
constexpr std::chrono::milliseconds longest_pause{500};

/// The host's signal handlers do not run in our thread.
class SignalsBlocked {
 public:
  SignalsBlocked() noexcept {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace

Listener::Listener(const Target& target, SocketTable& sockets, std::shared_ptr<Clock> clock,
                   std::chrono::milliseconds max_staleness, std::uint64_t first_counter)
    : target_(target),
      sockets_(sockets),
      clock_(std::move(clock)),
      max_staleness_(max_staleness),
      counter_(first_counter) {}

Listener::~Listener() {
  if (thread_.joinable()) {
    const std::uint64_t one = 1;
    while (::write(stop_, &one, sizeof one) < 0 && errno == EINTR) {
    }
    thread_.join();
  }
  session_.reset();
  if (stop_ >= 0) ::close(stop_);
}

void Listener::start_thread() {
  stop_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (stop_ < 0) throw std::bad_alloc();
  const SignalsBlocked blocked;
  try {
    thread_ = std::thread([this] { listen_until_stopped(); });
  } catch (const std::system_error&) {
    throw std::bad_alloc();
  }
}

Pulse Listener::pulse() noexcept {
  if (max_staleness_.count() <= 0) return {counter_.fetch_add(1, std::memory_order_acq_rel) + 1, not_at_all};
  // The lease first: who sees a renewed one sees the counter that goes with it, or a later one.
  const std::int64_t until = trusted_until_.load(std::memory_order_acquire);
  return {counter(), until};
}

std::optional<Failure> Listener::attach(Deadline deadline) {
  if (session_ && session_->usable()) return std::nullopt;
  session_.reset();
  Session::Opened opened = Session::open(target_, sockets_, deadline, stop_);
  if (!opened.session) return opened.failure;
  session_ = std::move(opened.session);
  const Reply reply = session_->run("LISTEN \"" + channel_of(target_.schema) + '"', deadline);
  // A server that has no LISTEN says so; it is asked often enough all the same.
  if (!reply.ok() && reply.failure->kind != Failure::Kind::refused) return reply.failure;
  // Whatever was missed, everybody reads the feed again before anything is answered from a cache.
  moved();
  return std::nullopt;
}

std::optional<Failure> Listener::ask(Deadline deadline) {
  const std::int64_t sent = clock_->monotonic();
  const Reply reply = session_->run(Sql::watch, {}, deadline);
  if (!reply.ok()) return reply.failure;
  const std::int64_t seen = reply.answers[0].number(0, 0);
  if (seen != seen_) moved();
  seen_ = seen;
  if (session_->take_notifications()) moved();
  // A standby may be behind its primary by any time, so what it says is no reason to trust anything.
  if (!session_->in_recovery()) trusted_until_.store(sent + max_staleness_.count(), std::memory_order_release);
  return std::nullopt;
}

std::optional<Failure> Listener::renew(Deadline deadline) {
  if (max_staleness_.count() <= 0) return std::nullopt;
  if (auto failure = attach(deadline)) return failure;
  return ask(deadline);
}

bool Listener::sleep(std::chrono::milliseconds wait) const noexcept {
  pollfd stop{stop_, POLLIN, 0};
  return poll(&stop, 1, static_cast<int>(wait.count())) == 0;
}

void Listener::listen_until_stopped() noexcept {
  const auto interval = std::max(max_staleness_ / 3, shortest_interval);
  auto pause = first_pause;
  for (;;) {
    try {
      std::optional<Failure> failure = renew(Deadline::in(target_.deadline));
      const Deadline next = Deadline::in(interval);
      while (!failure && !next.over()) {
        switch (session_->wait_for_notification(next)) {
          case Session::Woken::notified:
            moved();
            break;
          case Session::Woken::nothing:
            break;
          case Session::Woken::interrupted:
            return;
          case Session::Woken::broken:
            failure = lost_connection(nullptr);
        }
      }
      if (!failure) {
        pause = first_pause;
        continue;
      }
      if (failure->kind == Failure::Kind::interrupted) return;
    } catch (const std::bad_alloc&) {
      // The lease ends by itself; try again.
    }
    if (!sleep(pause)) return;
    pause = std::min(pause * 2, longest_pause);
  }
}

}  // namespace tokenstore::postgres
