#include "quantal/tensor/view.hpp"

#include <catch2/catch.hpp>
#include <cstdint>
#include <vector>

#include "quantal/tensor/buffer_view.hpp"
#include "quantal/tensor/dlpack.hpp"

using namespace quantal;

TEST_CASE("a dense view knows its strides, alignment and size") {
  alignas(64) float data[24];
  tensor_view v;
  REQUIRE(make_view(dtype::f32, shape(2, 3, 4), data, sizeof(data), v) == status::ok);
  CHECK((v.strides[0] == 12 && v.strides[1] == 4 && v.strides[2] == 1));
  CHECK(v.is_dense());
  CHECK(v.alignment() >= 64);
  v.data = data + 1;
  CHECK(v.alignment() == 4);
  CHECK(make_view(dtype::f32, shape(2, 3, 5), data, sizeof(data), v) == status::buffer);
  CHECK(make_view(dtype::f32, shape(-1), data, sizeof(data), v) == status::shape);
  CHECK(make_view(dtype::none, shape(1), data, sizeof(data), v) == status::dtype);
  CHECK(make_view(dtype::string, shape(1), data, sizeof(data), v) == status::dtype);
  CHECK(make_view(dtype::f32, shape(1), nullptr, 0, v) == status::buffer);
  CHECK(make_view(dtype::f32, shape(0), nullptr, 0, v) == status::ok);
  CHECK(make_view(dtype::s4, shape(5), data, 3, v) == status::ok);
  CHECK(make_view(dtype::s4, shape(5), data, 2, v) == status::buffer);
}

TEST_CASE("negative, zero and permuted strides are copied in row-major order") {
  std::int16_t data[6] = {0, 1, 2, 3, 4, 5};  // [2, 3]
  tensor_view v;
  REQUIRE(make_view(dtype::s16, shape(2, 3), data, sizeof(data), v) == status::ok);
  v.data = data + 5;  // both axes reversed
  v.strides[0] = -3;
  v.strides[1] = -1;
  std::int16_t out[6];
  REQUIRE(copy_dense(v, out) == status::ok);
  for (std::int16_t i = 0; i < 6; ++i) CHECK(out[i] == 5 - i);
  CHECK(check_view(v, 10, 2) == status::ok);
  CHECK(check_view(v, 9, 2) == status::buffer);
  tensor_view t;  // transposed
  REQUIRE(make_view(dtype::s16, shape(3, 2), data, sizeof(data), t) == status::ok);
  t.strides[0] = 1;
  t.strides[1] = 3;
  CHECK_FALSE(t.is_dense());
  REQUIRE(copy_dense(t, out) == status::ok);
  const std::int16_t transposed[6] = {0, 3, 1, 4, 2, 5};
  for (int i = 0; i < 6; ++i) CHECK(out[i] == transposed[i]);
  t.strides[0] = 0;  // a row repeated
  REQUIRE(copy_dense(t, out) == status::ok);
  CHECK((out[0] == 0 && out[1] == 3 && out[2] == 0 && out[5] == 3));
}

TEST_CASE("K7_strides_that_overflow_are_errors") {
  float data[1];
  tensor_view v;
  v.data = data;
  v.type = dtype::f32;
  v.dims = shape(std::int64_t{1} << 40, 2);
  v.strides[0] = std::int64_t{1} << 40;
  v.strides[1] = 1;
  CHECK(check_view(v, UINT64_MAX, UINT64_MAX) == status::overflow);
  v.dims = shape(2, 2);
  v.strides[0] = INT64_MIN;
  CHECK(check_view(v, 1 << 20, 1 << 20) != status::ok);
  v.type = dtype::u4;
  v.strides[0] = 3;
  CHECK(check_view(v, UINT64_MAX, UINT64_MAX) == status::stride);
}

TEST_CASE("DLPack 0 and 1 go out and come in without a copy") {
  std::vector<float> data(6, 1.0f);
  tensor_view v;
  REQUIRE(make_view(dtype::f32, shape(2, 3), data.data(), 24, v) == status::ok);
  static int released = 0;
  dlpack::exported keep;
  REQUIRE(dlpack::export_view(
              v, keep, [](void* owner) { ++*static_cast<int*>(owner); }, &released) == status::ok);
  tensor_view back;
  REQUIRE(dlpack::import_tensor(&keep.v0, back) == status::ok);
  CHECK((back.data == v.data && back.dims == v.dims && back.type == dtype::f32 && !back.read_only));
  REQUIRE(dlpack::import_tensor(&keep.v1, back) == status::ok);
  CHECK((back.data == v.data && back.strides[0] == 3));
  keep.v0.deleter(&keep.v0);
  keep.v1.deleter(&keep.v1);
  CHECK(released == 2);
  v.read_only = true;
  REQUIRE(dlpack::export_view(v, keep, nullptr, nullptr) == status::ok);
  CHECK(keep.v0.deleter == nullptr);
  REQUIRE(dlpack::import_tensor(&keep.v1, back) == status::ok);
  CHECK(back.read_only);
}

TEST_CASE("A3_dlpack_tensors_that_cannot_be_used_are_errors") {
  float data[6] = {};
  std::int64_t dims[9] = {2, 3, 1, 1, 1, 1, 1, 1, 1};
  std::int64_t strides[2] = {3, 1};
  const dlpack::tensor good{data, {dlpack::cpu, 0}, 2, {dlpack::code_float, 32, 1}, dims, strides, 0};
  tensor_view v;
  REQUIRE(dlpack::import_tensor(good, v) == status::ok);
  auto with = [&](auto change) {
    dlpack::tensor t = good;
    change(t);
    return dlpack::import_tensor(t, v);
  };
  CHECK(with([](dlpack::tensor& t) { t.strides = nullptr; }) == status::ok);
  CHECK(with([](dlpack::tensor& t) { t.byte_offset = 4; }) == status::ok);
  CHECK(v.data == data + 1);
  CHECK(with([](dlpack::tensor& t) { t.where.type = 2; }) == status::unsupported);
  CHECK(with([](dlpack::tensor& t) { t.type.lanes = 4; }) == status::unsupported);
  CHECK(with([](dlpack::tensor& t) { t.type.bits = 24; }) == status::dtype);
  CHECK(with([](dlpack::tensor& t) { t.type.code = 3; }) == status::dtype);
  CHECK(with([](dlpack::tensor& t) { t.rank = -1; }) == status::shape);
  CHECK(with([](dlpack::tensor& t) { t.rank = 9; }) == status::limit);
  CHECK(with([](dlpack::tensor& t) { t.shape = nullptr; }) == status::null_pointer);
  CHECK(with([](dlpack::tensor& t) { t.data = nullptr; }) == status::null_pointer);
  CHECK(with([](dlpack::tensor& t) { t.byte_offset = UINT64_MAX; }) == status::overflow);
  CHECK(with([](dlpack::tensor& t) {
          t.type = {dlpack::code_int, 4, 1};
          t.strides[0] = 4;
        }) == status::stride);
  strides[0] = 3;
  dims[0] = -2;
  CHECK(dlpack::import_tensor(good, v) == status::shape);
  dims[0] = 2;
  const dlpack::managed_tensor_versioned newer{{2, 0}, nullptr, nullptr, 0, good};
  CHECK(dlpack::import_tensor(&newer, v) == status::version);
  CHECK(dlpack::import_tensor(static_cast<dlpack::managed_tensor*>(nullptr), v) == status::null_pointer);
  const dlpack::managed_tensor_versioned padded{{1, 1},
                                                nullptr,
                                                nullptr,
                                                dlpack::flag_subbyte_padded,
                                                {data, {1, 0}, 1, {dlpack::code_uint, 4, 1}, dims, nullptr, 0}};
  CHECK(dlpack::import_tensor(&padded, v) == status::unsupported);
}

TEST_CASE("every element type has one DLPack type and comes back") {
  for (std::int32_t i = 1; i < 40; ++i) {
    const dtype t = static_cast<dtype>(i);
    if (bits_of(t) == 0) continue;
    CHECK(dlpack::dtype_of(dlpack::data_type_of(t)) == t);
  }
  static_assert(sizeof(dlpack::tensor) == (sizeof(void*) == 8 ? 48 : sizeof(dlpack::tensor)));
  static_assert(sizeof(dlpack::managed_tensor_versioned) ==
                (sizeof(void*) == 8 ? 80 : sizeof(dlpack::managed_tensor_versioned)));
}

TEST_CASE("a buffer of a strided view is a dense copy; a view of a buffer shares its bytes") {
  auto made = tensor_buffer::make(dtype::u8, shape(2, 2));
  REQUIRE(made);
  for (std::uint8_t i = 0; i < 4; ++i) made->mutable_as<std::uint8_t>()[i] = i;
  tensor_view v = view_of(*made);
  CHECK(v.data == made->data());
  CHECK(view_of(static_cast<const tensor_buffer&>(*made)).read_only);
  v.strides[0] = 1;
  v.strides[1] = 2;
  auto copy = copy_of(v);
  REQUIRE(copy);
  CHECK(copy->as<std::uint8_t>()[1] == 2);
  CHECK(copy->data() != made->data());
  v.type = dtype::string;
  CHECK_FALSE(copy_of(v));
}
