// PostgreSQL through the C interface alone: programs and modules that link nothing but shared libraries.
#include <cstdio>

#include "postgres_support.hpp"

namespace tokenstore::test {
namespace {

/// What a command prints, its errors included, and how it ended.
std::pair<int, std::string> output_of(const std::string& command) {
  FILE* from = ::popen((command + " 2>&1").c_str(), "r");
  REQUIRE(from != nullptr);
  std::string output;
  for (int c = std::fgetc(from); c != EOF; c = std::fgetc(from)) output += static_cast<char>(c);
  return {::pclose(from), output};
}

std::string quoted(const std::string& text) {
  return "'" + text + "'";
}

TEST_CASE("a host in C revokes on one PostgreSQL store what another one has validated") {
  const PostgresCluster cluster;
  const auto [ended, output] = output_of(std::string(TOKENSTORE_C_HOST) + " " + quoted(cluster.conninfo()));
  CHECK(ended == 0);
  CHECK(output == "one: valid\ntwo: valid\none: invalid\ntwo: invalid\n");
}

TEST_CASE("what is wrong with the server or the options is an error of opening") {
  const auto away = output_of(std::string(TOKENSTORE_C_HOST) + " 'host=/nowhere connect_timeout=2'");
  CHECK(away.first != 0);
  CHECK(away.second.find("cannot_open: ") == 0);
  const auto empty = output_of(std::string(TOKENSTORE_C_HOST) + " 'nonsense ='");
  CHECK(empty.first != 0);
  INFO(empty.second);
  CHECK(empty.second.find(": ") != std::string::npos);
}

TEST_CASE("PostgreSQL passes the conformance kit through the C interface") {
  const PostgresCluster cluster;
  const auto [ended, output] = output_of("TOKENSTORE_KIT_CONNINFO=" + quoted(cluster.conninfo()) + " " +
                                         TOKENSTORE_KIT + " --limit 600 " + TOKENSTORE_C_MODULE);
  INFO(output);
  CHECK(ended == 0);
  CHECK(output.find(" passed, 0 failed, 1 do not apply") != std::string::npos);
}

TEST_CASE("the library exports one function, and needs nothing of libtokenstore") {
  const auto [ended, names] = output_of(std::string(TOKENSTORE_NM) + " -D " + TOKENSTORE_C_LIBRARY);
  REQUIRE(ended == 0);
  std::vector<std::string> defined;
  std::istringstream lines(names);
  for (std::string line; std::getline(lines, line);) {
    std::string name = line.substr(line.rfind(' ') + 1);
    name = name.substr(0, name.find('@'));  // without the version
    if (line.find(" U ") == std::string::npos && line.find(" w ") == std::string::npos) defined.push_back(name);
    if (line.find(" U ") != std::string::npos) CHECK(name.find("tokenstore_") != 0);
  }
  CHECK(defined == std::vector<std::string>{"TOKENSTORE_POSTGRES_0", "tokenstore_postgres_backend"});
}

}  // namespace
}  // namespace tokenstore::test
