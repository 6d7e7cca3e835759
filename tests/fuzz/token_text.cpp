// Token texts: what is parsed can only be what was composed, and nobody but the key's holder makes a tag.
#include <string>

#include "fuzz/fuzz.hpp"
#include "seal/sealer.hpp"
#include "text/token_text.hpp"
#include "tokenstore/keyring.hpp"

using namespace tokenstore;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::unique_ptr<seal::Sealer> sealer = [] {
    std::array<std::uint8_t, master_key_size> key{};
    key.fill(9);
    return seal::Sealer::create(Keyring::from_bytes(key, "0A").value()).value();
  }();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const std::string_view prefix : {"pat", "ab", "acme_prod_token_0000_ab1"}) {
    const auto parsed = text::parse(text, prefix);
    if (!parsed) continue;
    test::promise(text.size() == prefix.size() + text::size_without_prefix, "a token has one length");
    test::promise(text.substr(0, prefix.size()) == prefix, "a token begins with its prefix");
    test::promise(text::is_id(parsed->id), "a parsed id is an id");
    const std::string again(
        text::compose(text::compose_tagged(prefix, parsed->key_id, parsed->id, parsed->secret), parsed->tag).reveal());
    test::promise(again == text, "a token has one spelling");
    test::promise(!sealer->tag_matches(*parsed), "a tag is not to be guessed");
  }
  (void)text::is_id(text);
  (void)text::id_time(text::is_id(text) ? text : "0000000000000000");
  (void)text::is_prefix(text);
  return 0;
}
