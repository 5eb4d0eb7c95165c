// quantal_bench: every benchmark of bench/*.cpp (Google Benchmark; names as docs say: family/<isa>/<case>).
#include <benchmark/benchmark.h>

BENCHMARK_MAIN();
