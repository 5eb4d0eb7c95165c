// quantal_node_runner CASES: runs every one-node test of a folder in one process.
// quantal_node_runner --operators: the registry, one "domain type since until" per line.
// quantal_node_runner --infer MODEL: what inference finds, one "name type dim,dim..." per line (? for unknown).
//
// CASES/cases.txt has one line per case: name, operator, domain, version, rtol, atol (tab-separated). NAME.onnx is the
// model; NAME.data.onnx holds in its initializers the feeds ("in:<name>") and the expected outputs ("out:<name>").
// One line per case is printed: passed | failed | unclaimed, name, operator,
// "shapes" if inference found the outputs' shapes in full, reason. Values agree when
// |x - y| <= atol + rtol * |y|, as in onnx.backend.test's runner.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "quantal/exec/session.hpp"
#include "quantal/onnx/onnx.hpp"
#include "quantal/ops/convert.hpp"
#include "quantal/ops/infer.hpp"
#include "quantal/ops/op.hpp"

namespace {

using namespace quantal;

struct test_case {
  std::string name, op, domain;
  std::int64_t version = 0;
  double rtol = 0, atol = 0;
};

std::string describe(const tensor_buffer& t) {
  std::string text = name_of(t.type());
  text += "[";
  for (std::int64_t d : t.dims()) text += (text.back() == '[' ? "" : ",") + std::to_string(d);
  return text + "]";
}

// Empty: they agree.
std::string difference(const tensor_buffer& got, const tensor_buffer& wanted, double rtol, double atol) {
  if (got.type() != wanted.type() || !(got.dims() == wanted.dims()))
    return describe(got) + " instead of " + describe(wanted);
  if (got.type() == dtype::string) return got.strings() == wanted.strings() ? "" : "strings differ";
  if (!is_float(got.type()))
    return got.bytes() == 0 || std::memcmp(got.data(), wanted.data(), got.bytes()) == 0 ? "" : "integers differ";
  const auto x = ops::convert_tensor(got, dtype::f64);
  const auto y = ops::convert_tensor(wanted, dtype::f64);
  if (!x || !y) return "cannot be compared";
  for (std::int64_t i = 0; i < x->elements(); ++i) {
    const double a = x->as<double>()[i];
    const double b = y->as<double>()[i];
    if (a == b || (std::isnan(a) && std::isnan(b))) continue;
    if (!(std::abs(a - b) <= atol + rtol * std::abs(b))) {
      return "element " + std::to_string(i) + " is " + std::to_string(a) + ", not " + std::to_string(b);
    }
  }
  return "";
}

// What inference says about the outputs, without what the model states about them, against what came out.
std::string inference(ir::model m, const ir::model& data, bool& complete) {
  for (ir::value_info& v : m.graph.outputs) v.type = {};
  const auto types = ops::infer_types(m);
  if (!types) return "inference: " + types.failure().message();
  complete = true;
  for (const ir::constant& k : data.graph.initializers) {
    if (k.name.rfind("out:", 0) != 0) continue;
    auto at = types->find(k.name.substr(4));
    if (at == types->end() || !at->second.has_rank()) {
      complete = false;
      continue;
    }
    const ir::value_type& t = at->second;
    bool fits = t.elem == k.value.type() && static_cast<std::int32_t>(t.dims->size()) == k.value.dims().rank;
    for (std::size_t i = 0; fits && i < t.dims->size(); ++i) {
      complete = complete && (*t.dims)[i].known();
      fits = !(*t.dims)[i].known() || (*t.dims)[i].value == k.value.dims()[static_cast<std::int32_t>(i)];
    }
    if (!fits) return "inference says something else than " + describe(k.value) + " for " + at->first;
  }
  return "";
}

enum class outcome { passed, failed, unclaimed };

outcome run_case(const std::string& folder, const test_case& t, std::string& reason, bool& complete) {
  auto model = onnx::read_file(folder + "/" + t.name + ".onnx");
  auto data = onnx::read_file(folder + "/" + t.name + ".data.onnx");
  if (!model || !data) {
    reason = (model ? data.failure() : model.failure()).message();
    return outcome::failed;
  }
  const bool claimed = ops::find(t.domain, t.op, t.version) != nullptr;
  const std::string inferred = inference(*model, *data, complete);
  exec::session_options options;
  options.threads = 1;
  auto session = exec::session::create(std::make_shared<const ir::model>(*std::move(model)), options);
  if (!session) {
    reason = session.failure().message();
    return !claimed ? outcome::unclaimed : outcome::failed;
  }
  std::vector<exec::named_tensor> feeds;
  for (const ir::constant& k : data->graph.initializers) {
    if (k.name.rfind("in:", 0) == 0) feeds.push_back({k.name.substr(3), k.value});
  }
  auto results = session->run(feeds);
  if (!results) {
    reason = results.failure().message();
    return claimed ? outcome::failed : outcome::unclaimed;
  }
  for (const ir::constant& k : data->graph.initializers) {
    if (k.name.rfind("out:", 0) != 0) continue;
    const exec::named_tensor* got = nullptr;
    for (const auto& r : *results) got = r.name == k.name.substr(4) ? &r : got;
    reason = got == nullptr ? "output is missing" : difference(got->value, k.value, t.rtol, t.atol);
    if (!reason.empty()) {
      reason = k.name.substr(4) + ": " + reason;
      return claimed ? outcome::failed : outcome::unclaimed;
    }
  }
  reason = inferred;
  if (!reason.empty()) return outcome::failed;
  return claimed ? outcome::passed : outcome::unclaimed;
}

void print_operators() {
  for (const ops::op_def* d : ops::all()) {
    std::printf("%s\t%s\t%lld\t%lld\n", d->domain.empty() ? "ai.onnx" : std::string(d->domain).c_str(),
                std::string(d->type).c_str(), static_cast<long long>(d->since),
                d->until == INT64_MAX ? -1 : static_cast<long long>(d->until));
  }
}

int print_types(const char* path) {
  auto model = onnx::read_file(path);
  if (!model) {
    std::fprintf(stderr, "%s\n", model.failure().message().c_str());
    return 3;
  }
  const auto types = ops::infer_types(*model);
  if (!types) {
    std::fprintf(stderr, "%s\n", types.failure().message().c_str());
    return 3;
  }
  for (const auto& [name, t] : *types) {
    std::string dims = t.has_rank() ? "" : "...";
    for (std::size_t i = 0; t.has_rank() && i < t.dims->size(); ++i) {
      const ir::dim& d = (*t.dims)[i];
      dims += (i > 0 ? "," : "") + (d.known() ? std::to_string(d.value) : d.symbol.empty() ? "?" : d.symbol);
    }
    std::printf("%s\t%s\t%s\n", name.c_str(), name_of(t.elem), dims.c_str());
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--operators") == 0) {
    print_operators();
    return 0;
  }
  if (argc == 3 && std::strcmp(argv[1], "--infer") == 0) return print_types(argv[2]);
  if (argc != 2) {
    std::fprintf(stderr, "usage: quantal_node_runner CASES | --operators | --infer MODEL\n");
    return 2;
  }
  const std::string folder = argv[1];
  std::ifstream list(folder + "/cases.txt");
  std::string line;
  while (std::getline(list, line)) {
    std::istringstream fields(line);
    test_case t;
    fields >> t.name >> t.op >> t.domain >> t.version >> t.rtol >> t.atol;
    if (!fields) {
      std::fprintf(stderr, "bad line: %s\n", line.c_str());
      return 2;
    }
    if (t.domain == "ai.onnx") t.domain.clear();
    std::string reason;
    constexpr const char* words[] = {"passed", "failed", "unclaimed"};
    bool complete = false;
    const outcome o = run_case(folder, t, reason, complete);
    for (char& ch : reason) ch = ch == '\n' || ch == '\t' ? ' ' : ch;
    std::printf("%s\t%s\t%s\t%s\t%s\n", words[static_cast<int>(o)], t.name.c_str(), t.op.c_str(),
                complete ? "shapes" : "-", reason.c_str());
    std::fflush(stdout);
  }
  return 0;
}
