/// Where an open store has its keys from, and how it learns that they have changed.
///
/// A store asks its source when it is opened, and again when it notices something: a changed file, a key id that it
/// does not know, another process that has caught its eye in storage, or reload_keys(). Thread-safe; may be shared by
/// several stores. Keys are handed over and not kept.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "tokenstore/keyring.hpp"

namespace tokenstore {

class KeySource {
 public:
  /// What differs whenever the keys do.
  using Mark = std::array<std::uint64_t, 7>;

  virtual ~KeySource() = default;
  KeySource(const KeySource&) = delete;
  KeySource& operator=(const KeySource&) = delete;

  /// The keys of now.
  virtual Result<Keyring> keyring() = 0;
  /// At the cost of one system call. Empty: it cannot be told but by asking for the keys, which is then done once in
  /// `pause` at most, unless the host itself says that they have changed.
  virtual std::optional<Mark> mark() noexcept { return std::nullopt; }
  virtual std::chrono::milliseconds pause() const noexcept { return std::chrono::milliseconds{1000}; }
  /// Replaces the keys by what `change` makes of them, durable on return; one change at a time. `unsupported` unless
  /// it is a key file.
  virtual Result<void> replace(const std::function<Result<void>(Keyring&)>& change);

 protected:
  KeySource() = default;
};

/// A key file (docs/keys.md). Its directory must be writable for whoever changes the keys, not for whoever uses them.
std::shared_ptr<KeySource> key_file_source(std::string path, KeyFileTrust trust = {});
/// The credential of systemd's of this name.
Result<std::shared_ptr<KeySource>> key_credential_source(std::string_view name);
/// A function of the host's: a key management service, say. It is called from any thread that uses the store, by one
/// at a time, and whoever waits for the keys waits for it. What it throws is a failure to give the keys.
std::shared_ptr<KeySource> key_callback_source(std::function<Result<Keyring>()> ask,
                                               std::chrono::milliseconds pause = std::chrono::milliseconds{1000});

}  // namespace tokenstore
