// Inputs that the calibration tests share.
#pragma once
#include <cmath>
#include <cstdint>
#include <vector>

namespace quantal::calib::test {

// A Laplace distribution in closed form: x_i = ln 2u (u < 0.5), else -ln 2(1 - u), u = (i + 0.5) / n, rounded to f32.
inline std::vector<float> laplace(int n = 10000) {
  std::vector<float> x;
  for (int i = 0; i < n; ++i) {
    const double u = (i + 0.5) / n;
    x.push_back(static_cast<float>(u < 0.5 ? std::log(2 * u) : -std::log(2 * (1 - u))));
  }
  return x;
}

inline std::vector<float> positive(std::vector<float> x) {
  for (float& v : x) v = v > 0 ? v : 0;
  return x;
}

// A small generator with the same numbers on every platform (splitmix64).
class generator {
 public:
  explicit generator(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(next() % n); }
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  // Values over many magnitudes, signs, some zeros.
  float wild() {
    if (below(20) == 0) return below(2) == 0 ? 0.0f : -0.0f;
    return static_cast<float>(std::ldexp(2 * uniform() - 1, static_cast<int>(below(60)) - 30));
  }

 private:
  std::uint64_t state_;
};

}  // namespace quantal::calib::test
