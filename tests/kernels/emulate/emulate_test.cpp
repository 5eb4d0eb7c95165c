// The emulators against known values: a kernel that equals the reference on them proves nothing if they are lenient.
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstring>
#include <string>

#include "kernels/emulate/intrinsics_check.hpp"
#include "kernels/emulate/tiles.hpp"

using quantal_emulate::tile_file;

namespace {

struct config {
  std::uint8_t bytes[64] = {};
  config() { bytes[0] = 1; }
  config& tile(int t, int rows, int row_bytes) {
    bytes[16 + 2 * t] = static_cast<std::uint8_t>(row_bytes & 255);
    bytes[17 + 2 * t] = static_cast<std::uint8_t>(row_bytes >> 8);
    bytes[48 + t] = static_cast<std::uint8_t>(rows);
    return *this;
  }
};

config full() {
  config c;
  for (int t = 0; t < 8; ++t) c.tile(t, 16, 64);
  return c;
}

std::int32_t s32_at(const std::uint8_t* p) {
  std::int32_t x;
  std::memcpy(&x, p, 4);
  return x;
}

}  // namespace

TEST_CASE("tile model: the four products of extremes and of one hot byte") {
  tile_file f;
  f.configure(full().bytes);
  std::uint8_t a[1024] = {}, b[1024] = {}, c[1024];
  std::memset(a, 0xff, 64);                                       // row 0: 255 or -1
  for (int k = 0; k < 16; ++k) std::memset(b + 64 * k, 0x80, 4);  // column 0: 128 or -128
  a[64 * 3 + 9] = 2;                                              // row 3, k = 9
  b[64 * 2 + 4 * 5 + 1] = 0x83;                                   // k = 2 * 4 + 1 = 9, column 5: 131 or -125
  f.load(1, a, 64);
  f.load(2, b, 64);
  const auto sums = [&](auto product, std::int32_t first, std::int32_t hot) {
    f.zero(0);
    product();
    f.store(0, c, 64);
    CHECK(s32_at(c) == first);
    CHECK(s32_at(c + 64 * 3 + 4 * 5) == hot);
    CHECK(s32_at(c + 64 * 3 + 4 * 4) == 0);
    CHECK(s32_at(c + 64 * 2 + 4 * 5) == 0);
  };
  sums([&] { f.multiply<true, true>(0, 1, 2); }, 64 * 255 * 128, 262);
  sums([&] { f.multiply<true, false>(0, 1, 2); }, -64 * 255 * 128, -250);
  sums([&] { f.multiply<false, true>(0, 1, 2); }, -64 * 128, 262);
  sums([&] { f.multiply<false, false>(0, 1, 2); }, 64 * 128, -250);
  f.multiply<false, false>(0, 1, 2);  // accumulates
  f.store(0, c, 64);
  CHECK(s32_at(c) == 2 * 64 * 128);
  CHECK(f.faults() == 0);
}

TEST_CASE("tile model: sums wrap modulo 2^32") {
  tile_file f;
  f.configure(full().bytes);
  std::uint8_t start[1024] = {}, a[1024] = {}, b[1024] = {};
  const std::int32_t largest = INT32_MAX;
  std::memcpy(start, &largest, 4);
  a[0] = 1;
  b[0] = 1;
  f.load(0, start, 64);
  f.load(1, a, 64);
  f.load(2, b, 64);
  f.multiply<true, true>(0, 1, 2);
  f.store(0, start, 64);
  CHECK(s32_at(start) == INT32_MIN);
}

TEST_CASE("tile model: loads and stores touch the configured rows and bytes only") {
  tile_file f;
  f.configure(full().tile(3, 2, 8).bytes);
  std::uint8_t from[2 * 100], to[2 * 100];
  for (std::size_t i = 0; i < sizeof from; ++i) from[i] = static_cast<std::uint8_t>(i);
  std::memset(to, 0x55, sizeof to);
  f.load(3, from, 100);
  f.store(3, to, 100);
  for (std::size_t i = 0; i < sizeof to; ++i) CHECK(to[i] == (i % 100 < 8 ? from[i] : 0x55));
  CHECK(f.faults() == 0);
}

TEST_CASE("tile model: what the CPU would fault on is a fault and changes nothing") {
  std::uint8_t memory[1024] = {};
  const auto faults = [&](const config& c, auto use) {
    tile_file f;
    f.configure(c.bytes);
    use(f);
    return f.faults();
  };
  const auto nothing = [](tile_file&) {};
  CHECK(faults(full(), nothing) == 0);
  CHECK(faults(full().tile(0, 17, 64), nothing) == 1);  // too many rows
  CHECK(faults(full().tile(0, 16, 65), nothing) == 1);
  CHECK(faults(full().tile(0, 16, 256 + 64), nothing) == 1);
  CHECK(faults(full().tile(0, 0, 64), nothing) == 1);  // rows without bytes
  CHECK(faults(full().tile(0, 16, 0), nothing) == 1);
  config reserved = full();
  reserved.bytes[60] = 1;
  CHECK(faults(reserved, nothing) == 1);
  config palette = full();
  palette.bytes[0] = 2;
  CHECK(faults(palette, nothing) == 1);
  palette.bytes[0] = 0;  // the initial state: nothing is configured, nothing faults until used
  CHECK(faults(palette, nothing) == 0);
  CHECK(faults(palette, [&](tile_file& f) { f.zero(0); }) == 1);
  CHECK(faults(palette, [&](tile_file& f) { f.load(0, memory, 64); }) == 1);
  CHECK(faults(palette, [&](tile_file& f) { f.store(0, memory, 64); }) == 1);
  CHECK(faults(palette, [&](tile_file& f) { f.multiply<true, true>(0, 1, 2); }) == 1);
  CHECK(faults(full(), [&](tile_file& f) { f.release(), f.zero(0); }) == 1);
  CHECK(faults(full(), [&](tile_file& f) { f.multiply<true, true>(0, 0, 2); }) == 1);  // the same tile twice
  CHECK(faults(full(), [&](tile_file& f) { f.multiply<true, true>(0, 1, 1); }) == 1);
  CHECK(faults(full().tile(1, 8, 64), [&](tile_file& f) { f.multiply<true, true>(0, 1, 2); }) == 1);   // rows of a
  CHECK(faults(full().tile(2, 16, 32), [&](tile_file& f) { f.multiply<true, true>(0, 1, 2); }) == 1);  // bytes of b
  CHECK(faults(full().tile(1, 16, 60), [&](tile_file& f) { f.multiply<true, true>(0, 1, 2); }) == 1);  // k of a and b
  CHECK(faults(full().tile(0, 16, 62).tile(2, 16, 62), [&](tile_file& f) { f.multiply<true, true>(0, 1, 2); }) == 1);
  CHECK(faults(full().tile(0, 8, 64).tile(1, 8, 64), [&](tile_file& f) { f.multiply<true, true>(0, 1, 2); }) == 0);
}

TEST_CASE("emulated intrinsics give known values") {
  CHECK(std::string(quantal_emulate::wrong_intrinsics()) == "");
}
