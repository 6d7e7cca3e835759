#include "journal/frame.hpp"

#include <algorithm>

#include "base/crc32.hpp"
#include "base/wipe.hpp"
#include "journal/octets.hpp"

namespace tokenstore::journal {

namespace {

constexpr std::string_view frame_magic = "TSJ1";
constexpr std::size_t check_at = frame_header_size - 4;
/// What a disk writes whole or not at all.
constexpr std::size_t sector_size = 512;
/// A tail with more beginnings of frames than this was made by somebody.
constexpr int most_beginnings = 1000;

bool is_type(std::uint8_t type) noexcept {
  return type >= static_cast<std::uint8_t>(FrameType::head) && type <= static_cast<std::uint8_t>(FrameType::carried);
}

/// Whether a sector in the first `size` octets of the tail holds nothing but zeroes there.
bool has_unwritten_sector(std::string_view tail, std::uint64_t offset, std::size_t size) noexcept {
  size = std::min(size, tail.size());
  for (std::size_t at = 0; at < size;) {
    const std::size_t rest_of_sector = sector_size - static_cast<std::size_t>((offset + at) % sector_size);
    const std::string_view part = tail.substr(at, std::min(rest_of_sector, size - at));
    if (part.find_first_not_of('\0') == std::string_view::npos) return true;
    at += part.size();
  }
  return false;
}

/// Whether a genuine frame begins anywhere in `tail`, or so many seem to that this is no accident.
bool holds_another_frame(const seal::Sealer& sealer, std::string_view tail) {
  int beginnings = 0;
  for (std::size_t at = tail.find(frame_magic); at != std::string_view::npos; at = tail.find(frame_magic, at + 1)) {
    const auto header = parse_header(tail.substr(at));
    if (!header || header->frame_size() > tail.size() - at) continue;
    if (++beginnings > most_beginnings) return true;
    if (is_genuine(sealer, *header, tail.substr(at, header->frame_size()))) return true;
  }
  return false;
}

}  // namespace

std::string compose_frame(const seal::Sealer& sealer, const FrameHeader& header, std::string_view payload) {
  std::string frame;
  frame.reserve(frame_header_size + payload.size() + frame_mac_size);
  OctetWriter writer(frame);
  frame.append(frame_magic);
  writer.number(payload.size(), 4);
  writer.count(header.number);
  writer.number(header.count, 4);
  writer.octet(static_cast<std::uint8_t>(header.type));
  frame.append(sealer.active_key_id());
  writer.octets(header.previous);
  writer.number(base::crc32(frame), 4);
  frame.append(payload);
  // The active key is held and not retired, so there always is a MAC.
  writer.octets(sealer.journal_mac(sealer.active_key_id(), frame).value_or(Bytes32{}));
  return frame;
}

std::optional<FrameHeader> parse_header(std::string_view text) {
  if (text.size() < frame_header_size || !text.starts_with(frame_magic)) return std::nullopt;
  OctetReader reader(text.substr(frame_magic.size(), frame_header_size - frame_magic.size()));
  FrameHeader header;
  header.payload_size = reader.number(4);
  header.number = reader.count();
  header.count = static_cast<std::uint32_t>(reader.number(4));
  const std::uint8_t type = reader.octet();
  for (std::size_t i = 0; i < text::key_id_size; ++i) header.key_id.push_back(static_cast<char>(reader.octet()));
  reader.octets(header.previous);
  if (reader.number(4) != base::crc32(text.substr(0, check_at))) return std::nullopt;
  if (!is_type(type) || header.payload_size > payload_max) return std::nullopt;
  header.type = static_cast<FrameType>(type);
  return header;
}

bool is_genuine(const seal::Sealer& sealer, const FrameHeader& header, std::string_view frame) noexcept {
  const auto expected = sealer.journal_mac(header.key_id, frame.substr(0, frame.size() - frame_mac_size));
  return expected && base::equal_constant_time(*expected, mac_of(frame));
}

Bytes32 mac_of(std::string_view frame) noexcept {
  Bytes32 mac;
  OctetReader(frame.substr(frame.size() - frame_mac_size)).octets(mac);
  return mac;
}

Tail judge_tail(const seal::Sealer& sealer, std::string_view tail, std::uint64_t offset) {
  if (tail.size() > frame_max || holds_another_frame(sealer, tail.substr(1))) return Tail::damaged;
  if (tail.size() < frame_header_size) return Tail::torn;
  const auto header = parse_header(tail);
  if (!header) return has_unwritten_sector(tail, offset, frame_header_size) ? Tail::torn : Tail::damaged;
  const std::size_t size = header->frame_size();
  if (tail.size() < size) return Tail::torn;
  return tail.size() == size && has_unwritten_sector(tail, offset, size) ? Tail::torn : Tail::damaged;
}

}  // namespace tokenstore::journal
