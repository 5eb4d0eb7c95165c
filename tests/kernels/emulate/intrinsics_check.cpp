#include "kernels/emulate/intrinsics_check.hpp"

#include <string>

#include "kernels/emulate/x86.hpp"

namespace quantal_emulate {
namespace {

std::string wrong;

void expect(bool right, const char* name) {
  if (!right) wrong += std::string(wrong.empty() ? "" : " ") + name;
}

template <class T, class Vector>
bool every(Vector v, T value) {
  const lanes<T, Vector> a(v);
  for (const T x : a.at)
    if (x != value) return false;
  return true;
}

template <class Vector>
void check_dpbusd(Vector (*set1)(int), Vector (*dot)(Vector, Vector, Vector), const char* name) {
  const auto is = [&](int sum, int u, int s, int value) {
    return every<int32_t>(dot(set1(sum), set1(u), set1(s)), value);
  };
  expect(is(0, -1, static_cast<int>(0x80808080u), -4 * 255 * 128), name);  // no saturation at s16
  expect(is(0, -1, 0x7f7f7f7f, 4 * 255 * 127), name);
  expect(is(7, 0x04030201, 0x01ff01ff, 7 - 1 + 2 - 3 + 4), name);  // byte by byte, first unsigned, second signed
  expect(is(INT32_MIN, 1, 0xff, INT32_MAX), name);                 // wraps
  lanes<uint8_t, Vector> u, s;
  u.at[4 * 3 + 2] = 200;
  s.at[4 * 3 + 2] = 0x85;  // -123
  const lanes<int32_t, Vector> r(dot(set1(0), u.vector(), s.vector()));
  for (int i = 0; i < r.count; ++i) expect(r.at[i] == (i == 3 ? -24600 : 0), name);
}

template <class T>
bool keeps_the_others(void (*store)(T*)) {
  T memory[16];
  for (T& x : memory) x = 9;
  store(memory);
  for (int i = 0; i < 16; ++i)
    if (memory[i] != (i == 1 || i == 15 ? T{5} : T{9})) return false;
  return true;
}

void check_conversions() {
  const float reals[16] = {0.5F,   1.5F,   2.5F,  -0.5F,  -1.5F,         -2.5F,          3e9F,        -3e9F,
                           126.5F, 127.5F, 1e-9F, -1e-9F, 2147483520.0F, -2147483648.0F, 16777217.0F, 0.49999997F};
  const int32_t nearest[16] = {0,   2,   2, 0, -2,         -2,        INT32_MIN, INT32_MIN,
                               126, 128, 0, 0, 2147483520, INT32_MIN, 16777216,  0};
  const int32_t cut[16] = {0,   1,   2, 0, -1,         -2,        INT32_MIN, INT32_MIN,
                           126, 127, 0, 0, 2147483520, INT32_MIN, 16777216,  0};
  const __m512 x = _mm512_loadu_ps(reals);
  const lanes<int32_t, __m512i> a(_mm512_cvtps_epi32(x)), b(_mm512_cvttps_epi32(x)),
      c(_mm512_cvt_roundps_epi32(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  expect(memcmp(a.at, nearest, 64) == 0, "_mm512_cvtps_epi32");
  expect(memcmp(b.at, cut, 64) == 0, "_mm512_cvttps_epi32");
  expect(memcmp(c.at, nearest, 64) == 0, "_mm512_cvt_roundps_epi32");
  expect(every<float>(_mm512_cvtepi32_ps(_mm512_set1_epi32(16777219)), 16777220.0F), "_mm512_cvtepi32_ps");
  expect(every<uint8_t>(_mm512_cvtusepi32_epi8(_mm512_set1_epi32(256)), uint8_t{255}), "_mm512_cvtusepi32_epi8");
  expect(every<uint8_t>(_mm512_cvtusepi32_epi8(_mm512_set1_epi32(-1)), uint8_t{255}), "_mm512_cvtusepi32_epi8");
  expect(every<int8_t>(_mm512_cvtsepi32_epi8(_mm512_set1_epi32(-200)), int8_t{-128}), "_mm512_cvtsepi32_epi8");
  expect(every<uint8_t>(_mm512_cvtepi32_epi8(_mm512_set1_epi32(0x1234)), uint8_t{0x34}), "_mm512_cvtepi32_epi8");
  expect(every<uint8_t>(_mm512_cvtusepi16_epi8(_mm512_set1_epi16(300)), uint8_t{255}), "_mm512_cvtusepi16_epi8");
  expect(every<int32_t>(_mm512_cvtepi8_epi32(_mm_set1_epi8(-3)), -3), "_mm512_cvtepi8_epi32");
  expect(every<int32_t>(_mm512_cvtepi16_epi32(_mm256_set1_epi16(-300)), -300), "_mm512_cvtepi16_epi32");
  expect(every<int32_t>(_mm512_cvtepu8_epi32(_mm_set1_epi8(-3)), 253), "_mm512_cvtepu8_epi32");
  expect(every<int16_t>(_mm512_cvtepu8_epi16(_mm256_set1_epi8(-3)), int16_t{253}), "_mm512_cvtepu8_epi16");
  expect(every<int16_t>(_mm512_cvtepi8_epi16(_mm256_set1_epi8(-3)), int16_t{-3}), "_mm512_cvtepi8_epi16");
  expect(_mm512_reduce_add_epi32(_mm512_set1_epi32(INT32_MAX)) == -16, "_mm512_reduce_add_epi32");
}

void check_memory() {
  constexpr uint64_t which = (1u << 1) | (1u << 15);
  expect(keeps_the_others<uint8_t>([](uint8_t* p) { _mm_mask_storeu_epi8(p, which, _mm_set1_epi8(5)); }),
         "_mm_mask_storeu_epi8");
  expect(keeps_the_others<int32_t>([](int32_t* p) { _mm512_mask_storeu_epi32(p, which, _mm512_set1_epi32(5)); }),
         "_mm512_mask_storeu_epi32");
  expect(keeps_the_others<float>([](float* p) { _mm512_mask_storeu_ps(p, which, _mm512_set1_ps(5)); }),
         "_mm512_mask_storeu_ps");
  expect(
      keeps_the_others<uint8_t>([](uint8_t* p) { _mm512_mask_cvtusepi32_storeu_epi8(p, which, _mm512_set1_epi32(5)); }),
      "_mm512_mask_cvtusepi32_storeu_epi8");
  const uint8_t bytes[3] = {1, 2, 3};
  const lanes<uint8_t, __m512i> few(_mm512_maskz_loadu_epi8(5, bytes));
  expect(few.at[0] == 1 && few.at[1] == 0 && few.at[2] == 3 && few.at[3] == 0 && few.at[63] == 0,
         "_mm512_maskz_loadu_epi8");
}

void check_arithmetic() {
  const __m512 third = _mm512_set1_ps(1.0F / 3), big = _mm512_set1_ps(16777216.0F);
  expect(every<float>(_mm512_mul_round_ps(third, _mm512_set1_ps(3), 8), 1.0F), "_mm512_mul_round_ps");
  expect(every<float>(_mm512_add_round_ps(big, _mm512_set1_ps(1), 8), 16777216.0F), "_mm512_add_round_ps");
  expect(every<float>(_mm512_max_ps(_mm512_set1_ps(-1), _mm512_set1_ps(2)), 2.0F), "_mm512_max_ps");
  expect(every<float>(_mm512_min_ps(_mm512_set1_ps(-1), _mm512_set1_ps(2)), -1.0F), "_mm512_min_ps");
  expect(every<int32_t>(_mm512_add_epi32(_mm512_set1_epi32(INT32_MAX), _mm512_set1_epi32(1)), INT32_MIN),
         "_mm512_add_epi32");
  expect(every<int16_t>(_mm512_packs_epi32(_mm512_set1_epi32(70000), _mm512_set1_epi32(70000)), int16_t{32767}),
         "_mm512_packs_epi32");
  expect(every<int32_t>(_mm512_madd_epi16(_mm512_set1_epi16(-255), _mm512_set1_epi16(255)), -2 * 255 * 255),
         "_mm512_madd_epi16");
}

}  // namespace

const char* wrong_intrinsics() {
  wrong.clear();
  check_dpbusd<__m256i>([](int x) { return _mm256_set1_epi32(x); },
                        [](__m256i c, __m256i a, __m256i b) { return _mm256_dpbusd_avx_epi32(c, a, b); },
                        "_mm256_dpbusd_avx_epi32");
  check_dpbusd<__m512i>([](int x) { return _mm512_set1_epi32(x); },
                        [](__m512i c, __m512i a, __m512i b) { return _mm512_dpbusd_epi32(c, a, b); },
                        "_mm512_dpbusd_epi32");
  check_conversions();
  check_memory();
  check_arithmetic();
  return wrong.c_str();
}

}  // namespace quantal_emulate
