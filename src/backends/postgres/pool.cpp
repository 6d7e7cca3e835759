#include "backends/postgres/pool.hpp"

namespace tokenstore::postgres {

Pool::Taken Pool::take(Deadline deadline) {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (!idle_.empty()) {
      std::unique_ptr<Session> session = std::move(idle_.back());
      idle_.pop_back();
      return {Lease(*this, std::move(session), false, generation_), std::nullopt};
    }
    if (open_ < most_) {
      ++open_;
      const std::uint64_t generation = generation_;
      lock.unlock();
      Session::Opened opened;
      try {
        opened = Session::open(target_, sockets_, deadline);
      } catch (...) {
        give_back(nullptr, generation);
        throw;
      }
      if (opened.session) return {Lease(*this, std::move(opened.session), true, generation), std::nullopt};
      lock.lock();
      --open_;
      returned_.notify_one();
      // If the server has no connection left for us, one of our own will be free soon; if it is gone, the
      // others find out as well, and the last of them says so.
      if (open_ == 0 || deadline.over() || opened.failure->kind == Failure::Kind::timed_out) {
        return {std::nullopt, std::move(opened.failure)};
      }
    }
    // One that came back while we were connecting has already been announced: nobody announces it again.
    if (idle_.empty() && returned_.wait_until(lock, deadline.at()) == std::cv_status::timeout && idle_.empty()) {
      return {std::nullopt, Failure{Failure::Kind::timed_out, {}, "every connection was busy until the deadline"}};
    }
  }
}

void Pool::put(std::unique_ptr<Session> session) {
  const std::lock_guard lock(mutex_);
  if (open_ >= most_) return;  // the caller's argument outlives the lock
  ++open_;
  idle_.push_back(std::move(session));
}

void Pool::give_back(std::unique_ptr<Session> session, std::uint64_t generation) noexcept {
  // What is not kept is closed first, without the lock: a farewell to the server may take its time, and until it has
  // been said the connection counts.
  if (session && !session->usable()) session.reset();
  std::unique_lock lock(mutex_);
  if (session && generation != generation_) {
    lock.unlock();
    session.reset();
    lock.lock();
  }
  if (session) {
    idle_.push_back(std::move(session));  // room was reserved
  } else {
    --open_;
  }
  returned_.notify_one();
}

void Pool::retire() {
  std::vector<std::unique_ptr<Session>> retired;
  retired.reserve(most_);
  const std::lock_guard lock(mutex_);  // let go of before they are closed
  ++generation_;
  open_ -= idle_.size();
  retired.swap(idle_);
  returned_.notify_all();
}

}  // namespace tokenstore::postgres
