/// The frames that a journal's file is made of: what is written in one go, chained to the frame before by a MAC.
///
///     frame   = magic size number count type key-id previous check payload mac
///     magic   = "TSJ1"       size = 4 octets, of the payload        number = 8, of its first entry
///     count   = 4, entries   type = 1 octet                         key-id = 2, of the MAC's key
///     previous = 32, the MAC of the frame before                    check = 4, CRC-32 of all before it
///     mac     = HMAC-SHA-256(K_journal, all before it)
///
/// The check is for accidents alone: it tells a frame that was not written to its end from one that was changed.
/// Every function is pure and thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "seal/sealer.hpp"

namespace tokenstore::journal {

inline constexpr std::size_t frame_header_size = 59;
inline constexpr std::size_t frame_mac_size = 32;
inline constexpr std::size_t payload_max = std::size_t{16} << 20;
inline constexpr std::size_t frame_max = frame_header_size + payload_max + frame_mac_size;

enum class FrameType : std::uint8_t {
  head = 1,     ///< opens a segment
  entries = 2,  ///< changes, each with a number of its own
  ended = 3,    ///< of the summary that a segment begins with: tokens
  carried = 4,  ///< of that summary: the latest entry of whatever else is restricted
};

struct FrameHeader {
  std::size_t payload_size = 0;
  std::uint64_t number = 0;
  std::uint32_t count = 0;
  FrameType type = FrameType::entries;
  std::string key_id{};
  Bytes32 previous{};

  std::size_t frame_size() const noexcept { return frame_header_size + payload_size + frame_mac_size; }
};

/// A whole frame, under the active key. Its type, number, count and previous are the header's. The payload is at most
/// `payload_max` octets long.
std::string compose_frame(const seal::Sealer& sealer, const FrameHeader& header, std::string_view payload);

/// What the first octets of `text` say, as long as they are a header; empty if they are none.
std::optional<FrameHeader> parse_header(std::string_view text);
/// `frame` is as long as its header says.
bool is_genuine(const seal::Sealer& sealer, const FrameHeader& header, std::string_view frame) noexcept;
Bytes32 mac_of(std::string_view frame) noexcept;
inline std::string_view payload_of(std::string_view frame) noexcept {
  return frame.substr(frame_header_size, frame.size() - frame_header_size - frame_mac_size);
}

/// What stands behind the last good frame of a file and is none.
enum class Tail : std::uint8_t {
  torn,     ///< a write that did not come to its end: by a full disk, a killed process or a power cut
  damaged,  ///< anything else
};
/// `tail` is the rest of the file from `offset` on, and not empty. There is never more than one frame that was not
/// synced (Log::append), and it is written where the file ended. So it is torn if the file ends within it, or if one of
/// the disk's sectors in it was never written; and if another genuine frame follows, something was changed.
Tail judge_tail(const seal::Sealer& sealer, std::string_view tail, std::uint64_t offset);

}  // namespace tokenstore::journal
