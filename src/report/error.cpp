#include "quantal/report/error.hpp"

#include <cmath>

#include "quantal/num/float16.hpp"

namespace quantal::report {

double element(const tensor_buffer& t, std::int64_t i) noexcept {
  switch (t.type()) {
    case dtype::f32: return static_cast<double>(t.as<float>()[i]);
    case dtype::f64: return t.as<double>()[i];
    case dtype::f16: return static_cast<double>(f16_to_f32(t.as<std::uint16_t>()[i]));
    case dtype::bf16: return static_cast<double>(bf16_to_f32(t.as<std::uint16_t>()[i]));
    case dtype::s8: return t.as<std::int8_t>()[i];
    case dtype::u8:
    case dtype::boolean: return t.as<std::uint8_t>()[i];
    case dtype::s16: return t.as<std::int16_t>()[i];
    case dtype::u16: return t.as<std::uint16_t>()[i];
    case dtype::s32: return t.as<std::int32_t>()[i];
    case dtype::u32: return t.as<std::uint32_t>()[i];
    case dtype::s64: return static_cast<double>(t.as<std::int64_t>()[i]);
    case dtype::u64: return static_cast<double>(t.as<std::uint64_t>()[i]);
    default: return 0;
  }
}

void error_sum::add(double x, double y) noexcept {
  ++count_;
  if (!std::isfinite(x) || !std::isfinite(y)) {
    if (!(x == y || (std::isnan(x) && std::isnan(y)))) ++not_finite_;
    return;
  }
  const double d = x - y;
  signal_ += x * x;
  noise_ += d * d;
  other_ += y * y;
  product_ += x * y;
  if (std::fabs(d) > worst_) worst_ = std::fabs(d);
}

result<void> error_sum::add(const tensor_buffer& reference, const tensor_buffer& other) {
  if (reference.type() == dtype::string || other.type() == dtype::string)
    return error{status::dtype, "strings have no numeric error", "", ""};
  if (!(reference.dims() == other.dims()))
    return error{status::shape, "the two results differ in shape", "", "compare models with the same outputs"};
  const std::int64_t n = reference.elements();
  if (reference.type() == dtype::f32 && other.type() == dtype::f32) {
    const float *x = reference.as<float>(), *y = other.as<float>();
    for (std::int64_t i = 0; i < n; ++i) add(static_cast<double>(x[i]), static_cast<double>(y[i]));
  } else {
    for (std::int64_t i = 0; i < n; ++i) add(element(reference, i), element(other, i));
  }
  return {};
}

double error_sum::sqnr_db() const noexcept {
  if (noise_ == 0) return not_finite_ == 0 ? INFINITY : -INFINITY;
  return signal_ == 0 ? -INFINITY : 10 * std::log10(signal_ / noise_);
}

double error_sum::cosine() const noexcept {
  if (signal_ == 0 && other_ == 0) return 1;
  if (signal_ == 0 || other_ == 0) return 0;
  return product_ / (std::sqrt(signal_) * std::sqrt(other_));
}

}  // namespace quantal::report
