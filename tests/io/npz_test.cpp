// npy and npz against hostile files; agreement with numpy is checked by npz_numpy_test.py.
#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>
#include <sstream>

#include "io/temp_dir.hpp"
#include "quantal/io/npy.hpp"

using namespace quantal;
using namespace quantal::io;
using quantal::test::temp_dir;

namespace {

std::string seed(const std::string& name) {
  std::ifstream file(std::string(QUANTAL_TEST_CORPUS) + "/" + name, std::ios::binary);
  REQUIRE(file);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::shared_ptr<const random_file> over(const std::string& bytes) {
  auto copy = std::make_shared<std::string>(bytes);
  return std::make_shared<const random_file>(
      random_file::over({copy, reinterpret_cast<const std::byte*>(copy->data()), copy->size()}, "test.npz"));
}

result<named_arrays> read_archive(const std::string& bytes) {
  QUANTAL_TRY(npz, npz_file::open(over(bytes)));
  named_arrays arrays;
  for (const std::string& name : npz.names()) {
    QUANTAL_TRY(reader, npz.array(name));
    QUANTAL_TRY(value, reader.read_tensor(reader.dims()));
    arrays.emplace_back(name, std::move(value));
  }
  return arrays;
}

result<tensor_buffer> read_array(const std::string& bytes) {
  QUANTAL_TRY(reader, npy_reader::open(stream_of(over(bytes))));
  return reader.read_tensor(reader.dims());
}

status code_of(const std::string& bytes) {
  auto arrays = read_archive(bytes);
  return arrays ? status::ok : arrays.failure().code;
}

bool same(const tensor_buffer& a, const tensor_buffer& b) {
  return a.type() == b.type() && a.dims() == b.dims() && a.bytes() == b.bytes() &&
         (a.bytes() == 0 || std::memcmp(a.data(), b.data(), a.bytes()) == 0);
}

status header_code(const std::string& text) {
  auto header = parse_npy_header(text);
  return header ? status::ok : header.failure().code;
}

// The archive with the 2 or 4 bytes at `field` of each directory entry (of the central directory) replaced.
std::string patch_central(std::string bytes, std::size_t field, const std::string& value) {
  const std::string signature("PK\x01\x02", 4);
  for (std::size_t at = bytes.find(signature); at != std::string::npos; at = bytes.find(signature, at + 1)) {
    bytes.replace(at + field, value.size(), value);
  }
  return bytes;
}

}  // namespace

TEST_CASE("F_npz_stored_deflated_zip64_and_streamed_archives_hold_the_same") {
  const auto plain = read_archive(seed("npz/stored"));
  REQUIRE(plain);
  REQUIRE(plain->size() == 2);
  CHECK((*plain)[0].second.dims() == shape(2, 3));
  CHECK((*plain)[0].second.as<float>()[5] == 5.0f);
  for (const char* name : {"npz/deflated", "npz/zip64", "npz/streamed"}) {
    INFO(name);
    const auto other = read_archive(seed(name));
    REQUIRE(other);
    CHECK((*other)[0].first == "x");
    CHECK(same((*other)[0].second, (*plain)[0].second));
  }
  CHECK((*read_archive(seed("npz/slash")))[0].first == "/block/x");
  CHECK(read_archive(seed("npz/empty"))->empty());
}

TEST_CASE("F1_npz_truncated_at_every_byte_is_an_error") {
  for (const char* name : {"npz/stored", "npz/deflated", "npz/zip64", "npz/streamed"}) {
    const std::string whole = seed(name);
    for (std::size_t n = 0; n < whole.size(); ++n) {
      if (read_archive(whole.substr(0, n))) FAIL(name << " cut at " << n << " is read");
    }
    CHECK(code_of(whole + "x") == status::model_syntax);  // trailing garbage
    CHECK(code_of("x" + whole) == status::model_syntax);
  }
}

TEST_CASE("F_npz_each_bit_flip_is_an_error_or_leaves_the_arrays_as_they_were") {
  std::size_t valid = 0, bits = 0;
  for (const char* name : {"npz/stored", "npz/deflated", "npz/zip64", "npz/streamed"}) {
    const std::string whole = seed(name);
    const auto expected = read_archive(whole);
    REQUIRE(expected);
    for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit, ++bits) {
      std::string flipped = whole;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
      const auto got = read_archive(flipped);
      if (!got) continue;
      ++valid;
      REQUIRE(got->size() == expected->size());
      for (std::size_t i = 0; i < got->size(); ++i) {
        if (!same((*got)[i].second, (*expected)[i].second)) FAIL(name << " bit " << bit << " changes an array unseen");
      }
    }
  }
  WARN(bits << " flips, " << valid << " without effect (dates, versions, attributes)");
  CHECK(valid < bits / 3);
}

TEST_CASE("F_npz_hostile_archives") {
  CHECK(code_of(seed("npz/traversal")) == status::path);
  CHECK(code_of(seed("npz/bomb")) == status::bomb);
  CHECK(code_of(seed("npz/not_npy")) == status::model_syntax);
  CHECK(code_of("") == status::model_syntax);
  CHECK(code_of("P") == status::model_syntax);
  const std::string stored = seed("npz/stored"), deflated = seed("npz/deflated");
  CHECK(code_of(patch_central(stored, 8, std::string("\x01\x00", 2))) == status::unsupported);   // encrypted
  CHECK(code_of(patch_central(stored, 10, std::string("\x0e\x00", 2))) == status::unsupported);  // LZMA
  CHECK(code_of(patch_central(stored, 46, "x.npy")) == status::model_syntax);                    // the same name twice
  CHECK(code_of(patch_central(stored, 16, "CRC!")) == status::model_syntax);                  // not the local header's
  CHECK(code_of(patch_central(stored, 42, std::string(4, '\0'))) == status::model_syntax);    // both at 0: overlap
  CHECK(code_of(patch_central(stored, 42, std::string(4, '\xff'))) == status::model_syntax);  // zip64 field missing
  CHECK(code_of(patch_central(stored, 24, std::string("\xf0\xff\xff\xff", 4))) ==
        status::model_syntax);                                                                      // stored, two sizes
  CHECK(code_of(patch_central(deflated, 24, std::string("\xf0\xff\xff\xff", 4))) == status::bomb);  // 4 GB of 100 bytes
}

TEST_CASE("F_npz_deflate_streams_that_lie_about_their_size") {
  const std::string whole = seed("npz/deflated");
  const std::size_t local_size = 22, central_size = 24;
  for (const int delta : {-1, 1, 20}) {
    std::string bytes = whole;
    const std::size_t central = bytes.find(std::string("PK\x01\x02", 4));
    for (const std::size_t at : {local_size, central + central_size}) bytes[at] = static_cast<char>(bytes[at] + delta);
    INFO(delta);
    CHECK_FALSE(read_archive(bytes));
  }
}

TEST_CASE("F_npy_objects_and_pickles_are_refused") {
  CHECK(read_array(seed("npy/object")).failure().code == status::unsupported);
  CHECK(read_array(seed("npy/structure")).failure().code == status::unsupported);
  for (const char* descr : {"|O", "O", "<U4", "|S3", "<M8[ns]", "|V2", "<f16", "<f3", "f4", "", "<", "|f4", "<O8"}) {
    INFO(descr);
    CHECK(header_code(std::string("{'descr': '") + descr + "', 'fortran_order': False, 'shape': (1,), }") ==
          status::unsupported);
  }
}

TEST_CASE("F4_npy_shapes") {
  CHECK(read_array(seed("npy/negative")).failure().code == status::model_syntax);
  CHECK(read_array(seed("npy/overflow")).failure().code == status::shape);
  CHECK(read_array(seed("npy/huge")).failure().code ==
        status::model_syntax);  // more than the file holds: nothing allocated
  CHECK(read_array(seed("npy/deep")).failure().code == status::limit);
  CHECK(read_array(seed("npy/scalar"))->dims().rank == 0);
  CHECK(read_array(seed("npy/empty"))->bytes() == 0);
  CHECK(read_array(seed("npy/f32") + "x").failure().code == status::model_syntax);
}

TEST_CASE("F_npy_byte_order_fortran_order_and_bool") {
  const auto swapped = read_array(seed("npy/f32_big_endian"));
  REQUIRE(swapped);
  CHECK(swapped->as<float>()[1] == 2.0f);
  const auto fortran = read_array(seed("npy/fortran"));
  REQUIRE(fortran);
  const std::int16_t expected[] = {0, 2, 4, 1, 3, 5};
  CHECK(std::memcmp(fortran->data(), expected, sizeof expected) == 0);
  const auto flags = read_array(seed("npy/bool"));
  REQUIRE(flags);
  CHECK(std::memcmp(flags->data(), "\0\1\1\1", 4) == 0);
}

TEST_CASE("F_npy_headers") {
  const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
  CHECK(header_code(good) == status::ok);
  CHECK(header_code("{\"shape\":(2L,),'fortran_order':True,'descr':'>i8'}\n") == status::ok);
  for (const char* bad :
       {"", "{", "{}", "{'descr': '<f4'}", "[]", "{'descr': '<f4', 'fortran_order': 0, 'shape': (2,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 2, }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2 3), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), } __import__('os')"}) {
    INFO(bad);
    CHECK(header_code(bad) == status::model_syntax);
  }
  std::string large = seed("npy/version2");
  large[8] = 0;
  large[9] = 0;
  large[10] = 2;  // 128 KB
  CHECK(read_array(large).failure().code == status::limit);
  std::string version = seed("npy/f32");
  version[6] = 9;
  CHECK(read_array(version).failure().code == status::unsupported);
}

TEST_CASE("arrays survive writing and reading; what numpy lacks is widened") {
  temp_dir dir;
  const named_arrays arrays = {{"a/b:0", tensor_buffer::of<float>(shape(2, 2), {1, 2, 3, 4})},
                               {"/x", tensor_buffer::of<std::int64_t>(shape(0, 3), {})},
                               {"gr\xc3\xbc\xc3\x9f", tensor_buffer::of<std::uint8_t>(shape(), {7})}};
  REQUIRE(write_npz(dir / "a.npz", arrays));
  const auto back = read_npz(dir / "a.npz");
  REQUIRE(back);
  REQUIRE(back->size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK((*back)[i].first == arrays[i].first);
    CHECK(same((*back)[i].second, arrays[i].second));
  }
  REQUIRE(write_npy(dir / "a.npy", arrays[0].second));
  CHECK(same(*read_npy(dir / "a.npy"), arrays[0].second));
  CHECK(write_npz(dir / "b.npz", {arrays[0], arrays[0]}).failure().code == status::argument);
  CHECK_FALSE(std::filesystem::exists(dir / "b.npz"));
  CHECK(write_npz(dir / "b.npz", {{"s", tensor_buffer::make_strings(shape(1), {"x"})}}).failure().code ==
        status::unsupported);

  auto nibbles = tensor_buffer::make(dtype::s4, shape(3));
  REQUIRE(nibbles);
  nibbles->mutable_as<std::uint8_t>()[0] = 0x78;  // -8, 7
  nibbles->mutable_as<std::uint8_t>()[1] = 0x0f;  // -1
  auto brain = tensor_buffer::make(dtype::bf16, shape(1));
  REQUIRE(brain);
  brain->mutable_as<std::uint16_t>()[0] = 0xc040;
  REQUIRE(write_npz(dir / "c.npz", {{"s4", *nibbles}, {"bf16", *brain}}));
  const auto wide = read_npz(dir / "c.npz");
  REQUIRE(wide);
  CHECK((*wide)[0].second.type() == dtype::s8);
  const std::int8_t values[] = {-8, 7, -1};
  CHECK(std::memcmp((*wide)[0].second.data(), values, 3) == 0);
  CHECK((*wide)[1].second.as<float>()[0] == -3.0f);
}

TEST_CASE("zip64 fields are written where sizes need them") {
  temp_dir dir;
  auto file = atomic_file::create(dir / "z.zip");
  REQUIRE(file);
  zip_writer zip(std::move(*file), 3);  // everything above 2 bytes
  REQUIRE(zip.begin("a", 2));
  REQUIRE(zip.write("ab", 2));
  REQUIRE(zip.end());
  REQUIRE(zip.begin("b", 5));
  CHECK(zip.write("123456", 6).failure().code == status::argument);
  REQUIRE(zip.write("12345", 5));
  REQUIRE(zip.end());
  REQUIRE(zip.finish());
  auto archive = zip_archive::open(dir / "z.zip");
  REQUIRE(archive);
  REQUIRE(archive->entries().size() == 2);
  char text[6] = {};
  auto stream = archive->stream(*archive->find("b"));
  REQUIRE(stream);
  REQUIRE((*stream)->read(text, 5));
  REQUIRE((*stream)->finish());
  CHECK(std::string(text) == "12345");
}
