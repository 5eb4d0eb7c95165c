#include "quantal/pipeline/calibrate.hpp"

#include <cmath>
#include <unordered_set>

#include "quantal/calib/method.hpp"
#include "quantal/calib/observers/all.hpp"
#include "quantal/exec/session.hpp"
#include "quantal/ir/index.hpp"
#include "quantal/kernels/elementwise.hpp"
#include "quantal/passes/correct_bias.hpp"

namespace quantal::pipeline {

namespace {

bool is_weighted(const ir::node& n) {
  return n.is("Conv") || n.is("ConvTranspose") || n.is("Gemm") || n.is("MatMul");
}

// Shapes of the first feed, for the multiply-adds.
class mac_counter {
 public:
  explicit mac_counter(const ir::graph& g) : g_(g) {
    for (const ir::constant& c : g.initializers) shapes_[c.name] = c.value.dims();
    for (const ir::node& n : g.nodes) {
      if (!is_weighted(n)) continue;
      for (const std::string& name : n.inputs) wanted_.insert(name);
      wanted_.insert(n.outputs[0]);
    }
  }
  void see(std::string_view name, const shape& s) {
    if (const auto it = wanted_.find(std::string(name)); it != wanted_.end()) shapes_[*it] = s;
  }
  std::unordered_map<std::string, std::int64_t> result() const {
    std::unordered_map<std::string, std::int64_t> macs;
    for (const ir::node& n : g_.nodes) {
      if (!is_weighted(n)) continue;
      const auto x = shapes_.find(n.inputs[0]), w = shapes_.find(n.inputs[1]), y = shapes_.find(n.outputs[0]);
      if (x != shapes_.end() && w != shapes_.end() && y != shapes_.end())
        macs[n.outputs[0]] = macs_of(n, x->second, w->second, y->second);
    }
    return macs;
  }

 private:
  const ir::graph& g_;
  std::unordered_set<std::string> wanted_;
  std::unordered_map<std::string, shape> shapes_;
};

// Means per channel of the inputs whose readers' biases can be corrected (passes/correct_bias.hpp). The mean of one
// sample's channel, rounded to f32, is one value of an exact sum: batches and shards do not change a bit.
class mean_counter {
 public:
  explicit mean_counter(const ir::graph& g) {
    const ir::index index(g);
    for (const ir::node& n : g.nodes)
      if ((n.is("Conv") || n.is("Gemm")) && n.inputs.size() >= 2 && index.constant_value(n.inputs[1]) != nullptr)
        readers_.emplace(n.inputs[0], reader{&n, calib::make_observer("moments")});
  }

  result<void> see(std::string_view name, const tensor_buffer& value) {
    const auto it = readers_.find(name);
    if (it == readers_.end() || value.type() != dtype::f32) return {};
    const std::int32_t axis = passes::mean_axis_of(*it->second.node, value.dims().rank);
    if (axis < 0) return {};
    const auto planes = static_cast<std::size_t>(value.dims().elements(0, axis + 1));
    const auto inner = static_cast<std::size_t>(value.dims().elements(axis + 1, value.dims().rank));
    if (planes == 0 || inner == 0) return {};
    means_.resize(planes);
    const float* x = value.as<float>();
    for (float& mean : means_) {
      double lanes[4] = {};  // four sums hide the latency of the addition
      std::size_t i = 0;
      for (; i + 4 <= inner; i += 4)
        for (std::size_t l = 0; l < 4; ++l) lanes[l] += static_cast<double>(x[i + l]);
      for (; i < inner; ++i) lanes[0] += static_cast<double>(x[i]);
      mean = static_cast<float>(((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) / static_cast<double>(inner));
      x += inner;
    }
    const auto channels = static_cast<std::size_t>(value.dims()[axis]);
    return it->second.means->observe(means_.data(), planes / channels, channels, 1);
  }

  std::map<std::string, calib::statistics> result_of_all() const {
    std::map<std::string, calib::statistics> all;
    for (const auto& [name, r] : readers_)
      if (!r.means->stats().channels.empty()) all[std::string(name)] = r.means->stats();
    return all;
  }

 private:
  struct reader {
    const ir::node* node;
    std::unique_ptr<calib::observer> means;
  };
  std::unordered_map<std::string_view, reader> readers_;
  std::vector<float> means_;
};

// How many samples there will be: known, or as many per feed as so far; -1: unknown.
std::int64_t expected(const data::source& samples, const calibration& done) {
  if (samples.samples() >= 0 || samples.feeds() < 0) return samples.samples();
  return std::llround(static_cast<double>(done.samples) / static_cast<double>(done.feeds) *
                      static_cast<double>(samples.feeds()));
}

}  // namespace

std::int64_t macs_of(const ir::node& n, const shape& data, const shape& weight, const shape& output) noexcept {
  if (n.is("Conv")) return weight.rank < 2 ? 0 : output.elements() * weight.elements(1, weight.rank);
  if (n.is("ConvTranspose")) return weight.rank < 2 ? 0 : data.elements() * weight.elements(1, weight.rank);
  if (n.is("Gemm")) return data.rank != 2 ? 0 : output.elements() * data[n.get_int("transA", 0) != 0 ? 0 : 1];
  if (n.is("MatMul")) return data.rank < 1 ? 0 : output.elements() * data[data.rank - 1];
  return 0;
}

calib::method_options method_options_of(const quantize_config& config) {
  calib::method_options o;
  o.bins = config.bins;
  o.min_max_of = elementwise().min_max_of;
  o.moments_of = moments_kernel();
  o.percentile = config.percentile;
  o.stddev = config.stddev;
  o.scale = config.scale;
  return o;
}

result<calibration> calibrate(std::shared_ptr<const ir::model> m, const std::vector<std::string>& tensors,
                              data::source& samples, const quantize_config& config, const progress_fn& progress) {
  const calib::method* method = calib::find_method(config.activation_observer);
  if (method == nullptr)
    return error{status::usage, "unknown observer " + config.activation_observer, "--activation-observer",
                 "use one of " + calib::method_names()};
  const calib::method_options options = method_options_of(config);
  std::unordered_map<std::string_view, std::unique_ptr<calib::observer>> observers;
  for (const std::string& name : tensors) observers[name] = method->make_observer(options);

  exec::session_options session_options;
  session_options.threads = config.threads;
  QUANTAL_TRY(session, exec::session::create(m, session_options));

  calibration done;
  done.method = method->name;
  mac_counter macs(m->graph);
  mean_counter means(m->graph);
  data::linter linter;
  error trouble;
  bool failed = false;
  exec::run_options run;
  run.observe = [&](std::string_view name, const tensor_buffer& value) {
    if (done.feeds == 0) macs.see(name, value.dims());
    if (failed) return;
    if (auto seen = means.see(name, value); !seen) {
      trouble = std::move(seen).failure().at(std::string(name));
      failed = true;
      return;
    }
    const auto it = observers.find(name);
    if (it == observers.end()) return;
    if (value.type() != dtype::f32) {
      trouble =
          error{status::dtype, std::string("a tensor to quantize is ") + quantal::name_of(value.type()) + ", not f32",
                std::string(name), "exclude its readers with --exclude"};
      failed = true;
      return;
    }
    if (auto seen = it->second->observe(value.as<float>(), static_cast<std::size_t>(value.elements())); !seen) {
      trouble = std::move(seen).failure().at(std::string(name));
      failed = true;
    }
  };

  QUANTAL_CHECK(samples.rewind());
  for (;;) {
    QUANTAL_TRY(feed, samples.next());
    if (!feed) break;
    linter.observe(*feed);
    std::vector<exec::named_tensor> inputs;
    for (auto& [name, value] : feed->inputs) inputs.push_back({name, value});
    auto outputs = session.run(inputs, run);
    if (!outputs) return std::move(outputs).failure().at(feed->origin);
    if (failed) return trouble;
    ++done.feeds;
    done.samples += feed->samples;
    if (progress && !progress("calibrate", done.samples, expected(samples, done)))
      return error{status::cancelled, "calibration was cancelled", "", ""};
  }
  if (done.feeds == 0)
    return error{status::data_missing, "the calibration data holds no sample", "--data", "pass at least one sample"};
  for (const std::string& name : tensors) {
    const calib::statistics& stats = observers[name]->stats();
    if (stats.count == 0)
      return error{status::calibration, "no finite value was observed", name,
                   "check the data for NaN, or --exclude the readers of this tensor"};
    done.tensors[name] = stats;
  }
  done.macs = macs.result();
  done.means = means.result_of_all();
  done.facts = linter.facts();
  done.facts.class_names = samples.class_names();
  return done;
}

}  // namespace quantal::pipeline
