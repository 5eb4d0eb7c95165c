// Attention (scaled dot products, grouped heads, masks, cache) and RotaryEmbedding, as ONNX defines them from opset 23
// on.
//
//   scores = softcap(q . k / sqrt(d)) + bias;   y = softmax(scores) . v       per batch, head and query
//
// bias is 0 or -inf from is_causal, the windows and nonpad_kv_seqlen, plus attn_mask. Query i stands at position
// offset + i among the keys: offset is the cache's length, or nonpad_kv_seqlen - queries. A query without any key gives
// 0. Queries and keys are [B, heads, S, d], or [B, S, heads * d] with the head counts as attributes.
#include <cmath>
#include <cstring>

#include "quantal/ops/all.hpp"
#include "quantal/ops/arguments.hpp"
#include "quantal/ops/convert.hpp"

namespace quantal::ops {

namespace {

// [B, heads, S, d] from either layout.
result<tensor_buffer> by_head(const eval_context& c, const tensor_buffer& x, std::int64_t heads) {
  const shape& s = x.dims();
  if (x.type() != dtype::f32) return unsupported_type(c, x.type());
  if (s.rank == 4) return x;
  if (s.rank != 3 || heads < 1 || s[2] % heads != 0) {
    return c.fail(status::data_shape,
                  "input must be [B, heads, S, d], or [B, S, heads * d] with the number of heads as attribute");
  }
  const std::int64_t d = s[2] / heads;
  QUANTAL_TRY(out, tensor_buffer::make(x.type(), shape(s[0], heads, s[1], d)));
  for (std::int64_t r = 0; r < s[0] * s[1] * heads; ++r) {
    const std::int64_t b = r / (s[1] * heads);
    const std::int64_t t = r / heads % s[1];
    std::memcpy(out.mutable_as<float>() + ((b * heads + r % heads) * s[1] + t) * d, x.as<float>() + r * d,
                static_cast<std::size_t>(d) * sizeof(float));
  }
  return std::move(out);
}

// past, then x along the sequence.
result<tensor_buffer> with_past(const eval_context& c, std::size_t i, const tensor_buffer& x) {
  if (!c.has_input(i)) return x;
  const tensor_buffer& past = c.input(i);
  const shape& p = past.dims();
  const shape& s = x.dims();
  if (past.type() != x.type() || p.rank != 4 || p[0] != s[0] || p[1] != s[1] || p[3] != s[3]) {
    return c.fail(status::data_shape, "the cache does not fit the new keys or values");
  }
  QUANTAL_TRY(out, tensor_buffer::make(x.type(), shape(s[0], s[1], p[2] + s[2], s[3])));
  const auto before = static_cast<std::size_t>(p[2] * s[3]);
  const auto after = static_cast<std::size_t>(s[2] * s[3]);
  for (std::int64_t h = 0; h < s[0] * s[1]; ++h) {
    float* to = out.mutable_as<float>() + static_cast<std::size_t>(h) * (before + after);
    std::memcpy(to, past.as<float>() + static_cast<std::size_t>(h) * before, before * sizeof(float));
    std::memcpy(to + before, x.as<float>() + static_cast<std::size_t>(h) * after, after * sizeof(float));
  }
  return std::move(out);
}

// Eight partial sums: the compiler may use vectors without reordering anything.
float dot(const float* a, const float* b, std::int64_t n) {
  float part[8] = {};
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (std::int64_t k = 0; k < 8; ++k) part[k] += a[i + k] * b[i + k];
  }
  float sum = 0;
  for (; i < n; ++i) sum += a[i] * b[i];
  for (float p : part) sum += p;
  return sum;
}

struct masking {
  const tensor_buffer* mask = nullptr;
  std::int64_t stride[4] = {};  // of the mask over [B, heads, queries, keys]
  std::int64_t mask_keys = 0;
  bool causal = false;
  std::int64_t left = -1, right = -1;
  std::vector<std::int64_t> offset;  // per batch
  std::vector<std::int64_t> valid;   // per batch: keys that count; empty: all

  // Bias of one query over its keys; false: no key may be seen.
  bool fill(std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t keys, float* bias) const {
    bool any = false;
    const std::int64_t position = offset[static_cast<std::size_t>(b)] + i;
    for (std::int64_t j = 0; j < keys; ++j) {
      float v = 0;
      if (mask != nullptr) {
        const std::int64_t at = b * stride[0] + h * stride[1] + i * stride[2] + j * stride[3];
        if (j >= mask_keys)
          v = -INFINITY;  // a short mask leaves the other keys out
        else if (mask->type() == dtype::boolean)
          v = mask->as<std::uint8_t>()[at] != 0 ? 0 : -INFINITY;
        else
          v = mask->as<float>()[at];
      }
      if ((causal && j > position) || (left >= 0 && position - j > left) || (right >= 0 && j - position > right) ||
          (!valid.empty() && j >= valid[static_cast<std::size_t>(b)])) {
        v = -INFINITY;
      }
      bias[j] = v;
      any = any || !(std::isinf(v) && v < 0);
    }
    return any;
  }
};

result<masking> masking_of(const eval_context& c, const shape& q, std::int64_t heads, std::int64_t past,
                           std::int64_t keys) {
  masking m;
  m.causal = c.node.get_int("is_causal", 0) != 0;
  m.left = c.node.get_int("left_window_size", -1);
  m.right = c.node.get_int("right_window_size", -1);
  if (m.left < -1 || m.right < -1) return c.fail(status::model_type, "a window size must be -1 or more");
  m.offset.assign(static_cast<std::size_t>(q[0]), past);
  if (c.has_input(6)) {
    QUANTAL_TRY(lengths, ints_of(c, 6));
    if (static_cast<std::int64_t>(lengths.size()) != q[0])
      return c.fail(status::data_shape, "nonpad_kv_seqlen must have one length per batch");
    for (std::size_t b = 0; b < lengths.size(); ++b) {
      if (lengths[b] < 0 || lengths[b] > keys) return c.fail(status::data_format, "nonpad_kv_seqlen is out of range");
      if (!c.has_input(4)) m.offset[b] = lengths[b] - q[2];
    }
    m.valid = std::move(lengths);
  }
  if (!c.has_input(3)) return m;
  m.mask = &c.input(3);
  const shape& s = m.mask->dims();
  if (m.mask->type() != dtype::boolean && m.mask->type() != dtype::f32) return unsupported_type(c, m.mask->type());
  const std::int64_t full[] = {q[0], heads, q[2], keys};
  if (s.rank < 1 || s.rank > 4) return c.fail(status::data_shape, "attn_mask must have 1 to 4 dimensions");
  std::int64_t step = 1;
  for (std::int32_t i = 1; i <= s.rank; ++i) {
    const std::int64_t d = s[s.rank - i];
    const bool last = i == 1;
    if (d != full[4 - i] && d != 1 && !(last && d < keys)) return c.fail(status::data_shape, "attn_mask does not fit");
    // A mask with one key is padded, not repeated, when there are more.
    m.stride[4 - i] = d == 1 ? 0 : step;
    step *= d;
  }
  m.mask_keys = s[s.rank - 1];
  return m;
}

result<void> eval_attention(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 3));
  const bool flat = c.input(0).dims().rank == 3;
  QUANTAL_TRY(q, by_head(c, c.input(0), c.node.get_int("q_num_heads", 0)));
  QUANTAL_TRY(k_new, by_head(c, c.input(1), c.node.get_int("kv_num_heads", 0)));
  QUANTAL_TRY(v_new, by_head(c, c.input(2), c.node.get_int("kv_num_heads", 0)));
  QUANTAL_TRY(k, with_past(c, 4, k_new));
  QUANTAL_TRY(v, with_past(c, 5, v_new));
  const shape& s = q.dims();
  const std::int64_t heads = s[1];
  const std::int64_t queries = s[2];
  const std::int64_t depth = s[3];
  const std::int64_t keys = k.dims()[2];
  const std::int64_t kv_heads = k.dims()[1];
  const std::int64_t width = v.dims()[3];
  if (k.dims()[0] != s[0] || v.dims()[0] != s[0] || k.dims()[3] != depth || v.dims()[1] != kv_heads ||
      v.dims()[2] != keys || kv_heads < 1 || heads % kv_heads != 0 || c.has_input(4) != c.has_input(5)) {
    return c.fail(status::data_shape, "queries, keys and values do not fit each other");
  }
  const std::int64_t past = c.has_input(4) ? c.input(4).dims()[2] : 0;
  QUANTAL_TRY(mask, masking_of(c, s, heads, past, keys));
  const std::int64_t mode = c.node.get_int("qk_matmul_output_mode", 0);
  if (mode < 0 || mode > 3) return c.fail(status::model_type, "qk_matmul_output_mode must be 0 to 3");
  const float softcap = c.node.get_float("softcap", 0);
  const float given = c.node.get_float("scale", 0);
  const float root = static_cast<float>(std::sqrt(
      c.node.find("scale") != nullptr ? static_cast<double>(given) : 1 / std::sqrt(static_cast<double>(depth))));

  QUANTAL_TRY(y,
              c.output(0, dtype::f32, flat ? shape(s[0], queries, heads * width) : shape(s[0], heads, queries, width)));
  if (c.node.has_output(1)) QUANTAL_CHECK(c.forward(1, k));
  if (c.node.has_output(2)) QUANTAL_CHECK(c.forward(2, v));
  float* seen = nullptr;
  if (c.node.has_output(3)) {
    QUANTAL_TRY(out, c.output(3, dtype::f32, shape(s[0], heads, queries, keys)));
    seen = out->mutable_as<float>();
  }
  const std::int64_t cost = keys * (depth + width);
  parallel_ranges(c.parallel(), s[0] * heads * queries, 1 + 16384 / std::max<std::int64_t>(cost, 1),
                  [&](std::int64_t begin, std::int64_t end) {
                    std::vector<float> score(static_cast<std::size_t>(keys));
                    std::vector<float> bias(static_cast<std::size_t>(keys));
                    std::vector<float> scaled(static_cast<std::size_t>(depth));
                    for (std::int64_t row = begin; row < end; ++row) {
                      const std::int64_t b = row / (heads * queries);
                      const std::int64_t h = row / queries % heads;
                      const std::int64_t i = row % queries;
                      const std::int64_t group = b * kv_heads + h / (heads / kv_heads);
                      const float* key = k.as<float>() + group * keys * depth;
                      const float* value = v.as<float>() + group * keys * width;
                      // scale is split between both factors, as the spec does.
                      for (std::int64_t d = 0; d < depth; ++d)
                        scaled[static_cast<std::size_t>(d)] = q.as<float>()[row * depth + d] * root * root;
                      const bool any = mask.fill(b, h, i, keys, bias.data());
                      float* exposed = seen != nullptr ? seen + row * keys : nullptr;
                      float most = -INFINITY;
                      for (std::int64_t j = 0; j < keys; ++j) {
                        float x = dot(scaled.data(), key + j * depth, depth);
                        if (exposed != nullptr && mode == 0) exposed[j] = x;
                        if (softcap > 0) x = std::tanh(x / softcap) * softcap;
                        if (exposed != nullptr && mode == 1) exposed[j] = x;
                        x += bias[static_cast<std::size_t>(j)];
                        if (exposed != nullptr && mode == 2) exposed[j] = x;
                        score[static_cast<std::size_t>(j)] = x;
                        most = std::max(most, x);
                      }
                      float sum = 0;
                      for (float& x : score) sum += x = any ? std::exp(x - most) : 0.0f;
                      const float factor = sum == 0 ? 0.0f : 1 / sum;
                      float* to =
                          y->mutable_as<float>() + (flat ? ((b * queries + i) * heads + h) * width : row * width);
                      std::fill_n(to, width, 0.0f);
                      for (std::int64_t j = 0; j < keys; ++j) {
                        const float p = score[static_cast<std::size_t>(j)] * factor;
                        if (exposed != nullptr && mode == 3) exposed[j] = p;
                        if (p == 0) continue;
                        for (std::int64_t d = 0; d < width; ++d) to[d] += p * value[j * width + d];
                      }
                    }
                  });
  return {};
}

result<void> infer_attention(infer_context& c) {
  const dtype t = elem_of(c, 0);
  const dim_list* q = dims_of(c, 0);
  const dim_list* k = dims_of(c, 1);
  const dim_list* v = dims_of(c, 2);
  set_typed(c, 0, t);
  for (std::size_t i = 1; i < 4; ++i) set_typed(c, i, i == 2 ? elem_of(c, 2) : t, unknown_dims(4));
  if (q == nullptr || k == nullptr || v == nullptr) return {};
  if (q->size() != k->size() || k->size() != v->size() || (q->size() != 3 && q->size() != 4))
    return rule_error(c, "queries, keys and values must all have 3 or 4 dimensions");
  const bool flat = q->size() == 3;
  const std::int64_t heads = c.node.get_int("q_num_heads", 0);
  const std::int64_t kv_heads = c.node.get_int("kv_num_heads", 0);
  if (flat && (heads < 1 || kv_heads < 1)) return rule_error(c, "the numbers of heads must be given and positive");
  const auto part = [](const ir::dim& d, std::int64_t n) {
    return d.known() && d.value % n == 0 ? ir::dim(d.value / n) : ir::dim();
  };
  const ir::dim width = flat ? part((*v)[2], kv_heads) : (*v)[3];
  if (flat) {
    set_typed(c, 0, t, {(*q)[0], (*q)[1], width.known() ? ir::dim(width.value * heads) : ir::dim()});
  } else {
    set_typed(c, 0, t, {(*q)[0], (*q)[1], (*q)[2], width});
  }
  const dim_list* past = dims_of(c, 4);
  ir::dim keys = flat ? (*k)[1] : (*k)[2];
  if (c.node.has_input(4))
    keys = past != nullptr && past->size() == 4 && (*past)[2].known() && keys.known()
               ? ir::dim((*past)[2].value + keys.value)
               : ir::dim();
  const ir::dim groups = flat ? ir::dim(kv_heads) : (*k)[1];
  set_typed(c, 1, t, {(*q)[0], groups, keys, flat ? part((*k)[2], kv_heads) : (*k)[3]});
  set_typed(c, 2, elem_of(c, 2), {(*q)[0], groups, keys, width});
  set_typed(c, 3, t, {(*q)[0], flat ? ir::dim(heads) : (*q)[1], flat ? (*q)[1] : (*q)[2], keys});
  return {};
}

// ---- RotaryEmbedding: pairs (x1, x2) turned by the angle of their position ----

result<void> eval_rotary(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 3));
  const tensor_buffer& x = c.input(0);
  const tensor_buffer& cosine = c.input(1);
  const tensor_buffer& sine = c.input(2);
  const shape& s = x.dims();
  if (x.type() != dtype::f32 || cosine.type() != dtype::f32 || sine.type() != dtype::f32)
    return unsupported_type(c, x.type());
  const bool flat = s.rank == 3;
  const std::int64_t heads = flat ? c.node.get_int("num_heads", 0) : s.rank == 4 ? s[1] : 0;
  if (heads < 1 || (flat && s[2] % heads != 0))
    return c.fail(status::data_shape, "input must be [B, heads, S, d], or [B, S, heads * d] with num_heads");
  const std::int64_t times = flat ? s[1] : s[2];
  const std::int64_t size = flat ? s[2] / heads : s[3];
  const std::int64_t wanted = c.node.get_int("rotary_embedding_dim", 0);
  const std::int64_t turned = wanted == 0 ? size : wanted;
  if (turned < 0 || turned > size || turned % 2 != 0)
    return c.fail(status::model_type, "rotary_embedding_dim is out of range");
  const std::int64_t half = turned / 2;
  std::vector<std::int64_t> rows(static_cast<std::size_t>(s[0] * times));
  const shape& table = cosine.dims();
  if (!(sine.dims() == table) || table.rank < 2 || table[table.rank - 1] != half)
    return c.fail(status::data_shape, "the caches do not fit the input");
  const std::int64_t count = table.elements(0, table.rank - 1);
  if (c.has_input(3)) {
    QUANTAL_TRY(given, ints_of(c, 3));
    rows = std::move(given);
  } else {
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::int64_t>(i);
  }
  if (static_cast<std::int64_t>(rows.size()) != s[0] * times)
    return c.fail(status::data_shape, "one position per element of the sequence is needed");
  for (std::int64_t r : rows) {
    if (r < 0 || r >= count)
      return c.fail(status::data_format, "position " + std::to_string(r) + " is outside the cache");
  }
  const bool interleaved = c.node.get_int("interleaved", 0) != 0;
  QUANTAL_TRY(out, c.output(0, x.type(), s));
  for (std::int64_t r = 0; r < s[0] * times * heads; ++r) {
    const std::int64_t b = r / (times * heads);
    const std::int64_t t = flat ? r / heads % times : r % times;
    const float* from = x.as<float>() + r * size;
    float* to = out->mutable_as<float>() + r * size;
    const std::int64_t row = rows[static_cast<std::size_t>(b * times + t)] * half;
    for (std::int64_t i = 0; i < half; ++i) {
      const std::int64_t p1 = interleaved ? 2 * i : i;
      const std::int64_t p2 = interleaved ? 2 * i + 1 : half + i;
      const float cos = cosine.as<float>()[row + i];
      const float sin = sine.as<float>()[row + i];
      to[p1] = cos * from[p1] - sin * from[p2];
      to[p2] = sin * from[p1] + cos * from[p2];
    }
    std::copy(from + turned, from + size, to + turned);
  }
  return {};
}

constexpr op_def table[] = {
    {"Attention", 23, infer_attention, in_wide<eval_attention>},
    {"RotaryEmbedding", 23, infer_same, in_wide<eval_rotary>},
};

}  // namespace

op_list attention_ops() {
  return table;
}

}  // namespace quantal::ops
