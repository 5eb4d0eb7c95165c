#include <unordered_set>

#include "passes/graphs.hpp"
#include "quantal/pipeline/calibrate.hpp"
#include "quantal/pipeline/evaluate.hpp"
#include "quantal/pipeline/options.hpp"
#include "quantal/pipeline/quantize.hpp"
#include "quantal/pipeline/recipe.hpp"

using namespace quantal;
using namespace quantal::testing;

namespace {

// `total` samples of shape [1, 3, 8, 8]; the last one may hold an outlier, any one may fail.
class made_source : public data::source {
 public:
  explicit made_source(std::int64_t total, float outlier = 0) : total_(total), outlier_(outlier) {}
  result<std::unique_ptr<data::feed>> next() override {
    if (at_ == fail_at) return error{status::data_format, "broken", "sample " + std::to_string(at_), ""};
    if (at_ == total_) return std::unique_ptr<data::feed>{};
    auto f = std::make_unique<data::feed>();
    std::vector<float> v = noise(192, static_cast<std::uint32_t>(at_ + 1));
    if (at_ + 1 == total_ && outlier_ != 0) v[100] = outlier_;
    f->inputs.emplace_back("x", floats(shape(1, 3, 8, 8), v));
    f->origin = "made: sample " + std::to_string(at_);
    ++at_;
    return f;
  }
  result<void> rewind() override {
    at_ = 0;
    return {};
  }
  std::int64_t samples() const override { return total_; }
  std::int64_t fail_at = -1;

 private:
  std::int64_t total_, at_ = 0;
  float outlier_;
};

ir::model small_model() {
  builder b;
  b.input("x", {1, 3, 8, 8})
      .constant("w", floats(shape(4, 3, 3, 3), noise(108, 1)))
      .constant("v", floats(shape(4, 5), noise(20, 2)));
  b.node("Conv", {"x", "w"}, {"c"}, {ints("pads", {1, 1, 1, 1})})
      .node("Relu", {"c"}, {"r"})
      .node("GlobalAveragePool", {"r"}, {"p"})
      .node("Flatten", {"p"}, {"f"});
  b.node("MatMul", {"f", "v"}, {"y"}).output("y");
  return b.m;
}

pipeline::quantize_config config_of(pipeline::quant_type t) {
  pipeline::quantize_config c;
  c.type = t;
  c.threads = 1;
  c.min_samples = 1;
  return c;
}

}  // namespace

TEST_CASE("every available type quantizes, reports coverage for each operator, and stays close") {
  for (const pipeline::recipe_row& r : pipeline::recipes()) {
    made_source data(8);
    auto done = pipeline::quantize_model(small_model(), config_of(r.type), &data);
    CAPTURE(r.name);
    if (!r.available) {
      REQUIRE_FALSE(done);
      CHECK(done.failure().code == status::unsupported);
      CHECK(done.failure().message().find(r.instead) != std::string::npos);
      continue;
    }
    if (!done) FAIL(done.failure().message());
    REQUIRE(ir::verify(done->model));
    CHECK(done->report.quantization_type == r.name);
    CHECK(done->report.coverage.size() == 5);
    for (const auto& row : done->report.coverage) CHECK((row.status == "quantized") == row.reason.empty());
    REQUIRE(done->report.outputs.size() == 1);
    CHECK(done->report.outputs[0].sqnr_db > 25);
    if (r.needs_data) CHECK(done->report.integer_macs == 1);
  }
}

TEST_CASE("an outlier only in sample 128 changes the range; 8 samples or 128, nothing is kept of them") {
  double top[2] = {};
  for (const bool outlier : {false, true}) {
    made_source data(128, outlier ? 50.0F : 0.0F);
    auto done = pipeline::quantize_model(small_model(), config_of(pipeline::quant_type::static_int8), &data);
    REQUIRE(done);
    CHECK(done->report.samples == 128);
    for (const auto& range : done->report.ranges)
      if (range.tensor == "x") top[outlier] = range.max;
  }
  CHECK(top[0] <= 1);
  CHECK(top[1] == 50);
}

TEST_CASE("missing data, too few samples, bad data and cancelling are errors with their own status") {
  auto c = config_of(pipeline::quant_type::static_int8);
  auto missing = pipeline::quantize_model(small_model(), c, nullptr);
  REQUIRE_FALSE(missing);
  CHECK(missing.failure().code == status::data_missing);
  CHECK(missing.failure().message() == "calibration data required for static_int8: pass --data");

  made_source empty(0);
  CHECK(pipeline::quantize_model(small_model(), c, &empty).failure().code == status::data_missing);

  c.min_samples = 100;
  made_source few(3);
  auto warned = pipeline::quantize_model(small_model(), c, &few);
  REQUIRE(warned);
  CHECK(warned->report.warnings[0].find("too_few_samples: only 3 calibration samples") == 0);
  c.strict = true;
  CHECK(pipeline::quantize_model(small_model(), c, &few).failure().code == status::calibration);
  c.strict = false;

  made_source broken(8);
  broken.fail_at = 5;
  auto bad = pipeline::quantize_model(small_model(), c, &broken);
  REQUIRE_FALSE(bad);
  CHECK(bad.failure().code == status::data_format);
  CHECK(bad.failure().where.find("sample 5") != std::string::npos);

  made_source many(8);
  int calls = 0;
  auto stopped = pipeline::quantize_model(small_model(), c, &many,
                                          [&](const char*, std::int64_t, std::int64_t) { return ++calls < 4; });
  REQUIRE_FALSE(stopped);
  CHECK(stopped.failure().code == status::cancelled);
}

TEST_CASE("options that are not available yet say so and what to use") {
  made_source data(4);
  auto c = config_of(pipeline::quant_type::static_int8);
  c.activation_type = "s16";
  CHECK(pipeline::quantize_model(small_model(), c, &data).failure().code == status::unsupported);
  c = config_of(pipeline::quant_type::static_int8);
  c.activation_observer = "median";
  auto unknown = pipeline::quantize_model(small_model(), c, &data);
  CHECK(unknown.failure().code == status::usage);
  CHECK(unknown.failure().advice.find("minmax") != std::string::npos);
}

TEST_CASE("outputs are measured against the model as given, not against what simplification made of it") {
  made_source data(4);
  const auto given = std::make_shared<ir::model>(small_model()), wrong = std::make_shared<ir::model>(*given);
  wrong->graph.nodes[1].op_type = "Abs";  // what a faulty pass might do: the same in both models after it
  auto e = pipeline::evaluate(given, wrong, wrong, {{"r", "r"}}, data, 4, 1);
  REQUIRE(e);
  REQUIRE(e->outputs.size() == 1);
  CHECK(e->outputs[0].sqnr_db < 20);
  CHECK(std::isinf(e->values.at("r")));
  wrong->graph.nodes[1].op_type = "NoSuchOperator";
  auto replaced = pipeline::evaluate(wrong, given, given, {}, data, 4, 1);
  REQUIRE(replaced);
  CHECK(std::isinf(replaced->outputs[0].sqnr_db));
}

TEST_CASE("words are taken in any case; those of later versions and unknown ones are different errors") {
  auto c = config_of(pipeline::quant_type::static_int8);
  c.activation_type = "S8";
  c.format = "QDQ";
  c.target = "Any";
  c.activation_observer = "MinMax";
  auto o = pipeline::options_of(c);
  REQUIRE(o);
  CHECK(o->activation_type == dtype::s8);
  CHECK_FALSE(o->for_onnxruntime);
  const auto code_of = [](std::string pipeline::quantize_config::*field, const char* word) {
    pipeline::quantize_config bad;
    bad.*field = word;
    auto failed = pipeline::options_of(bad);
    return failed ? status::ok : failed.failure().code;
  };
  using config = pipeline::quantize_config;
  for (const auto& [field, later] : {std::pair{&config::activation_type, "U16"}, std::pair{&config::weight_type, "s4"},
                                     std::pair{&config::format, "QOperator"}, std::pair{&config::preset, "torch"}}) {
    CHECK(code_of(field, later) == status::unsupported);
    CHECK(code_of(field, "foo") == status::usage);
  }
  CHECK(code_of(&config::target, "foo") == status::usage);
  c.percentile = 300;
  auto range = pipeline::options_of(c);
  REQUIRE_FALSE(range);
  CHECK(range.failure().where == "option percentile");
}

TEST_CASE("a type names the options that it does not read") {
  pipeline::quantize_config c;
  for (const auto type :
       {pipeline::quant_type::static_int8, pipeline::quant_type::dynamic_int8, pipeline::quant_type::fp16}) {
    c.type = type;
    CHECK(pipeline::unread_options(c).empty());
  }
  c.weight_observer = "PERCENTILE";
  c.percentile = 99;
  c.symmetric = true;
  CHECK(pipeline::unread_options(c).size() == 3);  // fp16
  c.type = pipeline::quant_type::dynamic_int8;
  CHECK(pipeline::unread_options(c) == std::vector<std::string>{"--symmetric has no effect on dynamic_int8"});
  c.type = pipeline::quant_type::static_int8;
  CHECK(pipeline::unread_options(c).empty());
}

TEST_CASE("multiply-adds by hand") {
  ir::node n;
  n.op_type = "Conv";
  CHECK(pipeline::macs_of(n, shape(1, 3, 8, 8), shape(4, 3, 3, 3), shape(1, 4, 8, 8)) == 4 * 64 * 27);
  n.op_type = "ConvTranspose";
  CHECK(pipeline::macs_of(n, shape(1, 3, 8, 8), shape(3, 5, 2, 2), shape(1, 5, 16, 16)) == 3 * 64 * 20);
  n.op_type = "MatMul";
  CHECK(pipeline::macs_of(n, shape(2, 7, 5), shape(5, 4), shape(2, 7, 4)) == 2 * 7 * 4 * 5);
  n.op_type = "Relu";
  CHECK(pipeline::macs_of(n, shape(4), shape(4), shape(4)) == 0);
}
