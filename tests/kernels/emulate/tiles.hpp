// A model of AMX-INT8: eight tiles of up to 16 rows x 64 bytes, their configuration, loads, stores and the four signed
// and unsigned products. The AMX kernels use it in place of the instructions when QUANTAL_EMULATE_TILES names this
// header, and so run bit-exactly on any CPU.
//
//   tdpb: c[m][n] += sum over k4, j in 0..3 of a[m][4 k4 + j] * b[k4][4 n + j]          modulo 2^32
//
// The semantics, also of what a program must not do, are those of the Intel SDM (vol. 1 ch. 18, vol. 2: LDTILECFG,
// TILELOADD, TILESTORED, TILEZERO, TDPB**D): where the CPU would fault (#UD, #GP), the model counts a fault and does
// nothing. Loads and stores touch exactly the configured rows and bytes, so guard pages and AddressSanitizer see them.
#pragma once
#include <stdint.h>
#include <string.h>

namespace quantal_emulate {

class tile_file {
 public:
  static constexpr int tiles = 8, max_rows = 16, max_bytes = 64;

  void configure(const void* memory) noexcept {
    uint8_t m[64];
    memcpy(m, memory, sizeof m);
    release();
    if (m[0] == 0) return;  // palette 0: the initial state
    tile wanted[tiles];
    bool good = m[0] == 1 && m[1] == 0;
    for (int i = 2; i < 16; ++i) good = good && m[i] == 0;
    for (int i = 32; i < 48; ++i) good = good && m[i] == 0;
    for (int i = 56; i < 64; ++i) good = good && m[i] == 0;
    for (int t = 0; t < tiles; ++t) {
      wanted[t].bytes = m[16 + 2 * t] + 256 * m[17 + 2 * t];
      wanted[t].rows = m[48 + t];
      good = good && wanted[t].bytes <= max_bytes && wanted[t].rows <= max_rows;
      good = good && (wanted[t].bytes == 0) == (wanted[t].rows == 0);
    }
    if (!good) return fault("ldtilecfg: bad configuration");
    for (int t = 0; t < tiles; ++t) all_[t] = wanted[t];
    configured_ = true;
  }
  void release() noexcept {
    for (tile& t : all_) t = tile{};
    configured_ = false;
  }
  void zero(int t) noexcept {
    if (usable(t, "tilezero")) memset(all_[t].data, 0, sizeof all_[t].data);
  }
  void load(int t, const void* memory, int64_t stride) noexcept {
    if (!usable(t, "tileloadd")) return;
    ++loads_;
    tile& to = all_[t];
    memset(to.data, 0, sizeof to.data);
    for (int r = 0; r < to.rows; ++r)
      memcpy(to.data[r], static_cast<const uint8_t*>(memory) + r * stride, static_cast<size_t>(to.bytes));
  }
  void store(int t, void* memory, int64_t stride) noexcept {
    if (!usable(t, "tilestored")) return;
    const tile& from = all_[t];
    for (int r = 0; r < from.rows; ++r)
      memcpy(static_cast<uint8_t*>(memory) + r * stride, from.data[r], static_cast<size_t>(from.bytes));
  }
  template <bool UnsignedA, bool UnsignedB>
  void multiply(int c, int a, int b) noexcept {
    if (!usable(c, "tdpb") || !usable(a, "tdpb") || !usable(b, "tdpb")) return;
    tile& sum = all_[c];
    const tile &left = all_[a], &right = all_[b];
    if (c == a || c == b || a == b) return fault("tdpb: the three tiles must differ");
    if (sum.bytes % 4 != 0 || left.bytes % 4 != 0 || right.bytes % 4 != 0) return fault("tdpb: bytes not in fours");
    if (sum.rows != left.rows || sum.bytes != right.bytes || left.bytes / 4 != right.rows)
      return fault("tdpb: rows and columns of the three tiles do not fit");
    ++products_;
    if (counting_ && most_live_ < live()) most_live_ = live();
    for (int m = 0; m < sum.rows; ++m) {
      for (int n = 0; n < sum.bytes / 4; ++n) {
        uint32_t total;
        memcpy(&total, sum.data[m] + 4 * n, 4);
        for (int k = 0; k < left.bytes; ++k)
          total += static_cast<uint32_t>(value<UnsignedA>(left.data[m][k]) *
                                         value<UnsignedB>(right.data[k / 4][4 * n + k % 4]));
        memcpy(sum.data[m] + 4 * n, &total, 4);
      }
    }
  }

  bool configured() const noexcept { return configured_; }
  int live() const noexcept {  // tiles that hold anything but zeros
    int count = 0;
    for (const tile& t : all_) {
      bool any = false;
      for (int i = 0; i < max_rows * max_bytes; ++i) any = any || (&t.data[0][0])[i] != 0;
      count += any ? 1 : 0;
    }
    return count;
  }
  // Since the last forget(): loads, products, and the most tiles that held anything at a product.
  int loads() const noexcept { return loads_; }
  int products() const noexcept { return products_; }
  int most_live() const noexcept { return most_live_; }
  void forget() noexcept {
    loads_ = products_ = most_live_ = 0;
    counting_ = true;
  }
  int faults() const noexcept { return faults_; }
  const char* first_fault() const noexcept { return first_; }
  void forget_faults() noexcept {
    faults_ = 0;
    first_ = "";
  }

 private:
  struct tile {
    int rows = 0, bytes = 0;
    uint8_t data[max_rows][max_bytes] = {};
  };

  template <bool Unsigned>
  static int32_t value(uint8_t code) noexcept {
    if constexpr (Unsigned) return int32_t{code};
    return int32_t{static_cast<int8_t>(code)};
  }
  bool usable(int t, const char* instruction) noexcept {
    if (configured_ && all_[t].rows != 0) return true;
    fault(instruction);
    return false;
  }
  void fault(const char* what) noexcept {
    if (faults_++ == 0) first_ = what;
  }

  tile all_[tiles];
  bool configured_ = false, counting_ = false;
  int faults_ = 0, loads_ = 0, products_ = 0, most_live_ = 0;
  const char* first_ = "";
};

// Each thread has its own.
inline tile_file& tiles() noexcept {
  static thread_local tile_file file;
  return file;
}

}  // namespace quantal_emulate
