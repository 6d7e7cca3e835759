// A target whose promise does not hold: some mutation of a token is longer than it.
#include "fuzz/fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t*, std::size_t size) {
  tokenstore::test::promise(size < 90, "no input is as long as 90 octets");
  return 0;
}
