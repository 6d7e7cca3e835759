#include "tokenstore/key_source.hpp"

#include <sys/stat.h>

#include <atomic>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <new>
#include <utility>

#include "seal/key_file_replacing.hpp"

namespace tokenstore {
namespace {

std::uint64_t nanoseconds(const timespec& time) noexcept {
  constexpr std::uint64_t in_a_second = 1'000'000'000;
  return static_cast<std::uint64_t>(time.tv_sec) * in_a_second + static_cast<std::uint64_t>(time.tv_nsec);
}

class KeyFileSource final : public KeySource {
 public:
  KeyFileSource(std::string path, KeyFileTrust trust) : path_(std::move(path)), trust_(std::move(trust)) {}

  Result<Keyring> keyring() override { return Keyring::from_file(path_, trust_); }

  std::optional<Mark> mark() noexcept override {
    struct stat facts {};
    // A file that is gone, or that cannot be looked at, differs from one that was there, and says why when it is read.
    if (::stat(path_.c_str(), &facts) != 0) return Mark{};
    Mark mark{facts.st_dev,
              facts.st_ino,
              static_cast<std::uint64_t>(facts.st_size),
              nanoseconds(facts.st_mtim),
              nanoseconds(facts.st_ctim),
              std::uint64_t{facts.st_mode} << 32 | facts.st_uid,
              0};
    // Times advance in steps: what was changed just now may be changed once more without any of this telling.
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    if (nanoseconds(now) < mark[4] + step) mark[6] = looks_.fetch_add(1, std::memory_order_relaxed) + 1;
    return mark;
  }

  Result<void> replace(const std::function<Result<void>(Keyring&)>& change) override {
    return key_file::replace(path_, trust_, change);
  }

 private:
  /// Longer than any step of a clock that files get their times from (10 ms).
  static constexpr std::uint64_t step = 100'000'000;

  const std::string path_;
  const KeyFileTrust trust_;
  std::atomic<std::uint64_t> looks_{0};
};

/// It is read as a file and put there by systemd: nobody else changes it.
class CredentialSource final : public KeySource {
 public:
  explicit CredentialSource(std::string name) : name_(std::move(name)) {}
  Result<Keyring> keyring() override { return Keyring::from_credential(name_); }

 private:
  const std::string name_;
};

class CallbackSource final : public KeySource {
 public:
  CallbackSource(std::function<Result<Keyring>()> ask, std::chrono::milliseconds pause)
      : ask_(std::move(ask)), pause_(pause) {}

  Result<Keyring> keyring() override {
    try {
      return ask_();
    } catch (const std::bad_alloc&) {
      throw;
    } catch (...) {
      return Error(Status::unavailable, "the host's function that gives the keys has thrown an exception: see its log");
    }
  }
  std::chrono::milliseconds pause() const noexcept override { return pause_; }

 private:
  const std::function<Result<Keyring>()> ask_;
  const std::chrono::milliseconds pause_;
};

}  // namespace

Result<void> KeySource::replace(const std::function<Result<void>(Keyring&)>&) {
  return Error(Status::unsupported,
               "the keys of this store are in no key file; change them where they come from, then have them reloaded");
}

std::shared_ptr<KeySource> key_file_source(std::string path, KeyFileTrust trust) {
  return std::make_shared<KeyFileSource>(std::move(path), std::move(trust));
}

Result<std::shared_ptr<KeySource>> key_credential_source(std::string_view name) {
  return std::shared_ptr<KeySource>(std::make_shared<CredentialSource>(std::string(name)));
}

std::shared_ptr<KeySource> key_callback_source(std::function<Result<Keyring>()> ask, std::chrono::milliseconds pause) {
  return std::make_shared<CallbackSource>(std::move(ask), pause);
}

}  // namespace tokenstore
