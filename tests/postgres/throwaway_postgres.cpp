/// A throw-away PostgreSQL server for tests in other languages: prints how to connect, as libpq takes it, and
/// then obeys lines on standard input: "stop", "start". Each is answered by "done". It ends with its input.
#include <iostream>
#include <string>

#include "support/postgres_cluster.hpp"

int main() {
  try {
    tokenstore::test::PostgresCluster cluster;
    std::cout << cluster.conninfo() << std::endl;
    for (std::string line; std::getline(std::cin, line);) {
      if (line == "stop") {
        cluster.stop();
      } else if (line == "start") {
        cluster.start();
      } else {
        throw std::runtime_error("neither stop nor start: " + line);
      }
      std::cout << "done" << std::endl;
    }
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
