#include "quantal/pipeline/options.hpp"

#include <initializer_list>
#include <utility>

#include "quantal/calib/method.hpp"
#include "quantal/io/text.hpp"
#include "quantal/pipeline/calibrate.hpp"
#include "quantal/pipeline/recipe.hpp"

namespace quantal::pipeline {

namespace {

error usage(std::string what, std::string where, std::string advice) {
  return error{status::usage, std::move(what), std::move(where), std::move(advice)};
}

// Words of an option: the first so many are there, the others belong to later versions. Returns the word's place.
result<std::size_t> choose(const std::string& word, const char* option, std::initializer_list<const char*> words,
                           std::size_t available) {
  std::string use;
  for (std::size_t i = 0; i < available; ++i) use += (i > 0 ? " or " : "use ") + std::string(words.begin()[i]);
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (io::lower(word) != words.begin()[i]) continue;
    if (i < available) return i;
    return error{status::unsupported, std::string(option) + " " + words.begin()[i] + " is not available yet", option,
                 available > 0 ? use : "leave it out"};
  }
  return usage("unknown word " + io::quote(word), option, available > 0 ? use : "leave it out");
}

}  // namespace

result<passes::qdq_options> options_of(const quantize_config& c) {
  passes::qdq_options o;
  o.per_channel = recipe_of(c.type).per_channel;
  QUANTAL_TRY(activation, choose(c.activation_type, "--activation-type", {"u8", "s8", "u16", "s16"}, 2));
  QUANTAL_TRY(weight, choose(c.weight_type, "--weight-type", {"s8", "u8", "s4", "u4"}, 2));
  QUANTAL_TRY(target, choose(c.target, "--target", {"onnxruntime", "any"}, 2));
  QUANTAL_CHECK(choose(c.format, "--format", {"qdq", "qoperator"}, 1));
  if (!c.preset.empty())
    QUANTAL_CHECK(choose(c.preset, "--preset", {"onnxruntime", "torch", "tflite", "tensorrt", "ai8x"}, 0));
  o.activation_type = activation == 0 ? dtype::u8 : dtype::s8;
  o.weight_type = weight == 0 ? dtype::s8 : dtype::u8;
  o.for_onnxruntime = target == 0;
  if (o.activation_type == dtype::s8 && o.weight_type == dtype::u8)
    return error{status::unsupported, "s8 activations with u8 weights have no integer kernel", "--weight-type",
                 "use s8"};
  for (const auto& [word, option] :
       {std::pair{c.activation_observer, "--activation-observer"}, std::pair{c.weight_observer, "--weight-observer"}})
    if (calib::find_method(word) == nullptr)
      return usage("unknown observer " + word, option, "use one of " + calib::method_names());
  QUANTAL_CHECK(calib::method::check(method_options_of(c)));
  o.weights = {calib::find_method(c.weight_observer), method_options_of(c)};
  o.symmetric = c.symmetric;
  o.reduce_range = c.reduce_range;
  o.include = c.include;
  o.exclude = c.exclude;
  return o;
}

std::vector<std::string> unread_options(const quantize_config& c) {
  const quantize_config defaults;
  const bool ranges = recipe_of(c.type).needs_data, weights = c.type != quant_type::fp16;
  std::vector<std::string> lines;
  const auto tell = [&](bool changed, bool read, const char* option, const std::string& by) {
    if (changed && !read) lines.push_back(std::string(option) + " has no effect on " + by);
  };
  const auto type = [&](bool changed, bool read, const char* option) {
    tell(changed, read, option, recipe_of(c.type).name);
  };
  type(c.activation_observer != defaults.activation_observer, ranges, "--activation-observer");
  type(c.activation_type != defaults.activation_type, ranges, "--activation-type");
  type(c.symmetric, ranges, "--symmetric");
  type(c.target != defaults.target, ranges, "--target");
  type(!c.calibration_cache.empty(), ranges, "--calibration-cache");
  type(c.min_samples != defaults.min_samples, ranges, "--min-samples");
  type(c.evaluation != nullptr, ranges, "--eval-data");
  type(c.weight_type != defaults.weight_type, ranges, "--weight-type");  // dynamic weights are s8
  type(c.weight_observer != defaults.weight_observer, weights, "--weight-observer");
  type(c.reduce_range, weights, "--reduce-range");
  type(c.bins != defaults.bins, weights, "--bins");
  const auto observer = [&](bool changed, const char* option, const char* name) {
    const auto uses = [&](const std::string& word) { return io::lower(word).starts_with(name); };
    const bool read = (ranges && uses(c.activation_observer)) || (weights && uses(c.weight_observer));
    tell(changed, read, option, std::string("these observers: it is of ") + name);
  };
  observer(c.percentile != defaults.percentile, "--percentile", "percentile");
  observer(c.stddev != defaults.stddev, "--stddev", "stddev");
  observer(c.scale != defaults.scale, "--scale", "scale");
  return lines;
}

}  // namespace quantal::pipeline
