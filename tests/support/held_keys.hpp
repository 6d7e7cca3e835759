/// Keys that a test holds in its hand and changes when it likes, as a source for stores.
#pragma once

#include <mutex>

#include "tokenstore/key_source.hpp"

namespace tokenstore::test {

class HeldKeys final : public KeySource {
 public:
  /// `marked`: it can tell that something is new, as a key file can; else it has to be asked, as a host's function.
  HeldKeys(const Keyring& keys, bool marked, std::chrono::milliseconds pause = std::chrono::milliseconds{1000})
      : text_(keys.reveal_text()), marked_(marked), pause_(pause) {}

  Result<Keyring> keyring() override {
    if (before_answer) before_answer();
    const std::lock_guard lock(mutex_);
    ++asked_;
    if (failure_) return *failure_;
    return Keyring::from_text(text_.reveal());
  }
  std::optional<Mark> mark() noexcept override {
    const std::lock_guard lock(mutex_);
    ++marks_;
    if (!marked_) return std::nullopt;
    return Mark{changes_};
  }
  std::chrono::milliseconds pause() const noexcept override { return pause_; }
  Result<void> replace(const std::function<Result<void>(Keyring&)>& change) override {
    auto keys = keyring();
    if (!keys.ok()) return keys.error();
    if (auto changed = change(*keys); !changed.ok()) return changed;
    set(*keys);
    return {};
  }

  void set(const Keyring& keys) {
    const std::lock_guard lock(mutex_);
    text_ = keys.reveal_text();
    failure_.reset();
    ++changes_;
  }
  void fail(Error error) {
    const std::lock_guard lock(mutex_);
    failure_ = std::move(error);
    ++changes_;
  }
  int asked() const {
    const std::lock_guard lock(mutex_);
    return asked_;
  }
  int marks() const {
    const std::lock_guard lock(mutex_);
    return marks_;
  }

  /// Called first whenever the keys are asked for. May wait.
  std::function<void()> before_answer{};

 private:
  mutable std::mutex mutex_;
  SecretText text_;
  std::optional<Error> failure_;
  std::uint64_t changes_ = 1;
  int asked_ = 0;
  int marks_ = 0;
  const bool marked_;
  const std::chrono::milliseconds pause_;
};

}  // namespace tokenstore::test
