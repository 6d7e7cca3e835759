#include "journal/segment.hpp"

#include <fmt/format.h>

#include "journal/octets.hpp"

namespace tokenstore::journal {

namespace {

constexpr std::uint8_t segment_format = 1;
constexpr std::size_t head_size = frame_header_size + 1 + 16 + 8 + 8 + 16 + frame_mac_size;
constexpr std::size_t read_size = std::size_t{1} << 20;

/// What a frame's payload says, told to the listener. False: it is malformed.
bool tell_entries(std::string_view payload, const FrameHeader& header, Position& position, Listener& listener) {
  const bool numbered = header.type == FrameType::entries;
  std::uint32_t count = 0;
  while (!payload.empty()) {
    const auto entry = take_entry(payload);
    if (!entry) return false;
    listener.entry(numbered ? position.number + count : 0, *entry);
    if (numbered && entry->deed == Deed::accepted) position.accepted = true;
    ++count;
  }
  if (count != header.count) return false;
  if (numbered) position.number += count;
  return true;
}

bool tell_ended(std::string_view payload, std::uint32_t count, Listener& listener) {
  OctetReader reader(payload);
  const std::string_view workspace = reader.text();
  for (; count > 0; --count) {
    EndedToken token;
    token.id = reader.text();
    token.revision = reader.count();
    token.until = reader.time();
    token.ends_at = reader.time();
    token.deed = static_cast<Deed>(reader.octet());
    if (!reader.ok()) return false;
    listener.ended(workspace, token);
  }
  return reader.finished();
}

bool is_name(const std::string& key_id) noexcept {
  for (const char c : key_id) {
    if (c <= ' ' || c > '~') return false;
  }
  return true;
}

/// Why the key that a frame names vouches for nothing. Empty: it does.
std::optional<Error> key_refused(const seal::Sealer& sealer, const std::string& path, const FrameHeader& header) {
  const auto use = sealer.key_use(header.key_id);
  if (use && *use != KeyUse::retired) return std::nullopt;
  return journal_error(
      Status::wrong_key, path,
      fmt::format("is written under key {}, which is {}; make it verify-only, and open the store once with it",
                  is_name(header.key_id) ? header.key_id : "??", use ? "retired" : "not in the keyring"));
}

/// Under the keys of now, and under those that another process has taken before this one.
bool is_genuine_by_now(seal::LiveSealer& keys, const FrameHeader& header, std::string_view frame) {
  const seal::Sealer& known = keys.now();
  if (is_genuine(known, header, frame)) return true;
  return !known.key_use(header.key_id) && keys.look(known) && is_genuine(keys.now(), header, frame);
}

/// Empty: it is malformed.
Result<std::optional<SegmentHead>> decode_head(const std::string& path, std::string_view payload) {
  OctetReader octets(payload);
  if (octets.octet() != segment_format) {
    return journal_error(Status::newer_schema, path, "was written by a newer version of this library; use that one");
  }
  SegmentHead head;
  octets.octets(head.store);
  head.segment = octets.count();
  head.made_at = octets.time();
  octets.octets(head.birth);
  return octets.finished() ? std::optional(head) : std::nullopt;
}

/// Judges the frames of one segment.
class Segment {
 public:
  Segment(const Reader& reader, Position& position, Listener& listener)
      : reader_(reader), position_(position), listener_(listener) {}

  /// A frame that is as long as its header says. False: it is not genuine.
  Result<bool> take(const FrameHeader& header, std::string_view frame) {
    if (!is_genuine_by_now(reader_.keys, header, frame)) {
      if (auto no = key_refused(reader_.keys.now(), reader_.path, header)) return *no;
      return false;
    }
    if (header.type == FrameType::head) {
      if (position_.offset != 0)
        return damaged_at(reader_, position_, "the head of a segment stands among its entries");
      if (auto good = open(header, payload_of(frame)); !good.ok()) return good.error();
      position_.head = mac_of(frame);
      position_.key_id = header.key_id;
    } else {
      if (position_.offset == 0) return damaged_at(reader_, position_, "its beginning is missing");
      if (header.previous != position_.mac || header.number != position_.number) {
        return damaged_at(reader_, position_, "what follows was written behind something else");
      }
      const std::string_view payload = payload_of(frame);
      const bool well = header.type == FrameType::ended ? tell_ended(payload, header.count, listener_)
                                                        : tell_entries(payload, header, position_, listener_);
      if (!well) return damaged_at(reader_, position_, "an entry is malformed");
    }
    position_.offset += frame.size();
    position_.mac = mac_of(frame);
    if (header.type != FrameType::entries) position_.summary_end = position_.offset;
    return true;
  }

 private:
  Result<void> open(const FrameHeader& header, std::string_view payload) {
    const auto head = decode_head(reader_.path, payload);
    if (!head.ok()) return head.error();
    if (!*head) return damaged_at(reader_, position_, "its beginning is malformed");
    if ((*head)->store != reader_.store) {
      return journal_error(Status::not_a_store, reader_.path, "belongs to another store; give this store's own");
    }
    position_.number = header.number;
    position_.segment = (*head)->segment;
    position_.made_at = (*head)->made_at;
    return {};
  }

  const Reader& reader_;
  Position& position_;
  Listener& listener_;
};

}  // namespace

std::string encode_head(const SegmentHead& head) {
  std::string payload;
  OctetWriter writer(payload);
  writer.octet(segment_format);
  writer.octets(head.store);
  writer.count(head.segment);
  writer.time(head.made_at);
  writer.octets(head.birth);
  return payload;
}

Result<bool> is_same_segment(const std::string& path, const SafeFile& file, const Position& position) {
  if (file.identity() != position.file) return false;
  std::array<char, head_size> begins;
  const auto got = file.read(path, 0, begins);
  if (!got.ok()) return got.error();
  return *got == head_size && mac_of({begins.data(), begins.size()}) == position.head;
}

Result<std::optional<Beginning>> read_beginning(seal::LiveSealer& keys, const std::string& path, const SafeFile& file) {
  std::array<char, head_size> begins{};
  const auto got = file.read(path, 0, begins);
  if (!got.ok()) return got.error();
  const std::string_view frame(begins.data(), *got);
  const auto header = parse_header(frame);
  if (!header) return std::optional<Beginning>();
  if (header->type != FrameType::head || header->frame_size() != frame.size()) return std::optional<Beginning>();
  if (!is_genuine_by_now(keys, *header, frame)) {
    if (auto no = key_refused(keys.now(), path, *header)) return *no;
    return std::optional<Beginning>();
  }
  const auto head = decode_head(path, payload_of(frame));
  if (!head.ok()) return head.error();
  if (!*head) return std::optional<Beginning>();
  Beginning beginning;
  beginning.head = **head;
  beginning.previous = header->previous;
  Position& behind = beginning.behind;
  behind.file = file.identity();
  behind.offset = frame.size();
  behind.mac = mac_of(frame);
  behind.number = header->number;
  behind.segment = (*head)->segment;
  behind.made_at = (*head)->made_at;
  behind.head = behind.mac;
  behind.key_id = header->key_id;
  behind.summary_end = behind.offset;
  return std::optional(std::move(beginning));
}

std::string encode_ended(std::string_view workspace) {
  std::string payload;
  OctetWriter(payload).text(workspace);
  return payload;
}

void add_ended(std::string& payload, const EndedToken& token) {
  OctetWriter writer(payload);
  writer.text(token.id);
  writer.count(token.revision);
  writer.time(token.until);
  writer.time(token.ends_at);
  writer.octet(static_cast<std::uint8_t>(token.deed));
}

Result<bool> read_on(const Reader& reader, const SafeFile& file, Position& position, Listener& listener,
                     std::string& tail, LastFrame last) {
  Segment segment(reader, position, listener);
  std::string buffer;
  std::size_t done = 0;  // of the buffer
  for (bool at_end = false;;) {
    const std::string_view rest = std::string_view(buffer).substr(done);
    const auto header = parse_header(rest);
    // A segment is put in place whole and durable, so the first of its frames is never left.
    const bool followed_only = last == LastFrame::left && position.offset != 0;
    const std::size_t needed =
        header ? header->frame_size() + (followed_only ? frame_header_size : 0) : frame_header_size;
    if (header && needed <= rest.size() && (!followed_only || parse_header(rest.substr(header->frame_size())))) {
      auto good = segment.take(*header, rest.substr(0, header->frame_size()));
      if (!good.ok()) return good.error();
      if (*good) {
        done += header->frame_size();
        if (listener.has_enough()) return true;
        continue;
      }
    }
    // Not a frame, or not yet: more is read, unless there is no more, or more than a frame was.
    if (at_end || rest.size() > frame_max) {
      tail = rest;
      return rest.empty();
    }
    const bool bad = needed <= rest.size();
    if (bad && last == LastFrame::left) return false;
    const std::size_t wanted = bad ? frame_max + 1 : std::max(needed, read_size);
    buffer.erase(0, done);
    done = 0;
    const std::size_t held = buffer.size();
    buffer.resize(held + wanted);
    auto got = file.read(reader.path, position.offset + held, {buffer.data() + held, wanted});
    if (!got.ok()) return got.error();
    buffer.resize(held + *got);
    at_end = *got < wanted;
  }
}

Error damaged_at(const Reader& reader, const Position& position, std::string_view what) {
  if (reader.damage != nullptr) *reader.damage = what;
  return journal_error(
      Status::journal_damaged, reader.path,
      fmt::format(
          "is damaged at octet {}, behind entry {}: {}; have somebody look at it (tokenstore journal verify), and then "
          "accept what is left of it",
          position.offset, position.number - 1, what));
}

}  // namespace tokenstore::journal
