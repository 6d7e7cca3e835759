#include "transfer/sealed_file.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "base/file.hpp"
#include "base/wipe.hpp"

namespace tokenstore::transfer {
namespace {

constexpr std::string_view first_line = "\ntokenstore backup 1\n";
constexpr std::size_t part_size = 1U << 18U;

template <std::size_t Size>
std::string hexadecimal(const std::array<std::uint8_t, Size>& octets) {
  std::string text;
  for (const std::uint8_t octet : octets) text += fmt::format("{:02x}", octet);
  return text;
}

std::string without_seal(const BackupInfo& info, std::string_view key_id) {
  return fmt::format(
      "{}store {}\nmade {:020}\nworkspaces {:020}\nowners {:020}\ntokens {:020}\nrevision {:020}\nsize {:020}\nkey "
      "{}\nseal ",
      first_line, hexadecimal(info.store), info.made_at, info.workspaces, info.owners, info.tokens, info.revision,
      info.size, key_id);
}

/// Every one has the same size.
std::size_t end_size() {
  static const std::size_t size = without_seal({}, "00").size() + 2 * sizeof(Bytes32) + 1;
  return size;
}

/// Reads words of known names and sizes, one after the other.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  std::string_view word(std::string_view name, std::size_t size) {
    const std::string_view all = rest_.substr(0, name.size() + 1 + size);
    rest_.remove_prefix(std::min(rest_.size(), all.size() + 1));
    return all.substr(std::min(all.size(), name.size() + 1));
  }
  std::uint64_t number(std::string_view name) {
    std::uint64_t value = 0;
    // Eighteen digits fit; a larger number is written anew otherwise than it was read, and refused for it.
    for (const char digit : word(name, 20)) value = value * 10 + static_cast<std::uint64_t>(digit - '0');
    return value;
  }

 private:
  std::string_view rest_;
};

std::uint8_t value_of(char digit) noexcept {
  return static_cast<std::uint8_t>(digit >= 'a' ? digit - 'a' + 10 : digit - '0');
}

struct End {
  BackupInfo info;
  std::string key_id;
};

/// What the end of a file says; empty if it is not written exactly so.
std::optional<End> parse(std::string_view text) {
  if (!text.starts_with(first_line)) return std::nullopt;
  Reader reader(text.substr(first_line.size()));
  End end;
  const std::string_view store = reader.word("store", 2 * sizeof(Bytes16));
  for (std::size_t i = 0; i + 1 < store.size(); i += 2) {
    end.info.store[i / 2] = static_cast<std::uint8_t>(value_of(store[i]) << 4 | value_of(store[i + 1]));
  }
  end.info.made_at = static_cast<UnixMillis>(reader.number("made"));
  end.info.workspaces = reader.number("workspaces");
  end.info.owners = reader.number("owners");
  end.info.tokens = reader.number("tokens");
  end.info.revision = reader.number("revision");
  end.info.size = reader.number("size");
  end.key_id = reader.word("key", 2);
  if (without_seal(end.info, end.key_id) != text.substr(0, text.size() - 2 * sizeof(Bytes32) - 1)) return std::nullopt;
  return end;
}

Error not_a_backup(const std::string& path) {
  return {Status::not_a_store, fmt::format("'{}' is not a backup, or was cut short; name a whole one", path)};
}

Error cannot(std::string_view what, const std::string& path, int code) {
  const std::string why = std::strerror(code);  // NOLINT(concurrency-mt-unsafe): glibc's is thread-safe here
  if (code == ENOSPC || code == EDQUOT) {
    return {Status::storage_full, fmt::format("no space for '{}'; free some and try again", path)};
  }
  return {Status::unavailable, fmt::format("'{}' cannot be {} ({}); check the disk and try again", path, what, why)};
}

/// Size of an open file, or -1.
std::int64_t size_of(int file) noexcept {
  struct stat facts {};
  return ::fstat(file, &facts) == 0 && S_ISREG(facts.st_mode) ? static_cast<std::int64_t>(facts.st_size) : -1;
}

/// Reads `size` octets from a place on. 0 or the error's number.
int read_whole(int file, std::int64_t from, std::string& octets, std::size_t size) {
  octets.resize(size);
  std::size_t got = 0;
  const int code = base::read_at(file, static_cast<std::uint64_t>(from), octets, got);
  return code == 0 && got < size ? EIO : code;
}

/// Seals the first `size` octets.
Result<void> add_database(int file, const std::string& path, std::uint64_t size, seal::BackupSeal& seal,
                          const Take& take, const Progress& progress) {
  std::string part;
  for (std::uint64_t at = 0; at < size; at += part.size()) {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(part_size, size - at));
    if (const int code = read_whole(file, static_cast<std::int64_t>(at), part, wanted); code != 0) {
      return cannot("read", path, code);
    }
    seal.add(part);
    if (take) {
      if (Result<void> taken = take(part); !taken.ok()) return taken;
    }
    if (progress && !progress(at + part.size(), size)) {
      return Error(Status::conflict, "the restoring was stopped before its end");
    }
  }
  return {};
}

}  // namespace

bool ends_as_backup(int file) noexcept {
  const std::int64_t size = size_of(file);
  const auto end = static_cast<std::int64_t>(end_size());
  std::array<char, first_line.size()> start{};
  return size > end && ::pread(file, start.data(), start.size(), size - end) == static_cast<ssize_t>(start.size()) &&
         std::string_view(start.data(), start.size()) == first_line;
}

Result<void> seal_file(int file, const std::string& path, BackupInfo& info, const seal::Sealer& sealer) {
  const std::int64_t size = size_of(file);
  auto seal = sealer.begin_backup_seal(sealer.active_key_id());
  if (size < 0 || !seal) return cannot("sealed", path, EIO);
  info.size = static_cast<std::uint64_t>(size);
  if (Result<void> added = add_database(file, path, info.size, *seal, {}, {}); !added.ok()) return added;
  std::string end = without_seal(info, sealer.active_key_id());
  seal->add(end);
  end += hexadecimal(seal->finish()) + "\n";
  if (::lseek(file, size, SEEK_SET) < 0) return cannot("written", path, errno);
  if (const int code = base::write_all(file, end); code != 0) return cannot("written", path, code);
  return {};
}

Result<BackupInfo> read_sealed_file(int file, const std::string& path, const seal::Sealer& sealer, const Take& take,
                                    const Progress& progress) {
  const std::int64_t size = size_of(file);
  const auto end_at = size - static_cast<std::int64_t>(end_size());
  if (end_at <= 0) return not_a_backup(path);
  std::string text;
  if (const int code = read_whole(file, end_at, text, end_size()); code != 0) return cannot("read", path, code);
  const std::optional<End> end = parse(text);
  if (!end || end->info.size != static_cast<std::uint64_t>(end_at)) return not_a_backup(path);
  auto seal = sealer.begin_backup_seal(end->key_id);
  if (!seal) {
    return Error(Status::wrong_key,
                 fmt::format("'{}' is sealed with a key that the keyring does not hold, or that is retired; give the "
                             "keyring of its store",
                             path));
  }
  if (Result<void> added = add_database(file, path, end->info.size, *seal, take, progress); !added.ok()) {
    return added.error();
  }
  seal->add(std::string_view(text).substr(0, text.size() - 2 * sizeof(Bytes32) - 1));
  const std::string expected = hexadecimal(seal->finish()) + "\n";
  const std::string_view found = std::string_view(text).substr(text.size() - expected.size());
  const auto octets_of = [](std::string_view view) {
    return std::span(reinterpret_cast<const std::uint8_t*>(view.data()), view.size());
  };
  if (!base::equal_constant_time(octets_of(expected), octets_of(found))) {
    return Error(Status::tampered,
                 fmt::format("the seal of '{}' does not verify: it was altered since it was made, or is the backup of "
                             "another store; use another backup, or give the keyring of its store",
                             path));
  }
  return end->info;
}

}  // namespace tokenstore::transfer
