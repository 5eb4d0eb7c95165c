// The C ABI's observers: calib::observer and its method behind an opaque handle. Statistics go in and out as the text
// of a calibration cache (data/calibration_cache.hpp) with one tensor, so that a file saved here is one that `quantal
// inspect` reads, and whatever is damaged in it is found by that reader.
#include <span>
#include <utility>

#include "guard.hpp"
#include "quantal/calib/method.hpp"
#include "quantal/data/calibration_cache.hpp"
#include "quantal/kernels/elementwise.hpp"
#include "quantal/quant/choose.hpp"

using namespace quantal;
using namespace quantal::capi;

struct quantal_observer {
  const calib::method* method;
  calib::method_options options;
  std::int32_t axis;
  std::unique_ptr<calib::observer> seen;
};

namespace {

constexpr const char* tensor_name = "x";

// Zero means the default.
std::int32_t read_options(const quantal_observer_options* in, calib::method_options& o, std::int32_t& axis) noexcept {
  axis = -1;
  if (in == nullptr) return QUANTAL_OK;
  quantal_observer_options d;
  const std::int32_t s = read_struct(in, d, sizeof(quantal_observer_options), QUANTAL_PER_CHANNEL);
  if (s != QUANTAL_OK) return s;
  if (d.reserved != 0) return QUANTAL_E_FLAGS;
  if ((d.flags & QUANTAL_PER_CHANNEL) != 0) {
    if (d.axis < 0 || d.axis >= limits::max_rank) return QUANTAL_E_SHAPE;
    axis = d.axis;
  }
  const auto set = [](auto& field, auto value) {
    if (value != 0) field = value;
  };
  set(o.bins, d.bins);
  set(o.quantized_bins, d.quantized_bins);
  set(o.percentile, d.percentile);
  set(o.stddev, d.stddev);
  set(o.scale, d.scale);
  set(o.averaging_constant, d.averaging_constant);
  return QUANTAL_OK;
}

result<calib::quant_target> target_of(std::int32_t type, std::uint32_t flags) {
  code_limits codes;
  const auto t = static_cast<dtype>(type);
  if (!code_limits_of(t, codes)) return error{status::dtype, "not an integer type", "dtype", "use u8, s8, s16, s4..."};
  return calib::quant_target{t, (flags & QUANTAL_SYMMETRIC) != 0, (flags & QUANTAL_REDUCE_RANGE) != 0};
}

result<std::vector<calib::range>> ranges_of(const quantal_observer& o, const calib::quant_target& target) {
  const calib::statistics& s = o.seen->stats();
  if (o.axis >= 0) return o.method->clip_channels(s, o.options, target);
  QUANTAL_TRY(r, o.method->clip(s, o.options, target));
  return std::vector<calib::range>{r};
}

std::int32_t create(const char* method, const quantal_observer_options* options, quantal_observer*& made,
                    quantal_diag* diag) {
  calib::method_options o;
  o.min_max_of = elementwise().min_max_of;
  o.moments_of = moments_kernel();
  std::int32_t axis = -1;
  if (const std::int32_t s = read_options(options, o, axis); s != QUANTAL_OK) return fail(s, "bad options", diag);
  const calib::method* m = calib::find_method(method);
  if (m == nullptr)
    return fail(error{status::argument, std::string("unknown observer ") + method, "method",
                      "use one of " + calib::method_names()},
                diag);
  if (auto fits = m->check(o); !fits) return fail(fits.failure(), diag);
  made = new quantal_observer{m, o, axis, m->make_observer(o)};
  return QUANTAL_OK;
}

}  // namespace

extern "C" {

int32_t quantal_observer_create(const char* method, const quantal_observer_options* options,
                                quantal_observer** observer, quantal_diag* diag) {
  if (method == nullptr || observer == nullptr) return fail(QUANTAL_E_NULL, "method or observer is NULL", diag);
  return fenced(diag, [&]() -> std::int32_t {
    quantal_observer* made = nullptr;
    const std::int32_t s = create(method, options, made, diag);
    if (s == QUANTAL_OK) *observer = made;
    return s;
  });
}

void quantal_observer_free(quantal_observer* observer) {
  delete observer;
}

int32_t quantal_observer_observe(quantal_observer* observer, const quantal_tensor* x, quantal_diag* diag) {
  if (observer == nullptr || x == nullptr) return fail(QUANTAL_E_NULL, "observer or x is NULL", diag);
  return fenced(diag, [&]() -> std::int32_t {
    quantal_tensor t;
    if (const std::int32_t s = read_struct(x, t, sizeof(quantal_tensor), 0); s != QUANTAL_OK)
      return fail(s, "bad tensor", diag);
    if (t.rank < 0 || t.rank > limits::max_rank) return fail(QUANTAL_E_SHAPE, "rank outside 0..8", diag);
    if (t.dims == nullptr && t.rank > 0) return fail(QUANTAL_E_NULL, "dims is NULL", diag);
    shape dims;
    dims.rank = t.rank;
    for (std::int32_t i = 0; i < t.rank; ++i) dims[i] = t.dims[i];
    tensor_view v;
    const status made = make_view(static_cast<dtype>(t.dtype), dims, const_cast<void*>(t.data), t.bytes, v);
    if (made != status::ok) return fail(code_of(made), "the tensor does not fit its memory", diag);
    auto seen = observer->seen->observe(v, observer->axis);
    return seen ? QUANTAL_OK : fail(seen.failure(), diag);
  });
}

int32_t quantal_observer_merge(quantal_observer* observer, const quantal_observer* other, quantal_diag* diag) {
  if (observer == nullptr || other == nullptr) return fail(QUANTAL_E_NULL, "observer or other is NULL", diag);
  return fenced(diag, [&]() -> std::int32_t {
    if (observer->axis != other->axis)
      return fail(QUANTAL_E_COUNT, "one observes per channel, the other not, or along another axis", diag);
    auto merged = observer->seen->merge(*other->seen);
    return merged ? QUANTAL_OK : fail(merged.failure(), diag);
  });
}

uint64_t quantal_observer_count(const quantal_observer* observer) {
  if (observer == nullptr) return 0;
  std::uint64_t count = 1;
  if (observer->axis >= 0)
    (void)fenced(nullptr, [&]() -> std::int32_t {
      count = observer->seen->stats().channels.size();
      return QUANTAL_OK;
    });
  return count;
}

int32_t quantal_observer_ranges(const quantal_observer* observer, int32_t type, uint32_t flags, double* min,
                                double* max, int32_t* candidates, uint64_t count, quantal_diag* diag) {
  if (observer == nullptr || min == nullptr || max == nullptr)
    return fail(QUANTAL_E_NULL, "observer, min or max is NULL", diag);
  if ((flags & ~std::uint32_t{QUANTAL_SYMMETRIC | QUANTAL_REDUCE_RANGE}) != 0)
    return fail(QUANTAL_E_FLAGS, "unknown flag", diag);
  return fenced(diag, [&]() -> std::int32_t {
    auto target = target_of(type, flags);
    if (!target) return fail(target.failure(), diag);
    auto ranges = ranges_of(*observer, *target);
    if (!ranges) return fail(ranges.failure(), diag);
    if (ranges->size() != count) return fail(QUANTAL_E_COUNT, "count is not quantal_observer_count", diag);
    for (std::size_t i = 0; i < ranges->size(); ++i) {
      min[i] = (*ranges)[i].min, max[i] = (*ranges)[i].max;
      if (candidates != nullptr) candidates[i] = (*ranges)[i].candidates;
    }
    return QUANTAL_OK;
  });
}

int32_t quantal_observer_params(const quantal_observer* observer, int32_t type, const char* preset, uint32_t flags,
                                float* scales, int32_t* zero_points, uint64_t count, quantal_diag* diag) {
  if (observer == nullptr || scales == nullptr || zero_points == nullptr)
    return fail(QUANTAL_E_NULL, "observer, scales or zero_points is NULL", diag);
  if ((flags & ~std::uint32_t{QUANTAL_SYMMETRIC | QUANTAL_REDUCE_RANGE | QUANTAL_POWER_OF_TWO}) != 0)
    return fail(QUANTAL_E_FLAGS, "unknown flag", diag);
  return fenced(diag, [&]() -> std::int32_t {
    auto target = target_of(type, flags);
    if (!target) return fail(target.failure(), diag);
    choose_options o;
    o.type = target->type;
    o.symmetric = target->symmetric;
    o.reduce_range = target->reduce_range;
    o.power_of_two = (flags & QUANTAL_POWER_OF_TWO) != 0;
    if (preset != nullptr) o.preset = find_preset(preset);
    if (preset != nullptr && o.preset == nullptr) return fail(QUANTAL_E_ARGUMENT, "unknown preset", diag);
    auto ranges = ranges_of(*observer, *target);
    if (!ranges) return fail(ranges.failure(), diag);
    if (ranges->size() != count) return fail(QUANTAL_E_COUNT, "count is not quantal_observer_count", diag);
    std::vector<quant_params> chosen(ranges->size());
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      const status s = choose_params((*ranges)[i].min, (*ranges)[i].max, o, chosen[i]);
      if (s != status::ok) return fail(code_of(s), "no parameters for the observed range", diag);
    }
    for (std::size_t i = 0; i < chosen.size(); ++i) scales[i] = chosen[i].scale, zero_points[i] = chosen[i].zero_point;
    return QUANTAL_OK;
  });
}

int32_t quantal_observer_save(const quantal_observer* observer, char** json, quantal_diag* diag) {
  if (observer == nullptr || json == nullptr) return fail(QUANTAL_E_NULL, "observer or json is NULL", diag);
  return fenced(diag, [&]() -> std::int32_t {
    data::calibration_cache cache;
    cache.observer = observer->method->name;
    cache.tensors[tensor_name] = observer->seen->stats();
    auto text = data::cache_text(cache);
    if (!text) return fail(text.failure(), diag);
    char* out = copy_out(*text);
    if (out == nullptr) return fail(QUANTAL_E_OUT_OF_MEMORY, "out of memory", diag);
    *json = out;
    return QUANTAL_OK;
  });
}

int32_t quantal_observer_load(const char* json, size_t bytes, const char* method,
                              const quantal_observer_options* options, quantal_observer** observer,
                              quantal_diag* diag) {
  if (json == nullptr || observer == nullptr) return fail(QUANTAL_E_NULL, "json or observer is NULL", diag);
  return fenced(diag, [&]() -> std::int32_t {
    auto cache = data::parse_cache(std::as_bytes(std::span(json, bytes)), "observer");
    if (!cache) return fail(cache.failure(), diag);
    if (cache->tensors.size() != 1)
      return fail(QUANTAL_E_COUNT, "a saved observer holds one tensor, a calibration cache may hold more", diag);
    const calib::statistics& saved = cache->tensors.begin()->second;
    quantal_observer* made = nullptr;
    const std::int32_t s = create(method == nullptr ? cache->observer.c_str() : method, options, made, diag);
    if (s != QUANTAL_OK) return s;
    std::unique_ptr<quantal_observer> owner(made);
    if (saved.channels.empty() != (owner->axis < 0))
      return fail(QUANTAL_E_COUNT, "saved per channel and loaded per tensor, or the other way round", diag);
    owner->seen = calib::make_observer(saved.observer, owner->options);  // another method may have gathered them
    if (owner->seen == nullptr) return fail(QUANTAL_E_CALIBRATION, "statistics of an unknown observer", diag);
    owner->seen->restore(saved);
    *observer = owner.release();
    return QUANTAL_OK;
  });
}

}  // extern "C"
