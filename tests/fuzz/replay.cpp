// Runs a fuzz target without libFuzzer: every file of a corpus, then seeded mutations of them.
//
//   fuzz_NAME FOLDER      TOKENSTORE_FUZZ_MUTATIONS=n  TOKENSTORE_FUZZ_SEED=n
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "fuzz/fuzz.hpp"
#include "support/count_from.hpp"
#include "support/seeded_random.hpp"

namespace {

using tokenstore::test::SeededRandom;

void run(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
}

std::string mutated(std::string input, const std::vector<std::string>& corpus, SeededRandom& random) {
  for (std::uint64_t times = 1 + random.below(4); times > 0; --times) {
    const std::size_t at = input.empty() ? 0 : random.below(input.size());
    switch (random.below(6)) {
      case 0:
        if (!input.empty()) input[at] = static_cast<char>(input[at] ^ (1 << random.below(8)));
        break;
      case 1:
        if (!input.empty()) input[at] = static_cast<char>(random.below(256));
        break;
      case 2:
        input.insert(at, 1 + random.below(8), static_cast<char>(random.below(256)));
        break;
      case 3:
        input.erase(at, 1 + random.below(8));
        break;
      case 4: {
        const std::string& other = corpus[random.below(corpus.size())];
        const std::size_t from = other.empty() ? 0 : random.below(other.size());
        input.insert(at, other, from, random.below(40));
        break;
      }
      default:
        input.resize(at);
    }
  }
  return input;
}

}  // namespace

int main(int count, char** arguments) {
  std::vector<std::filesystem::path> files;
  if (count == 2) {
    for (const auto& file : std::filesystem::directory_iterator(arguments[1])) files.push_back(file.path());
  }
  if (files.empty()) {
    std::fprintf(stderr, "usage: %s FOLDER, with at least one file in it\n", arguments[0]);
    return 2;
  }
  std::sort(files.begin(), files.end());
  std::vector<std::string> corpus;
  for (const std::filesystem::path& path : files) {
    std::ifstream file(path, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    run(corpus.back());
  }
  SeededRandom random(static_cast<std::uint64_t>(tokenstore::test::count_from("TOKENSTORE_FUZZ_SEED", 1)));
  const int mutations = tokenstore::test::count_from("TOKENSTORE_FUZZ_MUTATIONS", 5000);
  for (int i = 0; i < mutations; ++i) run(mutated(corpus[random.below(corpus.size())], corpus, random));
  std::printf("%zu files, %d mutations\n", corpus.size(), mutations);
  return 0;
}
