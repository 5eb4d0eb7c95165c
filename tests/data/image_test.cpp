// Images, lists and dataset yaml as data. Agreement with Pillow and ONNX Runtime's Resize is in image_oracle_test.py.
#include "quantal/data/image.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "io/temp_dir.hpp"
#include "quantal/data/dataset.hpp"
#include "quantal/data/source.hpp"
#include "quantal/io/npy.hpp"

using namespace quantal;
using namespace quantal::data;
using quantal::test::temp_dir;

namespace {

using colour = std::array<std::uint8_t, 3>;
using floats = std::vector<float>;
using ints = std::vector<std::int64_t>;

// An uncompressed 24-bit BMP of one colour, but for the top left pixel.
std::string bmp(int width, int height, colour fill, colour corner) {
  const int row = (width * 3 + 3) / 4 * 4, bytes = 54 + row * height;
  std::string out("BM");
  const auto put = [&](int value, int count) {
    for (int i = 0; i < count; ++i) out += static_cast<char>(value >> 8 * i & 0xff);
  };
  put(bytes, 4), put(0, 4), put(54, 4), put(40, 4), put(width, 4), put(height, 4), put(1, 2), put(24, 2);
  for (int i = 0; i < 6; ++i) put(0, 4);
  for (int y = height - 1; y >= 0; --y) {
    for (int x = 0; x < width; ++x) {
      const colour& c = x == 0 && y == 0 ? corner : fill;
      for (int k = 2; k >= 0; --k) out += static_cast<char>(c[static_cast<std::size_t>(k)]);
    }
    out.append(static_cast<std::size_t>(row - width * 3), '\0');
  }
  return out;
}

void put(const std::string& path, const std::string& bytes) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

void picture(const std::string& path, std::uint8_t level) {
  put(path, bmp(4, 2, {level, level, level}, {level, level, level}));
}

ir::value_info input(std::vector<ir::dim> dims, dtype type = dtype::f32) {
  return {"x", ir::value_type::tensor(type, std::move(dims)), "", {}};
}
const ir::dim any{std::string("N")};
const ir::value_info rgb = input({any, 3, 2, 4});

std::unique_ptr<feed> first(const std::string& path, const ir::value_info& in, const source_options& options = {}) {
  auto s = open(path, {in}, options);
  if (!s) FAIL(s.failure().message());
  auto f = (*s)->next();
  if (!f) FAIL(f.failure().message());
  return std::move(*f);
}

floats values(const feed& f) {
  const tensor_buffer& x = f.inputs[0].second;
  return {x.as<float>(), x.as<float>() + x.elements()};
}
bool near(const floats& a, const floats& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::abs(a[i] - b[i]) > 1e-6f) return false;
  }
  return true;
}
ints labels(const feed& f) {
  if (!f.label) return {};
  return {f.label.as<std::int64_t>(), f.label.as<std::int64_t>() + f.label.elements()};
}

struct outcome {
  status code = status::ok;
  std::string message;
};
outcome fails(const std::string& path, const std::vector<ir::value_info>& inputs, const source_options& options = {}) {
  auto s = open(path, inputs, options);
  if (!s) return {s.failure().code, s.failure().message()};
  for (;;) {
    auto f = (*s)->next();
    if (!f) return {f.failure().code, f.failure().message()};
    if (!*f) return {};
  }
}

source_options with(image_options image) {
  source_options o;
  o.image = std::move(image);
  return o;
}
image_options sized(const char* imgsz) {
  image_options o;
  o.imgsz = imgsz;
  return o;
}
image_options coloured(const char* color, const char* value_range = "") {
  image_options o;
  o.color = color;
  o.value_range = value_range;
  return o;
}
image_options scaled(const char* mean, const char* std) {
  image_options o;
  o.mean = mean;
  o.std = std;
  return o;
}
image_options laid_out(const char* layout) {
  image_options o;
  o.layout = layout;
  return o;
}

}  // namespace

TEST_CASE("pixels become values: layout, colour, range, mean and std") {
  temp_dir dir;
  put(dir / "a.bmp", bmp(2, 1, {0, 51, 102}, {255, 204, 153}));
  const ir::value_info small = input({1, 3, 1, 2}), last = input({1, 1, 2, 3});
  CHECK(near(values(*first(dir.path(), small)), {1, 0, 0.8f, 0.2f, 0.6f, 0.4f}));
  CHECK(near(values(*first(dir.path(), small, with(coloured("BGR")))), {0.6f, 0.4f, 0.8f, 0.2f, 1, 0}));
  CHECK(values(*first(dir.path(), small, with(coloured("", "0..255")))) == floats{255, 0, 204, 51, 153, 102});
  CHECK(values(*first(dir.path(), small, with(coloured("", "-1..1"))))[1] == -1.0f);
  CHECK(near(values(*first(dir.path(), small, with(scaled("0.5", "0.5,0.25,1")))), {1, -1, 1.2f, -1.2f, 0.1f, -0.1f}));
  CHECK(near(values(*first(dir.path(), last, with(laid_out("nhwc")))), {1, 0.8f, 0.6f, 0, 0.2f, 0.4f}));
  CHECK(first(dir.path(), input({1, 8, 8, 3}))->inputs[0].second.dims() == shape(1, 8, 8, 3));  // seen from the model
  const auto whole = first(dir.path(), input({1, 3, 1, 2}, dtype::u8));
  CHECK(whole->inputs[0].second.as<std::uint8_t>()[4] == 153);
  const auto bytes = first(dir.path(), input({1, 3, 1, 2}, dtype::s8), with(coloured("", "-128..127")));
  CHECK(bytes->inputs[0].second.as<std::int8_t>()[1] == -128);
  CHECK(fails(dir.path(), {input({1, 3, 1, 2}, dtype::s8)}).code == status::data_format);
  const auto half = first(dir.path(), input({1, 3, 1, 2}, dtype::f16));
  CHECK(half->inputs[0].second.as<std::uint16_t>()[0] == 0x3c00);
  // .299 R + .587 G + .114 B: 213.4 and 41.6
  CHECK(values(*first(dir.path(), input({1, 1, 1, 2}), with(coloured("", "0..255")))) == floats{213, 42});
  CHECK(values(*first(dir.path(), small, with(coloured("gray", "0..255")))) == floats{213, 42, 213, 42, 213, 42});
}

TEST_CASE("resizing samples at half-pixel centres") {
  using bytes = std::vector<std::uint8_t>;
  const image ramp{1, 4, 1, {0, 100, 200, 250}};
  CHECK(resize_bilinear(ramp, 1, 2).pixels == bytes{50, 225});
  CHECK(resize_bilinear(ramp, 1, 8).pixels == bytes{0, 25, 75, 125, 175, 213, 238, 250});
  CHECK(resize_bilinear({2, 1, 1, {0, 100}}, 4, 1).pixels == bytes{0, 25, 75, 100});
  CHECK(resize_bilinear(ramp, 3, 4).pixels.size() == 12);
  const image boxed = letterbox({1, 4, 1, {10, 20, 30, 40}}, 4, 4);
  CHECK(boxed.pixels == bytes{114, 114, 114, 114, 10, 20, 30, 40, 114, 114, 114, 114, 114, 114, 114, 114});
  CHECK(letterbox({1000, 1, 3, bytes(3000, 7)}, 8, 8).pixels.size() == 192);
}

TEST_CASE("directories of images give batches, fixed batches are filled, own sizes go one by one") {
  temp_dir dir;
  for (int i = 0; i < 5; ++i) picture(dir / ("i" + std::to_string(i) + ".bmp"), static_cast<std::uint8_t>(51 * i));
  source_options options;
  options.batch_size = 2;
  auto s = open(dir.path(), {rgb}, options);
  REQUIRE(s);
  CHECK((*s)->samples() == 5);
  CHECK((*s)->feeds() == 3);
  const ir::value_info four = input({4, 3, 2, 4});
  CHECK(first(dir.path(), four)->samples == 4);
  auto fixed = open(dir.path(), {four});
  REQUIRE(fixed);
  REQUIRE((*fixed)->next());
  auto last = (*fixed)->next();
  REQUIRE(last);
  CHECK((*last)->samples == 1);
  CHECK((*last)->inputs[0].second.dims() == shape(4, 3, 2, 4));
  CHECK(near(values(**last), floats(96, 0.8f)));
  const ir::value_info free = input({any, 3, ir::dim(), ir::dim()});
  CHECK(first(dir.path(), free)->inputs[0].second.dims() == shape(1, 3, 2, 4));
  CHECK(first(dir.path(), free, with(sized("6x8")))->inputs[0].second.dims() == shape(5, 3, 6, 8));
  CHECK(fails(dir.path(), {input({4, 3, ir::dim(), ir::dim()})}).code == status::usage);
}

TEST_CASE("sub-directories name classes") {
  temp_dir dir;
  picture(dir / "train/dog/1.bmp", 1);
  picture(dir / "train/cat/2.bmp", 2);
  picture(dir / "train/cat/deep/3.bmp", 3);
  picture(dir / "train/.hidden/4.bmp", 4);
  auto s = open(dir / "train", {rgb});
  REQUIRE(s);
  CHECK((*s)->class_names() == std::vector<std::string>{"cat", "dog"});
  CHECK(labels(*first(dir / "train", rgb)) == ints{0, 0, 1});
  // A yaml's names number them.
  put(dir / "d.yaml", "path: .\ntrain: train\nnames: {0: dog, 1: cat}\n");
  CHECK(labels(*first(dir / "d.yaml", rgb)) == ints{1, 1, 0});
}

TEST_CASE("dataset yaml, lists and detection labels") {
  temp_dir dir;
  picture(dir / "set/images/a.bmp", 10);
  picture(dir / "set/images/b.bmp", 20);
  put(dir / "set/labels/a.txt", "2 0.5 0.5 1 1\n0 0.1 0.1 0.2 0.2\n");
  picture(dir / "set/other/c.bmp", 30);
  put(dir / "set/val.txt", "# three\n./images/a.bmp\n\nother/c.bmp 1\r\n");
  put(dir / "d.yaml",
      "# a comment\npath: set\ntrain: images\nval: [val.txt]\nnc: 3\nnames:\n  0: x\n  1: y\n  2: z\ndownload: |\n  "
      "import os\n");
  auto f = first(dir / "d.yaml", rgb);
  CHECK(f->samples == 2);
  CHECK(f->classes == ints{2, 0});
  CHECK_FALSE(f->label);
  source_options val;
  val.split = "val";
  f = first(dir / "d.yaml", rgb, val);
  CHECK(f->samples == 2);
  auto s = open(dir / "d.yaml", {rgb});
  REQUIRE(s);
  CHECK((*s)->class_names() == std::vector<std::string>{"x", "y", "z"});
  put(dir / "classes.txt", "set/images/a.bmp 7\nset/images/b.bmp 8\n");
  CHECK(labels(*first(dir / "classes.txt", rgb)) == ints{7, 8});
  REQUIRE(io::write_npz(dir / "f.npz", {{"x", tensor_buffer::of<float>(shape(1, 1, 1, 1), {5})}}));
  put(dir / "arrays.txt", "f.npz\nf.npz\n");
  CHECK(values(*first(dir / "arrays.txt", input({any, 1, 1, 1}))) == floats{5});

  val.split = "test";
  CHECK(fails(dir / "d.yaml", {rgb}, val).code == status::usage);
  put(dir / "noval.yaml", "train: set/images\n");
  val.split = "val";
  CHECK(fails(dir / "noval.yaml", {rgb}, val).code == status::data_missing);
  put(dir / "gone.yaml", "train: nowhere\n");
  const outcome gone = fails(dir / "gone.yaml", {rgb});
  CHECK(gone.code == status::not_found);
  CHECK(gone.message.find("nowhere") != std::string::npos);
  put(dir / "bad.txt", "movie.avi\n");
  CHECK(fails(dir / "bad.txt", {rgb}).code == status::data_format);
  put(dir / "set/labels/b.txt", "dog 1 2 3 4\n");
  CHECK(fails(dir / "d.yaml", {rgb}).message.find("line 1") != std::string::npos);
}

TEST_CASE("yaml that is not a data set is refused") {
  for (const char* bad : {"", "42", "[a, b]", "names: [a]", "train: {a: b}", "train: x\nnames: {0: a, 2: b}",
                          "train: x\nnames: 5", "train: x\nnames: {a: b}", "train: [[x]]", "train: \"unterminated",
                          "train: x\npath: [a]", "\t\t: :", "train: &a [*a]", "\xff\xfe"}) {
    INFO(bad);
    auto d = parse_dataset(bad);
    REQUIRE_FALSE(d);
    CHECK(d.failure().code == status::data_format);
  }
  CHECK(parse_dataset(std::string(5 << 20, ' ')).failure().code == status::limit);
  for (const char* part : {"[", "{", "- ", "a: ", " ", "[{"}) {  // nothing nests, nothing recurses
    std::string deep;
    for (int i = 0; i < 100000; ++i) deep += part;
    CHECK_FALSE(parse_dataset(deep));
    CHECK_FALSE(parse_dataset("train: " + deep));
    CHECK_FALSE(parse_dataset("names: " + deep));
  }
  CHECK_FALSE(parse_dataset("train: a\ntrain: b\n"));
  CHECK_FALSE(parse_dataset("train: |\n  a\n"));
  const auto good = parse_dataset("train: 'a b'\nval:\n  - c\n  - d\nnames: [\"1\", two]\n");
  REQUIRE(good);
  CHECK(good->train == std::vector<std::string>{"a b"});
  CHECK(good->val.size() == 2);
  CHECK(good->names == std::vector<std::string>{"1", "two"});
  const auto other = parse_dataset(
      "---\r\n'train':  a b # note\r\nval:\r\n- 'it''s'\r\n- c#d\r\nnames: {0: \"a, \\\"b\\\"\", # first\r\n  1: "
      "c:d}\r\n"
      "kpt_shape: [17, 3]\r\npath:\r\ndownload: |\r\n  import os\r\n\r\n  print('x: [')\r\n");
  if (!other) FAIL(other.failure().message());
  CHECK(other->train == std::vector<std::string>{"a b"});
  CHECK(other->val == std::vector<std::string>{"it's", "c#d"});
  CHECK(other->names == std::vector<std::string>{"a, \"b\"", "c:d"});
  CHECK(other->path.empty());
  CHECK(parse_list(std::string(5000, 'a')).failure().code == status::data_format);
}

TEST_CASE("bad images and options are named") {
  temp_dir dir;
  picture(dir / "good/a.bmp", 1);
  put(dir / "bad/b.png", "not a picture");
  put(dir / "empty/c.jpg", "");
  const outcome bad = fails(dir / "bad", {rgb});
  CHECK(bad.code == status::data_format);
  CHECK(bad.message.find("b.png") != std::string::npos);
  CHECK(fails(dir / "empty", {rgb}).code == status::data_format);
  const std::string good = dir / "good";
  for (const image_options& o : {sized("0"), sized("4x"), sized("4x2x2"), sized("70000"), sized("8"), laid_out("chw"),
                                 scaled("1,2", ""), scaled("a", ""), scaled("", "0"), scaled("", "-1"),
                                 coloured("", "1..0"), coloured("", "0-1"), coloured("", "nan..1"), coloured("cmyk")}) {
    INFO(o.imgsz + o.layout + o.mean + o.std + o.value_range + o.color);
    CHECK(fails(good, {rgb}, with(o)).code == status::usage);
  }
  CHECK(fails(good, {input({1, 1, 2, 4})}, with(coloured("rgb"))).code == status::usage);
  CHECK(fails(good, {input({any, 8})}).code == status::data_format);
  CHECK(fails(good, {input({any, 4, 8, 8})}).code == status::data_format);
  CHECK(fails(good, {rgb, rgb}).code == status::data_format);
  REQUIRE(io::write_npz(dir / "good/x.npz", {}));
  CHECK(fails(good, {rgb}).code == status::data_format);
  // A header that claims a huge picture.
  std::string bomb = bmp(4, 2, {}, {});
  bomb[19] = bomb[23] = 0x40;
  CHECK(decode_image(std::as_bytes(std::span(bomb.data(), bomb.size())), "bomb").failure().code == status::limit);
}
