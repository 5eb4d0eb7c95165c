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

void max_rows(const float* const* rows, std::size_t count, float* out, std::size_t n) noexcept {
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
                           gemm,
                           weighted_rows,
                           max_rows,
                           quantize8,
                           quantize16,
                           dequantize_u8,
                           dequantize_s8};

}  // namespace quantal::kernels::QUANTAL_FLOAT_ISA
