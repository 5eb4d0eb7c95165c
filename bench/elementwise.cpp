// Elementwise kernels per instruction set, against memcpy of the same floats: quantize/<isa>/<elements>,
// dequantize/..., fake_quantize/..., min_max/...; GBps counts the bytes of the f32 side. Run with
// --benchmark_enable_random_interleaving=true so that rows meet the same machine; 65536 elements (256 KB) lie in L2.
#include <benchmark/benchmark.h>

#include <cstring>
#include <string>
#include <vector>

#include "quantal/kernels/elementwise.hpp"
#include "quantal/kernels/isa_list.hpp"

namespace {

using namespace quantal;

std::vector<float> ramp(std::size_t n) {
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<float>(static_cast<int>(i * 7919 % 2003) - 1001) * 0.01f;
  return x;
}

void done(benchmark::State& state, std::size_t n) {
  state.counters["GBps"] =
      benchmark::Counter(static_cast<double>(n) * sizeof(float), benchmark::Counter::kIsIterationInvariantRate,
                         benchmark::Counter::OneK::kIs1000);
}

void add(const elementwise_table& t, std::size_t n) {
  const std::string tail = std::string("/") + t.isa + "/" + std::to_string(n);
  const quantize_run run{{0.08f, 3}, {-128, 127}, false, false};
  benchmark::RegisterBenchmark(("quantize" + tail).c_str(), [&t, n, run](benchmark::State& state) {
    const std::vector<float> x = ramp(n);
    std::vector<std::int8_t> q(n);
    for (auto _ : state) {
      t.quantize_s8(x.data(), n, run, q.data());
      benchmark::ClobberMemory();
    }
    done(state, n);
  });
  benchmark::RegisterBenchmark(("dequantize" + tail).c_str(), [&t, n, run](benchmark::State& state) {
    std::vector<float> x = ramp(n);
    std::vector<std::int8_t> q(n);
    t.quantize_s8(x.data(), n, run, q.data());
    for (auto _ : state) {
      t.dequantize_s8(q.data(), n, run.params, x.data());
      benchmark::ClobberMemory();
    }
    done(state, n);
  });
  benchmark::RegisterBenchmark(("fake_quantize" + tail).c_str(), [&t, n, run](benchmark::State& state) {
    const std::vector<float> x = ramp(n);
    std::vector<float> y(n);
    for (auto _ : state) {
      t.fake_quantize(x.data(), n, run, y.data());
      benchmark::ClobberMemory();
    }
    done(state, n);
  });
  benchmark::RegisterBenchmark(("min_max" + tail).c_str(), [&t, n](benchmark::State& state) {
    const std::vector<float> x = ramp(n);
    for (auto _ : state) benchmark::DoNotOptimize(t.min_max_of(x.data(), n));
    done(state, n);
  });
}

// Registers every table of this CPU.
const bool registered = [] {
  for (const std::size_t n : {std::size_t{4096}, std::size_t{65536}, std::size_t{1} << 22}) {
    for (const isa_row& row : isa_list) {
      if (const elementwise_table* t = elementwise_of(row.name)) add(*t, n);
    }
    benchmark::RegisterBenchmark(("memcpy/" + std::to_string(n)).c_str(), [n](benchmark::State& state) {
      const std::vector<float> x = ramp(n);
      std::vector<float> y(n);
      for (auto _ : state) {
        std::memcpy(y.data(), x.data(), n * sizeof(float));
        benchmark::ClobberMemory();
      }
      done(state, n);
    });
  }
  for (const std::size_t n : {std::size_t{4096}, std::size_t{65536}}) {
    // The C library's memcpy is slow on some CPUs (string instructions): a plain vector loop beside it.
    benchmark::RegisterBenchmark(("add_one/" + std::to_string(n)).c_str(), [n](benchmark::State& state) {
      const std::vector<float> x = ramp(n);
      std::vector<float> y(n);
      for (auto _ : state) {
        for (std::size_t i = 0; i < n; ++i) y[i] = x[i] + 1.0f;
        benchmark::ClobberMemory();
      }
      done(state, n);
    });
  }
  return true;
}();

}  // namespace
