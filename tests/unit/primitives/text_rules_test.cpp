#include "base/text_rules.hpp"

#include <catch2/catch.hpp>
#include <string>

namespace tokenstore::base {
namespace {

TEST_CASE("plain text is well-formed UTF-8 without control characters") {
  const std::string accepted[] = {"",
                                  "alice",
                                  "a b",
                                  "%_'\"\\",
                                  "\xC3\xBC",
                                  "\xC2\xA0",
                                  "\xED\x9F\xBF",
                                  "\xEE\x80\x80",
                                  "\xEF\xBF\xBD",
                                  "\xF0\x90\x80\x80",
                                  "\xF4\x8F\xBF\xBF",
                                  "\xE2\x82\xAC"
                                  "5"};
  for (const std::string& text : accepted) {
    INFO(text);
    CHECK(is_plain_text(text));
  }
}

TEST_CASE("overlong forms, surrogates, cut sequences and control characters are no plain text") {
  const std::string refused[] = {"\x7F",
                                 "a\nb",
                                 "\x1B[0m",
                                 "\t",
                                 "\xC0\x80",
                                 "\xC1\xBF",
                                 "\xE0\x80\x80",
                                 "\xE0\x9F\xBF",
                                 "\xF0\x80\x80\x80",
                                 "\xF0\x8F\xBF\xBF",  // overlong
                                 "\xED\xA0\x80",
                                 "\xED\xBF\xBF",  // surrogates
                                 "\xF4\x90\x80\x80",
                                 "\xF5\x80\x80\x80",
                                 "\xFE",
                                 "\xFF",  // too high
                                 "\x80",
                                 "\xBF",
                                 "\xC3",
                                 "\xE2\x82",
                                 "\xF0\x9F\x98",
                                 "\xC3(",
                                 "\xE2(\xAC",
                                 "\xE2\x82(",
                                 "\xF0\x9F\x98(",
                                 "\xC2\x80",
                                 "\xC2\x85",
                                 "\xC2\x9F"};  // C1
  for (const std::string& text : refused) {
    INFO(text.size());
    CHECK_FALSE(is_plain_text(text));
    CHECK_FALSE(is_plain_text("ok" + text));
    CHECK_FALSE(is_plain_text(text + "ok"));
  }
  for (int octet = 0; octet < 0x20; ++octet) CHECK_FALSE(is_plain_text(std::string(1, static_cast<char>(octet))));
}

TEST_CASE("a text is checked against its limits in octets, and the error names it and never quotes it") {
  REQUIRE(check_text("owner", std::string(255, 'a'), 1, 255).ok());
  REQUIRE(check_text("description", "", 0, 1024).ok());
  for (const auto& [text, min] : {std::pair<std::string, std::size_t>{"", 1},
                                  {"zq", 3},
                                  {std::string(256, 'z'), 1},
                                  {"zq\n", 1},
                                  {std::string("zq\0", 3), 1}}) {
    const Result<void> checked = check_text("owner", text, min, 255);
    REQUIRE(checked.status() == Status::invalid_argument);
    const std::string& message = checked.error().message();
    CHECK(message.find("owner") != std::string::npos);
    CHECK(message.find("zq") == std::string::npos);
    CHECK(message.find('\n') == std::string::npos);
  }
}

TEST_CASE("a scope is a scope-token of RFC 6749") {
  for (int octet = 0; octet < 256; ++octet) {
    const bool legal = octet == 0x21 || (octet >= 0x23 && octet <= 0x5B) || (octet >= 0x5D && octet <= 0x7E);
    INFO("octet " << octet);
    CHECK(is_scope(std::string(1, static_cast<char>(octet))) == legal);
    CHECK(is_scope("a" + std::string(1, static_cast<char>(octet))) == legal);
  }
  CHECK_FALSE(is_scope(""));
  CHECK(is_scope(std::string(128, 's')));
  CHECK_FALSE(is_scope(std::string(129, 's')));
}

TEST_CASE("a scope is held only as a whole word, and empty scopes hold none") {
  CHECK(has_scope("read write", "read"));
  CHECK(has_scope("read write", "write"));
  CHECK(has_scope("read", "read"));
  for (const char* scope : {"", " ", "rea", "readx", "ead", "read write", "READ", "writ", "rite", "read ", " write"}) {
    INFO(scope);
    CHECK_FALSE(has_scope("read write", scope));
  }
  CHECK_FALSE(has_scope("", ""));
  CHECK_FALSE(has_scope("", "read"));
  CHECK_FALSE(has_scope("read  write", ""));
}

TEST_CASE("a part is found literally, ASCII case ignored") {
  CHECK(contains_ignoring_ascii_case("Deploy Key", "deploy"));
  CHECK(contains_ignoring_ascii_case("Deploy Key", "Y K"));
  CHECK(contains_ignoring_ascii_case("", ""));
  CHECK(contains_ignoring_ascii_case("a", ""));
  CHECK_FALSE(contains_ignoring_ascii_case("", "a"));
  CHECK_FALSE(contains_ignoring_ascii_case("abc", "a%"));
  CHECK_FALSE(contains_ignoring_ascii_case("abc", "a_c"));
  CHECK_FALSE(contains_ignoring_ascii_case("\xC3\x9C", "\xC3\xBC"));
  CHECK(contains_ignoring_ascii_case(std::string("a\0B", 3), std::string("\0b", 2)));
}

TEST_CASE("a client address is IPv4 or IPv6 text without a zone") {
  for (const char* text : {"127.0.0.1", "255.255.255.255", "::", "::1", "2001:db8::1", "::ffff:192.0.2.1",
                           "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"}) {
    INFO(text);
    CHECK(is_client_address(text));
  }
  for (const char* text : {"", "localhost", "1.2.3", "1.2.3.256", "fe80::1%eth0", "[::1]", "1.2.3.4:80", " ::1", "::1 ",
                           "0:0:0:0:0:0:0:0:0", "00000000000000000000000000000000000000000000000"}) {
    INFO(text);
    CHECK_FALSE(is_client_address(text));
  }
  CHECK_FALSE(is_client_address(std::string("::1\0", 4)));
}

}  // namespace
}  // namespace tokenstore::base
