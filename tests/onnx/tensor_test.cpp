// Every way in which onnx.proto stores a tensor, and the wrong ones.
#include <catch2/catch.hpp>

#include "quantal/ir/dtype_map.hpp"
#include "wire_bytes.hpp"

using namespace quantal;
using namespace quantal::test;

namespace {

pb tensor(std::int64_t type, std::initializer_list<std::int64_t> dims) {
  pb t;
  for (const std::int64_t d : dims) t.integer(1, d);
  return t.integer(2, type).bytes(8, "w");
}

tensor_buffer read_tensor(const pb& t) {
  auto m = parse(model_with_tensor(t));
  INFO((m ? std::string() : m.failure().message()));
  REQUIRE(m);
  REQUIRE(m->graph.initializers.size() == 1);
  CHECK(m->graph.initializers[0].name == "w");
  return m->graph.initializers[0].value;
}

error tensor_error(const pb& t) {
  auto m = parse(model_with_tensor(t));
  REQUIRE_FALSE(m);
  CHECK(contains(m.failure().where, "tensor 'w'"));
  return m.failure();
}

template <class T>
std::vector<T> values(const tensor_buffer& t) {
  return {t.as<T>(), t.as<T>() + t.bytes() / sizeof(T)};
}

}  // namespace

TEST_CASE("typed fields, packed and not") {
  CHECK(values<float>(read_tensor(tensor(1, {2}).packed_fixed<float>(4, {1.5f, -2}))) == std::vector<float>{1.5f, -2});
  CHECK(values<float>(read_tensor(tensor(1, {2}).fixed32(4, 3).fixed32(4, 4))) == std::vector<float>{3, 4});
  CHECK(values<double>(read_tensor(tensor(11, {2}).packed_fixed<double>(10, {0.1, -7}))) ==
        std::vector<double>{0.1, -7});
  CHECK(values<std::int64_t>(read_tensor(tensor(7, {3}).packed(7, {-1, INT64_MAX, INT64_MIN}))) ==
        std::vector<std::int64_t>{-1, INT64_MAX, INT64_MIN});
  CHECK(values<std::int64_t>(read_tensor(tensor(7, {2}).integer(7, 5).integer(7, -6))) ==
        std::vector<std::int64_t>{5, -6});
  CHECK(values<std::uint64_t>(read_tensor(tensor(13, {1}).packed(11, {-1}))) == std::vector<std::uint64_t>{UINT64_MAX});
  CHECK(values<std::uint32_t>(read_tensor(tensor(12, {1}).packed(11, {4294967295}))) ==
        std::vector<std::uint32_t>{UINT32_MAX});
  CHECK(values<std::int32_t>(read_tensor(tensor(6, {2}).packed(5, {-5, 7}))) == std::vector<std::int32_t>{-5, 7});
  CHECK(values<std::int16_t>(read_tensor(tensor(5, {1}).packed(5, {-300}))) == std::vector<std::int16_t>{-300});
  CHECK(values<std::uint16_t>(read_tensor(tensor(4, {1}).packed(5, {65535}))) == std::vector<std::uint16_t>{65535});
  CHECK(values<std::int8_t>(read_tensor(tensor(3, {2}).packed(5, {-128, 127}))) == std::vector<std::int8_t>{-128, 127});
  CHECK(values<std::uint8_t>(read_tensor(tensor(2, {2}).packed(5, {0, 255}))) == std::vector<std::uint8_t>{0, 255});
  CHECK(values<std::uint8_t>(read_tensor(tensor(9, {2}).packed(5, {1, 0}))) == std::vector<std::uint8_t>{1, 0});
}

TEST_CASE("typed fields of small floats, sub-byte types, complex numbers and strings") {
  CHECK(values<std::uint16_t>(read_tensor(tensor(10, {2}).packed(5, {0x3c00, 0xfc00}))) ==
        std::vector<std::uint16_t>{0x3c00, 0xfc00});
  CHECK(values<std::uint16_t>(read_tensor(tensor(10, {1}).packed(5, {-1024}))) == std::vector<std::uint16_t>{0xfc00});
  CHECK(values<std::uint16_t>(read_tensor(tensor(16, {1}).packed(5, {0x3f80}))) == std::vector<std::uint16_t>{0x3f80});
  for (const int type : {17, 18, 19, 20, 24})  // the 8-bit floats
    CHECK(values<std::uint8_t>(read_tensor(tensor(type, {2}).packed(5, {0x38, 0xb8}))) ==
          std::vector<std::uint8_t>{0x38, 0xb8});
  for (const int type : {21, 22, 23})  // u4, s4, f4: two to a byte, an odd one alone
    CHECK(values<std::uint8_t>(read_tensor(tensor(type, {3}).packed(5, {0x21, 0x03}))) ==
          std::vector<std::uint8_t>{0x21, 0x03});
  for (const int type : {25, 26})  // u2, s2: four to a byte
    CHECK(values<std::uint8_t>(read_tensor(tensor(type, {5}).packed(5, {0xe4, 0x01}))) ==
          std::vector<std::uint8_t>{0xe4, 0x01});
  CHECK(values<float>(read_tensor(tensor(14, {1}).packed_fixed<float>(4, {1, 2}))) == std::vector<float>{1, 2});
  CHECK(values<double>(read_tensor(tensor(15, {1}).packed_fixed<double>(10, {1, 2}))) == std::vector<double>{1, 2});
  CHECK(read_tensor(tensor(8, {2}).bytes(6, "a").bytes(6, std::string_view("\0\xff", 2))).strings() ==
        std::vector<std::string>{"a", std::string("\0\xff", 2)});
}

TEST_CASE("raw data of every type") {
  for (const ir::dtype_row& row : ir::dtype_rows) {
    if (row.type == dtype::none || row.type == dtype::string) continue;
    std::uint64_t bytes = 0;
    REQUIRE(bytes_of(row.type, 5, bytes));
    std::string raw(static_cast<std::size_t>(bytes), '\1');
    const tensor_buffer t = read_tensor(tensor(row.number, {5}).bytes(9, raw));
    CHECK(t.type() == row.type);
    CHECK(std::string(t.as<char>(), t.bytes()) == raw);
  }
  CHECK(read_tensor(tensor(1, {0, 7})).elements() == 0);
  CHECK(read_tensor(tensor(1, {}).bytes(9, "abcd")).dims().rank == 0);
  CHECK(values<std::uint8_t>(read_tensor(tensor(9, {3}).bytes(9, std::string_view("\0\1\7", 3)))) ==
        std::vector<std::uint8_t>{0, 1, 1});  // any byte but 0 is true
}

TEST_CASE("dims may be packed, and fields may come in any order") {
  pb t;
  t.packed_fixed<float>(4, {1, 2}).bytes(8, "w").packed(1, {2, 1}).integer(2, 1);
  CHECK(read_tensor(t).dims() == shape(2, 1));
}

TEST_CASE("ONNX_repeated_scalar_packed_and_unpacked_are_joined") {
  CHECK(values<float>(read_tensor(tensor(1, {3}).fixed32(4, 1).packed_fixed<float>(4, {2, 3}))) ==
        std::vector<float>{1, 2, 3});
  CHECK(contains(tensor_error(tensor(1, {2}).fixed32(4, 1).packed_fixed<float>(4, {2, 3})).what, "3 stored values"));
}

TEST_CASE("ONNX_raw_and_typed_data_both_set") {
  const error e = tensor_error(tensor(1, {1}).fixed32(4, 1).bytes(9, "abcd"));
  CHECK(e.code == status::model_syntax);
  CHECK(contains(e.what, "two fields"));
  CHECK(contains(tensor_error(tensor(1, {1}).fixed32(4, 1).integer(5, 1)).what, "two fields"));
}

TEST_CASE("F5_ONNX_raw_data_length_differs_from_dims") {
  CHECK(contains(tensor_error(tensor(1, {2}).bytes(9, "abcd")).what, "4 bytes of data, its shape needs 8"));
  CHECK(contains(tensor_error(tensor(22, {3}).bytes(9, "a")).what, "needs 2"));
  CHECK(contains(tensor_error(tensor(26, {5}).bytes(9, "abc")).what, "needs 2"));
  CHECK(contains(tensor_error(tensor(1, {2})).what, "no data"));
  CHECK(contains(tensor_error(tensor(8, {2}).bytes(6, "a")).what, "1 strings"));
  CHECK(contains(tensor_error(tensor(1, {0}).bytes(9, "a")).what, "needs 0"));
}

TEST_CASE("F4_dims_negative_overflowing_or_too_many") {
  CHECK(tensor_error(tensor(1, {-1}).bytes(9, "abcd")).code == status::model_type);
  CHECK(tensor_error(tensor(1, {INT64_C(1) << 62, 8}).bytes(9, "abcd")).code == status::model_type);
  CHECK(tensor_error(tensor(1, {4194305, 4194305, 211106198978564}).bytes(9, "abcd")).code == status::model_type);
  CHECK(tensor_error(tensor(1, {INT64_C(1) << 31, INT64_C(1) << 20}).bytes(9, "abcd")).code == status::model_syntax);
  CHECK(tensor_error(tensor(1, {1, 1, 1, 1, 1, 1, 1, 1, 1}).bytes(9, "abcd")).code == status::limit);
  CHECK(read_tensor(tensor(1, {1, 1, 1, 1, 1, 1, 1, 1}).bytes(9, "abcd")).elements() == 1);
}

TEST_CASE("F8_unknown_element_types_are_named") {
  CHECK(tensor_error(tensor(27, {1}).bytes(9, "a")).code == status::unsupported);
  CHECK(contains(tensor_error(tensor(99, {1}).bytes(9, "a")).what, "99"));
  CHECK(contains(tensor_error(tensor(0, {1}).bytes(9, "a")).what, "no element type"));
  CHECK(tensor_error(tensor(-1, {1}).bytes(9, "a")).code == status::unsupported);
}

TEST_CASE("values outside their type, and values in a field of another type") {
  CHECK(contains(tensor_error(tensor(3, {1}).packed(5, {128})).what, "does not fit the type s8"));
  CHECK(contains(tensor_error(tensor(2, {1}).packed(5, {-1})).what, "does not fit"));
  CHECK(contains(tensor_error(tensor(9, {1}).packed(5, {2})).what, "does not fit"));
  CHECK(contains(tensor_error(tensor(10, {1}).packed(5, {65536})).what, "does not fit"));
  CHECK(contains(tensor_error(tensor(6, {1}).packed(5, {INT64_C(1) << 40})).what, "does not fit"));
  CHECK(contains(tensor_error(tensor(22, {1}).packed(5, {256})).what, "does not fit"));
  CHECK(contains(tensor_error(tensor(6, {1}).packed(7, {1})).what, "another type"));
  CHECK(contains(tensor_error(tensor(8, {1}).bytes(9, "a")).what, "string"));
  CHECK(contains(tensor_error(tensor(1, {1}).bytes(6, "a")).what, "another type"));
  CHECK(tensor_error(tensor(1, {1}).bytes(9, "abcd").message(3, pb().integer(1, 0))).code == status::unsupported);
}

TEST_CASE("the same model in any storage has the same bytes when written, and the same hash") {
  const auto raw = parse(model_with_tensor(tensor(1, {2}).packed_fixed<float>(9, {1, 2})));
  const auto typed = parse(model_with_tensor(tensor(1, {2}).fixed32(4, 1).fixed32(4, 2)));
  REQUIRE(raw);
  REQUIRE(typed);
  CHECK(*onnx::write(*raw) == *onnx::write(*typed));
  CHECK(onnx::model_hash(*raw) == onnx::model_hash(*typed));
  CHECK(onnx::model_hash(*raw).size() == 64);
  const auto other = parse(model_with_tensor(tensor(1, {2}).packed_fixed<float>(9, {1, 3})));
  REQUIRE(other);
  CHECK(onnx::model_hash(*raw) != onnx::model_hash(*other));
}
