// What the library does inside, one step at a time. No storage.
#include <benchmark/benchmark.h>
#include <sodium.h>

#include <array>

#include "base/crc32.hpp"
#include "base/effective_clock.hpp"
#include "base/text_rules.hpp"
#include "seal/sealer.hpp"
#include "text/token_text.hpp"
#include "tokenstore/environment.hpp"

namespace {

using namespace tokenstore;

struct Token {
  std::unique_ptr<seal::Sealer> sealer;
  SecretText text;
};

Token make_token() {
  const auto random = system_random();
  Token made;
  made.sealer = *seal::Sealer::create(*Keyring::generate(*random));
  const SecretText secret = text::make_secret(*random);
  std::string tagged =
      text::compose_tagged("pat", made.sealer->active_key_id(), text::make_id(1'700'000'000'000, 7), secret.reveal());
  const auto tag = made.sealer->make_tag(tagged);
  made.text = text::compose(std::move(tagged), {tag.data(), tag.size()});
  return made;
}

void sip_hash(benchmark::State& state) {
  const Token token = make_token();
  std::array<unsigned char, crypto_shorthash_siphashx24_KEYBYTES> key{};
  std::array<unsigned char, crypto_shorthash_siphashx24_BYTES> out{};
  const std::string_view text = token.text.reveal();
  for (auto step : state) {
    crypto_shorthash_siphashx24(out.data(), reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                                key.data());
    benchmark::DoNotOptimize(out);
  }
}
BENCHMARK(sip_hash);

void sha_256(benchmark::State& state) {
  const Token token = make_token();
  std::array<unsigned char, crypto_hash_sha256_BYTES> out{};
  const std::string_view text = token.text.reveal();
  for (auto step : state) {
    crypto_hash_sha256(out.data(), reinterpret_cast<const unsigned char*>(text.data()), text.size());
    benchmark::DoNotOptimize(out);
  }
}
BENCHMARK(sha_256);

void crc_32(benchmark::State& state) {
  const Token token = make_token();
  for (auto step : state) benchmark::DoNotOptimize(base::crc32(token.text.reveal()));
}
BENCHMARK(crc_32);

void parse(benchmark::State& state) {
  const Token token = make_token();
  for (auto step : state) benchmark::DoNotOptimize(text::parse(token.text.reveal(), "pat"));
}
BENCHMARK(parse);

void tag_matches(benchmark::State& state) {
  const Token token = make_token();
  const auto parsed = *text::parse(token.text.reveal(), "pat");
  for (auto step : state) benchmark::DoNotOptimize(token.sealer->tag_matches(parsed));
}
BENCHMARK(tag_matches);

void verifier_matches(benchmark::State& state) {
  const Token token = make_token();
  const auto parsed = *text::parse(token.text.reveal(), "pat");
  const Bytes32 verifier = token.sealer->make_verifier("default", parsed.handle, parsed.secret);
  for (auto step : state) benchmark::DoNotOptimize(token.sealer->verifier_matches("default", parsed, verifier));
}
BENCHMARK(verifier_matches);

void verify_seal(benchmark::State& state) {
  const Token token = make_token();
  TokenRecord record;
  record.id = "0123456789abcdef";
  record.key_id = "0A";
  record.owner = "owner-00000001";
  record.description = "deploys from the build server";
  record.scopes = "repo:read repo:write";
  record.created_by = "host";
  record.revision = 1;
  token.sealer->seal(seal::Place{}, record);
  for (auto step : state) benchmark::DoNotOptimize(token.sealer->verify(seal::Place{}, record));
}
BENCHMARK(verify_seal);

void make_secret(benchmark::State& state) {
  const auto random = system_random();
  for (auto step : state) benchmark::DoNotOptimize(text::make_secret(*random).size());
}
BENCHMARK(make_secret);

void has_scope(benchmark::State& state) {
  for (auto step : state) benchmark::DoNotOptimize(base::has_scope("repo:read repo:write user:read", "user:read"));
}
BENCHMARK(has_scope);

void exact_clock(benchmark::State& state) {
  base::EffectiveClock clock(system_clock());
  for (auto step : state) benchmark::DoNotOptimize(clock.now());
}
BENCHMARK(exact_clock);

void coarse_clock(benchmark::State& state) {
  base::EffectiveClock clock(system_clock());
  for (auto step : state) benchmark::DoNotOptimize(clock.coarse_now());
}
BENCHMARK(coarse_clock);

}  // namespace
