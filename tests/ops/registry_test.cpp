// The registry's order and version ranges, element types' numbers, broadcasting and narrow types.
#include <catch2/catch.hpp>

#include "quantal/ir/dtype_map.hpp"
#include "quantal/ops/all.hpp"
#include "quantal/ops/convert.hpp"
#include "quantal/ops/evaluate.hpp"

using namespace quantal;

namespace {

ir::node make(std::string type, std::size_t inputs, std::vector<ir::attribute> attributes = {},
              std::size_t outputs = 1) {
  ir::node n;
  n.op_type = std::move(type);
  for (std::size_t i = 0; i < inputs; ++i) n.inputs.push_back("x" + std::to_string(i));
  for (std::size_t i = 0; i < outputs; ++i) n.outputs.push_back("y" + std::to_string(i));
  n.attributes = std::move(attributes);
  return n;
}

template <class T>
std::vector<T> values(const tensor_buffer& t) {
  return std::vector<T>(t.as<T>(), t.as<T>() + t.elements());
}

using ints = std::vector<std::int64_t>;
using floats = std::vector<float>;

tensor_buffer f32(const shape& s, floats v) {
  return tensor_buffer::of(s, v);
}
tensor_buffer s64(ints v) {
  return tensor_buffer::of(shape(static_cast<std::int64_t>(v.size())), v);
}

}  // namespace

TEST_CASE("entries are sorted, complete and do not overlap") {
  const auto all = ops::all();
  CHECK(all.size() > 150);
  for (std::size_t i = 0; i < all.size(); ++i) {
    CHECK(all[i]->infer != nullptr);
    CHECK(all[i]->eval != nullptr);
    CHECK(all[i]->since <= all[i]->until);
    if (i == 0 || all[i - 1]->type != all[i]->type || all[i - 1]->domain != all[i]->domain) continue;
    INFO(all[i]->type);
    CHECK(all[i - 1]->until < all[i]->since);
  }
}

TEST_CASE("find honours version ranges") {
  CHECK(ops::find("", "Add", 13) != nullptr);
  CHECK(ops::find("ai.onnx", "Add", 13) == ops::find("", "Add", 13));
  CHECK(ops::find("", "Gelu", 19) == nullptr);
  CHECK(ops::find("", "Gelu", 20) != nullptr);
  CHECK(ops::find("", "Scatter", 11) == nullptr);
  CHECK(ops::find("", "NoSuchOperator", 13) == nullptr);
  CHECK(ops::find("com.example", "Add", 13) == nullptr);
  CHECK(ops::find("", "Scan", 8) != ops::find("", "Scan", 9));
}

TEST_CASE("element type numbers agree with the reader's table") {
  for (const auto& row : ir::dtype_rows) {
    CHECK(ir::dtype_of_onnx(row.number) == row.type);
    CHECK(ir::dtype_of_onnx(row.name) == row.type);
  }
  CHECK(ir::dtype_of_onnx("FLOAT6") == dtype::none);
  CHECK(ir::dtype_of_onnx(-1) == dtype::none);
  CHECK(ir::dtype_of_onnx(1000) == dtype::none);
}

TEST_CASE("broadcasting joins dimensions and keeps order") {
  // [2, 1, 3] + [2, 1]
  const auto y =
      ops::evaluate(make("Sub", 2), 14,
                    std::vector<tensor_buffer>{f32(shape(2, 1, 3), {1, 2, 3, 4, 5, 6}), f32(shape(2, 1), {10, 20})});
  REQUIRE(y);
  CHECK((*y)[0].dims() == shape(2, 2, 3));
  CHECK(values<float>((*y)[0]) == floats{-9, -8, -7, -19, -18, -17, -6, -5, -4, -16, -15, -14});
  const auto bad =
      ops::evaluate(make("Add", 2), 14, std::vector<tensor_buffer>{f32(shape(2), {1, 2}), f32(shape(3), {1, 2, 3})});
  REQUIRE_FALSE(bad);
  CHECK(bad.failure().code == status::data_shape);
  CHECK(bad.failure().where == "Add -> y0");
}

TEST_CASE("integer arithmetic is defined at the edges") {
  const auto binary = [](const char* op, std::int32_t a, std::int32_t b) {
    return ops::evaluate(make(op, 2), 14,
                         std::vector<tensor_buffer>{tensor_buffer::of(shape(1), std::vector<std::int32_t>{a}),
                                                    tensor_buffer::of(shape(1), std::vector<std::int32_t>{b})});
  };
  CHECK(values<std::int32_t>((*binary("Add", INT32_MAX, 1))[0])[0] == INT32_MIN);
  CHECK(values<std::int32_t>((*binary("Div", INT32_MIN, -1))[0])[0] == INT32_MIN);
  CHECK(values<std::int32_t>((*binary("Div", -7, 2))[0])[0] == -3);
  CHECK(values<std::int32_t>((*binary("Mod", -7, 3))[0])[0] == 2);
  CHECK(binary("Div", 1, 0).failure().code == status::data_format);
  CHECK(binary("Mod", 1, 0).failure().code == status::data_format);
}

TEST_CASE("casts of floats outside an integer's range are the same everywhere") {
  const floats x = {1e10f, -1e10f, 255.9f, -1.9f, std::numeric_limits<float>::quiet_NaN()};
  const auto as = [&](dtype t) { return *ops::convert_tensor(f32(shape(5), x), t); };
  CHECK(values<std::int32_t>(as(dtype::s32)) == std::vector<std::int32_t>{INT32_MIN, INT32_MIN, 255, -1, INT32_MIN});
  CHECK(values<std::uint8_t>(as(dtype::u8)) == std::vector<std::uint8_t>{0, 0, 255, 255, 0});
  CHECK(values<std::int64_t>(as(dtype::s64)) == ints{10000000000, -10000000000, 255, -1, INT64_MIN});
  CHECK(values<std::uint8_t>(as(dtype::boolean)) == std::vector<std::uint8_t>{1, 1, 1, 1, 1});
  const auto packed = *ops::convert_tensor(s64({-8, 7, -1}), dtype::s4);
  CHECK(packed.bytes() == 2);
  CHECK(values<std::int64_t>(*ops::convert_tensor(packed, dtype::s64)) == ints{-8, 7, -1});
}

TEST_CASE("f16 runs in f32 and comes back as f16") {
  const auto half = *ops::convert_tensor(f32(shape(2), {60000, 1}), dtype::f16);
  const auto y = ops::evaluate(make("Add", 2), 14, std::vector<tensor_buffer>{half, half});
  REQUIRE(y);
  CHECK((*y)[0].type() == dtype::f16);
  CHECK(values<float>(*ops::convert_tensor((*y)[0], dtype::f32)) == floats{std::numeric_limits<float>::infinity(), 2});
}

TEST_CASE("indices outside an axis are errors, never reads") {
  const tensor_buffer x = f32(shape(3), {1, 2, 3});
  for (std::int64_t bad : {std::int64_t{3}, std::int64_t{-4}, INT64_MAX, INT64_MIN}) {
    CHECK(ops::evaluate(make("Gather", 2), 13, std::vector<tensor_buffer>{x, s64({bad})}).failure().code ==
          status::data_format);
    CHECK(ops::evaluate(make("GatherElements", 2), 13, std::vector<tensor_buffer>{x, s64({bad})}).failure().code ==
          status::data_format);
    CHECK(ops::evaluate(make("ScatterElements", 3), 13, std::vector<tensor_buffer>{x, s64({bad}), f32(shape(1), {9})})
              .failure()
              .code == status::data_format);
    CHECK(
        ops::evaluate(make("GatherND", 2), 13, std::vector<tensor_buffer>{x, tensor_buffer::of(shape(1, 1), ints{bad})})
            .failure()
            .code == status::data_format);
  }
}

TEST_CASE("slices with extreme bounds") {
  const tensor_buffer x = f32(shape(4), {0, 1, 2, 3});
  const auto cut = [&](std::int64_t start, std::int64_t end, std::int64_t step) {
    const auto y = ops::evaluate(make("Slice", 5), 13,
                                 std::vector<tensor_buffer>{x, s64({start}), s64({end}), s64({0}), s64({step})});
    REQUIRE(y);
    return values<float>((*y)[0]);
  };
  CHECK(cut(INT64_MAX, INT64_MIN, -1) == floats{3, 2, 1, 0});
  CHECK(cut(INT64_MIN, INT64_MAX, 1) == floats{0, 1, 2, 3});
  CHECK(cut(INT64_MIN, INT64_MAX, INT64_MAX) == floats{0});
  CHECK(cut(INT64_MAX, INT64_MIN, INT64_MIN) == floats{3});
  CHECK(cut(2, 1, 1).empty());
  CHECK(cut(-1, -3, -1) == floats{3, 2});
  CHECK(ops::evaluate(make("Slice", 5), 13, std::vector<tensor_buffer>{x, s64({0}), s64({1}), s64({0}), s64({0})})
            .failure()
            .code == status::model_type);
}

TEST_CASE("a missing required input is an error for every operator") {
  // No operator may read an input that is not there.
  for (const ops::op_def* d : ops::all()) {
    if (d->type == "Constant" || d->type.substr(0, 6) == "Random") continue;
    INFO(d->type);
    ir::node n = make(std::string(d->type), 0);
    n.domain = std::string(d->domain);
    CHECK_FALSE(ops::evaluate(n, d->since, {}));
    const std::vector<tensor_buffer> absent(4);
    n.inputs.assign(4, "");
    CHECK_FALSE(ops::evaluate(n, d->since, absent));
  }
}
