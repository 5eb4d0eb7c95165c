// Every form of --data made of arrays, against the rules of docs/data.md.
#include "quantal/data/source.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "io/temp_dir.hpp"
#include "quantal/data/convert.hpp"
#include "quantal/io/npy.hpp"

using namespace quantal;
using namespace quantal::data;
using quantal::test::temp_dir;

namespace {

ir::value_info input(const std::string& name, std::vector<ir::dim> dims, dtype type = dtype::f32) {
  return {name, ir::value_type::tensor(type, std::move(dims)), "", {}};
}

const ir::dim any{std::string("N")};

tensor_buffer ramp(const shape& dims) {
  std::vector<float> values(static_cast<std::size_t>(dims.elements()));
  std::iota(values.begin(), values.end(), 0.0f);
  return tensor_buffer::of<float>(dims, values);
}

struct seen {
  std::vector<std::int64_t> batches, samples;
  std::vector<float> values;
  std::vector<std::int64_t> labels;
  std::optional<error> failure;
};

seen drain(source& s) {
  seen out;
  for (;;) {
    auto f = s.next();
    if (!f) {
      out.failure = f.failure();
      return out;
    }
    if (!*f) return out;
    const tensor_buffer& x = (*f)->inputs[0].second;
    out.batches.push_back(x.dims().rank > 0 ? x.dims()[0] : 0);
    out.samples.push_back((*f)->samples);
    if (x.type() == dtype::f32) out.values.insert(out.values.end(), x.as<float>(), x.as<float>() + x.elements());
    if ((*f)->label) {
      const auto* l = (*f)->label.as<std::int64_t>();
      out.labels.insert(out.labels.end(), l, l + (*f)->label.elements());
    }
  }
}

seen drain(result<std::unique_ptr<source>> s) {
  if (s) return drain(**s);
  seen out;
  out.failure = s.failure();
  return out;
}

status failure_code(const seen& s) {
  return s.failure ? s.failure->code : status::ok;
}

using counts = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("an npz with as many axes as the input is cut into batches") {
  temp_dir dir;
  const auto labels = tensor_buffer::of<std::int32_t>(shape(10), {0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  REQUIRE(io::write_npz(dir / "d.npz", {{"x", ramp(shape(10, 3))}, {"_label", labels}, {"_ignored", ramp(shape(2))}}));
  for (const int workers : {0, 1, 4}) {
    source_options options;
    options.batch_size = 4;
    options.workers = workers;
    auto s = open(dir / "d.npz", {input("x", {any, 3})}, options);
    REQUIRE(s);
    CHECK((*s)->samples() == 10);
    CHECK((*s)->feeds() == 3);
    for (int round = 0; round < 2; ++round) {
      const seen got = drain(**s);
      REQUIRE_FALSE(got.failure);
      CHECK(got.batches == counts{4, 4, 2});
      CHECK(got.samples == counts{4, 4, 2});
      CHECK(got.labels == counts{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
      REQUIRE(got.values.size() == 30);
      CHECK(got.values[29] == 29.0f);
      REQUIRE((*s)->rewind());
    }
  }
}

TEST_CASE("a fixed batch stays and its last feed is filled with the last sample") {
  temp_dir dir;
  REQUIRE(io::write_npy(dir / "d.npy", ramp(shape(5, 2))));
  const seen got = drain(open(dir / "d.npy", {input("x", {4, 2})}));
  CHECK(got.batches == counts{4, 4});
  CHECK(got.samples == counts{4, 1});
  REQUIRE(got.values.size() == 16);
  for (std::size_t i = 8; i < 16; ++i) CHECK(got.values[i] == (i % 2 == 0 ? 8.0f : 9.0f));
}

TEST_CASE("one axis more counts feeds; scalars go into each") {
  temp_dir dir;
  const auto rate = tensor_buffer::of<std::int64_t>(shape(), {16000});
  REQUIRE(io::write_npz(dir / "d.npz", {{"x", ramp(shape(3, 2, 5))}, {"rate", rate}}));
  const std::vector<ir::value_info> inputs = {input("x", {any, 5}), input("rate", {}, dtype::s64)};
  auto s = open(dir / "d.npz", inputs);
  REQUIRE(s);
  CHECK((*s)->samples() == 6);
  auto f = (*s)->next();
  REQUIRE(f);
  REQUIRE(*f);
  CHECK((*f)->inputs[0].second.dims() == shape(2, 5));
  CHECK((*f)->inputs[1].second.as<std::int64_t>()[0] == 16000);
  CHECK((*f)->origin.find("feed 0") != std::string::npos);
  REQUIRE((*s)->rewind());
  CHECK(drain(**s).batches == counts{2, 2, 2});
  CHECK(drain(open(dir / "d.npz", {input("x", {4, 5}), inputs[1]})).failure->code == status::data_shape);
}

TEST_CASE("--num-calib-batches limits the feeds") {
  temp_dir dir;
  REQUIRE(io::write_npy(dir / "d.npy", ramp(shape(100, 1))));
  source_options options;
  options.batch_size = 8;
  options.max_feeds = 2;
  auto s = open(dir / "d.npy", {input("x", {any, 1})}, options);
  REQUIRE(s);
  CHECK((*s)->samples() == 16);
  CHECK(drain(**s).samples == counts{8, 8});
}

TEST_CASE("directories: one feed a file, shapes may differ") {
  temp_dir dir;
  for (int i = 0; i < 7; ++i) {
    const auto label = tensor_buffer::of<std::int64_t>(shape(), {i});
    REQUIRE(io::write_npz(dir / ("f" + std::to_string(i) + ".npz"),
                          {{"x", ramp(shape(1, i + 1))}, {"_label", label}, {"_z", label}}));
  }
  std::ofstream(dir / "readme.md") << "not data";
  for (const int workers : {0, 3}) {
    source_options options;
    options.workers = workers;
    auto s = open(dir.path(), {input("x", {any, ir::dim()})}, options);
    REQUIRE(s);
    CHECK((*s)->feeds() == 7);
    const seen got = drain(**s);
    CHECK_FALSE(got.failure);
    CHECK(got.labels == counts{0, 1, 2, 3, 4, 5, 6});
    CHECK(got.values.size() == 28);
    REQUIRE((*s)->rewind());
    CHECK(drain(**s).labels.size() == 7);
  }
  temp_dir single;
  REQUIRE(io::write_npy(single / "a.npy", ramp(shape(2, 3))));
  CHECK(drain(open(single.path(), {input("x", {any, 3})})).samples == counts{2});
  REQUIRE(io::write_npz(single / "b.npz", {}));
  CHECK(failure_code(drain(open(single.path(), {input("x", {any, 3})}))) == status::data_format);
}

TEST_CASE("--labels gives a class to each sample") {
  temp_dir dir;
  REQUIRE(io::write_npy(dir / "d.npy", ramp(shape(5, 1))));
  source_options options;
  options.batch_size = 2;
  SECTION("npy") {
    options.labels = dir / "y.npy";
    REQUIRE(io::write_npy(options.labels, tensor_buffer::of<std::uint8_t>(shape(5), {4, 3, 2, 1, 0})));
  }
  SECTION("text") {
    options.labels = dir / "y.txt";
    std::ofstream(options.labels) << "# classes\n4\n3\r\n2\n\n 1 \n0";
  }
  CHECK(drain(open(dir / "d.npy", {input("x", {any, 1})}, options)).labels == counts{4, 3, 2, 1, 0});
  std::ofstream(dir / "short.txt") << "1\n2\n";
  options.labels = dir / "short.txt";
  CHECK(failure_code(drain(open(dir / "d.npy", {input("x", {any, 1})}, options))) == status::data_shape);
  temp_dir files;
  for (const char* name : {"a.npy", "b.npy", "c.npy"}) REQUIRE(io::write_npy(files / name, ramp(shape(1, 1))));
  const seen got = drain(open(files.path(), {input("x", {any, 1})}, options));
  CHECK(got.labels == counts{1, 2});
  CHECK(failure_code(got) == status::data_shape);
  std::ofstream(dir / "words.txt") << "cat\n";
  options.labels = dir / "words.txt";
  CHECK(failure_code(drain(open(dir / "d.npy", {input("x", {any, 1})}, options))) == status::data_format);
  options.labels = dir / "absent.npy";
  CHECK(failure_code(drain(open(dir / "d.npy", {input("x", {any, 1})}, options))) == status::not_found);
  options.labels = dir / "d.npy";  // floats
  CHECK(failure_code(drain(open(dir / "d.npy", {input("x", {any, 1})}, options))) == status::data_format);
}

TEST_CASE("bad data is named with file, entry and sample") {
  temp_dir dir;
  const auto x = input("x", {any, 3});
  const auto fails = [&](const std::string& name, const std::vector<ir::value_info>& inputs, status code,
                         const std::string& text) {
    const seen got = drain(open(dir / name, inputs));
    INFO(name);
    REQUIRE(got.failure);
    INFO(got.failure->message());
    CHECK(got.failure->code == code);
    CHECK(got.failure->message().find(text) != std::string::npos);
    CHECK(got.failure->message().find(name) != std::string::npos);
  };
  fails("absent", {x}, status::not_found, "data not found");
  std::filesystem::create_directory(dir / "empty");
  fails("empty", {x}, status::data_missing, "no data");
  std::ofstream(dir / "data.csv") << "1,2,3\n";
  fails("data.csv", {x}, status::data_format, "unknown kind");
  REQUIRE(io::write_npz(dir / "other.npz", {{"y", ramp(shape(2, 3))}}));
  fails("other.npz", {x}, status::data_format, "'y' is not an input");
  REQUIRE(io::write_npz(dir / "good.npz", {{"x", ramp(shape(2, 3))}}));
  fails("good.npz", {x, input("mask", {any, 3})}, status::data_missing, "no array for input 'mask'");
  REQUIRE(io::write_npz(dir / "rank.npz", {{"x", ramp(shape(3))}}));
  fails("rank.npz", {x}, status::data_shape, "shape [3]");
  REQUIRE(io::write_npz(dir / "shape.npz", {{"x", ramp(shape(20, 4))}}));
  fails("shape.npz", {x}, status::data_shape, "samples 0..15");
  REQUIRE(io::write_npz(dir / "none.npz", {{"x", ramp(shape(0, 3))}}));
  fails("none.npz", {x}, status::data_missing, "no samples");
  fails("good.npz", {input("x", {any, 3}, dtype::s64)}, status::data_format, "f32 data for an input of type s64");
  REQUIRE(io::write_npz(dir / "two.npz", {{"x", ramp(shape(4, 3))}, {"m", ramp(shape(5, 3))}}));
  fails("two.npz", {x, input("m", {any, 3})}, status::data_shape, "same number of samples");
  REQUIRE(io::write_npy(dir / "one.npy", ramp(shape(4, 3))));
  fails("one.npy", {x, input("m", {any, 3})}, status::data_format, "2 inputs");
  REQUIRE(io::write_npz(dir / "label.npz",
                        {{"x", ramp(shape(4, 3))}, {"_label", tensor_buffer::of<std::int64_t>(shape(3), {1, 2, 3})}}));
  fails("label.npz", {x}, status::data_shape, "3 labels for 4 samples");
  // A text error in the middle of a directory names that file.
  std::filesystem::create_directory(dir / "mixed");
  REQUIRE(io::write_npz(dir / "mixed/a.npz", {{"x", ramp(shape(1, 3))}}));
  std::ofstream(dir / "mixed/b.npz") << "damaged";
  const seen got = drain(open(dir / "mixed", {x}));
  CHECK(got.samples == counts{1});
  REQUIRE(got.failure);
  CHECK(got.failure->where.find("b.npz") != std::string::npos);
}

TEST_CASE("an npz damaged at its end gives its good samples, then an error") {
  temp_dir dir;
  REQUIRE(io::write_npz(dir / "d.npz", {{"x", ramp(shape(64, 100))}}));
  std::fstream file(dir / "d.npz", std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(20000);
  file.put('!');
  file.close();
  const seen got = drain(open(dir / "d.npz", {input("x", {any, 100})}));
  CHECK(got.samples == counts{16, 16, 16});
  REQUIRE(got.failure);
  CHECK(got.failure->message().find("CRC") != std::string::npos);
  CHECK(got.failure->message().find("samples 48..63") != std::string::npos);
}

TEST_CASE("D8_types_are_converted_where_nothing_is_lost") {
  const auto u8 = tensor_buffer::of<std::uint8_t>(shape(3), {0, 1, 255});
  CHECK(convert(u8, dtype::f32)->as<float>()[2] == 255.0f);
  CHECK(convert(u8, dtype::s64)->as<std::int64_t>()[2] == 255);
  CHECK(convert(u8, dtype::s8).failure().code == status::data_format);
  CHECK(convert(u8, dtype::boolean).failure().code == status::data_format);
  const auto f64 = tensor_buffer::of<double>(shape(4), {0.1, 1e300, 65520.0, 65519.99});
  CHECK(convert(f64, dtype::f32)->as<float>()[0] == 0.1f);
  CHECK(std::isinf(convert(f64, dtype::f32)->as<float>()[1]));
  CHECK(convert(f64, dtype::f16)->as<std::uint16_t>()[2] == 0x7c00);
  CHECK(convert(f64, dtype::f16)->as<std::uint16_t>()[3] == 0x7bff);
  CHECK(convert(f64, dtype::s32).failure().code == status::data_format);
  auto half = tensor_buffer::make(dtype::f16, shape(2));
  REQUIRE(half);
  half->mutable_as<std::uint16_t>()[0] = 0x3c00;
  half->mutable_as<std::uint16_t>()[1] = 0x0001;
  CHECK(convert(*half, dtype::f32)->as<float>()[0] == 1.0f);
  CHECK(convert(*half, dtype::f64)->as<double>()[1] == 5.9604644775390625e-08);
  CHECK(convert(*half, dtype::bf16)->as<std::uint16_t>()[0] == 0x3f80);
  const auto u64 = tensor_buffer::of<std::uint64_t>(shape(1), {UINT64_MAX});
  CHECK(convert(u64, dtype::s64).failure().code == status::data_format);
  const auto s64 = tensor_buffer::of<std::int64_t>(shape(2), {-1, 7});
  CHECK(convert(s64, dtype::u64).failure().message().find("element 0") != std::string::npos);
  CHECK(convert(s64, dtype::s32)->as<std::int32_t>()[0] == -1);
  CHECK(convert(tensor_buffer::make_strings(shape(1), {"a"}), dtype::f32).failure().code == status::data_format);
}

TEST_CASE("feeds that the caller pulls are checked and converted too") {
  int given = 0;
  const auto pull = [&]() -> result<std::unique_ptr<feed>> {
    if (given == 3) return std::unique_ptr<feed>();
    auto f = std::make_unique<feed>();
    f->inputs.emplace_back("x", tensor_buffer::of<std::uint8_t>(shape(1, 2), {1, static_cast<std::uint8_t>(given)}));
    ++given;
    return f;
  };
  const auto again = [&]() -> result<void> {
    given = 0;
    return {};
  };
  auto s = from_pull(pull, {input("x", {any, 2})}, again);
  CHECK(drain(*s).values == std::vector<float>{1, 0, 1, 1, 1, 2});
  REQUIRE(s->rewind());
  CHECK(drain(*s).values.size() == 6);
  given = 0;
  CHECK(failure_code(drain(*from_pull(pull, {input("x", {any, 3})}))) == status::data_shape);
  CHECK(failure_code(drain(*from_pull(pull, {input("y", {any, 2})}))) == status::data_format);
  CHECK(failure_code(drain(*from_pull(pull, {input("x", {any, 2}), input("y", {any, 2})}))) == status::data_missing);
  CHECK(from_pull(pull, {})->rewind().failure().code == status::state);
}

TEST_CASE("usage errors and early ends") {
  temp_dir dir;
  REQUIRE(io::write_npy(dir / "d.npy", ramp(shape(100, 1))));
  source_options options;
  options.batch_size = 0;
  CHECK(open(dir / "d.npy", {input("x", {any, 1})}, options).failure().code == status::usage);
  CHECK(open(dir / "d.npy", {}).failure().code == status::data_format);
  // Dropped while the workers still read: they are stopped and joined.
  options.batch_size = 1;
  for (int i = 0; i < 20; ++i) {
    auto s = open(dir / "d.npy", {input("x", {any, 1})}, options);
    REQUIRE(s);
    for (int k = 0; k < i; ++k) REQUIRE((*s)->next());
    if (i % 2 == 0) REQUIRE((*s)->rewind());
  }
}
