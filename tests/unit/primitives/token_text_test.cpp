#include "text/token_text.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "base/base62.hpp"
#include "base/crc32.hpp"
#include "support/seeded_random.hpp"
#include "tokenstore/model.hpp"
#include "unit/primitives/vectors.hpp"

namespace tokenstore::text {
namespace {

constexpr std::string_view alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

std::string random_digits(test::SeededRandom& random, std::size_t count) {
  std::string digits(count, '0');
  for (char& digit : digits) digit = alphabet[random.below(62)];
  return digits;
}

std::string random_token(test::SeededRandom& random, std::string_view prefix) {
  const std::string tagged = compose_tagged(prefix, random_digits(random, 2), make_id(1'795'000'000'000, random.next()),
                                            random_digits(random, 43));
  return std::string(compose(tagged, random_digits(random, 8)).reveal());
}

/// The text with a check that is made right again: what is refused then is refused for something else.
std::string with_right_check(std::string text) {
  std::array<char, check_size> check{};
  base::base62_encode(base::crc32(text), check);
  return text.append(check.data(), check.size());
}

TEST_CASE("every good text of the vectors is composed and parsed exactly") {
  const nlohmann::json vectors = test::format_vectors();
  REQUIRE(vectors.at("valid").size() >= 4);
  for (const auto& vector : vectors.at("valid")) {
    const auto field = [&](const char* name) { return vector.at(name).get<std::string>(); };
    const std::string text = field("text");
    INFO(text);
    REQUIRE(is_prefix(field("prefix")));
    const std::string id = make_id(vector.at("unix_ms"), vector.at("random47"));
    REQUIRE(id == field("id"));
    REQUIRE(id_time(id) == vector.at("unix_ms").get<UnixMillis>());
    const SecretText composed =
        compose(compose_tagged(field("prefix"), field("key_id"), id, field("secret")), field("tag"));
    REQUIRE(std::string(composed.reveal()) == text);

    const auto parsed = parse(text, field("prefix"));
    REQUIRE(parsed.has_value());
    REQUIRE(parsed->key_id == field("key_id"));
    REQUIRE(parsed->id == field("id"));
    REQUIRE(parsed->handle == "1" + field("key_id") + field("id"));
    REQUIRE(std::string(parsed->secret) == field("secret"));
    REQUIRE(parsed->tag == field("tag"));
    REQUIRE(parsed->tagged.size() == text.size() - 14);
  }
}

TEST_CASE("every malformed text of the vectors is refused, and the others are not") {
  const nlohmann::json vectors = test::format_vectors();
  const std::string prefix = vectors.at("valid")[0].at("prefix");
  REQUIRE(vectors.at("invalid_against_first_valid").size() >= 21);
  for (const auto& vector : vectors.at("invalid_against_first_valid")) {
    INFO(vector.at("why").get<std::string>());
    const bool malformed = vector.at("reason") == "malformed";
    REQUIRE(parse(vector.at("text").get<std::string>(), prefix).has_value() != malformed);
  }
}

TEST_CASE("a million random tokens come apart into what they were made of") {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr int tokens = 100'000;  // a sanitizer sees nothing new in the rest
#else
  constexpr int tokens = 1'000'000;
#endif
  test::SeededRandom random(4);
  const std::array<std::string, 3> prefixes = {"pat", "a1", "abcdefgh_ijklmnop_qrstu1"};
  for (int i = 0; i < tokens; ++i) {
    const std::string& prefix = prefixes[static_cast<std::size_t>(i) % prefixes.size()];
    const auto time = static_cast<UnixMillis>(random.next() >> 16);
    const std::string key_id = random_digits(random, 2);
    const std::string id = make_id(time, random.next() >> 17);
    const std::string secret = random_digits(random, 43);
    const std::string tag = random_digits(random, 8);
    const SecretText text = compose(compose_tagged(prefix, key_id, id, secret), tag);
    const auto parsed = parse(text.reveal(), prefix);
    const bool right = parsed && parsed->key_id == key_id && parsed->id == id && parsed->secret == secret &&
                       parsed->tag == tag && id_time(parsed->id) == time;
    if (!right) FAIL("token " << i << " of seed 4");
  }
}

TEST_CASE("every substitution, deletion and insertion of one character is refused") {
  test::SeededRandom random(5);
  const std::string token = random_token(random, "pat");
  REQUIRE(parse(token, "pat").has_value());
  int tried = 0;
  for (std::size_t at = 0; at <= token.size(); ++at) {
    for (int octet = 0; octet < 256; ++octet) {
      const auto character = static_cast<char>(octet);
      const std::string inserted = token.substr(0, at) + character + token.substr(at);
      if (parse(inserted, "pat").has_value()) FAIL("inserted " << octet << " at " << at);
      ++tried;
      if (at == token.size() || token[at] == character) continue;
      std::string substituted = token;
      substituted[at] = character;
      if (parse(substituted, "pat").has_value()) FAIL("substituted " << octet << " at " << at);
      ++tried;
    }
    if (at < token.size()) {
      const std::string deleted = token.substr(0, at) + token.substr(at + 1);
      if (parse(deleted, "pat").has_value()) FAIL("deleted at " << at);
    }
  }
  REQUIRE(tried > 40'000);
}

TEST_CASE("two neighbours swapped are refused unless they are alike") {
  test::SeededRandom random(6);
  for (int i = 0; i < 200; ++i) {
    const std::string token = random_token(random, "pat");
    for (std::size_t at = 0; at + 1 < token.size(); ++at) {
      if (token[at] == token[at + 1]) continue;
      std::string swapped = token;
      std::swap(swapped[at], swapped[at + 1]);
      if (parse(swapped, "pat").has_value()) FAIL(token << " swapped at " << at);
    }
  }
}

TEST_CASE("a character that is no digit is refused even with a check that is made right") {
  test::SeededRandom random(7);
  const std::string token = random_token(random, "pat");
  for (std::size_t at = 4; at + check_size < token.size(); ++at) {
    if (at == 23) continue;  // the separator
    for (const char character : {'_', '-', '/', ':', '@', '[', '`', '{', ' ', '\0', '\x80', '\xB5'}) {
      std::string text = token.substr(0, token.size() - check_size);
      text[at] = character;
      INFO("octet " << static_cast<int>(character) << " at " << at);
      REQUIRE_FALSE(parse(with_right_check(text), "pat").has_value());
    }
  }
}

TEST_CASE("a separator that is something else is refused even with a check that is made right") {
  test::SeededRandom random(11);
  const std::string token = random_token(random, "pat");
  for (const std::size_t at : {std::size_t{3}, std::size_t{23}}) {
    for (const char character : {'0', 'z', '-', ' ', '\0'}) {
      std::string text = token.substr(0, token.size() - check_size);
      REQUIRE(parse(with_right_check(text), "pat").has_value());
      text[at] = character;
      INFO("octet " << static_cast<int>(character) << " at " << at);
      REQUIRE_FALSE(parse(with_right_check(text), "pat").has_value());
    }
  }
}

TEST_CASE("a digit too many or too few is refused even with a check that is made right") {
  test::SeededRandom random(12);
  const std::string token = random_token(random, "pat");
  const std::string text = token.substr(0, token.size() - check_size);
  for (std::size_t at = 0; at <= text.size(); ++at) {
    INFO("at " << at);
    REQUIRE_FALSE(parse(with_right_check(text.substr(0, at) + "0" + text.substr(at)), "pat").has_value());
    if (at == text.size()) continue;
    REQUIRE_FALSE(parse(with_right_check(text.substr(0, at) + text.substr(at + 1)), "pat").has_value());
  }
}

TEST_CASE("a text of a prefix that no store can have is refused") {
  test::SeededRandom random(13);
  for (const std::size_t size : {0U, 1U, 2U, 24U, 25U}) {
    const std::string prefix(size, 'p');
    INFO("a prefix of " << size);
    REQUIRE(parse(random_token(random, prefix), prefix).has_value() == (size >= 2 && size <= 24));
  }
}

TEST_CASE("a token is refused under any prefix but its own") {
  test::SeededRandom random(8);
  const std::string token = random_token(random, "acme_pat");
  REQUIRE(parse(token, "acme_pat").has_value());
  for (const char* prefix : {"", "pat", "acme", "acme_", "acme_pa", "acme_pat_", "ACME_PAT", "acme_pbt"}) {
    INFO(prefix);
    REQUIRE_FALSE(parse(token, prefix).has_value());
  }
}

TEST_CASE("a prefix begins with a letter and has no empty part") {
  for (const char* prefix :
       {"ab", "a1", "zz", "z0_a9", "pat", "acme_pat", "a_b_c", "a_1", "abcdefghijklmnopqrstuvwx"}) {
    INFO(prefix);
    CHECK(is_prefix(prefix));
  }
  for (const char* prefix : {"", "a", "1a", "_a", "a_", "a__b", "Pat", "pa t", "pa{t", "pat-x", "p\xC3\xA4t", "pat\n",
                             "abcdefghijklmnopqrstuvwxy"}) {
    INFO(prefix);
    CHECK_FALSE(is_prefix(prefix));
  }
  CHECK_FALSE(is_prefix(std::string("pa\0t", 4)));
}

TEST_CASE("the order of ids is the order of age, and ids differ in case") {
  test::SeededRandom random(9);
  std::string last;
  std::set<std::string> with_case;
  bool upper = false;
  bool lower = false;
  for (UnixMillis time = 1'795'000'000'000; time < 1'795'000'005'000; ++time) {
    const std::string id = make_id(time, random.next());
    REQUIRE(is_id(id));
    REQUIRE(id > last);
    REQUIRE(id_time(id) == time);
    last = id;
    for (const char digit : id) {
      upper = upper || (digit >= 'A' && digit <= 'Z');
      lower = lower || (digit >= 'a' && digit <= 'z');
    }
  }
  REQUIRE(upper);
  REQUIRE(lower);
  REQUIRE(make_id(latest_time, 0) < make_id(latest_time, 1));
  REQUIRE(make_id(0, 0) == "0000000000000000");
}

TEST_CASE("an id that no time has is told apart, and what is no id is none") {
  REQUIRE_FALSE(id_time("zzzzzzzzzzzzzzzz").has_value());
  REQUIRE_FALSE(id_time("000000000000000_").has_value());
  REQUIRE(id_time("pWE94k9hlxnYxoeV") == (UnixMillis{1} << 48) - 1);
  REQUIRE_FALSE(id_time("pWE94k9hlxnYxoeW").has_value());
  for (const char* text : {"", "0", "000000000000000", "00000000000000000", "000000000000000_", "000000000000000 "}) {
    REQUIRE_FALSE(is_id(text));
  }
}

TEST_CASE("every digit of a secret is equally likely at every place") {
  const auto random = system_random();
  constexpr int draws = 31'000;
  std::array<std::array<int, 62>, secret_size> counts{};
  std::set<std::string> seen;
  for (int i = 0; i < draws; ++i) {
    const SecretText secret = make_secret(*random);
    REQUIRE(secret.size() == secret_size);
    const std::string_view digits = secret.reveal();
    for (std::size_t at = 0; at < secret_size; ++at) ++counts[at][alphabet.find(digits[at])];
    if (i < 1'000) seen.emplace(digits);
  }
  REQUIRE(seen.size() == 1'000);
  // 500 of each are expected; the standard deviation is 22. Eight of them are beyond chance, while taking
  // a byte modulo 62, without rejection, would favour eight digits by a quarter.
  for (const auto& place : counts) {
    for (const int count : place) REQUIRE(std::abs(count - draws / 62) < 8 * 23);
  }
  std::array<std::int64_t, 62> total{};
  for (const auto& place : counts) {
    for (std::size_t digit = 0; digit < 62; ++digit) total[digit] += place[digit];
  }
  for (const std::int64_t count : total) REQUIRE(std::abs(count - 21'500) < 1'200);
}

TEST_CASE("drawing a secret rejects the two numbers that are no digit") {
  /// 62 and 63 for the whole of the first fill, then counts up.
  class Picky final : public RandomSource {
   public:
    void fill(std::span<std::uint8_t> out) noexcept override {
      for (std::uint8_t& octet : out) octet = first_ ? (&octet - out.data()) % 2 == 0 ? 62 : 255 : next_++;
      first_ = false;
    }

   private:
    bool first_ = true;
    std::uint8_t next_ = 0;
  };
  Picky random;
  REQUIRE(std::string(make_secret(random).reveal()) == std::string(alphabet.substr(0, secret_size)));
}

std::vector<std::string> found(const std::regex& pattern, const std::string& text) {
  return {std::sregex_token_iterator(text.begin(), text.end(), pattern), std::sregex_token_iterator()};
}

TEST_CASE("the scanner's pattern finds tokens in prose and nothing else") {
  test::SeededRandom random(10);
  const auto syntax = GENERATE(std::regex::extended, std::regex::ECMAScript);
  const std::regex pattern(scanner_pattern("acme_pat"), syntax);
  for (int i = 0; i < 300; ++i) {
    const std::string one = random_token(random, "acme_pat");
    const std::string two = random_token(random, "acme_pat");
    const std::string text = "Log in with \"" + one + "\", or\ncurl -H 'Authorization: Bearer " + two + "'. Thanks";
    REQUIRE(found(pattern, text) == std::vector<std::string>{one, two});
    REQUIRE(found(pattern, "https://example.org/?key=" + one + "&x=1") == std::vector<std::string>{one});
  }
  const std::string token = random_token(random, "acme_pat");
  const std::string clean[] = {"acme_pat_1 is the prefix",
                               "acme_pat_" + std::string(77, 'x'),
                               token.substr(0, token.size() - 1),
                               random_token(random, "pat"),
                               random_token(random, "acme_pet"),
                               "acme_pat_2" + token.substr(10),
                               token.substr(0, 28) + "-" + token.substr(29),
                               token.substr(0, 40) + " " + token.substr(40),
                               token.substr(0, 40) + "\n" + token.substr(40),
                               token.substr(0, token.size() - 6) + "zzzzzz"};
  for (const std::string& text : clean) {
    INFO(text);
    REQUIRE(found(pattern, text).empty());
  }
}

}  // namespace
}  // namespace tokenstore::text
