// The calibration linter inside the jobs: each warning from data that deserve it, seen by who quantizes or calibrates.
#include "quantal/pipeline/lint.hpp"

#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "passes/graphs.hpp"
#include "quantal/report/html.hpp"
#include "quantal/report/summary.hpp"

using namespace quantal;
using namespace quantal::testing;
using pipeline::quant_type;

namespace {

using value_of = std::function<float(std::int64_t sample, std::int64_t element)>;
constexpr std::int64_t pixels = 3 * 32 * 32;

// Smooth pictures [1, 3, 32, 32], no two alike.
float smooth(std::int64_t sample, std::int64_t i) {
  const double y = static_cast<double>(i / 32 % 32), x = static_cast<double>(i % 32), s = static_cast<double>(sample);
  return static_cast<float>(0.5 + 0.3 * std::sin(0.2 * x + s) + 0.15 * std::cos(0.13 * y * (1 + 0.1 * s)));
}

class pictures : public data::source {
 public:
  pictures(std::int64_t count, value_of value, std::vector<std::int64_t> labels = {},
           std::vector<std::string> names = {})
      : count_(count), value_(std::move(value)), labels_(std::move(labels)), names_(std::move(names)) {}
  result<std::unique_ptr<data::feed>> next() override {
    if (at_ == count_) return std::unique_ptr<data::feed>{};
    auto f = std::make_unique<data::feed>();
    std::vector<float> v;
    for (std::int64_t i = 0; i < pixels; ++i) v.push_back(value_(at_, i));
    f->inputs.emplace_back("x", floats(shape(1, 3, 32, 32), v));
    if (!labels_.empty())
      f->label = tensor_buffer::of<std::int64_t>(shape(1), {labels_[static_cast<std::size_t>(at_) % labels_.size()]});
    f->origin = "sample " + std::to_string(at_++);
    return f;
  }
  result<void> rewind() override {
    at_ = 0;
    return {};
  }
  std::int64_t samples() const override { return count_; }
  std::vector<std::string> class_names() const override { return names_; }

 private:
  std::int64_t count_, at_ = 0;
  value_of value_;
  std::vector<std::int64_t> labels_;
  std::vector<std::string> names_;
};

ir::model picture_model() {
  builder b;
  b.input("x", {1, 3, 32, 32}).constant("w", floats(shape(2, 3, 3, 3), noise(54, 1)));
  b.node("Conv", {"x", "w"}, {"c"}).node("GlobalAveragePool", {"c"}, {"y"}).output("y");
  return b.m;
}

pipeline::quantize_config config_of(quant_type t = quant_type::per_channel_int8) {
  pipeline::quantize_config c;
  c.type = t;
  c.threads = 1;
  c.min_samples = 1;
  c.evaluation_samples = 1;
  return c;
}

// The warning with this id from both jobs (they agree), "" if there is none.
std::string warning(const std::string& id, pictures data, pipeline::quantize_config c = config_of()) {
  const auto find = [&](const std::vector<std::string>& lines) {
    for (const std::string& line : lines)
      if (line.rfind(id + ": ", 0) == 0) return line;
    return std::string();
  };
  auto quantized = pipeline::quantize_model(picture_model(), c, &data);
  if (!quantized) FAIL(quantized.failure().message());
  auto calibrated = pipeline::calibrate_model(picture_model(), c, data);
  if (!calibrated) FAIL(calibrated.failure().message());
  CHECK(find(quantized->report.warnings) == find(calibrated->warnings));
  return find(quantized->report.warnings);
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

const char* const ids[] = {"too_few_samples", "constant",           "nan",     "out_of_range",
                           "duplicate",       "noise_like",         "padded",  "one_class",
                           "missing_classes", "unbalanced_classes", "mismatch"};

}  // namespace

TEST_CASE("good data, good classes, evaluation data alike: no warning of the linter") {
  pictures held_out(8, [](auto s, auto i) { return smooth(s + 40, i); });
  auto c = config_of();
  c.evaluation = &held_out;
  for (const char* id : ids) CHECK(warning(id, pictures(8, smooth, {0, 1}, {"cat", "dog"}), c).empty());
}

TEST_CASE("each warning reaches the report") {
  auto c = config_of();
  c.min_samples = 9;
  CHECK(has(warning("too_few_samples", pictures(8, smooth), c), "only 8 calibration samples, fewer than 9"));
  const auto blank = [](auto s, auto i) { return s == 3 ? 0.5F : smooth(s, i); };
  CHECK(has(warning("constant", pictures(8, blank)), "1 of 8 samples"));
  const auto missing = [](auto s, auto i) { return s == 5 && i == 7 ? std::nanf("") : smooth(s, i); };
  CHECK(has(warning("nan", pictures(8, missing)), "the first in sample 5"));
  const auto raw = [](auto s, auto i) { return std::nearbyint(255 * smooth(s, i)); };
  CHECK(has(warning("out_of_range", pictures(8, raw)), "raw pixels"));
  const auto infinite = [](auto s, auto i) {
    return s == 2 && i == 0 ? std::numeric_limits<float>::infinity() : smooth(s, i);
  };
  CHECK(has(warning("out_of_range", pictures(8, infinite)), "1 infinite values, the first in sample 2"));
  CHECK(has(warning("duplicate", pictures(8, [](auto s, auto i) { return smooth(s / 2, i); })), "4 of 8"));
  const auto random = [](auto s, auto i) {
    return static_cast<float>(std::mt19937(static_cast<unsigned>(s * 5077 + i))()) / 4294967296.0F;
  };
  CHECK(has(warning("noise_like", pictures(8, random)), "8 of 8 samples look like random noise"));
  const auto boxed = [](auto s, auto i) { return i / 32 % 32 < 6 || i / 32 % 32 > 25 ? 0.44F : smooth(s, i); };
  CHECK(has(warning("padded", pictures(8, boxed)), "8 of 8 samples have a constant margin"));
  CHECK(has(warning("one_class", pictures(8, smooth, {1}, {"cat", "dog"})), "all samples are of class 'dog'"));
  CHECK(has(warning("missing_classes", pictures(8, smooth, {0, 2}, {"cat", "dog", "cow"})), "1 of 3 classes"));
  CHECK(has(warning("unbalanced_classes", pictures(11, smooth, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1})), "has 10 samples"));
}

TEST_CASE("mismatch: evaluation data that were scaled otherwise") {
  pictures scaled(8, [](auto s, auto i) { return 255 * smooth(s, i); });
  auto c = config_of();
  c.evaluation = &scaled;
  CHECK(has(warning("mismatch", pictures(8, smooth), c), "and evaluation data ("));
}

TEST_CASE("warnings are in the summary and in the page") {
  pictures data(8, [](auto s, auto i) { return smooth(s / 2, i); });
  auto done = pipeline::quantize_model(picture_model(), config_of(), &data);
  REQUIRE(done);
  CHECK(has(report::summary(done->report), "  duplicate: 4 of 8 samples repeat an earlier one"));
  CHECK(has(report::html(done->report), "<li>duplicate: 4 of 8 samples repeat an earlier one"));
}

TEST_CASE("D1_strict: too few samples and NaN are errors, opinions are not") {
  auto c = config_of();
  c.strict = true;
  pictures twins(8, [](auto s, auto i) { return smooth(s / 2, i); });
  CHECK(pipeline::quantize_model(picture_model(), c, &twins));
  pictures holes(8, [](auto s, auto i) { return i == 7 ? std::nanf("") : smooth(s, i); });
  CHECK(pipeline::quantize_model(picture_model(), c, &holes).failure().code == status::nan_value);
  CHECK(pipeline::calibrate_model(picture_model(), c, holes).failure().code == status::nan_value);
  c.min_samples = 9;
  CHECK(pipeline::quantize_model(picture_model(), c, &twins).failure().code == status::calibration);
}
