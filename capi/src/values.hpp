/// C values to C++ and back. What breaks a rule of tokenstore.h is a Failure. Stateless; any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "tokenstore.h"
#include "tokenstore/backend.hpp"
#include "tokenstore/model.hpp"

namespace tokenstore::capi {

/// A text; NULL with size 0 is the empty one, wherever a text is asked for. Whoever needs more than that says so.
std::string_view text(const char* data, std::size_t size, std::string_view what);
/// A path: a text that the system will read up to a zero byte, so it may not hold one.
std::string path(const char* data, std::size_t size, std::string_view what);
std::span<const std::uint8_t> bytes(const std::uint8_t* data, std::size_t size, std::string_view what);

bool flag(std::int32_t value, std::string_view what);
inline std::int32_t flag(bool value) noexcept {
  return value ? 1 : 0;
}
void need_zero(std::int32_t reserved, std::string_view what);
/// A time budget: 0 asks for `standard`.
std::chrono::milliseconds budget(std::int64_t milliseconds, std::int64_t standard);

inline std::int64_t end_time(std::int64_t time) noexcept {
  return time == never ? TOKENSTORE_NEVER : time;
}
inline std::int64_t zero_if_absent(const std::optional<UnixMillis>& time) noexcept {
  return time.value_or(0);
}

Actor actor(const tokenstore_actor* given);

/// Empty of NULL.
Progress progress_of(tokenstore_progress progress, void* context);

/// Writes `text` and a zero byte into the caller's buffer. `*out_size` becomes its size, or the buffer size
/// that is needed if this one is too small.
void write_text(std::string_view text, char* buffer, std::size_t buffer_size, std::size_t* out_size);
/// As write_text, before there is a text: fails unless one of `size` bytes will fit.
void need_room(std::size_t size, const char* buffer, std::size_t buffer_size, std::size_t* out_size);

/// For functions that return a text: its size goes to `out_size`, if the caller wants it.
inline const char* returned_text(const std::string& text, std::size_t* out_size) noexcept {
  if (out_size != nullptr) *out_size = text.size();
  return text.c_str();
}
/// The answer of such a function when there is nothing to return.
inline const char* no_text(std::size_t* out_size) noexcept {
  if (out_size != nullptr) *out_size = 0;
  return "";
}

}  // namespace tokenstore::capi
