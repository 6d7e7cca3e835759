#include "journal/new_segment.hpp"

#include <dirent.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <memory>

#include "base/new_file.hpp"

namespace tokenstore::journal {

namespace {

constexpr std::size_t least_digits = 6;

struct CloseFolder {
  void operator()(DIR* names) const noexcept { ::closedir(names); }
};

/// Empty: the name is not that of a segment.
std::optional<std::uint64_t> number_in(std::string_view name, std::string_view journal) noexcept {
  if (!name.starts_with(journal) || name.size() < journal.size() + 1 + least_digits) return std::nullopt;
  const std::string_view digits = name.substr(journal.size() + 1);
  if (name[journal.size()] != '.' || (digits.size() > least_digits && digits.front() == '0')) return std::nullopt;
  std::uint64_t number = 0;
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (problem != std::errc{} || end != digits.data() + digits.size() || number == 0) return std::nullopt;
  return number;
}

}  // namespace

std::string path_of_segment(const std::string& path, std::uint64_t segment) {
  return fmt::format("{}.{:06}", path, segment);
}

Result<std::vector<std::uint64_t>> kept_segments(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const std::string_view name = slash == std::string::npos ? path : std::string_view(path).substr(slash + 1);
  std::vector<std::uint64_t> numbers;
  // Not by std::filesystem, which ends the program where there is no memory for a name.
  const std::unique_ptr<DIR, CloseFolder> names(::opendir(folder.c_str()));
  if (!names) return failed_call(path, "looked for", errno);
  for (errno = 0; const dirent* entry = ::readdir(names.get()); errno = 0) {  // NOLINT(concurrency-mt-unsafe): our own
    if (const auto number = number_in(entry->d_name, name)) numbers.push_back(*number);
  }
  if (errno != 0) return failed_call(path, "looked for", errno);
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

Result<void> NewSegment::begin(const Bytes16& store, std::uint64_t segment, UnixMillis now) {
  SegmentHead head{store, segment, now, {}};
  system_random()->fill(head.birth);
  return write(FrameType::head, 0, encode_head(head));
}

Result<void> NewSegment::write(FrameType type, std::uint32_t count, std::string_view payload) {
  FrameHeader header;
  header.type = type;
  header.number = number_;
  header.count = count;
  header.previous = mac_;
  const std::string frame = compose_frame(sealer_, header, payload);
  if (auto done = file_.write(path_, offset_, frame); !done.ok()) return done;
  offset_ += frame.size();
  mac_ = mac_of(frame);
  if (type == FrameType::entries) number_ += count;
  return {};
}

Result<void> take_the_place(const std::string& aside, const std::string& path, std::uint64_t kept_as,
                            const FileIdentity& active) {
  const std::string kept = path_of_segment(path, kept_as);
  if (::link(path.c_str(), kept.c_str()) != 0) {
    const int number = errno;
    const auto there = facts_of(kept);
    // Begun before, and interrupted behind this step.
    const bool done_before = number == EEXIST && there.ok() && there->identity == active;
    if (!done_before) return failed_call(path, fmt::format("kept as {}", kept), number);
  }
  if (::rename(aside.c_str(), path.c_str()) != 0) return failed_call(path, "replaced", errno);
  if (const int number = base::sync_directory_of(path); number != 0) {
    return failed_call(path, "made durable", number);
  }
  return {};
}

}  // namespace tokenstore::journal
