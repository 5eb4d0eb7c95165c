#include <catch2/catch.hpp>
#include <cmath>

#include "quantal/report/error.hpp"
#include "quantal/report/html.hpp"
#include "quantal/report/summary.hpp"

using namespace quantal;
using namespace quantal::report;

namespace {

quantize_report sample() {
  quantize_report r;
  r.original_model = "best.onnx";
  r.quantized_model = "quantized_models/best_static_int8.onnx";
  r.quantization_type = "static_int8";
  r.original_bytes = 47427092;  // 45.23 MB
  r.quantized_bytes = 11859394;
  r.compression_ratio = static_cast<double>(r.original_bytes) / static_cast<double>(r.quantized_bytes);
  r.coverage = {{"Conv 'c'", "Conv", "quantized", "", 1000},
                {"Softmax 's'", "Softmax", "float", "exponentials need more than 8 bits", 0}};
  r.integer_macs = 1;
  r.outputs = {{"y", 30.5, 0.9996, 0.01}};
  r.errors = {{"Conv 'c'", "Conv", 40.0}};
  r.ranges = {{"x", -1, 2, 0.0117647F, 85}};
  r.samples = 128;
  return r;
}

}  // namespace

TEST_CASE("SQNR, cosine and the largest error of known vectors") {
  error_sum e;
  const auto x = tensor_buffer::of<float>(shape(4), {3, 4, 0, 0}),
             y = tensor_buffer::of<float>(shape(4), {3, 3.5F, 0, 0});
  REQUIRE(e.add(x, y));
  CHECK(e.sqnr_db() == Approx(20.0));  // 25 / 0.25
  CHECK(e.cosine() == Approx((9 + 14) / (5 * std::sqrt(9 + 12.25))));
  CHECK(e.max_abs_error() == 0.5);
  error_sum same;
  REQUIRE(same.add(x, x));
  CHECK(same.sqnr_db() == INFINITY);
  error_sum mixed;  // other types are compared by value
  REQUIRE(
      mixed.add(tensor_buffer::of<std::int8_t>(shape(2), {1, -2}), tensor_buffer::of<std::int64_t>(shape(2), {1, -2})));
  CHECK(mixed.sqnr_db() == INFINITY);
  CHECK(mixed.add(x, tensor_buffer::of<float>(shape(2), {1, 2})).failure().code == status::shape);
}

TEST_CASE("D1_nan in one stream is counted and does not poison the sums") {
  error_sum e;
  REQUIRE(e.add(tensor_buffer::of<float>(shape(2), {1, 2}), tensor_buffer::of<float>(shape(2), {1, NAN})));
  CHECK(e.not_finite() == 1);
  CHECK(e.sqnr_db() == -INFINITY);
}

TEST_CASE("the summary begins with the block of the interface, word by word") {
  const std::string text = summary(sample());
  CHECK(text.rfind("Quantization Summary:\n"
                   "  Original model: best.onnx\n"
                   "  Quantized model: quantized_models/best_static_int8.onnx\n"
                   "  Quantization type: static_int8\n"
                   "  Original size: 45.23 MB\n"
                   "  Quantized size: 11.31 MB\n"
                   "  Compression ratio: 4.00x\n",
                   0) == 0);
  CHECK(text.find("exponentials need more than 8 bits") != std::string::npos);
  quantize_report without = sample();
  without.outputs.clear();
  CHECK(summary(without).find("not measured") != std::string::npos);
}

TEST_CASE("the page stands alone, and a name from a file cannot become markup") {
  quantize_report r = sample();
  r.coverage[0].node = "<script>alert(1)</script>\x1b[2J";
  r.outputs[0].name = "\"><img src=x>";
  r.warnings = {"a & b"};
  const std::string page = html(r);
  CHECK(page.find("<script") == std::string::npos);
  CHECK(page.find("<img") == std::string::npos);
  CHECK(page.find('\x1b') == std::string::npos);
  CHECK(page.find("a &amp; b") != std::string::npos);
  CHECK(page.find("http") == std::string::npos);  // nothing from elsewhere
  CHECK(page.find("src=\"") == std::string::npos);
  for (const char* part : {"Coverage", "Error per node", "Ranges", "Outputs", "45.23 MB"})
    CHECK(page.find(part) != std::string::npos);
  CHECK(page.substr(page.size() - 8) == "</html>\n");
}
