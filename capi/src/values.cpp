#include "values.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "guard.hpp"
#include "structs.hpp"

namespace tokenstore::capi {
namespace {

constexpr std::int64_t longest_budget = millis_per_day;

void check_pointer(const void* data, std::size_t size, std::string_view what) {
  if (data == nullptr && size != 0) refuse(std::string(what) + " is NULL, but its size is not 0");
  if (size > static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max())) {
    refuse("the size of " + std::string(what) + " is impossible");
  }
}

}  // namespace

std::string_view text(const char* data, std::size_t size, std::string_view what) {
  check_pointer(data, size, what);
  return data == nullptr ? std::string_view() : std::string_view(data, size);
}

std::string path(const char* data, std::size_t size, std::string_view what) {
  const std::string_view given = text(data, size, what);
  if (given.find('\0') != std::string_view::npos) refuse(std::string(what) + " holds a zero byte");
  return std::string(given);
}

std::span<const std::uint8_t> bytes(const std::uint8_t* data, std::size_t size, std::string_view what) {
  check_pointer(data, size, what);
  return {data, size};
}

bool flag(std::int32_t value, std::string_view what) {
  if (value != 0 && value != 1) refuse(std::string(what) + " is a flag: set it to 0 or 1");
  return value == 1;
}

void need_zero(std::int32_t reserved, std::string_view what) {
  if (reserved != 0) refuse("the reserved field of " + std::string(what) + " is not 0");
}

std::chrono::milliseconds budget(std::int64_t milliseconds, std::int64_t standard) {
  if (milliseconds < 0) refuse("the time budget is negative");
  return std::chrono::milliseconds(milliseconds == 0 ? standard : std::min(milliseconds, longest_budget));
}

Actor actor(const tokenstore_actor* given) {
  const auto known = TOKENSTORE_READ(tokenstore_actor, ACTOR, given, "the actor");
  need_zero(known.reserved, "the actor");
  const std::string_view name = text(known.name, known.name_size, "the actor's name");
  switch (known.kind) {
    case TOKENSTORE_ACTOR_USER:
      return Actor::user(std::string(name));
    case TOKENSTORE_ACTOR_ADMINISTRATOR:
      return Actor::administrator(std::string(name));
    case TOKENSTORE_ACTOR_HOST:
      if (!name.empty()) refuse("an actor that is the host has no name");
      return Actor::host();
    default:
      refuse("the actor's kind is missing or not known: set it to one of TOKENSTORE_ACTOR_...");
  }
}

Progress progress_of(tokenstore_progress progress, void* context) {
  if (progress == nullptr) return {};
  return [progress, context](std::uint64_t done, std::uint64_t total) { return progress(context, done, total) == 0; };
}

void need_room(std::size_t size, const char* buffer, std::size_t buffer_size, std::size_t* out_size) {
  std::size_t& needed = need(out_size, "the pointer for the size");
  needed = size + 1;
  if (buffer == nullptr && buffer_size != 0) refuse("the buffer is NULL, but its size is not 0");
  if (buffer_size < needed) {
    fail(Status::buffer_too_small, "the buffer is too small: " + std::to_string(needed) + " bytes are needed");
  }
}

void write_text(std::string_view text, char* buffer, std::size_t buffer_size, std::size_t* out_size) {
  need_room(text.size(), buffer, buffer_size, out_size);
  std::memcpy(buffer, text.data(), text.size());
  buffer[text.size()] = '\0';
  *out_size = text.size();
}

}  // namespace tokenstore::capi
