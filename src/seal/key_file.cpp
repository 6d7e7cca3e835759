// Key files: their text (docs/keys.md), and reading and writing them safely.
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include "base/base62.hpp"
#include "base/wipe.hpp"
#include "text/token_text.hpp"
#include "tokenstore/keyring.hpp"

namespace tokenstore {
namespace {

constexpr std::string_view heading = "tokenstore keyring 1";
constexpr std::size_t hex_size = 2 * master_key_size;
/// Room for some hundreds of keys with comments.
constexpr std::size_t file_size_max = 65'536;

struct UseName {
  KeyUse use;
  std::string_view name;
};
constexpr std::array<UseName, 3> use_names = {
    {{KeyUse::active, "active"}, {KeyUse::verify_only, "verify-only"}, {KeyUse::retired, "retired"}}};

std::string_view use_name(KeyUse use) noexcept {
  for (const UseName& known : use_names) {
    if (known.use == use) return known.name;
  }
  return "";
}

std::optional<KeyUse> use_named(std::string_view name) noexcept {
  for (const UseName& known : use_names) {
    if (known.name == name) return known.use;
  }
  return std::nullopt;
}

Error malformed(std::size_t line, std::string_view what) {
  return Error(Status::wrong_key, fmt::format("line {} of the keyring {}", line, what));
}

/// Lower-case hexadecimal digits to octets. No branch and no table depends on them.
bool decode_hex(std::string_view digits, std::span<std::uint8_t> octets) noexcept {
  unsigned faults = 0;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const unsigned c = static_cast<unsigned char>(digits[i]);
    const unsigned decimal = ((c - '0') | ('9' - c)) >> 31 ^ 1U;
    const unsigned letter = ((c - 'a') | ('f' - c)) >> 31 ^ 1U;
    const unsigned value = ((0U - decimal) & (c - '0')) | ((0U - letter) & (c - 'a' + 10U));
    faults |= (decimal | letter) ^ 1U;
    octets[i / 2] = static_cast<std::uint8_t>(unsigned{octets[i / 2]} << 4 | value);
  }
  return faults == 0;
}

/// A name in an error message: one line, whatever it holds.
std::string shown(std::string_view path) {
  std::string text(path);
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }, '?');
  return text;
}

Error cannot(std::string_view act, const std::string& path, int number) {
  return Error(Status::cannot_open, fmt::format("the key file {} cannot be {}: {}", shown(path), act,
                                                std::generic_category().message(number)));
}

class File {
 public:
  explicit File(int descriptor) noexcept : descriptor_(descriptor) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { close(); }

  bool open() const noexcept { return descriptor_ >= 0; }
  int descriptor() const noexcept { return descriptor_; }
  /// 0, or the error's number.
  int close() noexcept {
    if (descriptor_ < 0) return 0;
    const int result = ::close(descriptor_);
    descriptor_ = -1;
    return result == 0 ? 0 : errno;
  }

 private:
  int descriptor_;
};

/// 0, or the error's number.
int write_all(int descriptor, std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

/// 0, or the error's number.
int sync_directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  File file(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!file.open()) return errno;
  return ::fsync(file.descriptor()) == 0 ? 0 : errno;
}

/// Puts the text into a new file and makes it durable. 0, or the error's number.
int fill_new_file(File& file, std::string_view text) noexcept {
  // The umask may have taken away the owner's own permission.
  if (::fchmod(file.descriptor(), S_IRUSR | S_IWUSR) != 0) return errno;
  if (const int failed = write_all(file.descriptor(), text); failed != 0) return failed;
  if (::fsync(file.descriptor()) != 0) return errno;
  return file.close();
}

/// Why a file is not safe to take keys from; empty if it is.
std::string_view unsafe(const struct stat& facts) noexcept {
  if (!S_ISREG(facts.st_mode)) return "is not a regular file; give the file itself";
  if (facts.st_uid != ::geteuid() && facts.st_uid != 0) {
    return "belongs to another user; make it the user's that runs this program";
  }
  if ((facts.st_mode & (S_IRWXG | S_IRWXO)) != 0) return "is open to group or others; set its mode to 0600";
  return {};
}

/// One line of a keyring that describes a key.
Result<void> add_line(Keyring& keyring, std::string_view line, std::size_t number) {
  const std::size_t first = line.find(' ');
  const std::size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  if (second == std::string_view::npos) {
    return malformed(number, "is not \"<key id> <use> <64 hexadecimal digits>\"; correct it");
  }
  const std::string_view id = line.substr(0, first);
  const std::string_view digits = line.substr(second + 1);
  if (id.size() != text::key_id_size || !base::is_base62(id)) {
    return malformed(number, "has a malformed key id; give two of the characters 0-9 A-Z a-z");
  }
  const std::optional<KeyUse> use = use_named(line.substr(first + 1, second - first - 1));
  if (!use) return malformed(number, "has an unknown use; give active, verify-only or retired");
  base::WipedBytes<master_key_size> master;
  if (digits.size() != hex_size || !decode_hex(digits, master.span())) {
    return malformed(number, "does not end in 64 lower-case hexadecimal digits; restore it from a backup");
  }
  Result<void> added = keyring.add(id, *use, master.span());
  if (!added) return malformed(number, fmt::format("cannot be taken: {}", added.error().message()));
  return {};
}

}  // namespace

Result<Keyring> Keyring::from_text(std::string_view text) {
  Keyring keyring;
  for (std::size_t number = 1; !text.empty() || number == 1; ++number) {
    const std::size_t end = text.find('\n');
    if (number == 1 && text.substr(0, end) != heading) {
      return malformed(number, fmt::format("is not \"{}\"; give a keyring file", heading));
    }
    if (end == std::string_view::npos) {
      return malformed(number, "has no end; the text was cut off, restore it from a backup");
    }
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (number == 1 || line.starts_with('#')) continue;
    Result<void> added = add_line(keyring, line, number);
    if (!added) return added.error();
  }
  if (keyring.keys().empty()) return Error(Status::wrong_key, "the keyring holds no key; restore it from a backup");
  return keyring;
}

SecretText Keyring::reveal_text() const {
  constexpr std::string_view hex = "0123456789abcdef";
  std::string text;
  // Growing would leave copies of the keys behind. 24: id, longest use, separators.
  text.reserve(heading.size() + 1 + keys_.size() * (hex_size + 24));
  text += heading;
  text += '\n';
  for (const Key& key : keys_) {
    text += key.id;
    text += ' ';
    text += use_name(key.use);
    text += ' ';
    for (const char character : key.master.reveal()) {
      const auto octet = static_cast<unsigned char>(character);
      text += hex[octet >> 4];
      text += hex[octet & 15];
    }
    text += '\n';
  }
  SecretText revealed(text);
  base::wipe(text);
  return revealed;
}

Result<Keyring> Keyring::from_file(const std::string& path) {
  // O_NONBLOCK: opening a named pipe must not wait for a writer.
  File file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file.open()) {
    const int number = errno;
    if (number == ENOENT) {
      return Error(Status::wrong_key, fmt::format("the key file {} is missing; restore it from a backup", shown(path)));
    }
    if (number == ELOOP) {
      return Error(Status::cannot_open,
                   fmt::format("the key file {} is a symbolic link; give the file itself", shown(path)));
    }
    return cannot("opened", path, number);
  }
  struct stat facts {};
  if (::fstat(file.descriptor(), &facts) != 0) return cannot("examined", path, errno);
  if (const std::string_view why = unsafe(facts); !why.empty()) {
    return Error(Status::cannot_open, fmt::format("the key file {} {}", shown(path), why));
  }

  std::string text(file_size_max + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::read(file.descriptor(), text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      const int number = errno;
      base::wipe(text);
      return cannot("read", path, number);
    }
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  Result<Keyring> keyring =
      size > file_size_max
          ? Result<Keyring>(Error(Status::wrong_key, fmt::format("it is longer than {} octets", file_size_max)))
          : from_text(std::string_view(text).substr(0, size));
  base::wipe(text);
  if (!keyring) {
    return Error(keyring.error().status(),
                 fmt::format("the key file {} is malformed: {}", shown(path), keyring.error().message()));
  }
  return keyring;
}

Result<void> Keyring::write_new_file(const std::string& path) const {
  // Written aside, then linked in place: a crash leaves the whole file or none, and link() never
  // replaces what is there.
  const SecretText text = reveal_text();
  std::array<std::uint8_t, 8> drawn;
  system_random()->fill(drawn);
  std::string aside = path + ".new-";
  for (const std::uint8_t octet : drawn) aside += fmt::format("{:02x}", octet);

  File file(::open(aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (!file.open()) return cannot("created", path, errno);
  int failed = fill_new_file(file, text.reveal());
  if (failed == 0 && ::link(aside.c_str(), path.c_str()) != 0) failed = errno;
  ::unlink(aside.c_str());
  if (failed == EEXIST) {
    return Error(Status::cannot_open,
                 fmt::format("the key file {} exists already; move it away or give another name", shown(path)));
  }
  if (failed != 0) return cannot("written", path, failed);
  failed = sync_directory_of(path);
  if (failed != 0) {
    ::unlink(path.c_str());
    return cannot("made durable", path, failed);
  }
  return {};
}

}  // namespace tokenstore
