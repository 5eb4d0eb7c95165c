// The float kernels of one instruction set: included by one translation unit per set, compiled with its flags, with
// QUANTAL_FLOAT_ISA naming the set. No standard containers here: their inline functions would be built for this set
// and could be taken for the whole program by the linker. Eigen is renamed by -DEigen=... for the same reason.
//
// Elementwise loops use the compiler's vector types, as wide as the set's registers.
#include <Eigen/Core>

#if defined(__AVX__) || defined(__AVX512F__)
#include <immintrin.h>
#endif

#include "quantal/kernels/float_table.hpp"

namespace quantal::kernels::QUANTAL_FLOAT_ISA {
namespace {

#if defined(__AVX512F__)
constexpr std::size_t width = 16;
#elif defined(__AVX__)
constexpr std::size_t width = 8;
#else
constexpr std::size_t width = 4;
#endif
typedef float vec __attribute__((vector_size(width * 4)));
typedef std::int32_t ivec __attribute__((vector_size(width * 4)));
typedef float loose __attribute__((vector_size(width * 4), aligned(4), may_alias));

inline vec load(const float* p) {
  return *reinterpret_cast<const loose*>(p);
}
inline void store(float* p, vec v) {
  *reinterpret_cast<loose*>(p) = v;
}
inline vec fill(float v) {
  return v - vec{};
}

inline vec multiply_add(vec a, vec b, vec c) {
#if defined(__AVX512F__)
  return reinterpret_cast<vec>(
      _mm512_fmadd_ps(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b), reinterpret_cast<__m512>(c)));
#elif defined(__FMA__)
  return reinterpret_cast<vec>(
      _mm256_fmadd_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b), reinterpret_cast<__m256>(c)));
#else
  return a * b + c;
#endif
}

// ---- matrix product -----------------------------------------------------------------------------------------------

using row_major = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using source = Eigen::Map<const row_major, Eigen::Unaligned, Eigen::OuterStride<>>;
using target = Eigen::Map<row_major, Eigen::Unaligned, Eigen::OuterStride<>>;

bool gemm(const gemm_f32& g) noexcept {
  if (g.m <= 0 || g.n <= 0 || g.k <= 0) return true;
  try {
    target c(g.c, g.m, g.n, Eigen::OuterStride<>(g.c_stride));
    source a(g.a, g.a_transposed ? g.k : g.m, g.a_transposed ? g.m : g.k, Eigen::OuterStride<>(g.a_stride));
    source b(g.b, g.b_transposed ? g.n : g.k, g.b_transposed ? g.k : g.n, Eigen::OuterStride<>(g.b_stride));
    if (!g.a_transposed && !g.b_transposed) c.noalias() += a * b;
    if (!g.a_transposed && g.b_transposed) c.noalias() += a * b.transpose();
    if (g.a_transposed && !g.b_transposed) c.noalias() += a.transpose() * b;
    if (g.a_transposed && g.b_transposed) c.noalias() += a.transpose() * b.transpose();
  } catch (...) {  // Eigen's std::bad_alloc
    return false;
  }
  return true;
}

// ---- packed product -----------------------------------------------------------------------------------------------

// Registers: rows * 2 sums, two vectors of B, one broadcast of A.
#if defined(__AVX512F__)
constexpr int max_rows = 12;
#elif defined(__AVX__)
constexpr int max_rows = 6;
#else
constexpr int max_rows = 5;
#endif
constexpr std::int64_t columns = 2 * width;

template <int Rows>
inline void micro_kernel(const float* a, const float* b, std::int64_t k, float* c, std::int64_t stride) noexcept {
  vec sums[Rows][2];
#pragma GCC unroll 12
  for (int r = 0; r < Rows; ++r) {
    sums[r][0] = load(c + r * stride);
    sums[r][1] = load(c + r * stride + width);
  }
  for (; k > 0; --k, a += Rows, b += columns) {
    const vec b0 = load(b), b1 = load(b + width);
#pragma GCC unroll 12
    for (int r = 0; r < Rows; ++r) {
      const vec left = fill(a[r]);
      sums[r][0] = multiply_add(left, b0, sums[r][0]);
      sums[r][1] = multiply_add(left, b1, sums[r][1]);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < Rows; ++r) {
    store(c + r * stride, sums[r][0]);
    store(c + r * stride + width, sums[r][1]);
  }
}

template <int Rows>
void multiply(const panel_product& p) noexcept {
  constexpr std::int64_t depth = 512;  // a panel of A and the sums stay in the first level cache
  float edge[Rows * columns];
  for (std::int64_t k = 0; k < p.k; k += depth) {
    const std::int64_t deep = p.k - k < depth ? p.k - k : depth;
    for (std::int64_t i = 0; i < p.m; i += Rows) {
      const float* a = p.a + i * p.k + k * Rows;
      const std::int64_t tall = p.m - i < Rows ? p.m - i : Rows;
      for (std::int64_t j = 0; j < p.n; j += columns) {
        const float* b = p.b + j * p.k + k * columns;
        float* c = p.c + i * p.c_stride + j;
        const std::int64_t wide = p.n - j < columns ? p.n - j : columns;
        if (tall == Rows && wide == columns) {
          micro_kernel<Rows>(a, b, deep, c, p.c_stride);
          continue;
        }
        for (std::int64_t r = 0; r < tall; ++r)
          __builtin_memcpy(edge + r * columns, c + r * p.c_stride, static_cast<std::size_t>(wide) * 4);
        micro_kernel<Rows>(a, b, deep, edge, columns);
        for (std::int64_t r = 0; r < tall; ++r)
          __builtin_memcpy(c + r * p.c_stride, edge + r * columns, static_cast<std::size_t>(wide) * 4);
      }
    }
  }
}

void multiply_panels(const panel_product& p) noexcept {
  switch (p.rows) {
    case 1: return multiply<1>(p);
    case 2: return multiply<2>(p);
    case 3: return multiply<3>(p);
    case 4: return multiply<4>(p);
    case 5: return multiply<5>(p);
#if defined(__AVX__)
    case 6: return multiply<6>(p);
#endif
#if defined(__AVX512F__)
    case 7: return multiply<7>(p);
    case 8: return multiply<8>(p);
    case 9: return multiply<9>(p);
    case 10: return multiply<10>(p);
    case 11: return multiply<11>(p);
    case 12: return multiply<12>(p);
#endif
    default: return;
  }
}

void spread_row(const float* row, std::int64_t count, std::int64_t panel_stride, float* out) noexcept {
  for (; count >= columns; count -= columns, row += columns, out += panel_stride) {
    store(out, load(row));
    store(out + width, load(row + width));
  }
  if (count == 0) return;
  for (std::int64_t i = 0; i < columns; ++i) out[i] = i < count ? row[i] : 0.0f;
}

// ---- rows ---------------------------------------------------------------------------------------------------------

// Four vectors of sums stay in registers while all rows pass.
void weighted_rows(const float* const* rows, const float* weights, std::size_t count, float bias, float* out,
                   std::size_t n) noexcept {
  std::size_t i = 0;
  for (; i + 4 * width <= n; i += 4 * width) {
    vec s0 = fill(bias), s1 = s0, s2 = s0, s3 = s0;
    for (std::size_t t = 0; t < count; ++t) {
      const float* row = rows[t] + i;
      const vec w = fill(weights[t]);
      s0 = multiply_add(w, load(row), s0);
      s1 = multiply_add(w, load(row + width), s1);
      s2 = multiply_add(w, load(row + 2 * width), s2);
      s3 = multiply_add(w, load(row + 3 * width), s3);
    }
    store(out + i, s0);
    store(out + i + width, s1);
    store(out + i + 2 * width, s2);
    store(out + i + 3 * width, s3);
  }
  for (; i + width <= n; i += width) {
    vec s = fill(bias);
    for (std::size_t t = 0; t < count; ++t) s = multiply_add(fill(weights[t]), load(rows[t] + i), s);
    store(out + i, s);
  }
  for (; i < n; ++i) {
    float s = bias;
    for (std::size_t t = 0; t < count; ++t) {
#if defined(__FMA__) || defined(__AVX512F__)
      s = __builtin_fmaf(weights[t], rows[t][i], s);
#else
      s += weights[t] * rows[t][i];
#endif
    }
    out[i] = s;
  }
}

inline vec pick(ivec take_a, vec a, vec b) {
  return reinterpret_cast<vec>((take_a & reinterpret_cast<ivec>(a)) | (~take_a & reinterpret_cast<ivec>(b)));
}

void largest_of_rows(const float* const* rows, std::size_t count, float* out, std::size_t n) noexcept {
  std::size_t i = 0;
  for (; i + width <= n; i += width) {
    vec best = load(rows[0] + i);
    for (std::size_t t = 1; t < count; ++t) {
      const vec v = load(rows[t] + i);
      best = pick((v > best) | (v != v), v, best);
    }
    store(out + i, best);
  }
  for (; i < n; ++i) {
    float best = rows[0][i];
    for (std::size_t t = 1; t < count; ++t) {
      const float v = rows[t][i];
      if (v > best || v != v) best = v;
    }
    out[i] = best;
  }
}

// ---- quantize -----------------------------------------------------------------------------------------------------

// Clamping before rounding gives the same as after it because the bounds are integers; then |v| <= 2^17 and adding
// 1.5 * 2^23 rounds to nearest even in the float adder.
template <class Out>
void quantize(const float* x, std::size_t n, float scale, std::int32_t zero_point, std::int32_t low, std::int32_t high,
              Out* out) noexcept {
  const float lowest = static_cast<float>(low - zero_point);
  const float highest = static_cast<float>(high - zero_point);
  constexpr float magic = 12582912.0f;
  constexpr std::int32_t magic_bits = 0x4B400000;
  const vec lows = fill(lowest), highs = fill(highest), scales = fill(scale), magics = fill(magic);
  std::size_t i = 0;
  for (; i + width <= n; i += width) {
    vec v = load(x + i) / scales;
    v = pick(v == v, v, vec{});
    v = pick(v < lows, lows, v);
    v = pick(v > highs, highs, v);
    const ivec q = reinterpret_cast<ivec>(v + magics) - magic_bits + zero_point;
    for (std::size_t l = 0; l < width; ++l) out[i + l] = static_cast<Out>(q[l]);
  }
  for (; i < n; ++i) {
    float v = x[i] / scale;
    if (v != v) v = 0;
    v = v < lowest ? lowest : v > highest ? highest : v;
    const float shifted = v + magic;
    std::int32_t bits;
    __builtin_memcpy(&bits, &shifted, 4);
    out[i] = static_cast<Out>(bits - magic_bits + zero_point);
  }
}

void quantize8(const float* x, std::size_t n, float scale, std::int32_t zero_point, std::int32_t low, std::int32_t high,
               std::uint8_t* out) noexcept {
  quantize(x, n, scale, zero_point, low, high, out);
}
void quantize16(const float* x, std::size_t n, float scale, std::int32_t zero_point, std::int32_t low,
                std::int32_t high, std::uint16_t* out) noexcept {
  quantize(x, n, scale, zero_point, low, high, out);
}
void dequantize_u8(const std::uint8_t* q, std::size_t n, float scale, std::int32_t zero_point, float* out) noexcept {
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<float>(q[i] - zero_point) * scale;
}
void dequantize_s8(const std::int8_t* q, std::size_t n, float scale, std::int32_t zero_point, float* out) noexcept {
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<float>(q[i] - zero_point) * scale;
}

#define QUANTAL_STRING2(x) #x
#define QUANTAL_STRING(x) QUANTAL_STRING2(x)
}  // namespace

extern const float_table table;
const float_table table = {QUANTAL_STRING(QUANTAL_FLOAT_ISA),
                           max_rows,
                           columns,
                           multiply_panels,
                           spread_row,
                           gemm,
                           weighted_rows,
                           largest_of_rows,
                           quantize8,
                           quantize16,
                           dequantize_u8,
                           dequantize_s8};

}  // namespace quantal::kernels::QUANTAL_FLOAT_ISA
