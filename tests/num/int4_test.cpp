#include "quantal/num/int4.hpp"

#include <catch2/catch.hpp>

using namespace quantal;

TEST_CASE("Q17_int4_packs_low_nibble_first_and_pads_with_zero") {
  const std::int8_t values[5] = {-8, 7, -1, 0, 3};
  std::uint8_t packed[4] = {0xee, 0xee, 0xee, 0xee};
  pack_bits(reinterpret_cast<const std::uint8_t*>(values), 5, 4, packed);
  CHECK(packed[0] == 0x78);
  CHECK(packed[1] == 0x0f);
  CHECK(packed[2] == 0x03);  // upper nibble: padding
  CHECK(packed[3] == 0xee);  // not touched
  std::int8_t back[5] = {};
  unpack_signed(packed, 5, 4, back);
  for (int i = 0; i < 5; ++i) CHECK(back[i] == values[i]);
  std::uint8_t raw[5] = {};
  unpack_unsigned(packed, 5, 4, raw);
  CHECK(raw[0] == 8);
  CHECK(packed_bytes(5, 4) == 3);
  CHECK(packed_bytes(0, 4) == 0);
  CHECK(packed_bytes(5, 2) == 2);
}

TEST_CASE("two-bit elements lie four to a byte, first in the low bits") {
  const std::int8_t values[5] = {-2, -1, 0, 1, -2};
  std::uint8_t packed[2];
  pack_bits(reinterpret_cast<const std::uint8_t*>(values), 5, 2, packed);
  CHECK(packed[0] == 0b01001110);
  CHECK(packed[1] == 0b00000010);
  std::int8_t back[5] = {};
  unpack_signed(packed, 5, 2, back);
  for (int i = 0; i < 5; ++i) CHECK(back[i] == values[i]);
}
