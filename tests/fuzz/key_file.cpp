// Key files: a text is refused, with a message that quotes nothing of it, or is a keyring that says the same again.
#include <string>

#include "fuzz/fuzz.hpp"
#include "tokenstore/keyring.hpp"

using namespace tokenstore;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Result<Keyring> keyring = Keyring::from_text(text);
  if (!keyring.ok()) {
    const std::string& message = keyring.error().message();
    test::promise(!message.empty() && message.find('\n') == std::string::npos, "an error is one line");
    for (std::size_t at = 0; at + 16 <= text.size(); ++at) {
      const bool digits = text.substr(at, 16).find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
      test::promise(!digits || message.find(text.substr(at, 16)) == std::string::npos, "no key is in a message");
    }
    return 0;
  }
  const SecretText written = keyring->reveal_text();
  const Result<Keyring> again = Keyring::from_text(written.reveal());
  test::promise(again.ok() && again->keys().size() == keyring->keys().size(), "what is written can be read");
  test::promise(std::string(again->reveal_text().reveal()) == written.reveal(), "and says the same");
  return 0;
}
