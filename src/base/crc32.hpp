/// CRC-32/ISO-HDLC (the CRC of zlib, PNG and Ethernet).
#pragma once

#include <cstdint>
#include <string_view>

namespace tokenstore::base {

std::uint32_t crc32(std::string_view octets) noexcept;

}  // namespace tokenstore::base
