// Each warning of the calibration linter: data that deserve it, and data that do not.
#include "quantal/data/linter.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <random>

using namespace quantal;
using namespace quantal::data;

namespace {

using maker = std::function<float(std::int64_t sample, std::int64_t element)>;

feed make_feed(const shape& one, std::int64_t first, std::int64_t count, const maker& value,
               std::vector<std::int64_t> labels = {}) {
  feed f;
  shape dims(count);
  for (const std::int64_t d : one) dims.push_back(d);
  auto t = tensor_buffer::make(dtype::f32, dims);
  REQUIRE(t);
  for (std::int64_t s = 0; s < count; ++s) {
    for (std::int64_t i = 0; i < one.elements(); ++i)
      t->mutable_as<float>()[s * one.elements() + i] = value(first + s, i);
  }
  f.inputs.emplace_back("x", *t);
  f.samples = count;
  f.origin = "test: sample " + std::to_string(first);
  if (!labels.empty())
    f.label = tensor_buffer::of<std::int64_t>(shape(static_cast<std::int64_t>(labels.size())), labels);
  return f;
}

// Observes `samples` samples in feeds of 5.
data_facts facts_of(const shape& one, std::int64_t samples, const maker& value) {
  linter l;
  for (std::int64_t at = 0; at < samples; at += 5)
    l.observe(make_feed(one, at, std::min<std::int64_t>(5, samples - at), value));
  return l.facts();
}

// A smooth picture, another one for each sample.
float smooth(std::int64_t sample, std::int64_t i) {
  const double y = static_cast<double>(i / 32 % 32), x = static_cast<double>(i % 32), s = static_cast<double>(sample);
  return static_cast<float>(0.5 + 0.3 * std::sin(0.2 * x + s) + 0.15 * std::cos(0.13 * y * (1 + 0.1 * s)) +
                            0.01 * std::sin(37 * x * y));
}
float random_value(std::int64_t sample, std::int64_t i) {
  std::mt19937 rng(static_cast<unsigned>(sample * 100003 + i));
  return static_cast<float>(rng()) / 4294967296.0f;
}

const shape picture(3, 32, 32);

bool has(const std::vector<lint_warning>& all, const std::string& id) {
  for (const lint_warning& w : all) {
    if (w.id == id) return true;
  }
  return false;
}

data_facts good() {
  return facts_of(picture, 20, smooth);
}

data_facts with_classes(std::map<std::int64_t, std::int64_t> classes, std::vector<std::string> names = {}) {
  data_facts facts;
  facts.classes = std::move(classes);
  facts.class_names = std::move(names);
  for (const auto& [c, n] : facts.classes) facts.samples += n;
  return facts;
}

}  // namespace

TEST_CASE("ordinary pictures raise no warning but their number") {
  const auto all = lint(good(), {20});
  for (const lint_warning& w : all) WARN(w.message);
  CHECK(all.empty());
  CHECK(lint(facts_of(shape(4), 200, random_value)).empty());  // a table
}

TEST_CASE("too_few_samples") {
  CHECK(has(lint(good()), "too_few_samples"));
  CHECK(warn_too_few_samples(good(), {21}));
  CHECK_FALSE(warn_too_few_samples(good(), {20}));
}

TEST_CASE("constant") {
  const auto zero = facts_of(picture, 3, [](auto, auto) { return 0.0f; });
  CHECK(warn_constant(zero.inputs[0])->message.find("every value is 0") != std::string::npos);
  const auto one = facts_of(picture, 9, [](auto s, auto i) { return s == 4 ? 0.25f : smooth(s, i); });
  CHECK(warn_constant(one.inputs[0])->message.find("1 of 9 samples") != std::string::npos);
  CHECK_FALSE(warn_constant(good().inputs[0]));
  CHECK_FALSE(warn_constant(facts_of(shape(1), 3, [](auto s, auto) { return static_cast<float>(s); }).inputs[0]));
}

TEST_CASE("D1_nan") {
  const auto facts =
      facts_of(picture, 9, [](auto s, auto i) { return s >= 7 && i == 3 ? std::nanf("") : smooth(s, i); });
  CHECK(facts.inputs[0].nan == 2);
  CHECK(warn_nan(facts.inputs[0])->message.find("sample 5") != std::string::npos);
  CHECK(facts.inputs[0].max < 1);
  CHECK_FALSE(warn_nan(good().inputs[0]));
}

TEST_CASE("out_of_range") {
  const float inf = std::numeric_limits<float>::infinity();
  CHECK(warn_out_of_range(facts_of(picture, 5, [&](auto s, auto i) { return i == 9 ? inf : smooth(s, i); }).inputs[0]));
  CHECK(
      warn_out_of_range(facts_of(picture, 5, [](auto s, auto i) { return i == 9 ? -1e38f : smooth(s, i); }).inputs[0]));
  const auto raw = [](auto s, auto i) { return std::nearbyint(255 * smooth(s, i)); };
  CHECK(warn_out_of_range(facts_of(picture, 5, raw).inputs[0])->message.find("raw pixels") != std::string::npos);
  CHECK_FALSE(warn_out_of_range(facts_of(shape(100), 5, raw).inputs[0]));  // not pictures
  CHECK_FALSE(warn_out_of_range(good().inputs[0]));
  const auto few = facts_of(shape(1, 8, 8), 5, [](auto s, auto i) { return static_cast<float>((s * 7 + i * i) % 17); });
  CHECK_FALSE(warn_out_of_range(few.inputs[0]));  // whole numbers from 0 to 16
}

TEST_CASE("duplicate") {
  const auto twice = facts_of(picture, 20, [](auto s, auto i) { return smooth(s / 2, i); });
  CHECK(twice.duplicates == 10);
  CHECK(warn_duplicate(twice));
  CHECK_FALSE(warn_duplicate(good()));
  CHECK_FALSE(warn_duplicate(
      facts_of(picture, 100, [](auto s, auto i) { return smooth(s == 50 ? 0 : s, i); })));  // one in a hundred
}

TEST_CASE("noise_like") {
  CHECK(warn_noise_like(facts_of(picture, 5, random_value).inputs[0]));
  CHECK(warn_noise_like(facts_of(shape(1, 1000), 5, random_value).inputs[0]));
  CHECK_FALSE(warn_noise_like(good().inputs[0]));
  CHECK_FALSE(warn_noise_like(facts_of(shape(1000), 5, random_value).inputs[0]));  // a table of independent features
  const auto noisy = [](auto s, auto i) { return smooth(s, i) + 0.1f * random_value(s, i); };
  CHECK_FALSE(warn_noise_like(facts_of(picture, 5, noisy).inputs[0]));
}

TEST_CASE("padded") {
  const auto boxed = facts_of(
      picture, 6, [](auto s, auto i) { return i / 32 % 32 < 6 || i / 32 % 32 > 25 ? 114 / 255.0f : smooth(s, i); });
  CHECK(warn_padded(boxed.inputs[0]));
  const auto tail = facts_of(shape(200), 6, [](auto s, auto i) { return i < 90 ? smooth(s, i) : 0.0f; });
  CHECK(warn_padded(tail.inputs[0]));
  CHECK_FALSE(warn_padded(good().inputs[0]));
  const auto thin =
      facts_of(picture, 6, [](auto s, auto i) { return i / 32 % 32 < 4 || i / 32 % 32 > 27 ? 0.0f : smooth(s, i); });
  CHECK_FALSE(warn_padded(thin.inputs[0]));  // a quarter, like MNIST's border
}

TEST_CASE("one_class, missing_classes, unbalanced_classes") {
  CHECK(warn_one_class(with_classes({{3, 50}}, {"a", "b", "c", "d"}))->message.find("'d'") != std::string::npos);
  CHECK_FALSE(warn_one_class(with_classes({{0, 25}, {1, 25}})));
  CHECK_FALSE(warn_one_class(with_classes({})));
  const auto missing = warn_missing_classes(with_classes({{0, 5}, {2, 5}}, {"cat", "dog", "cow", "owl"}));
  REQUIRE(missing);
  CHECK(missing->message.find("2 of 4 classes have no sample ('dog', 'owl')") != std::string::npos);
  CHECK(warn_missing_classes(with_classes({{1, 5}}))->message.find("1 of 2") != std::string::npos);
  CHECK_FALSE(warn_missing_classes(with_classes({{0, 5}, {1, 5}}, {"cat", "dog"})));
  CHECK_FALSE(warn_missing_classes(with_classes({})));
  CHECK(warn_missing_classes(with_classes({{INT64_MAX - 1, 5}}))->message.find("...") != std::string::npos);
  CHECK(warn_unbalanced_classes(with_classes({{0, 100}, {1, 10}})));
  CHECK_FALSE(warn_unbalanced_classes(with_classes({{0, 99}, {1, 10}})));
  linter l;
  l.observe(make_feed(shape(2), 0, 3, random_value, {0, 0, 1}));
  CHECK(l.facts().classes == std::map<std::int64_t, std::int64_t>{{0, 2}, {1, 1}});
}

TEST_CASE("mismatch of calibration and evaluation data") {
  const auto calibration = good();
  CHECK(lint_mismatch(calibration, facts_of(picture, 20, [](auto s, auto i) { return smooth(s + 40, i); })).empty());
  CHECK(has(lint_mismatch(calibration, facts_of(picture, 20, [](auto s, auto i) { return 255 * smooth(s, i); })),
            "mismatch"));
  CHECK(has(lint_mismatch(calibration, facts_of(picture, 20, [](auto s, auto i) { return smooth(s, i) + 0.2f; })),
            "mismatch"));
  CHECK(
      has(lint_mismatch(calibration, facts_of(picture, 20, [](auto s, auto i) { return 0.3f + 0.4f * smooth(s, i); })),
          "mismatch"));
}

TEST_CASE("repeats that fill a fixed batch are not judged, scalars are no batch") {
  linter l;
  feed f = make_feed(picture, 0, 5, [](auto s, auto i) { return smooth(s < 2 ? s : 1, i); });
  f.samples = 2;
  f.inputs.emplace_back("rate", tensor_buffer::of<std::int64_t>(shape(), {16000}));
  l.observe(f);
  CHECK(l.facts().inputs[0].samples == 2);
  CHECK(l.facts().inputs[0].duplicates == 0);
  CHECK(l.facts().inputs[1].samples == 1);
  CHECK(l.facts().samples == 2);
}

TEST_CASE("a survey reads a source to its end") {
  int given = 0;
  auto s = from_pull(
      [&]() -> result<std::unique_ptr<feed>> {
        if (given == 4) return std::unique_ptr<feed>();
        return std::make_unique<feed>(make_feed(picture, 2 * given++, 2, smooth));
      },
      {{"x", ir::value_type::tensor(dtype::f32, std::vector<ir::dim>{ir::dim(), 3, 32, 32}), "", {}}});
  const auto facts = survey(*s);
  REQUIRE(facts);
  CHECK(facts->samples == 8);
  CHECK(facts->inputs[0].mean() == Approx(0.5).margin(0.1));
}
