// quantal inspect: what is in a model or a calibration cache, and the numbers of a preset. Reads, never writes.
#include <algorithm>
#include <map>

#include "inputs.hpp"
#include "output.hpp"
#include "quantal/data/any_cache.hpp"
#include "quantal/io/text.hpp"
#include "quantal/ir/index.hpp"
#include "quantal/ops/infer.hpp"
#include "quantal/ops/op.hpp"
#include "quantal/pipeline/quantize.hpp"
#include "quantal/pipeline/recipe.hpp"
#include "quantal/quant/preset.hpp"
#include "verbs.hpp"

namespace quantal::cli {
namespace {

struct state {
  std::string file, preset;
};

// ---- presets ----------------------------------------------------------------------------------------------------

const char* name_of(precision p) {
  return p == precision::f64 ? "f64" : "f32";
}
const char* name_of(rounding r) {
  switch (r) {
    case rounding::half_even: return "half to even";
    case rounding::half_away: return "half away from zero";
    case rounding::half_up: return "half up";
    default: return "other";
  }
}
const char* name_of(nan_policy p) {
  return p == nan_policy::zero_point ? "the zero point" : p == nan_policy::lowest ? "the lowest code" : "an error";
}
const char* name_of(symmetric_divisor d) {
  switch (d) {
    case symmetric_divisor::half_span: return "(qmax - qmin) / 2";
    case symmetric_divisor::highest_code: return "qmax";
    case symmetric_divisor::lowest_code: return "-qmin";
  }
  return "?";
}

using rows = std::vector<std::vector<std::string>>;

rows describe(const preset_row& p) {
  return {
      {"tool", p.tool},
      {"arithmetic", name_of(p.arithmetic)},
      {"symmetric_divisor", name_of(p.divisor)},
      {"narrow_symmetric", p.narrow_symmetric ? "yes: signed codes without the lowest" : "no"},
      {"zero_point_rounding", name_of(p.zero_point_rounding)},
      {"minimum_scale", io::number(p.minimum_scale)},
      {"power_of_two", p.power_of_two ? "yes" : "no"},
      {"value_rounding", name_of(p.value_rounding)},
      {"value_division", p.reciprocal ? "x * (1 / scale)" : "x / scale"},
      {"nan", name_of(p.nan)},
      {"activation_type",
       std::string(quantal::name_of(p.activation_type)) + (p.activation_symmetric ? " symmetric" : " affine")},
      {"weight_type", std::string(quantal::name_of(p.weight_type)) + (p.weight_symmetric ? " symmetric" : " affine") +
                          (p.per_channel ? ", per channel" : ", per tensor")},
      {"activation_observer", p.activation_observer},
      {"weight_observer", p.weight_observer},
      {"operators", p.operators[0] != 0 ? p.operators : "the recipe's"}};
}

std::string json_object(const rows& pairs) {
  std::string out;
  for (const auto& pair : pairs)
    out += (out.empty() ? "" : ", ") + io::json_string(pair[0]) + ": " + io::json_string(pair[1]);
  return "{" + out + "}";
}

result<int> show_preset(const std::string& name, const common_options& common) {
  const preset_row* p = find_preset(name.c_str());
  if (p == nullptr) {
    std::string names;
    for (const preset_row& row : presets) names += (names.empty() ? "" : ", ") + std::string(row.name);
    return error{status::usage, "unknown preset " + io::quote(name), "--preset", "use one of " + names};
  }
  const rows facts = describe(*p);
  if (common.json) {
    QUANTAL_CHECK(print("{\"preset\": " + io::json_string(p->name) + ", \"values\": " + json_object(facts) + "}\n"));
    return 0;
  }
  std::string text = "Preset " + std::string(p->name) + ":\n" + table({"what", "value"}, facts);
  if (p == &presets[0]) text += "\nThe default recipe of each quantization type:\n" + pipeline::recipe_table();
  QUANTAL_CHECK(print(text));
  return 0;
}

// ---- models -----------------------------------------------------------------------------------------------------

std::string shape_text(const ir::value_type& t) {
  if (!t.has_rank()) return "?";
  std::string out = "[";
  for (std::size_t i = 0; i < t.dims->size(); ++i) {
    const ir::dim& d = (*t.dims)[i];
    out += (i > 0 ? "," : "") + (d.known() ? std::to_string(d.value) : d.symbol.empty() ? "?" : d.symbol);
  }
  return out + "]";
}

// Quantization parameters of one Q or DQ node, as far as they are constants.
struct parameters {
  std::string tensor, op, type, scale, zero_point;
};

std::string values_text(const tensor_buffer& t, bool real) {
  if (t.elements() == 0) return "-";
  auto at = [&](std::int64_t i) -> std::string {
    switch (t.type()) {
      case dtype::f32: return io::number(t.as<float>()[i]);
      case dtype::s8: return std::to_string(t.as<std::int8_t>()[i]);
      case dtype::u8: return std::to_string(t.as<std::uint8_t>()[i]);
      case dtype::s16: return std::to_string(t.as<std::int16_t>()[i]);
      case dtype::u16: return std::to_string(t.as<std::uint16_t>()[i]);
      case dtype::s32: return std::to_string(t.as<std::int32_t>()[i]);
      default: return quantal::name_of(t.type());
    }
  };
  if (t.elements() == 1) return at(0);
  if (!real || t.type() != dtype::f32) return at(0) + " (" + std::to_string(t.elements()) + ")";
  const auto [low, high] = std::minmax_element(t.as<float>(), t.as<float>() + t.elements());
  return io::number(*low) + " .. " + io::number(*high) + " (" + std::to_string(t.elements()) + ")";
}

std::vector<parameters> parameters_of(const ir::graph& g) {
  const ir::index names(g);
  std::vector<parameters> out;
  for (const ir::node& n : g.nodes) {
    if (n.op_type != "QuantizeLinear" && n.op_type != "DequantizeLinear") continue;
    parameters p{n.has_input(0) ? n.inputs[0] : "", n.op_type == "QuantizeLinear" ? "Q" : "DQ", "u8", "?", "0"};
    // A DequantizeLinear that only undoes a QuantizeLinear says nothing new.
    if (p.op == "DQ" && names.producer(p.tensor) != ir::index::none &&
        g.nodes[names.producer(p.tensor)].op_type == "QuantizeLinear")
      continue;
    if (const tensor_buffer* scale = n.has_input(1) ? names.constant_value(n.inputs[1]) : nullptr)
      p.scale = values_text(*scale, true);
    if (const tensor_buffer* zero = n.has_input(2) ? names.constant_value(n.inputs[2]) : nullptr) {
      p.type = quantal::name_of(zero->type());
      p.zero_point = values_text(*zero, false);
    } else if (const tensor_buffer* data = p.op == "DQ" ? names.constant_value(p.tensor) : nullptr) {
      p.type = quantal::name_of(data->type());
    }
    out.push_back(std::move(p));
  }
  return out;
}

struct tensor_row {
  std::string name, kind, type, dims;
};

// Every value of the main graph, as far as inference knows it.
std::vector<tensor_row> tensors_of(const ir::model& m) {
  std::vector<tensor_row> out;
  const auto types = ops::infer_types(m);
  const auto add = [&](const std::string& name, const char* kind, const ir::value_type* stated) {
    const ir::value_type* t = stated;
    if (types) {
      if (const auto it = types->find(name); it != types->end()) t = &it->second;
    }
    out.push_back({name, kind, t == nullptr ? "?" : quantal::name_of(t->elem), t == nullptr ? "?" : shape_text(*t)});
  };
  for (const ir::value_info& v : m.graph.inputs) add(v.name, "input", &v.type);
  for (const ir::constant& c : m.graph.initializers)
    out.push_back({c.name, "constant", quantal::name_of(c.value.type()),
                   shape_text(ir::value_type::tensor(c.value.type(), c.value.dims()))});
  for (const ir::node& n : m.graph.nodes)
    for (const std::string& y : n.outputs) {
      const bool output = std::any_of(m.graph.outputs.begin(), m.graph.outputs.end(),
                                      [&](const ir::value_info& v) { return v.name == y; });
      if (!y.empty()) add(y, output ? "output" : "value", nullptr);
    }
  return out;
}

struct model_facts {
  std::map<std::string, std::size_t> operators;
  std::vector<std::string> unknown;
  std::int64_t parameters = 0, bytes = 0;
  std::vector<cli::parameters> quantization;
  std::vector<pipeline::coverage_row> coverage;  // what static quantization would do; of float models
  std::string no_plan;                           // why there is none
  std::vector<tensor_row> tensors;               // inputs, constants, what nodes compute
};

model_facts facts_of(const ir::model& m) {
  model_facts f;
  for (const ir::node& n : m.graph.nodes) {
    const std::string type = (n.domain.empty() ? "" : n.domain + ".") + n.op_type;
    if (++f.operators[type] == 1 && ops::find(n.domain, n.op_type, m.opset_version(n.domain)) == nullptr)
      f.unknown.push_back(type);
  }
  for (const ir::constant& c : m.graph.initializers) {
    f.parameters += c.value.elements();
    f.bytes += static_cast<std::int64_t>(c.value.bytes());
  }
  f.quantization = parameters_of(m.graph);
  f.tensors = tensors_of(m);
  return f;
}

std::string values_json(const std::vector<ir::value_info>& values) {
  std::string out;
  for (const ir::value_info& v : values) {
    out += (out.empty() ? "" : ", ") + std::string("{\"name\": ") + io::json_string(v.name) + ", \"dtype\": \"" +
           quantal::name_of(v.type.elem) + "\", \"shape\": " + io::json_string(shape_text(v.type)) + "}";
  }
  return "[" + out + "]";
}

std::string model_json(const std::string& file, const ir::model& m, const model_facts& f) {
  std::string operators, quantization, unknown;
  for (const auto& [type, count] : f.operators)
    operators += (operators.empty() ? "" : ", ") + io::json_string(type) + ": " + std::to_string(count);
  for (const std::string& type : f.unknown) unknown += (unknown.empty() ? "" : ", ") + io::json_string(type);
  for (const parameters& p : f.quantization) {
    quantization += (quantization.empty() ? "" : ", ") + std::string("{\"tensor\": ") + io::json_string(p.tensor) +
                    ", \"dtype\": " + io::json_string(p.type) + ", \"scale\": " + io::json_string(p.scale) +
                    ", \"zero_point\": " + io::json_string(p.zero_point) + "}";
  }
  std::string coverage;
  for (const pipeline::coverage_row& row : f.coverage) {
    coverage += (coverage.empty() ? "" : ", ") + std::string("{\"node\": ") + io::json_string(row.node) +
                ", \"op\": " + io::json_string(row.op) + ", \"status\": \"" + row.status +
                "\", \"reason\": " + io::json_string(row.reason) + "}";
  }
  std::string tensors;
  for (const tensor_row& t : f.tensors) {
    tensors += (tensors.empty() ? "" : ", ") + std::string("{\"name\": ") + io::json_string(t.name) + ", \"kind\": \"" +
               t.kind + "\", \"dtype\": \"" + t.type + "\", \"shape\": " + io::json_string(t.dims) + "}";
  }
  return "{\"file\": " + io::json_string(file) +
         ", \"kind\": \"model\", \"ir_version\": " + std::to_string(m.ir_version) +
         ", \"opset\": " + std::to_string(m.opset_version("")) + ", \"producer\": " + io::json_string(m.producer_name) +
         ", \"inputs\": " + values_json(m.graph.inputs) + ", \"outputs\": " + values_json(m.graph.outputs) +
         ", \"nodes\": " + std::to_string(m.graph.nodes.size()) + ", \"operators\": {" + operators +
         "}, \"unknown_operators\": [" + unknown + "], \"parameters\": " + std::to_string(f.parameters) +
         ", \"parameter_bytes\": " + std::to_string(f.bytes) + ", \"quantization\": [" + quantization +
         "], \"coverage\": [" + coverage + "], \"tensors\": [" + tensors +
         "], \"coverage_error\": " + (f.no_plan.empty() ? "null" : io::json_string(f.no_plan)) + "}\n";
}

std::string coverage_text(const std::vector<pipeline::coverage_row>& coverage, bool every_node) {
  rows cells;
  if (every_node) {
    for (const pipeline::coverage_row& row : coverage) cells.push_back({row.op, row.node, row.status, row.reason});
    return table({"operator", "node", "would be", "reason"}, cells);
  }
  std::map<std::vector<std::string>, std::size_t> groups;
  for (const pipeline::coverage_row& row : coverage)
    ++groups[{row.status == "quantized" ? "1" : "2", row.op, row.status, row.reason}];
  for (const auto& [key, count] : groups) cells.push_back({key[1], std::to_string(count), key[2], key[3]});
  return table({"operator", "count", "would be", "reason"}, cells, {false, true});
}

std::string model_text(const std::string& file, const ir::model& m, const model_facts& f, bool verbose) {
  std::string text = "Model " + io::escape_text(file, 4096) + "\n  IR version " + std::to_string(m.ir_version) +
                     ", opset " + std::to_string(m.opset_version("")) + ", " + std::to_string(m.graph.nodes.size()) +
                     " nodes, " + std::to_string(f.parameters) + " parameters (" + megabytes(f.bytes) + ")\n";
  if (!m.producer_name.empty()) text += "Made by: " + io::escape_text(m.producer_name) + "\n";
  rows values;
  for (const ir::value_info& v : m.graph.inputs)
    values.push_back({"input", v.name, quantal::name_of(v.type.elem), shape_text(v.type)});
  for (const ir::value_info& v : m.graph.outputs)
    values.push_back({"output", v.name, quantal::name_of(v.type.elem), shape_text(v.type)});
  text += table({"", "name", "type", "shape"}, values);
  rows operators;
  for (const auto& [type, count] : f.operators) {
    const bool unknown = std::find(f.unknown.begin(), f.unknown.end(), type) != f.unknown.end();
    operators.push_back({type, std::to_string(count), unknown ? "unknown to Quantal: the model cannot be run" : ""});
  }
  text += "\nOperators:\n" + table({"operator", "count", ""}, operators, {false, true});
  if (verbose) {
    rows cells;
    for (const tensor_row& t : f.tensors) cells.push_back({t.name, t.kind, t.type, t.dims});
    text += "\nTensors:\n" + table({"tensor", "kind", "type", "shape"}, cells);
  }
  if (!f.quantization.empty()) {
    rows cells;
    const std::size_t most = verbose ? f.quantization.size() : 20;
    for (std::size_t i = 0; i < f.quantization.size() && i < most; ++i) {
      const parameters& p = f.quantization[i];
      cells.push_back({p.tensor, p.type, p.scale, p.zero_point});
    }
    text += "\nQuantization parameters:\n" + table({"tensor", "type", "scale", "zero point"}, cells);
    if (f.quantization.size() > most)
      text += "  ... " + std::to_string(f.quantization.size() - most) + " more (-v shows all)\n";
  }
  if (!f.coverage.empty()) text += "\nWith static_int8 or per_channel_int8:\n" + coverage_text(f.coverage, verbose);
  if (!f.no_plan.empty()) text += "\nStatic quantization is not possible: " + io::escape_text(f.no_plan, 4096) + "\n";
  return text;
}

// ---- calibration caches -----------------------------------------------------------------------------------------

result<int> show_cache(const std::string& file, const data::calibration_cache& cache, const char* kind,
                       const common_options& common) {
  rows cells;
  std::string json;
  for (const auto& [name, t] : cache.tensors) {
    cells.push_back(
        {name, io::number(static_cast<float>(t.min)), io::number(static_cast<float>(t.max)), std::to_string(t.count)});
    json += (json.empty() ? "" : ", ") + std::string("{\"tensor\": ") + io::json_string(name) +
            ", \"min\": " + io::number(t.min) + ", \"max\": " + io::number(t.max) +
            ", \"count\": " + std::to_string(t.count) + "}";
  }
  if (common.json) {
    QUANTAL_CHECK(print("{\"file\": " + io::json_string(file) + ", \"kind\": \"calibration_cache\", \"format\": \"" +
                        kind + "\", \"observer\": " + io::json_string(cache.observer) +
                        ", \"samples\": " + std::to_string(cache.samples) +
                        ", \"model_hash\": " + io::json_string(cache.model_hash) + ", \"tensors\": [" + json + "]}\n"));
    return 0;
  }
  QUANTAL_CHECK(print("Calibration cache " + io::escape_text(file, 4096) + " (" + kind + ")\n  observer " +
                      io::escape_text(cache.observer) + ", " + std::to_string(cache.samples) + " samples, " +
                      std::to_string(cache.tensors.size()) + " tensors\n" +
                      table({"tensor", "min", "max", "values"}, cells, {false, true, true, true})));
  return 0;
}

result<int> inspect(const state& s, const common_options& common) {
  if (s.file.empty() == s.preset.empty())
    return error{status::usage, "give a file or --preset", {}, "see quantal inspect --help"};
  if (!s.preset.empty()) return show_preset(s.preset, common);
  if (!exists(s.file)) return error{status::not_found, "file not found: " + io::escape_text(s.file), {}, {}};
  if (data::looks_like_cache(s.file)) {
    QUANTAL_TRY(found, data::read_any_cache(s.file));
    return show_cache(s.file, found.cache, name_of(found.format), common);
  }
  QUANTAL_TRY(m, load_model(s.file));
  model_facts f = facts_of(*m);
  if (f.quantization.empty()) {
    pipeline::quantize_config config;
    config.type = pipeline::quant_type::per_channel_int8;
    auto coverage = pipeline::planned_coverage(*m, config);
    if (coverage)
      f.coverage = *std::move(coverage);
    else
      f.no_plan = coverage.failure().message();
  }
  QUANTAL_CHECK(print(common.json ? model_json(s.file, *m, f) : model_text(s.file, *m, f, common.verbose)));
  return 0;
}

}  // namespace

action inspect_verb(args& a) {
  auto s = std::make_shared<state>();
  a.text("FILE", &s->file, "a model (.onnx) or calibration cache");
  a.text("--preset", &s->preset, "show what a preset means: quantal, onnxruntime, torch, tflite, tensorrt, ai8x");
  a.example("quantal inspect model.onnx\n  quantal inspect --preset torch");
  return [s](const common_options& common) { return inspect(*s, common); };
}

}  // namespace quantal::cli
