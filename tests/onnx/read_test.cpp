// Models that are not what onnx.proto says: each gives an error with code, cause and place, or a valid model.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "io/temp_dir.hpp"
#include "wire_bytes.hpp"

using namespace quantal;
using namespace quantal::test;

namespace {

error error_of(const std::string& bytes) {
  auto m = parse(bytes);
  REQUIRE_FALSE(m);
  return m.failure();
}

// A model of every feature, about 2 KB: what bit flips and truncations are tried on.
std::string rich_model() {
  const pb weights = pb().integer(1, 8).integer(1, 36).integer(2, 1).bytes(8, "w").bytes(9, std::string(1152, '\x3f'));
  const pb typed = pb().packed(1, {3}).integer(2, 7).packed(7, {1, -2, 300}).bytes(8, "typed").bytes(12, "doc");
  const pb text = pb().integer(1, 2).integer(2, 8).bytes(6, "one").bytes(6, "two").bytes(8, "text");
  const pb nibbles = pb().integer(1, 5).integer(2, 22).packed(5, {1, 2, 3}).bytes(8, "nibbles");
  const pb branch = pb().message(1, node("Relu", {"x"}, {"b"})).bytes(2, "branch").message(12, value("b", {2, 3}));
  pb conv = node("Conv", {"x", "w", ""}, {"c"}).bytes(3, "conv1").bytes(6, "doc");
  conv.message(5, pb().bytes(1, "pads").integer(8, 1).integer(8, 1).integer(20, 7))
      .message(5, pb().bytes(1, "scales").fixed32(7, 0.5f).fixed32(7, 2.0f).integer(20, 6))
      .message(5, pb().bytes(1, "auto_pad").bytes(4, "NOTSET").integer(20, 3))
      .message(5, pb().bytes(1, "alpha").fixed32(2, 0.25f).integer(20, 1))
      .message(5, pb().bytes(1, "group").integer(3, 1).integer(20, 2))
      .message(5, pb().bytes(1, "names").bytes(9, "p").bytes(9, "q").integer(20, 8))
      .message(9, pb().bytes(1, "key").bytes(2, "value"))
      .message(10, pb().bytes(1, "device"));
  const pb conditional = node("If", {"typed"}, {"i"})
                             .message(5, attribute("then_branch", 5, 6, branch))
                             .message(5, attribute("else_branch", 5, 6, branch));
  const pb constant =
      node("Constant", {}, {"k"}).message(5, attribute("value", 4, 5, pb().integer(2, 1).fixed32(4, 1.0f)));
  const pb sparse = pb().message(1, pb().integer(1, 1).integer(2, 1).bytes(8, "sparse").fixed32(4, 1)).integer(3, 4);
  pb shape =
      pb().message(1, pb().bytes(2, "batch").bytes(3, "DATA_BATCH")).message(1, pb().integer(1, -1)).message(1, pb());
  pb graph = pb().message(1, conv).message(1, conditional).message(1, constant);
  graph.message(1, node("Sum", {"c", "i", "k", "sparse"}, {"y"}).bytes(7, "ai.onnx"))
      .message(1, node("twice", {"y"}, {"z"}).bytes(7, "local"))
      .bytes(2, "graph")
      .message(5, weights)
      .message(5, typed)
      .message(5, text)
      .message(5, nibbles)
      .bytes(10, "a graph")
      .message(11, value("x", {2, 3}).bytes(3, "input"))
      .message(12, value("y", {2, 3}))
      .message(12, value("z", {2, 3}))
      .message(13,
               pb().bytes(1, "c").message(2, pb().message(1, pb().integer(1, 1).message(2, shape)).bytes(6, "IMAGE")))
      .message(13, pb().bytes(1, "s").message(2, pb().message(4, pb().message(1, pb().message(1, pb().integer(1, 1))))))
      .message(14, pb().bytes(1, "x").message(2, pb().bytes(1, "SCALE_TENSOR").bytes(2, "typed")))
      .message(15, sparse)
      .message(16, pb().bytes(1, "g").bytes(2, "1"));
  const pb function =
      pb().bytes(1, "twice")
          .bytes(4, "a")
          .bytes(5, "b")
          .bytes(6, "unused")
          .bytes(8, "doc")
          .bytes(10, "local")
          .message(7, node("Add", {"a", "a"}, {"b"}).message(5, pb().bytes(1, "r").integer(20, 2).bytes(21, "unused")))
          .message(9, pb().bytes(1, "").integer(2, 13))
          .message(11, pb().bytes(1, "d").integer(3, 4).integer(20, 2));
  return pb()
      .integer(1, 8)
      .bytes(2, "producer")
      .bytes(3, "1.0")
      .bytes(4, "org.example")
      .integer(5, 7)
      .bytes(6, "a model")
      .message(7, graph)
      .message(8, pb().bytes(1, "").integer(2, 13))
      .message(8, pb().bytes(1, "local").integer(2, 1))
      .message(14, pb().bytes(1, "author").bytes(2, "me"))
      .message(20, pb())
      .message(25, function)
      .message(26, pb().bytes(1, "cpu").integer(2, 1))
      .s;
}

// A parse is an error, or a model that writes and reads back as itself.
bool is_error_or_valid(const std::string& bytes) {
  auto m = parse(bytes);
  if (!m) return m.failure().code < status::ok && !m.failure().what.empty();
  auto written = onnx::write(*m);
  if (!written) return false;
  auto again = parse(*written);
  return again && *onnx::write(*again) == *written;
}

}  // namespace

TEST_CASE("a model of every feature is read as it is written") {
  const std::string bytes = rich_model();
  CHECK(bytes.size() > 1800);
  CHECK(bytes.size() < 2500);
  auto m = parse(bytes);
  INFO((m ? std::string() : m.failure().message()));
  REQUIRE(m);
  CHECK(m->ir_version == 8);
  CHECK(m->producer_name == "producer");
  CHECK(m->model_version == 7);
  CHECK(m->metadata == ir::string_pairs{{"author", "me"}});
  CHECK(m->opset_version("") == 13);
  CHECK(m->opset_version("local") == 1);
  REQUIRE(m->opaque.size() == 2);
  const ir::graph& g = m->graph;
  REQUIRE(g.nodes.size() == 5);
  CHECK(g.nodes[0].label() == "Conv 'conv1'");
  CHECK(g.nodes[0].get_ints("pads") == std::vector<std::int64_t>{1, 1});
  CHECK(g.nodes[0].get_floats("scales") == std::vector<float>{0.5f, 2.0f});
  CHECK(g.nodes[0].get_string("auto_pad", "") == "NOTSET");
  CHECK_FALSE(g.nodes[0].has_input(2));
  CHECK(g.nodes[0].opaque.size() == 1);
  CHECK(g.nodes[1].get_graph("else_branch")->nodes.size() == 1);
  CHECK(g.nodes[3].is("Sum"));  // domain "ai.onnx" is ""
  CHECK(g.opaque_names == std::vector<std::string>{"sparse"});
  REQUIRE(g.value_infos.size() == 2);
  const auto& dims = *g.value_infos[0].type.dims;
  CHECK(dims[0].symbol == "batch");
  CHECK(dims[0].denotation == "DATA_BATCH");
  CHECK_FALSE(dims[1].known());  // dim_value -1 is unknown
  CHECK(g.value_infos[1].type.of == ir::value_type::kind::opaque);
  REQUIRE(m->functions.size() == 1);
  CHECK(m->functions[0].nodes[0].attributes[0].reference == "unused");
  CHECK(is_error_or_valid(bytes));
}

TEST_CASE("F1_truncation_at_every_byte") {
  const std::string bytes = rich_model();
  std::size_t accepted = 0;
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    const std::string cut = bytes.substr(0, n);
    REQUIRE(is_error_or_valid(cut));
    accepted += parse(cut) ? 1u : 0u;
  }
  CHECK(accepted < 10);  // only cuts between the fields after the graph and its operator sets
}

TEST_CASE("F1_every_single_bit_flipped_gives_an_error_or_a_valid_model") {
  std::string bytes = rich_model();
  std::size_t errors = 0;
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    REQUIRE(is_error_or_valid(bytes));
    errors += parse(bytes) ? 0u : 1u;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
  }
  CHECK(errors > bytes.size());
}

TEST_CASE("F1_truncation_of_a_trained_model_at_every_byte") {
  std::ifstream file(QUANTAL_TEST_MODEL, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  REQUIRE(bytes.size() > 10000);
  REQUIRE(parse(bytes));
  std::size_t errors = 0;
  for (std::size_t n = 0; n < bytes.size(); ++n) errors += parse(bytes.substr(0, n)) ? 0u : 1u;
  CHECK(errors > bytes.size() - 100);
}

TEST_CASE("F1_empty_one_byte_garbage_and_wrong_formats") {
  CHECK(contains(error_of("").what, "empty"));
  for (int b = 0; b < 256; ++b) CHECK_FALSE(parse(std::string(1, static_cast<char>(b))));
  CHECK_FALSE(parse("PK\x03\x04 not a model"));
  CHECK_FALSE(parse(std::string("\x18\0\0\0TFL3", 8)));
  CHECK_FALSE(parse("{\"json\": 1}"));
  CHECK_FALSE(parse(std::string(100000, '\0')));
  CHECK(contains(error_of(pb().integer(1, 8).s).what, "no graph"));
  CHECK(contains(error_of(pb().message(7, relu_graph()).s).what, "no IR version"));
  CHECK_FALSE(parse(model(relu_graph()) + std::string(3, '\xff')));  // trailing garbage
  CHECK_FALSE(parse(model(relu_graph()) + std::string(1, '\0')));
}

TEST_CASE("F1_an_ir_version_from_the_future_is_named") {
  const error e = error_of(model(relu_graph(), 99));
  CHECK(e.code == status::unsupported);
  CHECK(contains(e.what, "99"));
  CHECK(parse(model(relu_graph(), onnx::newest_ir_version)));
  CHECK(parse(model(relu_graph(), 1)));
}

TEST_CASE("ONNX_truncated_varint") {
  CHECK_FALSE(parse(pb().message(7, relu_graph()).s + "\x08\x80"));
}

TEST_CASE("ONNX_varint_of_more_than_64_bits") {
  const std::string ten(9, '\x80');
  CHECK(contains(error_of("\x08" + ten + "\x02").what, "64 bits"));
  CHECK(contains(error_of("\x08" + ten + "\x80\x01" + std::string(20, '\0')).what, "varint"));
  // -1 has ten bytes and is right
  CHECK(contains(error_of(pb().message(7, relu_graph()).integer(1, -1).s).what, "IR version"));
}

TEST_CASE("ONNX_length_beyond_the_end") {
  CHECK(contains(error_of(std::string("\x3a\x05") + "ab").what, "longer than its message"));
  CHECK(contains(error_of(pb().tag(7, 2).varint(UINT64_MAX).raw("ab").s).what, "longer than its message"));
  // A reader that keeps 32 bits of the length would read 2 bytes here.
  CHECK(contains(error_of(pb().tag(7, 2).varint((std::uint64_t{1} << 32) + 2).raw("\x12\x00").s).what,
                 "longer than its message"));
}

TEST_CASE("ONNX_wire_type_mismatch") {
  CHECK(contains(error_of(pb().bytes(1, "8").message(7, relu_graph()).s).what, "wire type"));
  CHECK(contains(error_of(pb().integer(1, 8).integer(7, 3).s).what, "wire type"));
  CHECK(contains(error_of(model(relu_graph(pb().integer(2, 3)))).what, "wire type"));
  CHECK(contains(error_of(model_with_tensor(pb().integer(1, 1).integer(2, 1).integer(9, 3))).what, "wire type"));
  CHECK(contains(error_of(model_with_tensor(pb().integer(1, 1).integer(2, 1).integer(4, 3))).what, "wire type"));
}

TEST_CASE("ONNX_groups_and_unknown_wire_types") {
  for (const std::uint32_t field : {7u, 99u}) {
    CHECK(contains(error_of(pb().tag(field, 3).tag(field, 4).s).what, "group"));
    CHECK(contains(error_of(pb().tag(field, 6).varint(0).s).what, "wire type"));
    CHECK(contains(error_of(pb().tag(field, 7).varint(0).s).what, "wire type"));
  }
  CHECK(contains(error_of(pb().tag(0, 0).varint(0).s).what, "field number"));
}

TEST_CASE("unknown fields are passed over") {
  const std::string m = model(relu_graph(pb().integer(77, 5).bytes(78, "new")));
  auto read = parse(m + pb().fixed32(1000, 1.0f).s);
  REQUIRE(read);
  CHECK(*onnx::write(*read) == *onnx::write(*parse(model(relu_graph()))));
}

TEST_CASE("F10_subgraphs_nested_64_deep_are_read_65_and_10000_are_not") {
  // Levels are put around each other from the inside; only their lengths are needed for that.
  const auto nested = [](int depth) {
    const std::string innermost =
        pb().message(1, node("Relu", {"x"}, {"y"})).bytes(2, "g").message(12, value("y", {1})).s;
    const std::string before = node("If", {"x"}, {"y"}).s;
    const std::string name = pb().bytes(1, "then_branch").s;
    const std::string kind = pb().integer(20, 5).s;
    const std::string after = kind + pb().bytes(2, "g").message(12, value("y", {1})).s;
    std::vector<std::string> fronts;
    std::size_t length = innermost.size();
    for (int i = 0; i < depth; ++i) {
      const std::string inner = pb().raw(name).tag(6, 2).varint(length).s;
      const std::size_t attribute_length = inner.size() + length + kind.size();
      const std::string middle = pb().raw(before).tag(5, 2).varint(attribute_length).raw(inner).s;
      fronts.push_back(pb().tag(1, 2).varint(middle.size() + length + kind.size()).raw(middle).s);
      length += fronts.back().size() + after.size();
    }
    pb g;
    for (auto front = fronts.rbegin(); front != fronts.rend(); ++front) g.raw(*front);
    g.raw(innermost);
    for (int i = 0; i < depth; ++i) g.raw(after);
    return model(g.message(11, value("x", {1})));
  };
  CHECK(parse(nested(64)));
  CHECK(error_of(nested(65)).code == status::limit);
  CHECK(error_of(nested(10000)).code == status::limit);
}

TEST_CASE("F3_allocation_is_bounded_by_the_file_whatever_the_dims_say") {
  for (const std::int64_t d :
       {INT64_C(1) << 20, INT64_C(1) << 31, (INT64_C(1) << 32) - 1, INT64_C(1) << 40, INT64_MAX}) {
    CHECK_FALSE(parse(model_with_tensor(pb().integer(1, d).integer(2, 1).bytes(8, "w").bytes(9, "abcd"))));
    CHECK_FALSE(parse(model_with_tensor(pb().integer(1, d).integer(2, 7).bytes(8, "w").packed(7, {1}))));
    CHECK_FALSE(parse(model_with_tensor(pb().integer(1, d).integer(2, 8).bytes(8, "w").bytes(6, "a"))));
    CHECK_FALSE(parse(model_with_tensor(pb().integer(1, d).integer(2, 1).bytes(8, "w"))));
  }
}

TEST_CASE("F7_names_duplicate_empty_long_and_strange") {
  const pb w = pb().integer(1, 1).integer(2, 1).bytes(9, "abcd");
  CHECK(contains(error_of(model(relu_graph(pb().message(5, pb(w).bytes(8, "w")).message(5, pb(w).bytes(8, "w"))))).what,
                 "twice"));
  CHECK(contains(error_of(model(relu_graph(pb().message(5, w)))).what, "no name"));
  const std::string longest(1 << 20, 'n');
  CHECK(parse(model(relu_graph(pb().message(5, pb(w).bytes(8, longest))))));
  CHECK(error_of(model(relu_graph(pb().message(1, node("Relu", {longest}, {"q"}))))).message().size() < 3000);
  for (const std::string& name :
       {std::string("a\0b", 3), std::string("a\nb"), std::string("\x1b[2J"), std::string("../../x"),
        std::string("C:\\x"), std::string("NUL"), std::string("\xe2\x80\xae")}) {
    CHECK(parse(model(relu_graph(pb().message(5, pb(w).bytes(8, name))))));  // a name is only a name
    const std::string text = error_of(model(relu_graph(pb().message(1, node("Relu", {name}, {"q"}))))).message();
    for (const char c : text) CHECK((static_cast<unsigned char>(c) >= 0x20 && c != 0x7f));
  }
  CHECK(contains(error_of(model(relu_graph(pb().message(5, pb(w).bytes(8, "\xff"))))).what, "UTF-8"));
  CHECK(contains(error_of(model(relu_graph(pb().message(5, pb(w).bytes(8, "\xed\xa0\x80"))))).what, "UTF-8"));
}

TEST_CASE("F8_attributes_of_unknown_kind_contradictory_or_without_a_value") {
  const auto with = [](const pb& a) {
    return model(relu_graph(pb().message(1, node("Foo", {"x"}, {"q"}).message(5, a))));
  };
  CHECK(error_of(with(pb().bytes(1, "a").integer(3, 1).integer(20, 55))).code == status::unsupported);
  CHECK(contains(error_of(with(pb().bytes(1, "a").integer(3, 1).integer(20, 1))).what, "kind"));
  CHECK(contains(error_of(with(pb().bytes(1, "a").integer(3, 1).fixed32(2, 1).integer(20, 1))).what, "more than one"));
  CHECK(contains(error_of(with(pb().bytes(1, "a").integer(20, 5))).what, "no value"));
  CHECK(contains(error_of(with(pb().integer(3, 1).integer(20, 2))).what, "no name"));
  CHECK(contains(error_of(with(pb().bytes(1, "a").integer(3, 1).integer(20, 2).bytes(21, "r"))).what, "reference"));
  const error e = error_of(with(pb().bytes(1, "a").integer(20, 4)));
  CHECK(contains(e.where, "node Foo -> q"));
  CHECK(contains(e.where, "attribute 'a'"));
  // Zeros and empty lists that a writer left out, and files from before attributes had a type.
  auto m = parse(with(pb().bytes(1, "a").integer(20, 2)));
  REQUIRE(m);
  CHECK(m->graph.nodes[1].get_int("a", 9) == 0);
  CHECK(parse(with(pb().bytes(1, "a").integer(20, 7))));
  m = parse(with(pb().bytes(1, "a").fixed32(7, 2.0f)));
  REQUIRE(m);
  CHECK(m->graph.nodes[1].get_floats("a") == std::vector<float>{2.0f});
}

TEST_CASE("F4_value_dims_of_minus_one_are_unknown_others_negative_are_errors") {
  const auto with = [](std::int64_t d) { return model(relu_graph(pb().message(13, value("q", {d})))); };
  CHECK(parse(with(-1)));
  CHECK(error_of(with(-2)).code == status::model_syntax);
  CHECK(error_of(with(INT64_MIN)).code == status::model_syntax);
  CHECK(contains(error_of(with(-2)).where, "value 'q'"));
}

TEST_CASE("F10_the_reader_rejects_what_verify_rejects") {
  CHECK(error_of(model(relu_graph(pb().message(1, node("Relu", {"q"}, {"q"}))))).code == status::model_graph);
  CHECK(error_of(model(relu_graph(pb().message(1, node("Relu", {"nobody"}, {"q"}))))).code == status::model_graph);
  CHECK(error_of(model(relu_graph(pb().message(1, node("Relu", {"x"}, {"y"}))))).code == status::model_graph);
  CHECK(error_of(model(relu_graph(pb().message(12, value("nobody", {1}))))).code == status::model_graph);
  CHECK(contains(error_of(pb().raw(model(relu_graph())).message(7, relu_graph()).s).what, "two graphs"));
}

TEST_CASE("a graph in any node order is read sorted") {
  pb g;
  g.message(1, node("Relu", {"a"}, {"y"})).message(1, node("Relu", {"x"}, {"a"})).bytes(2, "g");
  auto m = parse(model(g.message(11, value("x", {1})).message(12, value("y", {1}))));
  REQUIRE(m);
  CHECK(m->graph.nodes[0].outputs[0] == "a");
}

TEST_CASE("F12_a_megabyte_of_tiny_fields_takes_linear_time") {
  pb g = relu_graph();
  for (int i = 0; i < 40000; ++i) g.message(1, node("Relu", {"x"}, {"v" + std::to_string(i)}));
  CHECK(parse(model(g)));
  pb many = node("Foo", {"x"}, {"q"});
  for (int i = 0; i < 60000; ++i) many.message(5, pb().bytes(1, "a" + std::to_string(i)).integer(20, 2));
  CHECK(parse(model(relu_graph(pb().message(1, many)))));
  pb chained;  // each node reads the one before, in reverse order
  for (int i = 30000; i > 0; --i)
    chained.message(1, node("Relu", {i == 1 ? "x" : "v" + std::to_string(i - 1)}, {"v" + std::to_string(i)}));
  CHECK(parse(model(relu_graph(chained))));
}

TEST_CASE("ONNX_files_above_2_GB_missing_or_not_files") {
  const temp_dir dir;
  const std::string path = dir / "big.onnx";
  { std::ofstream(path) << "x"; }
  REQUIRE(::truncate(path.c_str(), INT64_C(0x80000000)) == 0);  // sparse
  auto big = onnx::read_file(path);
  REQUIRE_FALSE(big);
  CHECK(big.failure().code == status::limit);
  auto missing = onnx::read_file(dir / "missing.onnx");
  REQUIRE_FALSE(missing);
  CHECK(missing.failure().code == status::not_found);
  CHECK_FALSE(onnx::read_file(dir.path()));
}
