// The C++ library from its install tree: reads a model and quantizes its weights to 16 bits.
#include <cstdio>
#include <quantal/quantal.hpp>

int main(int argc, char** argv) {
  if (argc != 2) return 1;
  auto model = quantal::onnx::read_file(argv[1]);
  if (!model) {
    std::fprintf(stderr, "%s\n", model.failure().message().c_str());
    return 2;
  }
  quantal::pipeline::quantize_config config;
  config.type = quantal::pipeline::quant_type::fp16;
  auto done = quantal::pipeline::quantize_model(*model, config, nullptr);
  if (!done) {
    std::fprintf(stderr, "%s\n", done.failure().message().c_str());
    return 3;
  }
  std::printf("library: %lld -> %lld bytes\n", static_cast<long long>(done->report.original_bytes),
              static_cast<long long>(done->report.quantized_bytes));
  return done->report.quantized_bytes < done->report.original_bytes ? 0 : 4;
}
