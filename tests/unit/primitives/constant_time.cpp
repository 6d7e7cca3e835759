// Run under valgrind's memcheck with secrets and keys marked undefined: memcheck then reports every
// branch and every address that depends on them.
//
//     constant_time check        reports nothing
//     constant_time <control>    a careless way to do it, which must be reported
#include <valgrind/memcheck.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

#include "base/base62.hpp"
#include "base/crc32.hpp"
#include "base/wipe.hpp"
#include "seal/sealer.hpp"
#include "text/token_text.hpp"

namespace {

using namespace tokenstore;

constexpr std::string_view prefix = "pat";
constexpr std::string_view id = "0KMwCWK70rqyqvwn";
constexpr std::string_view secret = "Hq3vT8nLzP0eYw5JkD1uGfXc7RbS9aMoE2iN4tVdB6x";

void hide(const void* data, std::size_t size) {
  (void)VALGRIND_MAKE_MEM_UNDEFINED(data, size);
}
void unhide(const void* data, std::size_t size) {
  (void)VALGRIND_MAKE_MEM_DEFINED(data, size);
}

std::unique_ptr<seal::Sealer> hidden_key_sealer() {
  std::array<std::uint8_t, master_key_size> master;
  for (std::size_t i = 0; i < master.size(); ++i) master[i] = static_cast<std::uint8_t>(i);
  hide(master.data(), master.size());
  return std::move(seal::Sealer::create(std::move(Keyring::from_bytes(master)).value())).value();
}

/// A token whose public part is defined and whose secret, tag and check are not.
std::string hidden_token(const seal::Sealer& sealer) {
  std::string tagged = text::compose_tagged(prefix, "0A", id, secret);
  hide(tagged.data() + tagged.size() - secret.size(), secret.size());
  const auto tag = sealer.make_tag(tagged);
  const SecretText text = text::compose(std::move(tagged), std::string_view(tag.data(), tag.size()));
  return std::string(text.reveal());
}

/// The same with one character made another, and the check right again.
std::string changed(std::string text, std::size_t at) {
  unhide(text.data(), text.size());
  text[at] = text[at] == 'A' ? 'B' : 'A';
  std::array<char, text::check_size> check;
  base::base62_encode(base::crc32(std::string_view(text).substr(0, text.size() - check.size())), check);
  text.replace(text.size() - check.size(), check.size(), check.data(), check.size());
  hide(text.data() + prefix.size() + 21, text.size() - prefix.size() - 21);
  return text;
}

bool check() {
  const auto sealer = hidden_key_sealer();
  const std::string good = hidden_token(*sealer);
  const std::size_t tag_at = good.size() - text::check_size - text::tag_size;

  const auto parsed = text::parse(good, prefix);
  if (!parsed || !sealer->tag_matches(*parsed)) return false;
  const Bytes32 verifier = sealer->make_verifier("default", parsed->handle, parsed->secret);
  if (!sealer->verifier_matches("default", *parsed, verifier)) return false;

  const std::string wrong_tag = changed(good, tag_at);
  const auto with_wrong_tag = text::parse(wrong_tag, prefix);
  if (!with_wrong_tag || sealer->tag_matches(*with_wrong_tag)) return false;

  const std::string wrong_secret = changed(good, prefix.size() + 21);
  const auto with_wrong_secret = text::parse(wrong_secret, prefix);
  if (!with_wrong_secret || sealer->verifier_matches("default", *with_wrong_secret, verifier)) return false;

  std::string no_digit = changed(good, tag_at - 1);
  no_digit[tag_at - 1] = '-';
  if (text::parse(no_digit, prefix)) return false;

  TokenRecord record;
  record.id = id;
  record.verifier = verifier;
  sealer->seal(seal::Place{}, record);
  if (sealer->verify(seal::Place{}, record) != seal::SealCheck::genuine) return false;

  Bytes32 other = verifier;
  if (!base::equal_constant_time(verifier, other)) return false;
  other[0] ^= 1;
  return !base::equal_constant_time(verifier, other);
}

/// The careless ways. Each gives an answer that the flow of control or an address depends on.
int control(std::string_view name) {
  const auto sealer = hidden_key_sealer();
  const std::string text = hidden_token(*sealer);
  const auto parsed = text::parse(text, prefix);
  if (!parsed) return 2;
  if (name == "memcmp") return std::memcmp(parsed->secret.data(), secret.data(), secret.size()) == 0 ? 0 : 1;
  if (name == "branch") return parsed->secret.find('z') == std::string_view::npos ? 0 : 1;
  if (name == "table") {
    static volatile unsigned char table[256] = {};
    unsigned sum = 0;
    for (const char character : parsed->secret) sum += table[static_cast<unsigned char>(character)];
    return sum == 0 ? 0 : 1;
  }
  return 2;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 2;
  if (RUNNING_ON_VALGRIND == 0) {
    std::fputs("constant_time: this shows nothing unless it runs under valgrind\n", stderr);
    return 3;
  }
  const std::string_view name = arguments[1];
  if (name == "check") return check() ? 0 : 1;
  return control(name);
}
