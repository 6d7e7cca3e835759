// libjwt, HS256: decode and verify, then expiry, scope and subject.
#include <jwt.h>

#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

#include "lookup.hpp"

namespace bench {

namespace {

constexpr std::string_view key = "0123456789abcdef0123456789abcdef";
const auto* key_octets = reinterpret_cast<const unsigned char*>(key.data());
constexpr int key_size = static_cast<int>(key.size());

class Jwt final : public LookUp {
 public:
  Jwt(const Population& population, std::size_t count) {
    for (std::size_t i = 0; i < std::min(count, population.tokens); ++i) {
      jwt_t* jwt = nullptr;
      const bool made = jwt_new(&jwt) == 0 && jwt_add_grant(jwt, "sub", owner_name(i).c_str()) == 0 &&
                        jwt_add_grant(jwt, "scope", "repo:read repo:write") == 0 &&
                        jwt_add_grant_int(jwt, "exp", 9'000'000'000) == 0 &&
                        jwt_set_alg(jwt, JWT_ALG_HS256, key_octets, key_size) == 0;
      char* text = made ? jwt_encode_str(jwt) : nullptr;
      if (text == nullptr) give_up("libjwt cannot make a token");
      texts_.emplace_back(text);
      free(text);
      jwt_free(jwt);
    }
  }

  std::uint64_t run(const Requests& requests) override {
    std::uint64_t sum = 0;
    for (const Request& request : requests) {
      jwt_t* jwt = nullptr;
      if (jwt_decode(&jwt, texts_[request.token % texts_.size()].c_str(), key_octets, key_size) != 0) continue;
      const char* scopes = jwt_get_grant(jwt, "scope");
      if (jwt_get_grant_int(jwt, "exp") > std::time(nullptr) && scopes != nullptr &&
          std::strstr(scopes, scope.data()) != nullptr) {
        sum += mark_of(jwt_get_grant(jwt, "sub"));
      }
      jwt_free(jwt);
    }
    return sum;
  }

 private:
  std::vector<std::string> texts_;
};

}  // namespace

std::unique_ptr<LookUp> jwt_look_up(const Population& population, std::size_t count) {
  return std::make_unique<Jwt>(population, count);
}

}  // namespace bench
