// quantal_bench: our kernels, the peers and the machine's limits, measured in interleaved rounds on one pinned thread.
//
//   for each round: every case in random order; in it our row and its peers in random order, one slice of 4 ms each
//     wall time > CPU time: somebody had the core; the slice is measured again (at most 5 times)
//
// --benchmark_filter is matched against the row's name alone (ECMAScript syntax). A row is prepared when its first
// slice comes. Google Benchmark only names, filters and writes: repetition i of a row is its sample of round i, so
// ratios can be taken within a round. One run measures one ISA (--isa); rows are those of cases.json. Own options:
// --isa --rounds --slice_ms --core --cases --peer_python=A,B --no_peers.
#include <benchmark/benchmark.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <regex>

#include "families.hpp"
#include "peers/peers.hpp"
#include "quantal/kernels/cpu.hpp"
#include "rows.hpp"

namespace bench {
namespace {

struct sample {
  double seconds = 0;  // of one call; 0: not measured
  bool preempted = false;
  double before = 0, after = 0;  // of the probe of the SMT neighbour
};

struct measured {
  const row* what = nullptr;
  prepared ready;
  bool is_prepared = false;
  double estimate = 0;
  std::vector<sample> samples;
};

struct options {
  std::string isa = quantal::best_isa();
  std::string cases = QUANTAL_BENCH_CASES;
  std::vector<std::string> pythons;
  bool peers = true, list = false, to_file = false;
  int rounds = 9, core = -1;
  double slice = 0.004;
};

// Takes our options out of argv.
options read_options(int& argc, char** argv) {
  options o;
  if (const char* python = std::getenv("QUANTAL_BENCH_PYTHON")) o.pythons = {python};
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    const std::string a = argv[i];
    const std::size_t equals = a.find('=');
    const std::string key = a.substr(0, equals), value = equals == std::string::npos ? "" : a.substr(equals + 1);
    if (key == "--isa") {
      o.isa = value;
    } else if (key == "--cases") {
      o.cases = value;
    } else if (key == "--rounds") {
      o.rounds = std::max(1, std::atoi(value.c_str()));
    } else if (key == "--slice_ms") {
      o.slice = std::atof(value.c_str()) / 1000;
    } else if (key == "--core") {
      o.core = std::atoi(value.c_str());
    } else if (key == "--no_peers") {
      o.peers = false;
    } else if (key == "--peer_python") {
      o.pythons.clear();
      for (std::size_t at = 0; at < value.size();) {
        const std::size_t comma = std::min(value.find(',', at), value.size());
        o.pythons.push_back(value.substr(at, comma - at));
        at = comma + 1;
      }
    } else {
      if (a.rfind("--benchmark_list_tests", 0) == 0) o.list = true;
      if (key == "--benchmark_out") o.to_file = true;
      argv[kept++] = argv[i];
    }
  }
  argc = kept;
  return o;
}

// Pins this thread, hence all it starts: to the last CPU it may use, where fewer interrupts land.
int pin(int core) {
  cpu_set_t allowed;
  sched_getaffinity(0, sizeof allowed, &allowed);
  for (int c = 0; core < 0 && c < CPU_SETSIZE; ++c)
    if (CPU_ISSET(CPU_SETSIZE - 1 - c, &allowed)) core = CPU_SETSIZE - 1 - c;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(core, &one);
  sched_setaffinity(0, sizeof one, &one);
  return core;
}

void measure(measured& m, double slice, const smt_probe& probe) {
  sample s;
  if (!m.is_prepared) {
    m.is_prepared = true;
    m.ready = m.what->prepare();
    if (m.ready.time) {
      m.ready.time(1);
      m.estimate = std::max(1e-9, m.ready.time(1).wall);
      const long calls = std::clamp(std::lround(slice / 4 / m.estimate), 1L, 100000000L);
      m.estimate = std::max(1e-10, m.ready.time(calls).wall / static_cast<double>(calls));
    }
  }
  if (m.ready.time) {
    const long calls = std::clamp(std::lround(slice / m.estimate), 1L, 100000000L);
    m.ready.time(std::max(1L, calls / 8));  // its data back into the caches
    for (int attempt = 0; attempt < 5; ++attempt) {
      const double before = probe.time != nullptr ? probe.time() : 0;
      const timing t = m.ready.time(calls);
      const double after = probe.time != nullptr ? probe.time() : 0;
      const double seconds = t.wall / static_cast<double>(calls);
      const bool preempted = t.wall - t.cpu > 0.02 * t.wall + 5e-6;
      if (attempt == 0 || !preempted || seconds < s.seconds) s = {seconds, preempted, before, after};
      if (!preempted) break;
    }
    if (s.seconds > 0) m.estimate = s.seconds;
  }
  m.samples.push_back(s);
}

void run_rounds(std::vector<measured>& selected, const options& o, const smt_probe& probe) {
  std::mt19937 random(12345);
  std::map<std::string, std::vector<measured*>> cases;
  for (measured& m : selected) cases[m.what->name.substr(0, m.what->name.find("/peer:"))].push_back(&m);
  std::vector<std::vector<measured*>> order;
  for (auto& [name, members] : cases) order.push_back(std::move(members));
  for (int round = 0; round < o.rounds; ++round) {
    std::shuffle(order.begin(), order.end(), random);
    for (std::vector<measured*>& members : order) {
      std::shuffle(members.begin(), members.end(), random);
      for (measured* m : members) measure(*m, o.slice, probe);
    }
    std::cerr << "round " << round + 1 << " of " << o.rounds << "\n";
  }
}

// Was the SMT neighbour idle before and after this slice? 1 quiet, 0 busy, -1 unclear. `fastest`: the probe's in this
// run.
int regime(const sample& s, const smt_probe& probe, double fastest) {
  if (probe.time == nullptr) return -1;
  if (std::max(s.before, s.after) <= probe.quiet * fastest) return 1;
  return std::min(s.before, s.after) > probe.busy * fastest ? 0 : -1;
}

double fastest_probe(const std::vector<measured>& all) {
  double fastest = 1;
  for (const measured& m : all)
    for (const sample& s : m.samples)
      if (s.seconds > 0) fastest = std::min({fastest, s.before, s.after});
  return fastest;
}

void report(benchmark::State& state, const measured& m, std::size_t& next, const smt_probe& probe, double fastest) {
  for (auto _ : state) {
    const sample s = next < m.samples.size() ? m.samples[next++] : sample{};
    if (s.seconds <= 0) {
      state.SkipWithError(m.ready.note.empty() ? "not available" : m.ready.note.c_str());
      return;
    }
    state.SetIterationTime(s.seconds);
    if (m.ready.operations > 0) state.counters["GOPS"] = m.ready.operations / s.seconds / 1e9;
    if (m.ready.bytes > 0) state.counters["GBps"] = m.ready.bytes / s.seconds / 1e9;
    if (m.ready.checked > 0) {
      state.counters["wrong"] = static_cast<double>(m.ready.wrong);
      state.counters["checked"] = static_cast<double>(m.ready.checked);
    }
    if (s.preempted) state.counters["preempted"] = 1;
    if (const int r = regime(s, probe, fastest); r >= 0) state.counters["regime"] = r;
    state.SetLabel((m.ready.wrong > 0 ? "WRONG " : "") + m.ready.note);
  }
}

// Google Benchmark appends its settings to names (".../iterations:1/manual_time"); ours are the names alone.
template <class Reporter>
class plain_names final : public Reporter {
 public:
  void ReportRuns(const std::vector<benchmark::BenchmarkReporter::Run>& runs) override {
    std::vector<benchmark::BenchmarkReporter::Run> renamed = runs;
    for (auto& r : renamed) {
      for (std::string* part : {&r.run_name.args, &r.run_name.min_time, &r.run_name.iterations, &r.run_name.repetitions,
                                &r.run_name.time_type, &r.run_name.threads})
        part->clear();
      r.cpu_accumulated_time = r.real_accumulated_time;
    }
    Reporter::ReportRuns(renamed);
  }
};

std::vector<measured> select(const std::string& filter) {
  std::vector<measured> selected;
  const bool inverted = !filter.empty() && filter[0] == '-';
  const std::regex pattern(inverted ? filter.substr(1) : filter == "all" || filter.empty() ? "." : filter);
  for (const row& r : rows()) {
    if (std::regex_search(r.name, pattern) == inverted) continue;
    measured m;
    m.what = &r;
    selected.push_back(std::move(m));
  }
  return selected;
}

int run(int argc, char** argv) {
  const options o = read_options(argc, argv);
  const int core = pin(o.core);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  quantal::isa id = quantal::isa::ref;
  if (!quantal::find_isa(o.isa.c_str(), id) || !quantal::offers(quantal::features(), id)) {
    std::cerr << "this CPU does not offer the ISA \"" << o.isa << "\"\n";
    return 2;
  }
  const std::filesystem::path folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  std::vector<std::string> peers;
  if (o.peers) peers = find_peers(folder.string(), QUANTAL_BENCH_SERVER, o.pythons);
  std::string all;
  for (const std::string& p : peers) all += (all.empty() ? "" : "; ") + p;
  benchmark::AddCustomContext("isa", o.isa);
  benchmark::AddCustomContext("peers", all);
  benchmark::AddCustomContext("core", std::to_string(core));
  benchmark::AddCustomContext("rounds", std::to_string(o.rounds));

  if (!add_all_rows(o.cases, o.isa)) return 2;
  std::vector<measured> selected = select(benchmark::GetBenchmarkFilter());
  if (o.list) {
    for (const measured& m : selected) std::cout << m.what->name << "\n";
    return 0;
  }
  if (selected.empty()) {
    std::cerr << "no row matches the filter\n";
    return 2;
  }
  const smt_probe probe = smt_probe_of(o.isa);
  run_rounds(selected, o, probe);
  const double fastest = fastest_probe(selected);
  std::vector<std::size_t> next(selected.size(), 0);
  for (std::size_t i = 0; i < selected.size(); ++i) {
    const measured& m = selected[i];
    benchmark::RegisterBenchmark(m.what->name.c_str(),
                                 [&, i](benchmark::State& s) { report(s, selected[i], next[i], probe, fastest); })
        ->Iterations(1)
        ->UseManualTime()
        ->Repetitions(m.ready.time ? o.rounds : 1)
        ->Unit(benchmark::kMicrosecond);
  }
  plain_names<benchmark::ConsoleReporter> console;
  plain_names<benchmark::JSONReporter> json;
  benchmark::RunSpecifiedBenchmarks(&console, o.to_file ? &json : nullptr, ".");  // filtered above, by plain name
  return 0;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  // libgomp (oneDNN) reads this before main(): with its default of all CPUs on one pinned core it is 100 times slower.
  if (std::getenv("OMP_NUM_THREADS") == nullptr) {
    setenv("OMP_NUM_THREADS", "1", 1);
    execv("/proc/self/exe", argv);
  }
  return bench::run(argc, argv);
}
