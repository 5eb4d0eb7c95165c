#include "quantal/tensor/buffer.hpp"

#include <catch2/catch.hpp>

using namespace quantal;

TEST_CASE("a buffer is aligned, sized and shared on copy") {
  auto made = tensor_buffer::make(dtype::s4, shape(3, 5));
  REQUIRE(made);
  CHECK(made->bytes() == 8);  // 15 nibbles
  CHECK(reinterpret_cast<std::uintptr_t>(made->data()) % 64 == 0);
  tensor_buffer copy = *made;
  CHECK(copy.data() == made->data());
  auto deep = made->clone();
  REQUIRE(deep);
  CHECK(deep->data() != made->data());
}

TEST_CASE("F4_shape_products_that_wrap_are_errors") {
  CHECK(tensor_buffer::make(dtype::f32, shape(4194305, 4194305, 211106198978564)).failure().code == status::shape);
  CHECK(tensor_buffer::make(dtype::f32, shape(-1)).failure().code == status::shape);
  CHECK(tensor_buffer::make(dtype::f32, shape(int64_t{1} << 40)).failure().code == status::limit);
  CHECK(tensor_buffer::make(dtype::f32, shape(4194305, 0, 21110))->bytes() == 0);
}
