/// Structs of the C ABI on their way in and out, whatever version of the header the caller was compiled
/// with: the `struct_size` rules of tokenstore.h. Stateless; any thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

#include "guard.hpp"

namespace tokenstore::capi {

/// What later versions may add to a struct before this one takes the size for garbage.
inline constexpr std::size_t longest_tail = 4096;

/// The caller's sizeof, if it is one of a version since 1.0.
inline std::size_t struct_size_of(const void* given, std::size_t size_1_0, std::size_t size_here,
                                  std::string_view what) {
  if (given == nullptr) refuse(std::string(what) + " is NULL");
  std::size_t size = 0;
  std::memcpy(&size, given, sizeof size);
  if (size < size_1_0 || size > size_here + longest_tail) {
    refuse("struct_size of " + std::string(what) + " is wrong: set it to sizeof the struct");
  }
  return size;
}

/// A copy of an input: fields that the caller does not know are zero.
template <typename Struct>
Struct read_struct(const Struct* given, std::size_t size_1_0, std::string_view what) {
  static_assert(std::is_trivially_copyable_v<Struct>);
  const std::size_t size = struct_size_of(given, size_1_0, sizeof(Struct), what);
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  const auto known = std::min(size, sizeof(Struct));
  if (std::any_of(bytes + known, bytes + size, [](unsigned char byte) { return byte != 0; })) {
    refuse(std::string(what) + " has a field that this version of the library does not know");
  }
  Struct copy{};
  std::memcpy(&copy, bytes, known);
  return copy;
}

/// Writes an output: as much of it as the caller knows, and zero where this version knows less.
template <typename Struct>
void write_struct(Struct* out, std::size_t size_1_0, std::string_view what, Struct answer) {
  static_assert(std::is_trivially_copyable_v<Struct>);
  const std::size_t size = struct_size_of(out, size_1_0, sizeof(Struct), what);
  auto* bytes = reinterpret_cast<unsigned char*>(out);
  const auto known = std::min(size, sizeof(Struct));
  answer.struct_size = size;
  std::memcpy(bytes, &answer, known);
  std::memset(bytes + known, 0, size - known);
}

}  // namespace tokenstore::capi

/// Both take the size of version 1.0 by the struct's name.
#define TOKENSTORE_READ(type, NAME, given, what) \
  ::tokenstore::capi::read_struct<type>(given, TOKENSTORE_##NAME##_SIZE_1_0, what)
#define TOKENSTORE_WRITE(type, NAME, out, what, answer) \
  ::tokenstore::capi::write_struct<type>(out, TOKENSTORE_##NAME##_SIZE_1_0, what, answer)
