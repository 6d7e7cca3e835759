#include "access.hpp"

#include <algorithm>
#include <numeric>
#include <random>

namespace bench {

Order uniform_order(std::size_t population, std::size_t length, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<std::uint32_t> any(0, static_cast<std::uint32_t>(population - 1));
  Order order(length);
  for (std::uint32_t& index : order) index = any(random);
  return order;
}

Order zipf_order(std::size_t population, std::size_t length, std::uint64_t seed) {
  std::vector<double> cumulated(population);
  double sum = 0;
  for (std::size_t rank = 0; rank < population; ++rank) {
    sum += 1.0 / static_cast<double>(rank + 1);
    cumulated[rank] = sum;
  }
  const Order of_rank = shuffled_order(population, seed + 1);
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> any(0, sum);
  Order order(length);
  for (std::uint32_t& index : order) {
    const auto at = std::lower_bound(cumulated.begin(), cumulated.end(), any(random)) - cumulated.begin();
    index = of_rank[std::min(static_cast<std::size_t>(at), population - 1)];
  }
  return order;
}

Order shuffled_order(std::size_t population, std::uint64_t seed) {
  Order order(population);
  std::iota(order.begin(), order.end(), std::uint32_t{0});
  std::shuffle(order.begin(), order.end(), std::mt19937_64(seed));
  return order;
}

Slice slice_of_round(const Order& order, std::size_t round, std::size_t length) {
  length = std::min(length, order.size());
  const std::size_t slices = order.size() / length;
  return Slice(order).subspan(round % slices * length, length);
}

}  // namespace bench
