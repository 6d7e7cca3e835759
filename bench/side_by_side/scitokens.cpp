// libscitokens: a JWT signed with ES256, verified with a public key that the library keeps.
#include "lookup.hpp"

#ifdef BENCH_HAS_SCITOKENS

#include <scitokens/scitokens.h>
#include <sodium.h>
#include <stdlib.h>

#include <cstdio>
#include <string>
#include <vector>

namespace bench {

namespace {

constexpr const char* issuer = "https://localhost/bench";
constexpr const char* key_id = "bench";

/// Runs openssl, which Debian's libscitokens needs anyway, and returns what it prints.
std::string output_of(const std::string& command) {
  std::string output;
  std::FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return output;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) output += static_cast<char>(c);
  pclose(pipe);
  return output;
}

class Scitokens final : public LookUp {
 public:
  Scitokens(const Population& population, const std::filesystem::path& directory, std::size_t count) {
    setenv("XDG_CACHE_HOME", directory.c_str(), 1);
    const std::string file = (directory / "es256.pem").string();
    const std::string secret = output_of("openssl ecparam -name prime256v1 -genkey -noout | tee " + file);
    const std::string known = output_of("openssl ec -in " + file + " -pubout 2>/dev/null");
    char* error = nullptr;
    SciTokenKey key = scitoken_key_create(key_id, "ES256", known.c_str(), secret.c_str(), &error);
    if (key == nullptr) give_up(std::string("libscitokens: ") + error);
    if (scitoken_store_public_ec_key(issuer, key_id, known.c_str(), &error) != 0) {
      give_up(std::string("libscitokens: ") + error);
    }
    for (std::size_t i = 0; i < std::min(count, population.tokens); ++i) {
      SciToken token = scitoken_create(key);
      char* text = nullptr;
      scitoken_set_claim_string(token, "iss", issuer, nullptr);
      scitoken_set_claim_string(token, "sub", owner_name(i).c_str(), nullptr);
      scitoken_set_claim_string(token, "scope", "read:/ write:/", nullptr);
      scitoken_set_lifetime(token, 86'400);
      if (scitoken_serialize(token, &text, &error) != 0) give_up(std::string("libscitokens: ") + error);
      texts_.emplace_back(text);
      free(text);
      scitoken_destroy(token);
    }
    scitoken_key_destroy(key);
  }

  std::uint64_t run(const Requests& requests) override {
    std::uint64_t sum = 0;
    for (const Request& request : requests) {
      SciToken found = nullptr;
      char* error = nullptr;
      if (scitoken_deserialize(texts_[request.token % texts_.size()].c_str(), &found, nullptr, &error) != 0) {
        give_up(std::string("libscitokens: ") + error);
      }
      char* owner = nullptr;
      if (scitoken_get_claim_string(found, "sub", &owner, nullptr) == 0) sum += mark_of(owner);
      free(owner);
      scitoken_destroy(found);
    }
    return sum;
  }

 private:
  std::vector<std::string> texts_;
};

}  // namespace

std::unique_ptr<LookUp> scitokens_look_up(const Population& population, const std::filesystem::path& directory,
                                          std::size_t count) {
  return std::make_unique<Scitokens>(population, directory, count);
}

}  // namespace bench

#else

namespace bench {

std::unique_ptr<LookUp> scitokens_look_up(const Population&, const std::filesystem::path&, std::size_t) {
  return nullptr;
}

}  // namespace bench

#endif
