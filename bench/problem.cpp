// Data of the problems: a fixed generator, so every run and every peer meets the same numbers; and the reference, one
// output at a time in exact integers, rounded half to even in double.
#include "problem.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <stdexcept>

namespace bench {
namespace {

struct random_bits {
  std::uint64_t state = 0x9e3779b97f4a7c15u;
  std::uint32_t next() {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return static_cast<std::uint32_t>(state >> 32);
  }
};

void fill_codes(problem& p) {
  random_bits bits;
  p.input.resize(static_cast<std::size_t>(p.height * p.width * p.in_channels));
  for (std::uint8_t& x : p.input) x = static_cast<std::uint8_t>(bits.next());
  const std::int64_t depth = p.kernel_h() * p.kernel * p.in_channels / p.groups;
  p.weights.resize(static_cast<std::size_t>(p.out_channels * depth));
  for (std::int8_t& w : p.weights) w = static_cast<std::int8_t>(static_cast<int>(bits.next() % 255) - 127);
  p.output_zero_point = p.unsigned_codes ? 128 : -5;
  // Standard deviation of the sum: sqrt(depth) * (rms of input - zero point) * (rms of the weights, 73.6).
  const double rms = p.unsigned_codes ? 147.0 : 73.9;
  const double ratio = 40.0 / (std::sqrt(static_cast<double>(depth)) * rms * 73.6);
  for (std::int64_t c = 0; c < p.out_channels; ++c) {
    p.bias.push_back(static_cast<std::int32_t>(bits.next() % 2001) - 1000);
    p.ratios.push_back(static_cast<float>(ratio * (1.0 + 0.01 * static_cast<double>(c % 13))));
  }
}

}  // namespace

double problem::operations() const {
  if (in_channels == 0) return 0;
  return 2.0 * static_cast<double>(outputs()) * static_cast<double>(kernel_h() * kernel * in_channels / groups);
}

double problem::bytes() const {
  const double n = static_cast<double>(values.size());
  const double codes = static_cast<double>(input.size() + second.size() + outputs());
  switch (what) {
    case kind::observe: return 4 * n;
    case kind::quantize:
    case kind::dequantize: return 5 * n;
    default: return codes + 4 * static_cast<double>(sums.size());
  }
}

problem_ptr make_product(const std::string& shape, bool unsigned_codes, bool residual) {
  auto p = std::make_shared<problem>();
  p->name = shape;
  long m = 0, n = 0, k = 0;
  if (std::sscanf(shape.c_str(), "%ldx%ldx%ld", &m, &n, &k) != 3) throw std::runtime_error("bad product " + shape);
  p->width = p->out_width = m;
  p->in_channels = k;
  p->out_channels = n;
  p->unsigned_codes = unsigned_codes;
  fill_codes(*p);
  if (residual) {
    random_bits bits;
    p->second.resize(p->outputs());
    for (std::uint8_t& x : p->second) x = static_cast<std::uint8_t>(bits.next());
    p->second_zero_point = unsigned_codes ? 128 : 0;
  }
  return p;
}

problem_ptr make_convolution(const std::string& shape, bool unsigned_codes, std::int32_t input_zero_point) {
  auto p = std::make_shared<problem>();
  p->name = shape;
  long n = 0, h = 0, w = 0, ic = 0, oc = 0, k = 0, s = 0;
  int at = 0;
  if (std::sscanf(shape.c_str(), "%ldx%ldx%ldx%ld-%ld-k%lds%ld%n", &n, &h, &w, &ic, &oc, &k, &s, &at) != 7 || n != 1)
    throw std::runtime_error("bad convolution " + shape);
  const std::string tail = shape.substr(static_cast<std::size_t>(at));
  const auto option = [&](const char* key, long otherwise) {
    const std::size_t found = tail.find(key);
    return found == std::string::npos ? otherwise : std::atol(tail.c_str() + found + 2);
  };
  const long groups = option("-g", 1);
  p->what = groups > 1 && groups == ic ? kind::depthwise : kind::convolution;
  p->height = h;
  p->width = w;
  p->in_channels = ic;
  p->out_channels = oc;
  p->kernel = k;
  p->stride = s;
  p->dilation = option("-d", 1);
  p->pad = option("-p", 0);
  p->groups = groups;
  p->out_height = (h + 2 * p->pad_h() - p->window_h()) / s + 1;
  p->out_width = (w + 2 * p->pad - p->window()) / s + 1;
  p->unsigned_codes = unsigned_codes;
  p->input_zero_point = input_zero_point;
  fill_codes(*p);
  return p;
}

problem_ptr make_array(kind what, const std::string& shape, const std::string& method) {
  auto p = std::make_shared<problem>();
  p->what = what;
  p->name = shape;
  p->method = method;
  p->scale = 0.02f;
  p->output_zero_point = 3;
  random_bits bits;
  const std::size_t n = static_cast<std::size_t>(std::atoll(shape.c_str()));
  p->values.resize(n);
  for (std::size_t i = 0; i < n; ++i) {  // quantize: some values beyond the codes; observe: a bell
    const double u = static_cast<double>(bits.next()) / 4294967296.0,
                 v = static_cast<double>(bits.next()) / 4294967296.0;
    p->values[i] = static_cast<float>((u + v - 1.0) * 3.0);
  }
  if (what == kind::dequantize) {
    p->input.resize(n);
    for (std::size_t i = 0; i < n; ++i) {
      p->input[i] = static_cast<std::uint8_t>(bits.next());
      p->values[i] = static_cast<float>(static_cast<std::int8_t>(p->input[i]) - p->output_zero_point) * p->scale;
    }
  }
  return p;
}

problem_ptr make_codes(kind what, const std::string& shape) {
  random_bits bits;
  const auto code = [&] { return static_cast<std::uint8_t>(bits.next()); };
  std::shared_ptr<problem> p;
  if (what == kind::max_pool || what == kind::average_pool) {
    p = std::make_shared<problem>(*make_convolution(shape, false, 5));
    // Windows of u8, the whole image of s8: what the peer has.
    p->unsigned_codes = what == kind::average_pool && p->kernel != p->height;
    p->weights.clear();
    p->bias.clear();
    p->ratios = {1.25f};
  } else {
    p = std::make_shared<problem>();
    long rows = 1, channels = 0;
    if (what == kind::requantize && std::sscanf(shape.c_str(), "%ldx%ld", &rows, &channels) != 2)
      throw std::runtime_error("bad sums " + shape);
    if (what != kind::requantize) channels = std::atol(shape.c_str());
    p->out_width = rows;
    p->out_channels = channels;
    p->input_zero_point = 5;
    const std::size_t n = p->outputs();
    if (what == kind::requantize) {
      p->sums.resize(n);
      for (std::int32_t& x : p->sums) x = static_cast<std::int32_t>(bits.next() % 40000) - 20000;
      for (long c = 0; c < channels; ++c) {
        p->bias.push_back(static_cast<std::int32_t>(bits.next() % 2001) - 1000);
        p->ratios.push_back(0.005f * static_cast<float>(1.0 + 0.01 * static_cast<double>(c % 13)));
      }
    } else {
      p->input.resize(n);
      for (std::uint8_t& x : p->input) x = code();
    }
    if (what == kind::add || what == kind::multiply) {
      p->second.resize(n);
      for (std::uint8_t& x : p->second) x = code();
      p->second_zero_point = -7;
    }
    if (what == kind::add) p->ratios = {0.7f, 0.45f};
    if (what == kind::multiply) p->ratios = {0.01f};
    if (what == kind::look_up) p->ratios = {0.05f};
  }
  p->what = what;
  p->name = shape;
  p->output_zero_point = what == kind::look_up ? -128 : 3;
  return p;
}

std::int32_t looked_up(const problem& p, std::int32_t code) {
  const double x = static_cast<double>(code - p.input_zero_point) * static_cast<double>(p.ratios[0]);
  const double y = std::nearbyint(256.0 / (1.0 + std::exp(-x))) + p.output_zero_point;
  return static_cast<std::int32_t>(std::clamp(y, -128.0, 127.0));
}

namespace {

double expected_pool(const problem& p, std::int64_t c, std::int64_t x, std::int64_t y) {
  double best = -1000, sum = 0, count = 0;
  for (std::int64_t ky = 0; ky < p.kernel; ++ky) {
    for (std::int64_t kx = 0; kx < p.kernel; ++kx) {
      const std::int64_t iy = y * p.stride + ky - p.pad, ix = x * p.stride + kx - p.pad;
      if (iy < 0 || ix < 0 || iy >= p.height || ix >= p.width) continue;
      const double code = code_value(p, p.input[static_cast<std::size_t>((iy * p.width + ix) * p.in_channels + c)]);
      best = std::max(best, code);
      sum += code - p.input_zero_point;
      ++count;
    }
  }
  return p.what == kind::max_pool ? best : sum / count * static_cast<double>(p.ratios[0]) + p.output_zero_point;
}

double expected_code(const problem& p, std::size_t i) {
  const double ratio = static_cast<double>(p.ratios[p.what == kind::requantize ? i % p.ratios.size() : 0]);
  const auto centred = [i](const array<std::uint8_t>& codes, std::int32_t zero) {
    return static_cast<double>(static_cast<std::int8_t>(codes[i]) - zero);
  };
  switch (p.what) {
    case kind::requantize: return (p.sums[i] + p.bias[i % p.bias.size()]) * ratio + p.output_zero_point;
    case kind::multiply:
      return centred(p.input, p.input_zero_point) * centred(p.second, p.second_zero_point) * ratio +
             p.output_zero_point;
    case kind::add:
      return centred(p.input, p.input_zero_point) * ratio +
             centred(p.second, p.second_zero_point) * static_cast<double>(p.ratios[1]) + p.output_zero_point;
    default: return looked_up(p, static_cast<std::int8_t>(p.input[i]));
  }
}

}  // namespace

double expected_output(const problem& p, std::size_t index, std::int64_t pad) {
  if (p.what == kind::dequantize) return static_cast<double>(p.values[index]);
  if (p.what == kind::quantize) {
    const double x = std::nearbyint(static_cast<double>(p.values[index]) / static_cast<double>(p.scale));
    return std::clamp(x + p.output_zero_point, -128.0, 127.0);
  }
  if (pad < 0) pad = p.pad;
  const auto i = static_cast<std::int64_t>(index);
  const std::int64_t c = i % p.out_channels, x = i / p.out_channels % p.out_width, y = i / p.out_channels / p.out_width;
  const double low = p.unsigned_codes ? 0 : -128, high = p.unsigned_codes ? 255 : 127;
  if (p.what == kind::max_pool || p.what == kind::average_pool)
    return std::clamp(std::nearbyint(expected_pool(p, c, x, y)), low, high);
  if (p.what > kind::observe) return std::clamp(std::nearbyint(expected_code(p, index)), low, high);
  const std::int64_t depth = p.in_channels / p.groups, group = c / (p.out_channels / p.groups);
  std::int64_t sum = p.bias[static_cast<std::size_t>(c)];
  for (std::int64_t ky = 0; ky < p.kernel_h(); ++ky) {
    for (std::int64_t kx = 0; kx < p.kernel; ++kx) {
      const std::int64_t iy = y * p.stride + ky * p.dilation - (p.height == 1 ? 0 : pad),
                         ix = x * p.stride + kx * p.dilation - pad;
      if (iy < 0 || ix < 0 || iy >= p.height || ix >= p.width) continue;
      const std::uint8_t* in = p.input.data() + (iy * p.width + ix) * p.in_channels + group * depth;
      const std::int8_t* w = p.weights.data() + ((c * p.kernel_h() + ky) * p.kernel + kx) * depth;
      for (std::int64_t d = 0; d < depth; ++d) {
        const std::int32_t code =
            p.unsigned_codes ? std::int32_t{in[d]} : std::int32_t{static_cast<std::int8_t>(in[d])};
        sum += (code - p.input_zero_point) * w[d];
      }
    }
  }
  double real = static_cast<double>(sum) * static_cast<double>(p.ratios[static_cast<std::size_t>(c)]);
  if (!p.second.empty()) real += residual_ratio * (code_value(p, p.second[index]) - p.second_zero_point);
  return std::clamp(std::nearbyint(real) + p.output_zero_point, low, high);
}

}  // namespace bench
