// quantal_roundtrip IN OUT [LIMIT]: reads a model, checks that read(write(x)) writes the same bytes again, writes OUT.
// LIMIT: bytes from which tensors go to OUT.data. Exit 0: done; 1: not a fixed point; 3: an error (printed).
// --convert VERSION IN OUT: converts the operators first.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "quantal/onnx/onnx.hpp"

using namespace quantal;

namespace {

int fail(const error& e) {
  std::fprintf(stderr, "error %d: %s\n", static_cast<int>(e.code), e.message().c_str());
  return 3;
}

int round_trip(const std::string& in, const std::string& out, std::uint64_t limit, std::int64_t version) {
  auto model = onnx::read_file(in);
  if (!model) return fail(model.failure());
  if (version != 0)
    if (auto ok = onnx::convert_opset(*model, version); !ok) return fail(ok.failure());
  if (limit == onnx::largest_file) {
    auto first = onnx::write(*model);
    if (!first) return fail(first.failure());
    auto again = onnx::read(std::as_bytes(std::span(*first)));
    if (!again) return fail(again.failure());
    auto second = onnx::write(*again);
    if (!second) return fail(second.failure());
    if (*first != *second) return 1;
  }
  if (auto ok = onnx::write_file(*model, out, limit); !ok) return fail(ok.failure());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 5 && std::string(argv[1]) == "--convert")
    return round_trip(argv[3], argv[4], onnx::largest_file, std::atoll(argv[2]));
  if (argc < 3) return 2;
  return round_trip(argv[1], argv[2], argc > 3 ? std::strtoull(argv[3], nullptr, 10) : onnx::largest_file, 0);
}
