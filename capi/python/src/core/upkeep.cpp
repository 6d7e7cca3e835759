// Upkeep: purging, resealing, checking, and what a store says of itself.
#include <array>

#include "progress.hpp"
#include "store.hpp"

namespace tokenstore::python {

namespace {

using Report = Handle<tokenstore_check_report, tokenstore_check_report_free>;

PyObject* lines_of(const tokenstore_check_report* report, std::uint64_t noted) {
  Ref lines(PyList_New(0));
  for (std::size_t i = 0; lines && i < noted; ++i) {
    std::size_t size = 0;
    const char* line = tokenstore_check_report_problem(report, i, &size);
    const Ref text(text_object(line, size));
    if (!text || PyList_Append(lines.get(), text.get()) != 0) return nullptr;
  }
  return lines.release();
}

PyObject* keys_of(const tokenstore_check_report* report) {
  Ref keys(PyList_New(0));
  for (std::size_t i = 0; keys; ++i) {
    tokenstore_key_usage usage{};
    usage.struct_size = sizeof usage;
    if (tokenstore_check_report_key(report, i, &usage, nullptr) != TOKENSTORE_OK) break;
    const Ref key(Py_BuildValue("(NKK)", text_object(usage.key_id, usage.key_id_size),
                                static_cast<unsigned long long>(usage.seals),
                                static_cast<unsigned long long>(usage.living_tokens)));
    if (!key || PyList_Append(keys.get(), key.get()) != 0) return nullptr;
  }
  return keys.release();
}

}  // namespace

// _purge(kind, name, ended before, budget): (removed, complete)
PyObject* store_purge(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  Call call(self);
  tokenstore_actor actor;
  std::int64_t ended_before = 0;
  std::int64_t budget = 0;
  if (!call || !takes("_purge", count, 4) || !read_actor(args, actor) ||
      !read_number(args[2], "ended_before", ended_before) || !read_number(args[3], "budget", budget)) {
    return nullptr;
  }
  std::uint64_t removed = 0;
  std::int32_t complete = 0;
  const int32_t status = unlocked([&] {
    return tokenstore_purge(call.handle(), &actor, ended_before, budget, &removed, &complete, call.error().out());
  });
  if (!call.succeeded(status)) return nullptr;
  return Py_BuildValue("(KN)", static_cast<unsigned long long>(removed), PyBool_FromLong(complete));
}

PyObject* store_maintain(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  Call call(self);
  std::int64_t budget = 0;
  if (!call || !takes("_maintain", count, 1) || !read_number(args[0], "budget", budget)) return nullptr;
  std::int32_t more = 0;
  const int32_t status =
      unlocked([&] { return tokenstore_maintain(call.handle(), budget, &more, call.error().out()); });
  return call.succeeded(status) ? PyBool_FromLong(more) : nullptr;
}

// _reseal(kind, name, cursor, budget): (resealed, kept, refused, next cursor)
PyObject* store_reseal(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  Call call(self);
  tokenstore_actor actor;
  Text cursor;
  std::int64_t budget = 0;
  if (!call || !takes("_reseal", count, 4) || !read_actor(args, actor) || !cursor.read(args[2], "cursor") ||
      !read_number(args[3], "budget", budget)) {
    return nullptr;
  }
  tokenstore_reseal_summary summary{};
  summary.struct_size = sizeof summary;
  const int32_t status = unlocked([&] {
    return tokenstore_reseal(call.handle(), &actor, cursor.data, cursor.size, budget, &summary, call.error().out());
  });
  if (!call.succeeded(status)) return nullptr;
  return Py_BuildValue("(KKKN)", static_cast<unsigned long long>(summary.resealed),
                       static_cast<unsigned long long>(summary.kept), static_cast<unsigned long long>(summary.refused),
                       text_object(summary.next, summary.next_size));
}

// _heal(kind, name, progress or None): (looked at, ended, removed, settings, refused)
PyObject* store_heal(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  Call call(self);
  tokenstore_actor actor;
  if (!call || !takes("_heal", count, 3) || !read_actor(args, actor)) return nullptr;
  Progress progress;
  if (!progress.read(args[2])) return nullptr;
  tokenstore_heal_summary summary{};
  summary.struct_size = sizeof summary;
  const int32_t status = progress.run(&call.store(), [&] {
    return tokenstore_heal(call.handle(), &actor, progress.function(), &progress, &summary, call.error().out());
  });
  if (progress.raised() || !call.succeeded(status)) return nullptr;
  return Py_BuildValue("(KKKKK)", static_cast<unsigned long long>(summary.looked_at),
                       static_cast<unsigned long long>(summary.ended), static_cast<unsigned long long>(summary.removed),
                       static_cast<unsigned long long>(summary.settings),
                       static_cast<unsigned long long>(summary.refused));
}

// _check(kind, name, progress or None): (tokens, owners, problems, lines, [(key id, seals, living tokens)])
PyObject* store_check(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  Call call(self);
  tokenstore_actor actor;
  if (!call || !takes("_check", count, 3) || !read_actor(args, actor)) return nullptr;
  Progress progress;
  if (!progress.read(args[2])) return nullptr;
  Report report;
  const int32_t status = progress.run(&call.store(), [&] {
    return tokenstore_check(call.handle(), &actor, progress.function(), &progress, report.out(), call.error().out());
  });
  if (progress.raised() || !call.succeeded(status)) return nullptr;
  tokenstore_check_summary summary{};
  summary.struct_size = sizeof summary;
  if (!call.succeeded(tokenstore_check_report_read(report.get(), &summary, call.error().out()))) return nullptr;
  return Py_BuildValue("(KKKNN)", static_cast<unsigned long long>(summary.tokens),
                       static_cast<unsigned long long>(summary.owners),
                       static_cast<unsigned long long>(summary.problems),
                       lines_of(report.get(), summary.problems_noted), keys_of(report.get()));
}

// In the order of the header.
PyObject* store_statistics(PyObject* self, PyObject* /*unused*/) {
  Call call(self);
  if (!call) return nullptr;
  tokenstore_statistics read{};
  read.struct_size = sizeof read;
  if (!call.succeeded(unlocked([&] { return tokenstore_read_statistics(call.handle(), &read, call.error().out()); }))) {
    return nullptr;
  }
  const std::array<std::uint64_t, 20> numbers = {
      read.hits,          read.misses,           read.negative_hits,    read.malformed,
      read.forged,        read.unavailable,      read.catch_ups,        read.dropped_all,
      read.evictions,     read.uses_written,     read.cached_tokens,    read.cache_bytes,
      read.not_kept_busy, read.not_kept_changed, read.not_kept_no_room, read.feed_mismatches,
      read.keys_taken,    read.keys_refused,     read.rolled_back,      read.healed,
  };
  Ref tuple(PyTuple_New(static_cast<Py_ssize_t>(numbers.size())));
  for (std::size_t i = 0; tuple && i < numbers.size(); ++i) {
    PyObject* number = PyLong_FromUnsignedLongLong(numbers[i]);
    if (number == nullptr || PyTuple_SetItem(tuple.get(), static_cast<Py_ssize_t>(i), number) != 0) return nullptr;
  }
  return tuple.release();
}

PyObject* store_now(PyObject* self, PyObject* /*unused*/) {
  Call call(self);
  if (!call) return nullptr;
  std::int64_t now = 0;
  if (!call.succeeded(tokenstore_now(call.handle(), &now, call.error().out()))) return nullptr;
  return PyLong_FromLongLong(now);
}

PyObject* store_scanner_pattern(PyObject* self, PyObject* /*unused*/) {
  Call call(self);
  if (!call) return nullptr;
  std::array<char, 512> pattern{};
  std::size_t size = 0;
  if (!call.succeeded(
          tokenstore_scanner_pattern(call.handle(), pattern.data(), pattern.size(), &size, call.error().out()))) {
    return nullptr;
  }
  return text_object(pattern.data(), size);
}

}  // namespace tokenstore::python
