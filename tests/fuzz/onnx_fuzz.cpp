// The ONNX reader and writer: any bytes give an error or a model that is written and read back as itself; converting
// its operators gives an error or a model that is still valid.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "quantal/ir/verify.hpp"
#include "quantal/onnx/onnx.hpp"

using namespace quantal;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto model = onnx::read(std::as_bytes(std::span(data, size)));
  if (!model) {
    if (model.failure().code >= status::ok || model.failure().what.empty()) std::abort();
    return 0;
  }
  const auto written = onnx::write(*model);
  if (!written) std::abort();
  const auto again = onnx::read(std::as_bytes(std::span(*written)));
  if (!again || *onnx::write(*again) != *written) std::abort();
  for (const std::int64_t target : {std::int64_t{13}, std::int64_t{21}}) {
    if (auto ok = onnx::convert_opset(*model, target); !ok) break;
    if (!ir::verify(*model)) std::abort();
  }
  return 0;
}
