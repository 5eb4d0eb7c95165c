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
  const auto before = quantal::onnx::write(*model), after = quantal::onnx::write(done->model);
  if (!before || !after) return 4;
  std::printf("library: %zu -> %zu bytes\n", before->size(), after->size());
  return after->size() < before->size() ? 0 : 5;
}
