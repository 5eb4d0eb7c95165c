// quantal_run_model MODEL FEEDS OUTPUTS [--threads N] [--repeat R] [--profile] [--all]: runs a model for tests and
// benchmarks.
//
// FEEDS and OUTPUTS are ONNX files without nodes whose initializers are the tensors. With --repeat it prints
// "ms <median> <min>". --all writes every value of the main graph; --profile prints the time of each operator type.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "quantal/exec/session.hpp"
#include "quantal/onnx/onnx.hpp"

namespace {

using clock_type = std::chrono::steady_clock;

int fail(const quantal::error& e) {
  std::fprintf(stderr, "quantal: error: %s\n", e.message().c_str());
  return 3;
}

double milliseconds(clock_type::duration d) {
  return std::chrono::duration<double, std::milli>(d).count();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr,
                 "usage: quantal_run_model MODEL FEEDS OUTPUTS [--threads N] [--repeat R] [--profile] [--all]\n");
    return 2;
  }
  quantal::exec::session_options options;
  int repeat = 0;
  bool profile = false, all = false;
  for (int i = 4; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg == "--threads" && i + 1 < argc) options.threads = static_cast<std::size_t>(std::atoi(argv[++i]));
    if (arg == "--repeat" && i + 1 < argc) repeat = std::atoi(argv[++i]);
    if (arg == "--profile") profile = true;
    if (arg == "--all") all = true;
  }
  auto model = quantal::onnx::read_file(argv[1]);
  if (!model) return fail(model.failure());
  auto feeds_file = quantal::onnx::read_file(argv[2]);
  if (!feeds_file) return fail(feeds_file.failure());
  std::vector<quantal::exec::named_tensor> feeds;
  for (const auto& c : feeds_file->graph.initializers) feeds.push_back({c.name, c.value});

  auto shared = std::make_shared<const quantal::ir::model>(*std::move(model));
  auto session = quantal::exec::session::create(shared, options);
  if (!session) return fail(session.failure());

  quantal::exec::run_options run;
  std::map<std::string, double> by_type;
  std::map<std::string, std::string> type_of;
  quantal::ir::model written;
  written.ir_version = 10;
  written.set_opset("", 21);
  written.graph.name = "tensors";
  if (all) {
    run.observe = [&](std::string_view name, const quantal::tensor_buffer& value) {
      auto copy = value.clone();
      if (copy) written.graph.initializers.push_back({std::string(name), *std::move(copy), "", {}});
    };
  }
  auto result = session->run(feeds, run);
  if (!result) return fail(result.failure());
  if (!all) {
    for (auto& t : *result) written.graph.initializers.push_back({t.name, t.value, "", {}});
  }
  auto saved = quantal::onnx::write_file(written, argv[3]);
  if (!saved) return fail(saved.failure());

  std::vector<double> times;
  for (int i = 0; i < repeat; ++i) {
    const auto begin = clock_type::now();
    auto again = session->run(feeds);
    if (!again) return fail(again.failure());
    times.push_back(milliseconds(clock_type::now() - begin));
  }
  if (!times.empty()) {
    std::sort(times.begin(), times.end());
    std::printf("ms %.4f %.4f\n", times[times.size() / 2], times.front());
  }
  if (profile) {
    for (const auto& n : shared->graph.nodes) {
      for (const auto& o : n.outputs) type_of[o] = n.op_type;
    }
    auto last = clock_type::now();
    quantal::exec::run_options timed;
    timed.observe = [&](std::string_view name, const quantal::tensor_buffer&) {
      const auto now = clock_type::now();
      by_type[type_of[std::string(name)]] += milliseconds(now - last);
      last = now;
    };
    for (int i = 0; i < 3; ++i) {
      by_type.clear();
      last = clock_type::now();
      if (!session->run(feeds, timed)) return 3;
    }
    for (const auto& [type, ms] : by_type) std::printf("%10.4f ms  %s\n", ms, type.c_str());
  }
  return 0;
}
