/// Which token is asked about when: the orders in which the benchmarks go through a population.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace bench {

/// Indices into a population.
using Order = std::vector<std::uint32_t>;
using Slice = std::span<const std::uint32_t>;

/// Every index equally likely.
Order uniform_order(std::size_t population, std::size_t length, std::uint64_t seed);
/// A Zipf distribution of exponent 1: the k-th most popular is asked for 1/k as often as the first. The
/// popular ones lie anywhere in the population.
Order zipf_order(std::size_t population, std::size_t length, std::uint64_t seed);
/// Every index once, shuffled.
Order shuffled_order(std::size_t population, std::uint64_t seed);

/// The slice of `order` that a round uses; wraps around.
Slice slice_of_round(const Order& order, std::size_t round, std::size_t length);

}  // namespace bench
