// Several processes make one store at the same time, some of them failing.
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <vector>

#include "support/canary.hpp"
#include "support/count_from.hpp"
#include "support/temp_directory.hpp"
#include "tokenstore/open.hpp"

namespace tokenstore {
namespace {

/// Says why on standard error: a child has no other way to tell.
int failed(int code, const Error& error) {
  std::fprintf(stderr, "child: %s\n", error.message().c_str());
  return code;
}

/// Opens, issues a token and leaves its text in a file; 0 if all went well.
int open_and_issue(const std::string& path, const std::string& note) {
  auto opened = open_sqlite(path);
  if (!opened.ok()) return failed(1, opened.error());
  IssueRequest request;
  request.owner = "alice";
  request.scopes = {"read"};
  auto issued = opened->store->issue(Actor::host(), request);
  if (!issued.ok()) return failed(2, issued.error());
  std::ofstream(note) << issued->text.reveal();
  return opened->created_key_file.empty() ? 0 : 10;
}

int open_badly(const std::string& path) {
  OpenSqlite options;
  options.sqlite.path = path;
  options.store.prefix = "Not A Prefix";
  const auto opened = open_sqlite(std::move(options));
  if (opened.ok()) return 3;
  return opened.status() == Status::invalid_argument ? 0 : failed(4, opened.error());
}

TEST_CASE("processes that make one store at once share one key although others fail and clean up") {
  const int rounds = test::count_from("TOKENSTORE_OPEN_RACES", 50);
  constexpr int good = 4;
  constexpr int bad = 3;
  for (int round = 0; round < rounds; ++round) {
    const test::TempDirectory directory;
    const std::string path = directory.file("tokens.db");
    std::vector<pid_t> children;
    for (int number = 0; number < good + bad; ++number) {
      const pid_t child = fork();
      REQUIRE(child >= 0);
      if (child == 0) {
        // Good and bad ones take turns.
        const bool is_bad = number % 2 == 1;
        _exit(is_bad ? open_badly(path) : open_and_issue(path, directory.file("note" + std::to_string(number))));
      }
      children.push_back(child);
    }
    for (const pid_t child : children) {
      int status = 0;
      REQUIRE(waitpid(child, &status, 0) == child);
      REQUIRE(WIFEXITED(status));
      const int code = WEXITSTATUS(status);
      INFO("exit code " << code);
      CHECK((code == 0 || code == 10));
    }
    auto opened = open_sqlite(path);
    REQUIRE(opened.ok());
    CHECK(opened->created_key_file.empty());
    int notes = 0;
    for (int number = 0; number < good + bad; number += 2, ++notes) {
      const Demand demand("read");
      const std::string token = test::file_content(directory.file("note" + std::to_string(number)));
      CHECK(opened->store->validate(token, demand).outcome() == Outcome::valid);
    }
    CHECK(notes == good);
  }
}

}  // namespace
}  // namespace tokenstore
