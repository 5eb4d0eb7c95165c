// What is seen; linter_warnings.cpp judges it.
#include "quantal/data/linter.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "quantal/data/convert.hpp"

namespace quantal::data {

namespace {

constexpr std::size_t most_remembered = 1'000'000;
constexpr std::int64_t shortest_axis = 16;  // below, margins and correlation say nothing
constexpr double padded_share = 0.3;
constexpr double noise_ratio = 0.9;

// FNV-1a over 8-byte words, then a mix (splitmix64): equal samples, equal numbers; chance collisions are negligible.
std::uint64_t hash_bytes(const unsigned char* data, std::size_t bytes, std::uint64_t hash) {
  const auto add = [&](std::uint64_t word) { hash = (hash ^ word) * 0x100000001b3ull + (hash >> 29); };
  for (; bytes >= 8; bytes -= 8, data += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, data, 8);
    add(word);
  }
  for (; bytes > 0; --bytes) add(*data++);
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9ull;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebull;
  return hash ^ (hash >> 31);
}

bool first_time(std::unordered_set<std::uint64_t>& seen, std::uint64_t hash) {
  if (seen.size() >= most_remembered) return !seen.contains(hash);
  return seen.insert(hash).second;
}

// One sample as floats: outer x length x inner, for an axis.
struct axis_view {
  std::int64_t outer = 1, length = 1, inner = 1;
};
axis_view along(const shape& dims, std::int32_t axis) {
  axis_view v;
  for (std::int32_t i = 0; i < dims.rank; ++i) {
    if (i < axis) v.outer *= dims[i];
    if (i == axis) v.length = dims[i];
    if (i > axis) v.inner *= dims[i];
  }
  return v;
}

// Is slice `k` of the axis filled with `value`?
bool slice_is(const float* x, const axis_view& v, std::int64_t k, float value) {
  for (std::int64_t o = 0; o < v.outer; ++o) {
    const float* row = x + (o * v.length + k) * v.inner;
    for (std::int64_t i = 0; i < v.inner; ++i) {
      if (row[i] != value) return false;
    }
  }
  return true;
}

// Share of an axis that is margin: slices at both ends that hold one value each.
double margin(const float* x, const axis_view& v) {
  const float front = x[0], back = x[v.outer * v.length * v.inner - 1];
  std::int64_t low = 0, high = 0;
  while (low < v.length && slice_is(x, v, low, front)) ++low;
  while (high < v.length - low && slice_is(x, v, v.length - 1 - high, back)) ++high;
  return static_cast<double>(low + high) / static_cast<double>(v.length);
}

// Mean squared difference of neighbours over twice the variance: 1 for independent values, near 0 for smooth ones.
double roughness(const float* x, const axis_view& v) {
  double squares = 0, sum = 0, sum2 = 0;
  for (std::int64_t o = 0; o < v.outer; ++o) {
    for (std::int64_t k = 0; k < v.length; ++k) {
      const float* row = x + (o * v.length + k) * v.inner;
      for (std::int64_t i = 0; i < v.inner; ++i) {
        const double a = row[i];
        sum += a;
        sum2 += a * a;
        if (k + 1 < v.length) squares += (a - row[i + v.inner]) * (a - row[i + v.inner]);
      }
    }
  }
  const double count = static_cast<double>(v.outer * v.length * v.inner);
  const double pairs = static_cast<double>(v.outer * (v.length - 1) * v.inner);
  const double variance = sum2 / count - (sum / count) * (sum / count);
  return variance > 0 ? squares / pairs / (2 * variance) : 0;
}

struct sample_facts {
  bool constant = true, finite = true;
};

sample_facts count_values(input_facts& in, const float* x, std::int64_t count) {
  sample_facts s;
  for (std::int64_t i = 0; i < count; ++i) {
    const double v = x[i];
    if (!std::isfinite(v)) {
      ++(std::isnan(v) ? in.nan : in.infinite);
      s.finite = false;
      continue;
    }
    const bool first = in.elements == 0;
    ++in.elements;
    in.min = first ? v : std::min(in.min, v);
    in.max = first ? v : std::max(in.max, v);
    in.sum += v;
    in.sum_of_squares += v * v;
    in.whole = in.whole && v == std::nearbyint(v);
    s.constant = s.constant && x[i] == x[0];
  }
  return s;
}

// Correlation and margins, of samples that vary. Noise needs every long axis to be rough: two at least, or one axis of
// a sample of rank 1 (audio); features of a table are rightly uncorrelated.
void judge_structure(input_facts& in, const float* x, const shape& dims) {
  double worst_margin = 0, smoothest = 2;
  for (std::int32_t axis = 0; axis < dims.rank; ++axis) {
    if (dims[axis] < shortest_axis) continue;
    const axis_view v = along(dims, axis);
    worst_margin = std::max(worst_margin, margin(x, v));
    smoothest = std::min(smoothest, roughness(x, v));
  }
  if (worst_margin >= padded_share) ++in.padded;
  if (smoothest > 1.5 || dims.rank < 2 || !in.floating) return;  // no long axis
  ++in.judged_noise;
  if (smoothest > noise_ratio) ++in.noise;
}

bool is_pixels(const shape& dims) {
  return dims.rank == 4 && (dims[1] == 1 || dims[1] == 3 || dims[3] == 1 || dims[3] == 3);
}

void observe_sample(input_facts& in, const float* x, const shape& dims, const feed& f) {
  const std::int64_t count = dims.elements();
  const sample_facts s = count_values(in, x, count);
  ++in.samples;
  if (!s.finite && in.nan_origin.empty()) in.nan_origin = f.origin;
  if (s.constant && s.finite && count > 1) ++in.constant;
  if (!s.constant && s.finite) judge_structure(in, x, dims);
}

}  // namespace

double input_facts::mean() const noexcept {
  return elements > 0 ? sum / static_cast<double>(elements) : 0;
}

double input_facts::deviation() const noexcept {
  if (elements < 1) return 0;
  const double m = mean();
  return std::sqrt(std::max(0.0, sum_of_squares / static_cast<double>(elements) - m * m));
}

void linter::observe(const feed& f) {
  facts_.inputs.resize(std::max(facts_.inputs.size(), f.inputs.size()));
  seen_.resize(facts_.inputs.size() + 1);
  std::vector<std::uint64_t> whole(static_cast<std::size_t>(std::max<std::int64_t>(f.samples, 0)), 0);
  bool hashed = !whole.empty();
  for (std::size_t k = 0; k < f.inputs.size(); ++k) {
    const tensor_buffer& value = f.inputs[k].second;
    input_facts& in = facts_.inputs[k];
    in.name = f.inputs[k].first;
    in.floating = is_float(value.type());
    in.pixels = is_pixels(value.dims());
    // A first axis that does not count samples (a scalar, a state): one sample per feed.
    const bool batched = value.dims().rank > 0 && value.dims()[0] >= f.samples && f.samples > 0;
    const std::int64_t samples = batched ? f.samples : 1;
    hashed = hashed && batched;
    shape one;
    for (std::int32_t i = batched ? 1 : 0; i < value.dims().rank; ++i) one.push_back(value.dims()[i]);
    auto floats = convert(value, dtype::f32);
    if (!floats || one.elements() == 0) continue;
    const std::size_t bytes = value.bytes() / static_cast<std::size_t>(batched ? value.dims()[0] : 1);
    for (std::int64_t i = 0; i < samples; ++i) {
      observe_sample(in, floats->as<float>() + i * one.elements(), one, f);
      const std::uint64_t hash =
          hash_bytes(value.as<unsigned char>() + static_cast<std::size_t>(i) * bytes, bytes, k + bytes);
      if (!first_time(seen_[k], hash)) ++in.duplicates;
      if (batched) whole[static_cast<std::size_t>(i)] = whole[static_cast<std::size_t>(i)] * 31 + hash;
    }
  }
  for (const std::uint64_t hash : whole) {
    if (hashed && !first_time(seen_.back(), hash)) ++facts_.duplicates;
  }
  facts_.samples += f.samples;
  for (std::int64_t i = 0; f.label && i < f.label.elements(); ++i) ++facts_.classes[f.label.as<std::int64_t>()[i]];
  for (const std::int64_t c : f.classes) ++facts_.classes[c];
}

result<data_facts> survey(source& samples) {
  linter l;
  for (;;) {
    QUANTAL_TRY(f, samples.next());
    if (!f) break;
    l.observe(*f);
  }
  data_facts facts = l.facts();
  facts.class_names = samples.class_names();
  return facts;
}

}  // namespace quantal::data
