// A whole model from C++: quantize, then say what stayed in float and why, and run the result.
#include <cstdio>
#include <memory>
#include <quantal/quantal.hpp>

int fail(const quantal::error& e) {
  std::fprintf(stderr, "error: %s\n", e.message().c_str());
  return 1;
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;  // MODEL DATA OUTPUT
  using namespace quantal;
  auto model = onnx::read_file(argv[1]);
  if (!model) return fail(model.failure());
  auto samples = data::open(argv[2], pipeline::fed_inputs(*model));
  if (!samples) return fail(samples.failure());

  pipeline::quantize_config config;
  config.type = pipeline::quant_type::static_int8;
  auto report = pipeline::quantize_file(argv[1], argv[3], config, samples->get());
  if (!report) return fail(report.failure());
  for (const auto& row : report->coverage) {
    if (row.status == "float") std::printf("%s stays in float: %s\n", row.node.c_str(), row.reason.c_str());
  }
  for (const auto& o : report->outputs) std::printf("%s: SQNR %.1f dB\n", o.name.c_str(), o.sqnr_db);

  auto quantized = onnx::read_file(argv[3]);
  if (!quantized) return fail(quantized.failure());
  auto session = exec::session::create(std::make_shared<ir::model>(*std::move(quantized)));
  if (!session) return fail(session.failure());
  if (auto rewound = (*samples)->rewind(); !rewound) return fail(rewound.failure());
  auto feed = (*samples)->next();
  if (!feed) return fail(feed.failure());
  std::vector<exec::named_tensor> feeds;
  for (const auto& [name, value] : (*feed)->inputs) feeds.push_back({name, value});
  auto outputs = session->run(feeds);
  if (!outputs) return fail(outputs.failure());
  std::printf("%s has %lld elements\n", (*outputs)[0].name.c_str(), static_cast<long long>((*outputs)[0].value.elements()));
  return 0;
}
