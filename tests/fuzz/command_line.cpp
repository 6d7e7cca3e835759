// Command lines of `tokenstore`, several after each other on one small database: they end with a documented status, a
// failure has words, and no token but a new one is ever shown, and that on standard output alone.
//
// Each line of the input is an argument, an empty one ends a command. An octet 0x80..0xBF that belongs to no character
// stands for a word of the command's own, so that changed octets are words more often than noise. LIVE is a token's
// id, TEXT its text. Whatever could lead out of the directory, or to a server, is not run.
//
// A sanitizer reports to standard error, which is captured here: libFuzzer needs ASAN_OPTIONS=log_path=FILE.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include "cli/command_line.hpp"
#include "cli/run.hpp"
#include "fuzz/fuzz.hpp"
#include "support/canary.hpp"
#include "support/temp_directory.hpp"

using namespace tokenstore;
using tokenstore::test::promise;

namespace {

using Arguments = std::vector<std::string>;

constexpr std::array<const char*, 64> words{
    "issue",       "list",        "show",          "validate",       "expire",        "revoke",
    "delete",      "purge",       "owner",         "suspend",        "resume",        "allow",
    "revoke-all",  "policy",      "set",           "init",           "keygen",        "check",
    "stats",       "copy",        "completion",    "pattern",        "--all",         "--as",
    "--at",        "--before",    "--count",       "--cursor",       "--db",          "--default",
    "--json",      "--from",      "--to",          "--key-file",     "--lifetime",    "--limit",
    "--longest",   "--metadata",  "--not-before",  "--owner",        "--prefix",      "--quiet",
    "--read-only", "--reason",    "--scope",       "--state",        "--text",        "--tokens-enabled",
    "--yes",       "--workspace", "--description", "--delete-extra", "--most-active", "--help",
    "LIVE",        "TEXT",        "alice",         "user:alice",     "store.db",      "store.db.key",
    "90d",         "never",       "2030-01-01",    "--never-allowed"};

/// A file in memory that stands in for a standard descriptor.
class Captured {
 public:
  explicit Captured(int descriptor)
      : descriptor_(descriptor), kept_(::dup(descriptor)), file_(::memfd_create("captured", MFD_CLOEXEC)) {
    promise(kept_ >= 0 && file_ >= 0, "there are descriptors");
  }
  ~Captured() {
    ::close(kept_);
    ::close(file_);
  }
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;

  void begin(std::string_view content) {
    promise(::ftruncate(file_, 0) == 0 && ::lseek(file_, 0, SEEK_SET) == 0, "the file is emptied");
    promise(::write(file_, content.data(), content.size()) == static_cast<ssize_t>(content.size()), "and written");
    ::lseek(file_, 0, SEEK_SET);
    ::dup2(file_, descriptor_);
  }
  std::string end() {
    ::dup2(kept_, descriptor_);
    std::string content(static_cast<std::size_t>(::lseek(file_, 0, SEEK_END)), '\0');
    const ssize_t got = ::pread(file_, content.data(), content.size(), 0);
    promise(got == static_cast<ssize_t>(content.size()), "what was captured can be read");
    return content;
  }

 private:
  int descriptor_;
  int kept_;
  int file_;
};

struct Ended {
  int status = 0;
  std::string out;
  std::string err;
};

class Scene {
 public:
  Scene() : in_(STDIN_FILENO), out_(STDOUT_FILENO), err_(STDERR_FILENO) {
    ::unsetenv("TOKENSTORE_DB");          // NOLINT(concurrency-mt-unsafe): there is one thread
    (void)std::signal(SIGPIPE, SIG_IGN);  // as the command's main() does
    std::filesystem::create_directory(directory_.file("kept"));
    std::filesystem::create_directory(directory_.file("run"));
    std::filesystem::current_path(directory_.file("kept"));
    promise(run({"--db", "store.db", "init"}).status == 0, "a database can be made");
    const Ended issued = run({"--db", "store.db", "issue", "alice", "-s", "read", "--quiet"});
    promise(issued.status == 0 && issued.out.size() > 80, "a token can be issued");
    text_ = issued.out.substr(0, issued.out.size() - 1);
    id_ = text_.substr(text_.find('_') + 4, 16);
  }

  /// The directory as it was at first.
  void restore() const {
    namespace fs = std::filesystem;
    const fs::path run_in = directory_.path() / "run";
    fs::current_path(directory_.path());
    fs::remove_all(run_in);
    fs::copy(directory_.path() / "kept", run_in, fs::copy_options::recursive);
    fs::current_path(run_in);
  }
  void check_surroundings() const {
    namespace fs = std::filesystem;
    const auto entries = std::distance(fs::directory_iterator(directory_.path()), fs::directory_iterator());
    promise(entries == 2, "nothing is written beside the directory");
  }

  const std::string& text() const { return text_; }
  const std::string& id() const { return id_; }

  /// With the token on standard input, for validate.
  Ended run(Arguments arguments) {
    arguments.insert(arguments.begin(), "tokenstore");
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    const int count = static_cast<int>(pointers.size());
    pointers.push_back(nullptr);
    Ended ended;
    in_.begin(text_);
    out_.begin({});
    err_.begin({});
    ended.status = static_cast<int>(cli::run_command(count, pointers.data()));
    (void)in_.end();
    ended.out = out_.end();
    ended.err = err_.end();
    return ended;
  }

 private:
  test::TempDirectory directory_;
  Captured in_;
  Captured out_;
  Captured err_;
  std::string text_;
  std::string id_;
};

void replace_all(std::string& text, std::string_view what, const std::string& by) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
}

/// The input with its words written out.
std::string written_out(std::string_view input) {
  std::string text;
  int continues = 0;  // octets 0x80..0xBF that a character still needs
  for (const char c : input) {
    const auto octet = static_cast<unsigned char>(c);
    if (octet >= 0x80 && octet < 0xC0 && continues == 0) {
      if (!text.empty() && text.back() != '\n') text += '\n';
      text.append(words[octet - 0x80U]).append("\n");
      continue;
    }
    continues = octet >= 0xF0 ? 3 : octet >= 0xE0 ? 2 : octet >= 0xC0 ? 1 : std::max(continues - 1, 0);
    if (octet != 0) text += c;  // no argument holds one
  }
  return text;
}

std::vector<Arguments> commands_of(const std::string& text) {
  std::vector<Arguments> commands(1);
  std::size_t from = 0;
  while (from < text.size()) {
    const std::size_t end = std::min(text.find('\n', from), text.size());
    if (end == from) {
      commands.emplace_back();
    } else {
      commands.back().push_back(text.substr(from, end - from));
    }
    from = end + 1;
  }
  return commands;
}

/// Whether a command could reach beyond the directory.
bool leads_out(const Arguments& arguments) {
  return std::any_of(arguments.begin(), arguments.end(), [](std::string argument) {
    std::transform(argument.begin(), argument.end(), argument.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return argument.find('/') != std::string::npos || argument.find("postgres") != std::string::npos;
  });
}

void judge(const Ended& ended, const Scene& scene, bool reads_files) {
  constexpr std::array<int, 13> documented{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 141, 70};
  promise(std::find(documented.begin(), documented.end() - 1, ended.status) != documented.end() - 1,
          "the status is a documented one, and no defect");
  constexpr std::array<int, 7> failures{2, 3, 4, 5, 6, 8, 10};
  const bool failed = std::find(failures.begin(), failures.end(), ended.status) != failures.end();
  promise(!failed || !ended.err.empty(), "a failure has words");
  promise(!cli::looks_like_token(ended.err), "no token is on standard error");
  const std::string_view secret = test::secret_of(scene.text());
  promise(!test::leaks(ended.err, secret) && !test::leaks(ended.out, secret), "a token is shown once");
  if (reads_files) return;  // metadata may be any file, even a key, and is shown as what it is
  const std::string key = test::file_content("../kept/store.db.key");
  promise(key.size() > 64 && !test::leaks(ended.err, std::string_view(key).substr(key.size() - 65, 64)),
          "no key is on standard error");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Scene scene;
  std::string text = written_out({reinterpret_cast<const char*>(data), size});
  replace_all(text, "LIVE", scene.id());
  replace_all(text, "TEXT", scene.text());
  const std::vector<Arguments> commands = commands_of(text);
  scene.restore();
  constexpr std::size_t most = 6;
  for (std::size_t i = 0; i < std::min(commands.size(), most); ++i) {
    Arguments arguments = commands[i];
    if (leads_out(arguments)) continue;
    const bool named = std::any_of(arguments.begin(), arguments.end(), [](const std::string& a) {
      return a.starts_with("--db") || a.starts_with("--from");
    });
    if (!named) arguments.insert(arguments.begin(), {"--db", "store.db"});
    judge(scene.run(arguments), scene, text.find("metadata-f") != std::string::npos);
  }
  scene.check_surroundings();
  return 0;
}
