#include "journal/walk.hpp"

#include <chrono>
#include <string>
#include <thread>

namespace tokenstore::journal {

namespace {

/// Nobody's request waits for a walk, so it is more patient than other readers.
constexpr std::chrono::seconds longest_wait{2};
constexpr std::chrono::microseconds pause_between{500};

}  // namespace

Result<bool> Walk::next(Listener& listener) {
  const auto give_up_at = std::chrono::steady_clock::now() + longest_wait;
  for (;;) {
    {
      const ForkPause::Call call(pause_);
      auto file = SafeFile::open(where_);
      if (!file.ok()) return file.error();
      auto told = read_followed(*file, listener);
      if (!told.ok() || *told) return told;
      const auto nobody_writes = file->share(where_.path);
      if (!nobody_writes.ok()) return nobody_writes.error();
      if (*nobody_writes) return read_last(*file, listener);
    }
    if (std::chrono::steady_clock::now() >= give_up_at) {
      return journal_error(Status::unavailable, where_.path, "is being written for too long; look for who hangs");
    }
    std::this_thread::sleep_for(pause_between);
  }
}

Result<bool> Walk::read_followed(const SafeFile& file, Listener& listener) {
  const auto same = is_same_segment(where_.path, file, position_);
  if (!same.ok()) return same.error();
  if (!*same) position_ = Position{};
  position_.file = file.identity();
  const std::uint64_t before = position_.offset;
  std::string tail;
  const auto done = read_on(reader(), file, position_, listener, tail, LastFrame::left);
  if (!done.ok()) return done.error();
  return position_.offset != before;
}

Result<bool> Walk::read_last(const SafeFile& file, Listener& listener) {
  const std::uint64_t before = position_.offset;
  std::string tail;
  const auto all_good = read_on(reader(), file, position_, listener, tail, LastFrame::taken);
  if (!all_good.ok()) return all_good.error();
  if (!*all_good && judge_tail(keys_.now(), tail, position_.offset) != Tail::torn) {
    return damaged_at(reader(), position_, "what stands there is not what was written");
  }
  return position_.offset != before;
}

}  // namespace tokenstore::journal
