#include "quantal/pipeline/calibrate.hpp"

#include <cmath>
#include <unordered_set>

#include "quantal/calib/method.hpp"
#include "quantal/exec/session.hpp"
#include "quantal/ir/index.hpp"
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

// Means per channel of the inputs whose readers' biases can be corrected (passes/correct_bias.hpp). Summed in f64, in
// the order of the data: a figure good to about 1e-12, not merged between shards.
class mean_counter {
 public:
  explicit mean_counter(const ir::graph& g) {
    const ir::index index(g);
    for (const ir::node& n : g.nodes)
      if (n.inputs.size() >= 2 && index.constant_value(n.inputs[1]) != nullptr && (n.is("Conv") || n.is("Gemm")))
        readers_.emplace(n.inputs[0], &n);
  }
  void see(std::string_view name, const tensor_buffer& value) {
    const auto it = readers_.find(name);
    if (it == readers_.end() || value.type() != dtype::f32) return;
    const std::int32_t axis = passes::mean_axis_of(*it->second, value.dims().rank);
    if (axis < 0) return;
    sums& s = sums_[it->first];
    const std::int64_t channels = value.dims()[axis], inner = value.dims().elements(axis + 1, value.dims().rank);
    s.of_channel.resize(static_cast<std::size_t>(channels));
    const float* x = value.as<float>();
    const std::int64_t outer = value.dims().elements(0, axis);
    for (std::int64_t o = 0; o < outer; ++o) {
      for (std::int64_t c = 0; c < channels; ++c, x += inner) {
        double lanes[4] = {};  // four sums hide the latency of the addition
        std::int64_t i = 0;
        for (; i + 4 <= inner; i += 4)
          for (int l = 0; l < 4; ++l) lanes[l] += static_cast<double>(x[i + l]);
        for (; i < inner; ++i) lanes[0] += static_cast<double>(x[i]);
        s.of_channel[static_cast<std::size_t>(c)] += (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
      }
    }
    s.count += static_cast<double>(outer * inner);
  }
  // Tensors with NaN, an infinity or a channel count that changed are left out.
  std::unordered_map<std::string, std::vector<double>> result() {
    std::unordered_map<std::string, std::vector<double>> means;
    for (auto& [name, s] : sums_) {
      bool finite = s.count > 0;
      for (double& v : s.of_channel) finite = std::isfinite(v /= s.count) && finite;
      if (finite) means.emplace(std::string(name), std::move(s.of_channel));
    }
    return means;
  }

 private:
  struct sums {
    std::vector<double> of_channel;
    double count = 0;
  };
  std::unordered_map<std::string_view, const ir::node*> readers_;
  std::unordered_map<std::string_view, sums> sums_;
};

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
  error trouble;
  bool failed = false;
  exec::run_options run;
  run.observe = [&](std::string_view name, const tensor_buffer& value) {
    if (done.feeds == 0) macs.see(name, value.dims());
    means.see(name, value);
    const auto it = observers.find(name);
    if (it == observers.end() || failed) return;
    if (value.type() != dtype::f32) {
      trouble =
          error{status::dtype, std::string("a tensor to quantize is ") + quantal::name_of(value.type()) + ", not f32",
                std::string(name), "exclude its readers with --exclude"};
      failed = true;
      return;
    }
    it->second->observe(value.as<float>(), static_cast<std::size_t>(value.elements()));
  };

  QUANTAL_CHECK(samples.rewind());
  for (;;) {
    QUANTAL_TRY(feed, samples.next());
    if (!feed) break;
    std::vector<exec::named_tensor> inputs;
    for (auto& [name, value] : feed->inputs) inputs.push_back({name, value});
    auto outputs = session.run(inputs, run);
    if (!outputs) return std::move(outputs).failure().at(feed->origin);
    if (failed) return trouble;
    ++done.feeds;
    done.samples += feed->samples;
    if (progress && !progress("calibrate", done.samples, samples.samples()))
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
  done.means = means.result();
  return done;
}

}  // namespace quantal::pipeline
