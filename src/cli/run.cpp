// quantal run: executes a model on arrays. One .npz is one feed: its arrays are passed as they are (a directory: one
// feed per file, results under the same names in the output directory).
#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>

#include "inputs.hpp"
#include "output.hpp"
#include "quantal/exec/session.hpp"
#include "quantal/io/npy.hpp"
#include "quantal/io/text.hpp"
#include "quantal/ops/convert.hpp"
#include "quantal/pipeline/compare.hpp"
#include "verbs.hpp"

namespace quantal::cli {
namespace {

namespace fs = std::filesystem;

struct state {
  std::string model, input, output;
};

struct output_row {
  std::string feed, name, type, dims;
  double min = 0, max = 0;
};

std::string dims_text(const shape& s) {
  std::string out = "[";
  for (std::int32_t i = 0; i < s.rank; ++i) out += (i > 0 ? "," : "") + std::to_string(s[i]);
  return out + "]";
}

// Arrays of a file as feeds of the session: of the inputs' types; names that begin with '_' are not inputs.
result<std::vector<exec::named_tensor>> read_feed(const std::string& path, const exec::session& session) {
  io::named_arrays arrays;
  if (fs::path(path).extension() == ".npy") {
    if (session.inputs().size() != 1) {
      return error{status::data_missing, "the model has " + std::to_string(session.inputs().size()) + " inputs",
                   io::escape_text(path), "an .npy has one array: pass an .npz"};
    }
    QUANTAL_TRY(array, io::read_npy(path));
    arrays.emplace_back(session.inputs()[0].name, std::move(array));
  } else {
    QUANTAL_TRY(all, io::read_npz(path));
    arrays = std::move(all);
  }
  std::vector<exec::named_tensor> feeds;
  for (auto& [name, value] : arrays) {
    if (!name.empty() && name[0] == '_') continue;
    const auto input = std::find_if(session.inputs().begin(), session.inputs().end(),
                                    [&](const ir::value_info& v) { return v.name == name; });
    if (input == session.inputs().end()) {
      std::string names;
      for (const ir::value_info& v : session.inputs()) names += (names.empty() ? "" : ", ") + io::escape_text(v.name);
      return error{status::data_format, "the model has no input " + io::quote(name), io::escape_text(path),
                   "its inputs are " + names};
    }
    if (value.type() == input->type.elem || input->type.elem == dtype::none) {
      feeds.push_back({name, value});
      continue;
    }
    auto converted = ops::convert_tensor(value, input->type.elem);
    if (!converted) return std::move(converted).failure().at(io::escape_text(path));
    feeds.push_back({name, *std::move(converted)});
  }
  return feeds;
}

output_row describe(const std::string& feed, const exec::named_tensor& t) {
  output_row row{feed, t.name, name_of(t.value.type()), dims_text(t.value.dims()), 0, 0};
  const auto wide = ops::convert_tensor(t.value, dtype::f64);
  if (!wide || wide->elements() == 0) return row;
  const auto* x = wide->as<double>();
  const auto [low, high] = std::minmax_element(x, x + wide->elements());
  row.min = *low;
  row.max = *high;
  return row;
}

std::string json_number(double x) {
  return std::isfinite(x) ? io::number(x) : "null";
}

std::string json_text(const state& s, std::size_t feeds, const std::vector<output_row>& rows, double seconds) {
  std::string out = "{\"model\": " + io::json_string(s.model) + ", \"input\": " + io::json_string(s.input) +
                    ", \"output\": " + (s.output.empty() ? "null" : io::json_string(s.output)) +
                    ", \"feeds\": " + std::to_string(feeds) + ", \"outputs\": [";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const output_row& r = rows[i];
    out += (i > 0 ? ", " : "") + std::string("{\"feed\": ") + io::json_string(r.feed) +
           ", \"name\": " + io::json_string(r.name) + ", \"dtype\": \"" + r.type + "\", \"shape\": " + r.dims +
           ", \"min\": " + json_number(r.min) + ", \"max\": " + json_number(r.max) + "}";
  }
  return out + "], \"seconds\": " + io::number(seconds) +
         ", \"peak_rss_bytes\": " + std::to_string(pipeline::peak_rss_bytes()) + "}\n";
}

// Files of a directory that are feeds, by name.
result<std::vector<std::string>> feed_files(const std::string& directory) {
  std::vector<std::string> files;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(directory, failed)) {
    const std::string extension = entry.path().extension().string();
    if (extension == ".npz" || extension == ".npy") files.push_back(entry.path().string());
  }
  if (failed)
    return error{status::io, "cannot read the directory: " + failed.message(), io::escape_text(directory), {}};
  if (files.empty())
    return error{status::data_missing, "no .npz or .npy file in the directory", io::escape_text(directory), {}};
  std::sort(files.begin(), files.end());
  return files;
}

result<int> run(const state& s, const common_options& common) {
  QUANTAL_TRY(model, load_model(s.model));
  if (!exists(s.input)) return error{status::not_found, "input not found: " + io::escape_text(s.input), {}, {}};
  const bool many = is_directory(s.input);
  std::vector<std::string> files = {s.input};
  if (many) {
    QUANTAL_TRY(found, feed_files(s.input));
    files = std::move(found);
    if (s.output.empty()) return error{status::usage, "many feeds need a directory for the results", {}, "pass -o DIR"};
    QUANTAL_CHECK(make_directories(s.output));
  }
  exec::session_options options;
  options.threads = static_cast<std::size_t>(common.threads);
  QUANTAL_TRY(session, exec::session::create(model, options));
  const auto start = std::chrono::steady_clock::now();
  std::vector<output_row> rows;
  progress_bar bar(common);
  const auto progress = bar.hook();
  for (std::size_t i = 0; i < files.size(); ++i) {
    QUANTAL_TRY(feeds, read_feed(files[i], session));
    auto results = session.run(feeds);
    if (!results) return std::move(results).failure().at(io::escape_text(files[i]));
    io::named_arrays arrays;
    for (const exec::named_tensor& t : *results) {
      arrays.emplace_back(t.name, t.value);
      rows.push_back(describe(fs::path(files[i]).filename().string(), t));
    }
    if (!s.output.empty()) {
      const std::string target =
          many ? (fs::path(s.output) / (fs::path(files[i]).stem().string() + ".npz")).string() : s.output;
      if (same_file(target, files[i]))
        return error{status::usage, "the output would replace the input: " + io::escape_text(target), "--output", {}};
      QUANTAL_CHECK(io::write_npz(target, arrays));
    }
    progress("run", static_cast<std::int64_t>(i + 1), static_cast<std::int64_t>(files.size()));
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (common.json) {
    QUANTAL_CHECK(print(json_text(s, files.size(), rows, seconds)));
    return 0;
  }
  std::vector<std::vector<std::string>> cells;
  for (const output_row& r : rows) {
    cells.push_back(
        {r.feed, r.name, r.type, r.dims, io::number(static_cast<float>(r.min)), io::number(static_cast<float>(r.max))});
  }
  std::string text =
      table({"feed", "output", "type", "shape", "min", "max"}, cells, {false, false, false, false, true, true});
  if (!s.output.empty()) text += "Written: " + io::escape_text(s.output, 4096) + "\n";
  QUANTAL_CHECK(print(text));
  return 0;
}

}  // namespace

action run_verb(args& a) {
  auto s = std::make_shared<state>();
  a.text("MODEL", &s->model, "a float or quantized model (.onnx)").required();
  a.text("--input", &s->input,
         "arrays named as the model's inputs (.npz), one array (.npy), or a directory of such files")
      .required();
  a.text("-o,--output", &s->output,
         "where the outputs go (.npz; a directory if --input is one); left out: only described");
  a.example("quantal run model.onnx --input x.npz -o y.npz");
  return [s](const common_options& common) { return run(*s, common); };
}

}  // namespace quantal::cli
