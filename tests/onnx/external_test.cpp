// External data: where it may be, and what may be said about it.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "io/temp_dir.hpp"
#include "wire_bytes.hpp"

using namespace quantal;
using namespace quantal::test;

namespace {

using pairs = std::initializer_list<std::pair<std::string, std::string>>;

pb external(std::string_view name, std::int64_t elements, pairs place) {
  pb t = pb().integer(1, elements).integer(2, 1).bytes(8, name);
  for (const auto& [key, text] : place) t.message(13, pb().bytes(1, key).bytes(2, text));
  return t.integer(14, 1);
}

void put(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// A directory with w.bin: the floats 0 1 2 3.
struct fixture {
  temp_dir dir;
  fixture() {
    const float values[] = {0, 1, 2, 3};
    put(dir / "w.bin", {reinterpret_cast<const char*>(values), sizeof values});
  }
  result<ir::model> read(const pb& tensors) const { return parse(model(relu_graph(tensors)), dir.path()); }
  error error_of(pairs place, std::int64_t elements = 4) const {
    auto m = read(pb().message(5, external("w", elements, place)));
    REQUIRE_FALSE(m);
    CHECK(contains(m.failure().where, "tensor 'w'"));
    return m.failure();
  }
};

}  // namespace

TEST_CASE("external data with and without offset, length and checksum") {
  const fixture f;
  pb t;
  t.message(5, external("all", 4, {{"location", "w.bin"}}))
      .message(5, external("again", 4, {{"location", "w.bin"}, {"offset", "0"}, {"length", "16"}}))
      .message(5, external("none", 0, {{"location", "w.bin"}, {"offset", "16"}}));
  auto m = f.read(t);
  INFO((m ? std::string() : m.failure().message()));
  REQUIRE(m);
  CHECK(m->graph.initializers[0].value.as<float>()[3] == 3.0f);
  CHECK(m->graph.initializers[1].value.data() == m->graph.initializers[0].value.data());  // one copy in memory
  auto part = f.read(pb().message(5, external("w", 2,
                                              {{"location", "w.bin"},
                                               {"offset", "8"},
                                               {"length", "8"},
                                               {"checksum", "2a5f6ef1ae3a6bd8fd3ea18b4bf4db4bb0d9b0a0"}})));
  REQUIRE_FALSE(part);
  CHECK(contains(part.failure().what, "SHA-1"));
  part = f.read(pb().message(5, external("w", 2,
                                         {{"location", "w.bin"},
                                          {"offset", "8"},
                                          {"length", "8"},
                                          {"checksum", "2d269a0f80570f5073f57d88aa5701b6ed547416"}})));
  REQUIRE(part);
  CHECK(part->graph.initializers[0].value.as<float>()[0] == 2.0f);
}

TEST_CASE("ONNX_external_data_needs_a_directory") {
  auto m = parse(model(relu_graph(pb().message(5, external("w", 4, {{"location", "w.bin"}})))));
  REQUIRE_FALSE(m);
  CHECK(m.failure().code == status::path);
}

TEST_CASE("ONNX_external_data_leaves_its_directory") {
  const fixture f;
  for (const char* location : {"../w.bin", "a/../../w.bin", "/etc/passwd", "..", "", "C:\\w.bin", "a\\..\\w.bin",
                               "w.bin\n", "#../w.bin", "./../w.bin", "\\\\host\\share"}) {
    INFO(location);
    CHECK_FALSE(f.read(pb().message(5, external("w", 4, {{"location", location}}))));
  }
  CHECK(f.error_of({{"location", "../w.bin"}}).code == status::path);
  CHECK(f.error_of({{"location", "/w.bin"}}).code == status::path);
  CHECK(f.error_of({{"location", "missing.bin"}}).code == status::not_found);
  CHECK(contains(f.error_of({{"offset", "0"}}).what, "no location"));
}

TEST_CASE("ONNX_external_data_symlink_hardlink_fifo_and_directory") {
  const fixture f;
  const temp_dir outside;
  put(outside / "secret.bin", std::string(16, 's'));
  REQUIRE(::symlink((outside / "secret.bin").c_str(), (f.dir / "link.bin").c_str()) == 0);
  REQUIRE(::symlink(outside.path().c_str(), (f.dir / "sub").c_str()) == 0);
  REQUIRE(::mkfifo((f.dir / "fifo.bin").c_str(), 0600) == 0);
  REQUIRE(::mkdir((f.dir / "folder").c_str(), 0700) == 0);
  CHECK(f.error_of({{"location", "link.bin"}}).code == status::path);
  CHECK(f.error_of({{"location", "sub/secret.bin"}}).code == status::path);
  CHECK_FALSE(f.read(pb().message(5, external("w", 4, {{"location", "fifo.bin"}}))));
  CHECK_FALSE(f.read(pb().message(5, external("w", 4, {{"location", "folder"}}))));
  put(f.dir / "one.bin", std::string(16, 'x'));
  REQUIRE(::link((f.dir / "one.bin").c_str(), (f.dir / "two.bin").c_str()) == 0);
  CHECK(f.error_of({{"location", "two.bin"}}).code == status::path);
}

TEST_CASE("F6_ONNX_external_offsets_and_lengths_beyond_the_file_or_not_numbers") {
  const fixture f;
  CHECK(contains(f.error_of({{"location", "w.bin"}, {"offset", "4"}}).what, "beyond the file"));
  CHECK(contains(f.error_of({{"location", "w.bin"}}, 5).what, "beyond the file"));
  CHECK(contains(f.error_of({{"location", "w.bin"}, {"offset", "9223372036854775807"}}).what, "beyond the file"));
  CHECK(contains(f.error_of({{"location", "w.bin"}, {"length", "12"}}).what, "12 bytes of data, its shape needs 16"));
  CHECK(contains(f.error_of({{"location", "w.bin"}, {"length", "20"}}).what, "20 bytes"));
  for (const char* bad : {"-1", "x", "", "1e3", "0x10", " 1", "18446744073709551616", "99999999999999999999"}) {
    INFO(bad);
    CHECK(contains(f.error_of({{"location", "w.bin"}, {"offset", bad}}).what, "is not a size"));
    CHECK(contains(f.error_of({{"location", "w.bin"}, {"length", bad}}).what, "is not a size"));
  }
  CHECK_FALSE(f.read(pb().message(5, external("w", INT64_C(1) << 33, {{"location", "w.bin"}}))));
}

TEST_CASE("F6_ONNX_external_ranges_that_overlap_are_errors") {
  const fixture f;
  const auto pair = [&](const char* first, const char* second, std::int64_t n) {
    return f.read(pb().message(5, external("a", n, {{"location", "w.bin"}, {"offset", first}}))
                      .message(5, external("b", n, {{"location", "w.bin"}, {"offset", second}})));
  };
  CHECK(pair("0", "8", 2));
  CHECK(pair("8", "0", 2));
  CHECK_FALSE(pair("0", "4", 2));
  CHECK_FALSE(pair("8", "4", 2));
}

TEST_CASE("ONNX_external_and_inline_data_both_set") {
  const fixture f;
  auto m = f.read(pb().message(5, external("w", 4, {{"location", "w.bin"}}).bytes(9, std::string(16, 'x'))));
  REQUIRE_FALSE(m);
  CHECK(contains(m.failure().what, "both external and inline"));
  m = f.read(pb().message(5, external("w", 1, {{"location", "w.bin"}}).integer(2, 8)));
  REQUIRE_FALSE(m);
  CHECK(contains(m.failure().what, "strings"));
}

TEST_CASE("a model above the limit is written with its tensors in a second file, aligned and readable") {
  const temp_dir dir;
  pb tensors;
  for (const char* name : {"a", "b", "small"}) {
    const std::size_t elements = std::string(name) == "small" ? 10 : 3000;
    tensors.message(5, pb().integer(1, static_cast<std::int64_t>(elements))
                           .integer(2, 1)
                           .bytes(8, name)
                           .bytes(9, std::string(elements * 4, name[0])));
  }
  auto m = parse(model(relu_graph(tensors)));
  REQUIRE(m);
  const std::string path = dir / "model.onnx";
  const auto written = onnx::write_file(*m, path, 1000);
  REQUIRE(written);
  std::ifstream data(path + ".data", std::ios::binary | std::ios::ate);
  std::ifstream graph(path, std::ios::binary | std::ios::ate);
  CHECK(static_cast<std::streamoff>(*written) == data.tellg() + graph.tellg());
  CHECK(data.tellg() == 12288 + 12000);  // b begins at a multiple of 4096
  std::vector<std::string> data_files;
  auto again = onnx::read_file(path, &data_files);
  CHECK(data_files == std::vector<std::string>{path + ".data"});
  INFO((again ? std::string() : again.failure().message()));
  REQUIRE(again);
  CHECK(*onnx::write(*again) == *onnx::write(*m));
  CHECK(onnx::model_hash(*again) == onnx::model_hash(*m));
  REQUIRE(onnx::write_file(*again, dir / "inline.onnx"));
  CHECK_FALSE(std::ifstream(dir / "inline.onnx.data").good());
  REQUIRE(onnx::read_file(dir / "inline.onnx"));
  CHECK(onnx::write_file(*m, dir / "no/such/place.onnx").failure().code == status::not_found);
}

TEST_CASE("large tensors of a file share the file's memory and are aligned") {
  const temp_dir dir;
  for (const std::size_t shift : {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{3}}) {
    std::vector<double> numbers(3000);
    for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<double>(i) / 7;
    const std::string raw(reinterpret_cast<const char*>(numbers.data()), numbers.size() * 8);
    const pb t = pb().integer(1, 3000).integer(2, 11).bytes(8, std::string(shift + 1, 'w')).bytes(9, raw);
    put(dir / "m.onnx", model_with_tensor(t));
    auto m = onnx::read_file(dir / "m.onnx");
    REQUIRE(m);
    const tensor_buffer& w = m->graph.initializers[0].value;
    CHECK(reinterpret_cast<std::uintptr_t>(w.data()) % 8 == 0);
    CHECK(std::string(w.as<char>(), w.bytes()) == raw);
  }
}
