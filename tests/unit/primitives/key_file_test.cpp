#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <string>

#include "support/canary.hpp"
#include "support/seeded_random.hpp"
#include "support/temp_directory.hpp"
#include "tokenstore/keyring.hpp"

namespace tokenstore {
namespace {

const std::string hex_a = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const std::string hex_b = "f0e1d2c3b4a5968778695a4b3c2d1e0ff0e1d2c3b4a5968778695a4b3c2d1e0f";
const std::string heading = "tokenstore keyring 1\n";
const std::string good = heading + "# made by hand\n0B active " + hex_b + "\n#\n0A verify-only " + hex_a + "\n";

void write_file(const std::string& path, const std::string& content, mode_t mode = 0600) {
  std::ofstream(path, std::ios::binary) << content;
  REQUIRE(chmod(path.c_str(), mode) == 0);
}

void require_safe_message(const Error& error) {
  const std::string& message = error.message();
  INFO(message);
  CHECK_FALSE(message.empty());
  CHECK(message.find('\n') == std::string::npos);
  CHECK(message.find('\x7F') == std::string::npos);
  CHECK_FALSE(test::leaks(message, hex_a));
  CHECK_FALSE(test::leaks(message, hex_b));
}

TEST_CASE("a keyring's text gives its keys and can be written again") {
  const Result<Keyring> keyring = Keyring::from_text(good);
  REQUIRE(keyring.ok());
  REQUIRE(keyring->keys().size() == 2);
  REQUIRE(keyring->keys()[0].id == "0B");
  REQUIRE(keyring->keys()[0].use == KeyUse::active);
  REQUIRE(keyring->keys()[1].use == KeyUse::verify_only);
  std::string counting;
  for (int i = 0; i < 32; ++i) counting += static_cast<char>(i);
  REQUIRE(std::string(keyring->keys()[1].master.reveal()) == counting);
  REQUIRE(std::string(keyring->reveal_text().reveal()) ==
          heading + "0B active " + hex_b + "\n0A verify-only " + hex_a + "\n");
  REQUIRE(Keyring::from_text(heading + "zZ retired " + hex_a + "\n")->keys()[0].use == KeyUse::retired);
}

TEST_CASE("a keyring's text with anything wrong is refused, with the line and without the key") {
  struct Bad {
    std::string text;
    std::string line;  ///< empty: no line is at fault
  };
  std::string upper = hex_b;
  for (char& digit : upper) digit = static_cast<char>(std::toupper(digit));
  const Bad bad[] = {
      {"", "line 1 "},
      {"\n", "line 1 "},
      {heading.substr(0, heading.size() - 1), "line 1 "},
      {"tokenstore keyring 2\n0A active " + hex_a + "\n", "line 1 "},
      {"Tokenstore keyring 1\n0A active " + hex_a + "\n", "line 1 "},
      {"\xEF\xBB\xBF" + good, "line 1 "},
      {"0A active " + hex_a + "\n", "line 1 "},
      {heading, ""},
      {heading + "# nothing but this\n", ""},
      {heading + "0A active " + hex_a, "line 2 "},
      {heading + "0A active " + hex_a.substr(1) + "\n", "line 2 "},
      {heading + "0A active " + hex_a + "0\n", "line 2 "},
      {heading + "0A active " + hex_a + "\r\n", "line 2 "},
      {heading + "0A active " + hex_a + " \n", "line 2 "},
      {heading + "0A active  " + hex_a + "\n", "line 2 "},
      {heading + " 0A active " + hex_a + "\n", "line 2 "},
      {heading + "0A\tactive\t" + hex_a + "\n", "line 2 "},
      {heading + "0A active\n", "line 2 "},
      {heading + "0A\n", "line 2 "},
      {heading + "\n0A active " + hex_a + "\n", "line 2 "},
      {heading + "#\n0A active " + upper + "\n", "line 3 "},
      {heading + "0A active g" + hex_a.substr(1) + "\n", "line 2 "},
      {heading + "0A active " + hex_a.substr(0, 63) + "`\n", "line 2 "},
      {heading + "0A active " + hex_a.substr(0, 63) + ":\n", "line 2 "},
      {heading + "0A active " + hex_a.substr(0, 63) + std::string(1, '\0') + "\n", "line 2 "},
      {heading + "0A Active " + hex_a + "\n", "line 2 "},
      {heading + "0A unused " + hex_a + "\n", "line 2 "},
      {heading + "0 active " + hex_a + "\n", "line 2 "},
      {heading + "0AA active " + hex_a + "\n", "line 2 "},
      {heading + "0_ active " + hex_a + "\n", "line 2 "},
      {heading + "0A active " + hex_a + "\n0A verify-only " + hex_b + "\n", "line 3 "},
      {heading + "0A active " + hex_a + "\n0B active " + hex_b + "\n", "line 3 "},
      {good + hex_a, "line 6 "},
      {hex_a + "\n", "line 1 "},
  };
  for (const Bad& one : bad) {
    const Result<Keyring> keyring = Keyring::from_text(one.text);
    INFO(one.text);
    REQUIRE(keyring.status() == Status::wrong_key);
    CHECK(keyring.error().message().find(one.line) != std::string::npos);
    require_safe_message(keyring.error());
  }
}

TEST_CASE("what is wrong with a key's line is said") {
  const std::pair<std::string, const char*> lines[] = {
      {"0A", "is not \"<key id> <use> <64 hexadecimal digits>\""},
      {"0A active", "is not \"<key id> <use> <64 hexadecimal digits>\""},
      {"0 active " + hex_a, "malformed key id"},
      {"0AA active " + hex_a, "malformed key id"},
      {"0_ active " + hex_a, "malformed key id"},
      {"0A  " + hex_a, "unknown use"},
      {"0A unused " + hex_a, "unknown use"},
      {"0A active " + hex_a.substr(1), "64 lower-case hexadecimal digits"},
  };
  for (const auto& [line, words] : lines) {
    INFO(line);
    const Result<Keyring> keyring = Keyring::from_text(heading + line + "\n");
    REQUIRE(keyring.status() == Status::wrong_key);
    CHECK(keyring.error().message().find(words) != std::string::npos);
  }
}

TEST_CASE("a keyring's text cut off anywhere is refused or lacks only whole lines") {
  const std::size_t whole_first = good.find(hex_b) + hex_b.size() + 1;
  for (std::size_t size = 0; size < good.size(); ++size) {
    const Result<Keyring> keyring = Keyring::from_text(good.substr(0, size));
    if (!keyring.ok()) continue;
    REQUIRE(size >= whole_first);
    REQUIRE(good[size - 1] == '\n');
  }
}

TEST_CASE("a key that breaks a rule is not added") {
  Keyring keyring;
  const std::string octets(33, 'k');
  const auto key = [&](std::size_t size) {
    return std::span(reinterpret_cast<const std::uint8_t*>(octets.data()), size);
  };
  REQUIRE(keyring.add("0A", KeyUse::active, key(32)).ok());
  for (const std::size_t size : {std::size_t{0}, std::size_t{31}, std::size_t{33}}) {
    REQUIRE(keyring.add("0B", KeyUse::retired, key(size)).status() == Status::invalid_argument);
  }
  for (const char* id : {"", "0", "0A0", "0-", "\xC3\xA4"}) {
    REQUIRE(keyring.add(id, KeyUse::retired, key(32)).status() == Status::invalid_argument);
  }
  REQUIRE(keyring.add("0A", KeyUse::retired, key(32)).status() == Status::invalid_argument);
  REQUIRE(keyring.add("0B", KeyUse::active, key(32)).status() == Status::invalid_argument);
  REQUIRE(keyring.add("0B", static_cast<KeyUse>(9), key(32)).status() == Status::invalid_argument);
  REQUIRE(keyring.keys().size() == 1);
  REQUIRE(keyring.add("0a", KeyUse::retired, key(32)).ok());
  REQUIRE(Keyring::from_bytes(key(31)).status() == Status::invalid_argument);
}

TEST_CASE("a generated keyring differs from the next and has one active key") {
  const auto random = system_random();
  const Keyring one = std::move(Keyring::generate(*random)).value();
  const Keyring two = std::move(Keyring::generate(*random)).value();
  REQUIRE(one.keys().size() == 1);
  REQUIRE(one.keys()[0].id == "0A");
  REQUIRE(one.keys()[0].use == KeyUse::active);
  REQUIRE(std::string(one.keys()[0].master.reveal()) != std::string(two.keys()[0].master.reveal()));
}

TEST_CASE("a new key file is 0600 whatever the umask, reads back, and is never overwritten") {
  test::TempDirectory directory;
  const std::string path = directory.file("store.key");
  const Keyring keyring = std::move(Keyring::from_text(good)).value();
  for (const mode_t mask : {mode_t{0}, mode_t{0777}}) {
    std::filesystem::remove(path);
    const mode_t before = umask(mask);
    const Result<void> written = keyring.write_new_file(path);
    umask(before);
    REQUIRE(written.ok());
    struct stat facts {};
    REQUIRE(lstat(path.c_str(), &facts) == 0);
    REQUIRE((facts.st_mode & 07777) == 0600);
    REQUIRE(facts.st_nlink == 1);
    const Result<Keyring> read = Keyring::from_file(path);
    REQUIRE(read.ok());
    REQUIRE(std::string(read->reveal_text().reveal()) == std::string(keyring.reveal_text().reveal()));
  }
  const std::string content = test::file_content(path);
  const Keyring other = std::move(Keyring::generate(*system_random())).value();
  const Result<void> again = other.write_new_file(path);
  REQUIRE(again.status() == Status::cannot_open);
  CHECK(again.error().message().find("exists already") != std::string::npos);
  require_safe_message(again.error());
  REQUIRE(test::file_content(path) == content);
  REQUIRE(std::distance(std::filesystem::directory_iterator(directory.path()), {}) == 1);
}

TEST_CASE("a key file is not written through a link, nor where there is no directory") {
  test::TempDirectory directory;
  const Keyring keyring = std::move(Keyring::generate(*system_random())).value();
  std::filesystem::create_symlink(directory.file("target"), directory.file("link"));
  const Result<void> through = keyring.write_new_file(directory.file("link"));
  REQUIRE(through.status() == Status::cannot_open);
  CHECK(through.error().message().find("leads nowhere; remove it") != std::string::npos);
  REQUIRE_FALSE(std::filesystem::exists(directory.file("target")));
  const Result<void> nowhere = keyring.write_new_file(directory.file("no/where\n\x7F.key"));
  REQUIRE(nowhere.status() == Status::cannot_open);
  require_safe_message(nowhere.error());
}

TEST_CASE("a key file that is missing, cut, empty or too long is the wrong key") {
  test::TempDirectory directory;
  REQUIRE(Keyring::from_file(directory.file("missing")).status() == Status::wrong_key);
  const std::string path = directory.file("bad.key");
  for (const std::string& content :
       {std::string(), good.substr(0, good.size() - 10), good + std::string(70'000, '#') + "\n", std::string(100, '\0'),
        std::string("\x7F"
                    "ELF")}) {
    write_file(path, content);
    const Result<Keyring> keyring = Keyring::from_file(path);
    REQUIRE(keyring.status() == Status::wrong_key);
    REQUIRE(keyring.error().message().find("bad.key") != std::string::npos);
    require_safe_message(keyring.error());
    if (content.empty()) CHECK(keyring.error().message().find("is empty; restore it") != std::string::npos);
  }
}

TEST_CASE("a key file is named in one line: what is a sign stays as it is, what is none becomes a question mark") {
  test::TempDirectory directory;
  const Result<Keyring> keyring = Keyring::from_file(directory.file("my \x1F\x7F\n key"));
  REQUIRE(keyring.status() == Status::wrong_key);
  CHECK(keyring.error().message().find("/my ??? key is missing") != std::string::npos);
}

TEST_CASE("a key file that others can read or change is refused") {
  test::TempDirectory directory;
  const std::string path = directory.file("open.key");
  for (const mode_t bit : {0040U, 0020U, 0010U, 0004U, 0002U, 0001U}) {
    write_file(path, good, 0600 | bit);
    const Result<Keyring> keyring = Keyring::from_file(path);
    INFO(std::oct << bit);
    REQUIRE(keyring.status() == Status::cannot_open);
    require_safe_message(keyring.error());
  }
  write_file(path, good, 0400);
  REQUIRE(Keyring::from_file(path).ok());
}

TEST_CASE("a key file that is a directory, a pipe, a device or a link to nothing is refused without waiting") {
  test::TempDirectory directory;
  write_file(directory.file("real.key"), good);
  std::filesystem::create_symlink(directory.file("nowhere"), directory.file("link.key"));
  REQUIRE(mkfifo(directory.file("pipe.key").c_str(), 0600) == 0);
  std::filesystem::create_directory(directory.file("directory.key"));
  for (const std::string& path :
       {directory.file("link.key"), directory.file("pipe.key"), directory.file("directory.key"),
        std::string("/dev/null"), std::string(), directory.file("real.key/x")}) {
    const Result<Keyring> keyring = Keyring::from_file(path);
    INFO(path);
    REQUIRE_FALSE(keyring.ok());
    if (!path.empty()) REQUIRE(keyring.status() == Status::cannot_open);
    require_safe_message(keyring.error());
  }
}

TEST_CASE("a key file of another user is refused") {
  // Only root can give a file away; anybody else finds root's own file refused for want of permission.
  test::TempDirectory directory;
  const std::string path = directory.file("foreign.key");
  write_file(path, good);
  REQUIRE(Keyring::from_file(path).ok());
  if (geteuid() == 0) {
    REQUIRE(chown(path.c_str(), 4242, static_cast<gid_t>(-1)) == 0);
    REQUIRE(Keyring::from_file(path).status() == Status::cannot_open);
  } else {
    REQUIRE(Keyring::from_file("/etc/shadow").status() == Status::cannot_open);
  }
}

TEST_CASE("bytes of any kind make no keyring and no crash") {
  test::SeededRandom random(11);
  for (int i = 0; i < 20'000; ++i) {
    std::string text = good;
    for (std::uint64_t changes = random.below(4) + 1; changes > 0; --changes) {
      const std::size_t at = random.below(text.size());
      switch (random.below(3)) {
        case 0:
          text[at] = static_cast<char>(random.next());
          break;
        case 1:
          text.erase(at, random.below(20));
          break;
        default:
          text.insert(at, text.substr(random.below(text.size()), random.below(20)));
          break;
      }
      if (text.empty()) text = "x";
    }
    const Result<Keyring> keyring = Keyring::from_text(text);
    if (keyring.ok()) {
      REQUIRE(keyring->keys().size() <= 2);
    } else {
      REQUIRE(keyring.status() == Status::wrong_key);
    }
  }
}

}  // namespace
}  // namespace tokenstore
