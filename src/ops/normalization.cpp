// Normalisations: BatchNormalization, InstanceNormalization, GroupNormalization, LayerNormalization,
// RMSNormalization, LRN, LpNormalization. Sums run in double.
//
//   y = (x - mean) / sqrt(variance + epsilon) * scale + bias
//
// over what differs: a channel's running statistics, a plane, a group of planes, the trailing axes. Source: ONNX spec.
#include <algorithm>
#include <cmath>

#include "quantal/ops/all.hpp"
#include "quantal/ops/arguments.hpp"
#include "quantal/ops/convert.hpp"

namespace quantal::ops {

namespace {

std::size_t index(std::int64_t i) noexcept {
  return static_cast<std::size_t>(i);
}

struct moments {
  double mean = 0, variance = 0;
};

moments moments_of(const float* x, std::int64_t n) {
  moments m;
  for (std::int64_t i = 0; i < n; ++i) m.mean += static_cast<double>(x[i]);
  m.mean /= static_cast<double>(n);
  for (std::int64_t i = 0; i < n; ++i) {
    const double d = static_cast<double>(x[i]) - m.mean;
    m.variance += d * d;
  }
  m.variance /= static_cast<double>(n);
  return m;
}

void affine(const float* x, std::int64_t n, float a, float b, float* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = x[i] * a + b;
}

// Input i as `count` floats.
result<const float*> floats_of(const eval_context& c, std::size_t i, std::int64_t count) {
  const tensor_buffer& t = c.input(i);
  if (t.type() != dtype::f32) return unsupported_type(c, t.type());
  if (t.elements() != count) {
    return c.fail(status::data_shape, "input " + std::to_string(i) + " has " + std::to_string(t.elements()) +
                                          " elements, expected " + std::to_string(count));
  }
  return t.as<float>();
}

result<void> require_channels(const eval_context& c) {
  if (c.input(0).type() != dtype::f32) return unsupported_type(c, c.input(0).type());
  if (c.input(0).dims().rank < 2) return c.fail(status::data_shape, "input needs rank 2 or more");
  return {};
}

std::int64_t grain(std::int64_t size) {
  return std::max<std::int64_t>(1, 16384 / std::max<std::int64_t>(1, size));
}

// ---- BatchNormalization -------------------------------------------------------------------------------------------

// Mean and variance of each channel over the batch, and the running values after it.
result<void> batch_statistics(eval_context& c, std::vector<float>& mean, std::vector<float>& variance) {
  const tensor_buffer& x = c.input(0);
  const std::int64_t batch = x.dims()[0], channels = x.dims()[1], size = x.dims().elements(2, x.dims().rank);
  const float momentum = c.node.get_float("momentum", 0.9f);
  float* running[2] = {};
  for (std::size_t i = 0; i < 2; ++i) {
    QUANTAL_TRY(t, c.output(i + 1, dtype::f32, shape(channels)));
    running[i] = t->mutable_as<float>();
  }
  for (std::int64_t k = 0; k < channels; ++k) {
    double sum = 0, squares = 0;
    for (int pass = 0; pass < 2; ++pass) {
      for (std::int64_t n = 0; n < batch; ++n) {
        const float* from = x.as<float>() + (n * channels + k) * size;
        for (std::int64_t i = 0; i < size; ++i) {
          const double v = static_cast<double>(from[i]);
          pass == 0 ? sum += v : squares += (v - sum) * (v - sum);
        }
      }
      (pass == 0 ? sum : squares) /= static_cast<double>(std::max<std::int64_t>(1, batch * size));
    }
    running[0][k] = mean[index(k)] * momentum + static_cast<float>(sum) * (1 - momentum);
    running[1][k] = variance[index(k)] * momentum + static_cast<float>(squares) * (1 - momentum);
    mean[index(k)] = static_cast<float>(sum);
    variance[index(k)] = static_cast<float>(squares);
  }
  return {};
}

result<void> eval_batch(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 5));
  const tensor_buffer& x = c.input(0);
  if (x.type() != dtype::f32) return unsupported_type(c, x.type());
  if (x.dims().rank < 1) return c.fail(status::data_shape, "input is a scalar");
  if (c.opset < 9 && c.node.get_int("spatial", 1) == 0)
    return c.fail(status::unsupported, "BatchNormalization with spatial=0");
  const std::int64_t channels = x.dims().rank < 2 ? 1 : x.dims()[1],
                     size = x.dims().elements(std::min(2, x.dims().rank), x.dims().rank);
  const float* parameters[4];
  for (std::size_t i = 0; i < 4; ++i) {
    QUANTAL_TRY(p, floats_of(c, i + 1, channels));
    parameters[i] = p;
  }
  std::vector<float> mean(parameters[2], parameters[2] + channels), variance(parameters[3], parameters[3] + channels);
  if (c.opset >= 14 && c.node.get_int("training_mode", 0) != 0) QUANTAL_CHECK(batch_statistics(c, mean, variance));
  const float epsilon = c.node.get_float("epsilon", 1e-5f);
  QUANTAL_TRY(y, c.output(0, dtype::f32, x.dims()));
  parallel_ranges(c.parallel(), x.dims()[0] * channels, grain(size), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t p = first; p < last; ++p) {
      const std::int64_t k = p % channels;
      const float a = parameters[0][k] / std::sqrt(variance[index(k)] + epsilon);
      affine(x.as<float>() + p * size, size, a, parameters[1][k] - mean[index(k)] * a,
             y->mutable_as<float>() + p * size);
    }
  });
  return {};
}

result<void> infer_batch(infer_context& c) {
  QUANTAL_CHECK(infer_same(c));
  const dim_list* x = dims_of(c, 0);
  for (std::size_t i = 1; i < c.node.outputs.size(); ++i) {
    if (c.node.has_output(i)) set_typed(c, i, elem_of(c, 0), {x != nullptr && x->size() > 1 ? (*x)[1] : ir::dim()});
  }
  return {};
}

// ---- planes and groups of planes ----------------------------------------------------------------------------------

result<void> eval_instance(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 3));
  QUANTAL_CHECK(require_channels(c));
  const tensor_buffer& x = c.input(0);
  const std::int64_t channels = x.dims()[1], size = x.dims().elements(2, x.dims().rank);
  QUANTAL_TRY(scale, floats_of(c, 1, channels));
  QUANTAL_TRY(bias, floats_of(c, 2, channels));
  const double epsilon = static_cast<double>(c.node.get_float("epsilon", 1e-5f));
  QUANTAL_TRY(y, c.output(0, dtype::f32, x.dims()));
  if (x.elements() == 0) return {};
  parallel_ranges(c.parallel(), x.dims()[0] * channels, grain(size), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t p = first; p < last; ++p) {
      const moments m = moments_of(x.as<float>() + p * size, size);
      const double a = static_cast<double>(scale[p % channels]) / std::sqrt(m.variance + epsilon);
      affine(x.as<float>() + p * size, size, static_cast<float>(a),
             static_cast<float>(static_cast<double>(bias[p % channels]) - m.mean * a),
             y->mutable_as<float>() + p * size);
    }
  });
  return {};
}

// Opset 18 has a scale and bias per group, 21 per channel.
result<void> eval_group(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 3));
  QUANTAL_CHECK(require_channels(c));
  const tensor_buffer& x = c.input(0);
  const std::int64_t channels = x.dims()[1], groups = c.node.get_int("num_groups", 0),
                     size = x.dims().elements(2, x.dims().rank);
  if (groups < 1 || channels % groups != 0)
    return c.fail(status::model_type, "num_groups does not divide the channels");
  const std::int64_t per_group = channels / groups, parameters = c.opset < 21 ? groups : channels;
  QUANTAL_TRY(scale, floats_of(c, 1, parameters));
  QUANTAL_TRY(bias, floats_of(c, 2, parameters));
  const double epsilon = static_cast<double>(c.node.get_float("epsilon", 1e-5f));
  QUANTAL_TRY(y, c.output(0, dtype::f32, x.dims()));
  if (x.elements() == 0) return {};
  parallel_ranges(
      c.parallel(), x.dims()[0] * groups, grain(per_group * size), [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t g = first; g < last; ++g) {
          const moments m = moments_of(x.as<float>() + g * per_group * size, per_group * size);
          for (std::int64_t k = 0; k < per_group; ++k) {
            const std::int64_t at = g * per_group + k, p = parameters == groups ? g % groups : at % channels;
            const double a = static_cast<double>(scale[p]) / std::sqrt(m.variance + epsilon);
            affine(x.as<float>() + at * size, size, static_cast<float>(a),
                   static_cast<float>(static_cast<double>(bias[p]) - m.mean * a), y->mutable_as<float>() + at * size);
          }
        }
      });
  return {};
}

// ---- trailing axes ------------------------------------------------------------------------------------------------

// Scale or bias broadcast to the input: element (row, i) is data[row * row_stride + i]; a copy only where it must be.
struct spread {
  const float* data = nullptr;
  std::int64_t row_stride = 0;
  std::vector<float> copy;
};

result<spread> spread_over(const eval_context& c, std::size_t i, const shape& x, std::int32_t axis) {
  const tensor_buffer& t = c.input(i);
  if (t.type() != dtype::f32) return unsupported_type(c, t.type());
  const shape& d = t.dims();
  bool fits = d.rank <= x.rank, leading = false, exact = true;
  for (std::int32_t k = 1; fits && k <= d.rank; ++k) {
    const std::int64_t extent = d[d.rank - k], whole = x[x.rank - k];
    fits = extent == 1 || extent == whole;
    if (x.rank - k < axis) leading = leading || extent != 1;
  }
  if (!fits) return c.fail(status::data_shape, "scale or bias does not broadcast to the input");
  const std::int64_t n = x.elements(axis, x.rank), rows = x.elements(0, axis);
  exact = !leading && t.elements() == n;
  spread s;
  if (exact) {
    s.data = t.as<float>();
    return s;
  }
  s.row_stride = leading ? n : 0;
  s.copy.resize(index(leading ? rows * n : n));
  for (std::size_t e = 0; e < s.copy.size(); ++e) {
    std::int64_t rest = static_cast<std::int64_t>(e), at = 0, stride = 1;
    for (std::int32_t k = 1; k <= d.rank; ++k) {
      const std::int64_t whole = x[x.rank - k], extent = d[d.rank - k];
      if (extent != 1) at += rest % whole * stride;
      rest /= whole;
      stride *= extent;
    }
    s.copy[e] = t.as<float>()[at];
  }
  s.data = s.copy.data();
  return s;
}

template <bool Centered>
result<void> eval_layer(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 2));
  const tensor_buffer& x = c.input(0);
  if (x.type() != dtype::f32) return unsupported_type(c, x.type());
  const shape& d = x.dims();
  QUANTAL_TRY(axis, axis_of(c, c.node.get_int("axis", -1), d.rank));
  const std::int64_t n = d.elements(axis, d.rank), rows = d.elements(0, axis);
  QUANTAL_TRY(scale, spread_over(c, 1, d, axis));
  spread bias;
  if (Centered && c.has_input(2)) {
    QUANTAL_TRY(given, spread_over(c, 2, d, axis));
    bias = std::move(given);
  }
  const double epsilon = static_cast<double>(c.node.get_float("epsilon", 1e-5f));
  shape reduced = d;
  for (std::int32_t i = axis; i < d.rank; ++i) reduced[i] = 1;
  QUANTAL_TRY(y, c.output(0, dtype::f32, d));
  float* means = nullptr;
  float* inverses = nullptr;
  if (Centered && c.node.has_output(1)) {
    QUANTAL_TRY(t, c.output(1, dtype::f32, reduced));
    means = t->mutable_as<float>();
  }
  if (Centered && c.node.has_output(2)) {
    QUANTAL_TRY(t, c.output(2, dtype::f32, reduced));
    inverses = t->mutable_as<float>();
  }
  if (x.elements() == 0) return {};
  parallel_ranges(c.parallel(), rows, grain(n), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t r = first; r < last; ++r) {
      const float* from = x.as<float>() + r * n;
      float* to = y->mutable_as<float>() + r * n;
      moments m;
      if constexpr (Centered) {
        m = moments_of(from, n);
      } else {
        for (std::int64_t i = 0; i < n; ++i) m.variance += static_cast<double>(from[i]) * static_cast<double>(from[i]);
        m.variance /= static_cast<double>(n);
      }
      const double inverse = 1.0 / std::sqrt(m.variance + epsilon);
      if (means != nullptr) means[r] = static_cast<float>(m.mean);
      if (inverses != nullptr) inverses[r] = static_cast<float>(inverse);
      const float a = static_cast<float>(inverse), mean = static_cast<float>(m.mean);
      const float* s = scale.data + r * scale.row_stride;
      const float* b = bias.data == nullptr ? nullptr : bias.data + r * bias.row_stride;
      for (std::int64_t i = 0; i < n; ++i) to[i] = (from[i] - mean) * a * s[i] + (b == nullptr ? 0.0f : b[i]);
    }
  });
  return {};
}

result<void> infer_layer(infer_context& c) {
  QUANTAL_CHECK(infer_same(c));
  const dim_list* x = dims_of(c, 0);
  for (std::size_t i = 1; i < 3; ++i) {
    if (!c.node.has_output(i)) continue;
    if (x == nullptr) {
      set_typed(c, i, dtype::f32);
      continue;
    }
    QUANTAL_TRY(axis, normalize_axis(c.node, c.node.get_int("axis", -1), rank_of(*x)));
    dim_list reduced = *x;
    std::fill(reduced.begin() + axis, reduced.end(), ir::dim(1));
    set_typed(c, i, dtype::f32, std::move(reduced));
  }
  return {};
}

// ---- LRN, LpNormalization -----------------------------------------------------------------------------------------

// y = x / (bias + alpha / size * sum of x^2 over `size` neighbouring channels) ^ beta
result<void> eval_lrn(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  QUANTAL_CHECK(require_channels(c));
  const tensor_buffer& x = c.input(0);
  const std::int64_t channels = x.dims()[1], inner = x.dims().elements(2, x.dims().rank),
                     size = c.node.get_int("size", 0);
  if (size < 1) return c.fail(status::model_type, "size is " + std::to_string(size));
  const float alpha = c.node.get_float("alpha", 1e-4f) / static_cast<float>(size);
  const float beta = c.node.get_float("beta", 0.75f), bias = c.node.get_float("bias", 1.0f);
  QUANTAL_TRY(y, c.output(0, dtype::f32, x.dims()));
  parallel_ranges(c.parallel(), x.dims()[0] * channels, grain(inner * 8), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t p = first; p < last; ++p) {
      const std::int64_t k = p % channels;
      const std::int64_t low = std::max<std::int64_t>(0, k - (size - 1) / 2),
                         high = std::min(channels - 1, k + size / 2);
      const float* image = x.as<float>() + (p - k) * inner;
      for (std::int64_t i = 0; i < inner; ++i) {
        float sum = 0;
        for (std::int64_t j = low; j <= high; ++j) sum += image[j * inner + i] * image[j * inner + i];
        y->mutable_as<float>()[p * inner + i] = image[k * inner + i] / std::pow(bias + alpha * sum, beta);
      }
    }
  });
  return {};
}

result<void> eval_lp(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  const tensor_buffer& x = c.input(0);
  if (x.type() != dtype::f32) return unsupported_type(c, x.type());
  const shape& d = x.dims();
  QUANTAL_TRY(axis, axis_of(c, c.node.get_int("axis", -1), d.rank));
  const std::int64_t p = c.node.get_int("p", 2), n = d[axis], inner = d.elements(axis + 1, d.rank),
                     outer = d.elements(0, axis);
  if (p != 1 && p != 2) return c.fail(status::model_type, "p is " + std::to_string(p));
  QUANTAL_TRY(y, c.output(0, dtype::f32, d));
  parallel_ranges(c.parallel(), outer * inner, grain(n), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t r = first; r < last; ++r) {
      const float* from = x.as<float>() + r / inner * n * inner + r % inner;
      float* to = y->mutable_as<float>() + r / inner * n * inner + r % inner;
      double sum = 0;
      for (std::int64_t i = 0; i < n; ++i) {
        const double v = static_cast<double>(from[i * inner]);
        sum += p == 1 ? std::abs(v) : v * v;
      }
      const double norm = p == 1 ? sum : std::sqrt(sum);
      for (std::int64_t i = 0; i < n; ++i)
        to[i * inner] = norm == 0 ? 0.0f : static_cast<float>(static_cast<double>(from[i * inner]) / norm);
    }
  });
  return {};
}

const op_def table[] = {
    {"BatchNormalization", 6, infer_batch, in_wide<eval_batch>, {}},
    {"InstanceNormalization", 6, infer_same, in_wide<eval_instance>, {}},
    {"GroupNormalization", 18, infer_same, in_wide<eval_group>, {}},
    {"LayerNormalization", 17, infer_layer, in_wide<eval_layer<true>>, {}},
    {"RMSNormalization", 23, infer_same, in_wide<eval_layer<false>>, {}},
    {"LRN", 1, infer_same, in_wide<eval_lrn>, {}},
    {"LpNormalization", 1, infer_same, in_wide<eval_lp>, {}},
};

}  // namespace

op_list normalization_ops() {
  return table;
}

}  // namespace quantal::ops
