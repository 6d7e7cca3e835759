/// A text that must not leak: the token text, or a key.
///
/// Move-only, wiped when it dies, and impossible to print, copy or compare with `==` (each of them
/// does not compile). Reading it takes a call with `reveal` in its name, which a reviewer can grep.
/// Not synchronised: one thread at a time.
#pragma once

#include <cstddef>
#include <iosfwd>
#include <memory>
#include <string_view>

namespace tokenstore {

class SecretText {
 public:
  SecretText() noexcept = default;
  /// Copies `text`; the caller still has to wipe its own copy.
  explicit SecretText(std::string_view text);
  SecretText(SecretText&& other) noexcept;
  SecretText& operator=(SecretText&& other) noexcept;
  SecretText(const SecretText&) = delete;
  SecretText& operator=(const SecretText&) = delete;
  ~SecretText();

  /// Valid until this object is moved from or destroyed.
  std::string_view reveal() const noexcept { return {data_.get(), size_}; }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

 private:
  void wipe() noexcept;

  std::unique_ptr<char[]> data_;
  std::size_t size_ = 0;
};

bool operator==(const SecretText&, const SecretText&) = delete;
bool operator==(const SecretText&, std::string_view) = delete;
std::ostream& operator<<(std::ostream&, const SecretText&) = delete;

}  // namespace tokenstore
