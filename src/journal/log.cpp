#include "journal/log.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <optional>
#include <thread>

#include "base/new_file.hpp"
#include "base/temporary_file.hpp"
#include "journal/summary.hpp"

namespace tokenstore::journal {

namespace {

/// How often an opening that others get in the way of is begun again.
constexpr int most_openings = 10;
/// How long a reader waits for a writer: longer than one takes from its lock to its write, for until then the frame
/// before cannot be told from one that is being written.
constexpr std::chrono::milliseconds longest_read_wait{50};
constexpr std::chrono::microseconds read_pause{200};

}  // namespace

Result<std::unique_ptr<Log>> Log::open(Whereabouts where, seal::LiveSealer& keys, const Bytes16& store, UnixMillis now,
                                       Listener& listener) {
  std::unique_ptr<Log> log(new Log(std::move(where), keys, store));
  if (log->where_.path.empty() || log->where_.path.find('\0') != std::string::npos) {
    return Error(Status::invalid_argument, "the path of the journal is empty or holds a NUL; name a file");
  }
  for (int attempt = 1;; ++attempt) {
    auto read = log->read_on(listener);
    if (read.ok()) return log;
    if (read.status() != Status::not_found) return read.error();
    if (log->where_.read_only) return Error(Status::cannot_open, read.error().message());
    if (attempt == most_openings) return read.error();
    if (auto made = log->make(now); !made.ok()) return made.error();
  }
}

Result<void> Log::make(UnixMillis now) {
  const ForkPause::Call call(pause_);
  // Written aside, then put in place: a crash leaves the whole file or none, and nothing is ever replaced.
  int number = 0;
  {
    const base::TemporaryFile aside(where_.path);
    auto file = SafeFile::create(where_, aside.path());
    if (!file.ok()) return file.error();
    // Earlier ones may have been left when the active one was moved away: none gets the number of another.
    const auto kept = kept_segments(where_.path);
    if (!kept.ok()) return kept.error();
    NewSegment segment(*file, where_.path, keys_.now(), Bytes32{}, 1);
    auto written = segment.begin(store_, kept->empty() ? 1 : kept->back() + 1, now);
    if (!written.ok()) return written;
    number = base::put_in_place(aside.path(), where_.path);
  }
  if (number == EEXIST) return {};  // somebody else was faster; whoever writes first makes its name durable
  if (number == 0) number = base::sync_directory_of(where_.path);
  if (number != 0) return failed_call(where_.path, "created", number);
  made_ = true;
  return {};
}

Result<bool> Log::read_file(const SafeFile& file, Listener& listener, LastFrame last, std::string& tail) {
  const auto same = is_same_segment(where_.path, file, position_);
  if (!same.ok()) return same.error();
  if (*same) {
    const auto size = file.size(where_.path);
    if (!size.ok()) return size.error();
    if (*size >= position_.offset) {
      const std::uint64_t before = position_.offset;
      auto all_good = journal::read_on(reader(), file, position_, listener, tail, last);
      content_durable_ = content_durable_ && position_.offset == before;
      return all_good;
    }
    return damaged_at(reader(), position_, "it ended later when it was last read, and was cut short");
  }
  Position anew;
  anew.file = file.identity();
  auto all_good = journal::read_on(reader(), file, anew, listener, tail, last);
  if (!all_good.ok()) return all_good;
  content_durable_ = false;
  name_durable_ = false;
  // Another file: a new segment goes on where the last one ended, or further. What was left may be what it lacks.
  // But an administrator may have accepted what was left of a damaged one.
  const bool accepted = anew.accepted && anew.segment > position_.segment;
  const bool behind = (anew.number < position_.number && !accepted) || anew.segment < position_.segment;
  if (behind && last == LastFrame::left) return false;
  if (behind) {
    return damaged_at(reader(), anew, "it went on further when it was last read, and an earlier state was put back");
  }
  if (anew.offset != 0) position_ = anew;
  return all_good;
}

Result<void> Log::read_on(Listener& listener) {
  const ForkPause::Call call(pause_);
  const auto give_up_at = std::chrono::steady_clock::now() + longest_read_wait;
  std::optional<FileFacts> first;
  for (FileFacts read{};;) {
    const auto facts = facts_of(where_.path);
    if (!facts.ok()) return facts.error();
    if (facts->identity == position_.file && facts->size == position_.offset) return {};
    auto file = SafeFile::open(where_);
    if (!file.ok()) return file.error();
    if (*facts != read) {
      // Without the lock, so that whoever writes waits for the last frame alone.
      std::string tail;
      if (auto done = read_file(*file, listener, LastFrame::left, tail); !done.ok()) return done.error();
      read = *facts;
    }
    // What is there since is left for later.
    if (first && position_.file == first->identity && position_.offset >= first->size) return {};
    if (!first) first = *facts;
    const auto nobody_writes = file->share(where_.path);
    if (!nobody_writes.ok()) return nobody_writes.error();
    if (*nobody_writes) return read_rest(*file, listener);
    // Whoever hangs in a write makes nobody wait twice.
    if (*facts == left_ || std::chrono::steady_clock::now() >= give_up_at) {
      left_ = *facts;
      if (position_.offset != 0) return {};
      return journal_error(Status::unavailable, where_.path, "is being written for too long; look for who hangs");
    }
    std::this_thread::sleep_for(read_pause);
  }
}

Result<void> Log::read_rest(const SafeFile& file, Listener& listener) {
  std::string tail;
  const auto all_good = read_file(file, listener, LastFrame::taken, tail);
  if (!all_good.ok()) return all_good.error();
  torn_ = tail.size();
  const std::uint64_t from = position_.file == file.identity() ? position_.offset : 0;
  if (from == 0) return damaged_at(reader(), Position{}, "it does not begin as a journal");
  if (*all_good) return {};
  if (judge_tail(keys_.now(), tail, from) == Tail::torn) return {};
  return damaged_at(reader(), position_, "what stands there is not what was written");
}

Result<void> Log::catch_up(SafeFile& file, Listener& listener) {
  std::string tail;
  const auto all_good = read_file(file, listener, LastFrame::taken, tail);
  if (!all_good.ok()) return all_good.error();
  if (position_.file != file.identity()) return damaged_at(reader(), Position{}, "it does not begin as a journal");
  if (!*all_good) {
    if (judge_tail(keys_.now(), tail, position_.offset) == Tail::damaged) {
      return damaged_at(reader(), position_, "what stands there is not what was written");
    }
    // Durable before anything is written in its place: a sector that is never written must show.
    if (auto done = file.cut(where_.path, position_.offset); !done.ok()) return done;
    cut_ += tail.size();
    torn_ = 0;
    content_durable_ = true;
  }
  // Whoever wrote the last frame, or put the segment in place, may have been killed before it was durable. Nothing is
  // written behind the one, or into the other, until it is.
  if (!content_durable_) {
    if (auto done = file.sync(where_.path); !done.ok()) return done;
    content_durable_ = true;
  }
  if (!name_durable_) {
    if (const int number = base::sync_directory_of(where_.path); number != 0) {
      return failed_call(where_.path, "made durable", number);
    }
    name_durable_ = true;
  }
  return {};
}

Result<void> Log::append(std::string_view entries, std::uint32_t count, Listener& listener) {
  if (where_.read_only) return journal_error(Status::read_only, where_.path, "is open for reading only");
  if (entries.size() > payload_max)
    return journal_error(Status::invalid_argument, where_.path, "takes no frame so long");
  const ForkPause::Call call(pause_);
  auto file = SafeFile::open_locked(where_);
  if (!file.ok()) return file.error();
  if (auto done = catch_up(*file, listener); !done.ok()) return done;
  FrameHeader header;
  header.type = FrameType::entries;
  header.number = position_.number;
  header.count = count;
  header.previous = position_.mac;
  const std::string frame = compose_frame(keys_.now(), header, entries);
  if (auto done = file->append(where_.path, position_.offset, frame); !done.ok()) return done;
  position_.offset += frame.size();
  position_.mac = mac_of(frame);
  position_.number += count;
  return {};
}

Result<void> Log::write_segment(SafeFile& file, UnixMillis now) {
  Summary summary(now);
  {
    // The whole of the active segment, which this one is to replace.
    const auto active = SafeFile::open(where_);
    if (!active.ok()) return active.error();
    Position from_start;
    std::string tail;
    const auto all_good = journal::read_on(reader(), *active, from_start, summary, tail);
    if (!all_good.ok()) return all_good.error();
    if (from_start.offset != position_.offset || from_start.mac != position_.mac) {
      return damaged_at(reader(), from_start, "what stands there is not what was written");
    }
  }
  NewSegment segment(file, where_.path, keys_.now(), position_.mac, position_.number);
  if (auto done = segment.begin(store_, position_.segment + 1, now); !done.ok()) return done;
  return summary.write([&](FrameType type, std::uint32_t count, std::string_view payload) {
    return segment.write(type, count, payload);
  });
}

Result<void> Log::begin_segment(UnixMillis now, Listener& listener) {
  if (where_.read_only) return journal_error(Status::read_only, where_.path, "is open for reading only");
  if (auto done = replace_segment(now, listener); !done.ok()) return done;
  // Whoever waits for the lock of the earlier file finds that the path leads elsewhere.
  return read_on(listener);
}

Result<void> Log::replace_segment(UnixMillis now, Listener& listener) {
  const ForkPause::Call call(pause_);
  auto file = SafeFile::open_locked(where_);
  if (!file.ok()) return file.error();
  if (auto done = catch_up(*file, listener); !done.ok()) return done;
  // One name for all, whose turn it is under the lock: what an interrupted call left is taken away.
  const std::string aside = where_.path + ".new";
  ::unlink(aside.c_str());
  auto fresh = SafeFile::create(where_, aside);
  if (!fresh.ok()) return fresh.error();
  auto done = write_segment(*fresh, now);
  if (done.ok()) done = take_the_place(aside, where_.path, position_.segment, position_.file);
  if (!done.ok()) ::unlink(aside.c_str());
  return done;
}

}  // namespace tokenstore::journal
