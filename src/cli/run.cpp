// quantal run: executes a model on arrays or images. One .npz is one feed: its arrays are passed as they are. A
// directory has a feed per file, results under the same names in the output directory; so have lists and dataset yaml
// of images.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <set>

#include "inputs.hpp"
#include "output.hpp"
#include "quantal/data/convert.hpp"
#include "quantal/exec/session.hpp"
#include "quantal/io/npy.hpp"
#include "quantal/io/path.hpp"
#include "quantal/io/text.hpp"
#include "quantal/ops/convert.hpp"
#include "quantal/pipeline/machine.hpp"
#include "verbs.hpp"

namespace quantal::cli {
namespace {

namespace fs = std::filesystem;

struct state {
  std::string model, input, output;
  data_options data;
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
  if (io::extension_of(path) == "npy") {
    if (session.inputs().size() != 1) {
      return error{status::data_missing, "the model has " + std::to_string(session.inputs().size()) + " inputs",
                   io::escape_text(path), "an .npy has one array: pass an .npz"};
    }
    auto array = io::read_npy(path);
    if (!array) return data::bad_data(std::move(array).failure());
    arrays.emplace_back(session.inputs()[0].name, *std::move(array));
  } else {
    auto all = io::read_npz(path);
    if (!all) return data::bad_data(std::move(all).failure());
    arrays = *std::move(all);
  }
  std::vector<exec::named_tensor> feeds;
  for (auto& [name, value] : arrays) {
    if (!name.empty() && name[0] == '_') continue;
    const auto input = std::find_if(session.inputs().begin(), session.inputs().end(),
                                    [&wanted = name](const ir::value_info& v) { return v.name == wanted; });
    if (input == session.inputs().end()) {
      std::string names;
      for (const ir::value_info& v : session.inputs()) names += (names.empty() ? "" : ", ") + io::escape_text(v.name);
      return error{status::data_format, "the model has no input " + io::quote(name), io::escape_text(path),
                   "its inputs are " + names};
    }
    auto fitting =
        input->type.elem == dtype::none ? result<tensor_buffer>(value) : data::convert(value, input->type.elem);
    if (!fitting) return std::move(fitting).failure().at(io::escape_text(path) + ": input " + io::quote(input->name));
    feeds.push_back({name, *std::move(fitting)});
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

std::string json_text(const state& s, std::int64_t feeds, const std::vector<output_row>& rows, double seconds) {
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

// Files of a directory that are feeds of arrays, by name; none: it may hold images.
result<std::vector<std::string>> array_files(const std::string& directory) {
  std::vector<std::string> files;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(directory, failed)) {
    const std::string extension = io::extension_of(entry.path().string());
    if (extension == "npz" || extension == "npy") files.push_back(entry.path().string());
  }
  if (failed)
    return error{status::io, "cannot read the directory: " + failed.message(), io::escape_text(directory), {}};
  std::sort(files.begin(), files.end());
  return files;
}

// The feeds of --input, one after the other: files of arrays as they are, or what data::open makes of images, lists and
// yaml, one image at a time (a model with a fixed batch keeps its own).
class feeds {
 public:
  static result<feeds> open(const state& s, const ir::model& m) {
    feeds f;
    const std::string extension = io::extension_of(s.input);
    f.many_ = is_directory(s.input) || extension == "txt" || extension == "yaml" || extension == "yml";
    if (is_directory(s.input)) {
      QUANTAL_TRY(files, array_files(s.input));
      f.files_ = std::move(files);
    } else if (extension == "npz" || extension == "npy") {
      f.files_ = {s.input};
    }
    if (!f.files_.empty()) return f;
    QUANTAL_TRY(samples, open_samples(s.data, m));
    f.samples_ = std::move(samples);
    return f;
  }

  bool many() const { return many_; }
  const data::source* images() const { return samples_.get(); }  // nullptr: arrays
  std::int64_t count() const { return samples_ ? samples_->feeds() : static_cast<std::int64_t>(files_.size()); }

  // False at the end. `file` is where the feed comes from.
  result<bool> next(const exec::session& session, std::vector<exec::named_tensor>& tensors, std::string& file) {
    tensors.clear();
    if (!samples_) {
      if (at_ == files_.size()) return false;
      file = files_[at_++];
      QUANTAL_TRY(read, read_feed(file, session));
      tensors = std::move(read);
      return true;
    }
    QUANTAL_TRY(f, samples_->next());
    if (!f) return false;
    for (auto& [name, value] : f->inputs) tensors.push_back({name, value});
    file = f->origin.substr(0, f->origin.find(" .. "));  // a batch is named after its first image
    return true;
  }

 private:
  bool many_ = false;
  std::vector<std::string> files_;
  std::size_t at_ = 0;
  std::unique_ptr<data::source> samples_;
};

// "photos/a.png" -> "DIR/a.npz"; a second "a" becomes "a-2".
std::string result_path(const std::string& directory, const std::string& file, std::set<std::string>& used) {
  const std::string stem = stem_of(file);
  std::string name = stem;
  for (int n = 2; !used.insert(name).second; ++n) name = stem + "-" + std::to_string(n);
  return (fs::path(directory) / (name + ".npz")).string();
}

std::string text_of(const state& s, const std::vector<output_row>& rows) {
  std::vector<std::vector<std::string>> cells;
  for (const output_row& r : rows) {
    cells.push_back(
        {r.feed, r.name, r.type, r.dims, io::number(static_cast<float>(r.min)), io::number(static_cast<float>(r.max))});
  }
  std::string text =
      table({"feed", "output", "type", "shape", "min", "max"}, cells, {false, false, false, false, true, true});
  return s.output.empty() ? text : text + "Written: " + io::escape_text(s.output, 4096) + "\n";
}

result<int> run(state& s, const common_options& common) {
  QUANTAL_TRY(model, load_model(s.model));
  if (!exists(s.input)) return error{status::not_found, "input not found: " + io::escape_text(s.input), {}, {}};
  s.data.path = s.input;
  QUANTAL_TRY(input, feeds::open(s, *model));
  std::string directory;
  if (!common.quiet)
    for (const std::string& line : data::unread_options(s.data.image, input.images())) print_warning(line);
  if (input.many()) {
    if (s.output.empty()) return error{status::usage, "many feeds need a directory for the results", {}, "pass -o DIR"};
    directory = s.output;
  }
  QUANTAL_CHECK(refuse_overwrite("--output", s.output, {{"the model", s.model}, {"the input", s.input}}));
  QUANTAL_TRY(made, result_directory::make(directory));
  (void)made;
  exec::session_options options;
  options.threads = static_cast<std::size_t>(common.threads);
  QUANTAL_TRY(session, exec::session::create(model, options));
  const auto start = std::chrono::steady_clock::now();
  std::vector<output_row> rows;
  std::set<std::string> used;
  std::vector<exec::named_tensor> tensors;
  std::string file;
  std::int64_t done = 0;
  progress_bar bar(common);
  const auto progress = bar.hook();
  for (;;) {
    QUANTAL_TRY(more, input.next(session, tensors, file));
    if (!more) break;
    auto results = session.run(tensors);
    if (!results) return std::move(results).failure().at(io::escape_text(file));
    io::named_arrays arrays;
    for (const exec::named_tensor& t : *results) {
      arrays.emplace_back(t.name, t.value);
      rows.push_back(describe(fs::path(file).filename().string(), t));
    }
    if (!s.output.empty()) {
      const std::string target = input.many() ? result_path(s.output, file, used) : s.output;
      QUANTAL_CHECK(refuse_overwrite("--output", target, {{"the model", s.model}, {"the input", file}}));
      QUANTAL_CHECK(io::write_npz(target, arrays));
    }
    progress("run", ++done, input.count());
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (common.json) {
    QUANTAL_CHECK(print(json_text(s, done, rows, seconds)));
  } else if (!common.quiet) {
    QUANTAL_CHECK(print(text_of(s, rows)));
  }
  return 0;
}

}  // namespace

action run_verb(args& a) {
  auto s = std::make_shared<state>();
  a.text("MODEL", &s->model, "a float or quantized model (.onnx)").required();
  a.text(
       "--input", &s->input,
       "arrays named as the model's inputs (.npz), one array (.npy), an image, a directory of such files, a .txt list "
       "or a dataset .yaml of images (docs/data.md)")
      .required();
  a.text("-o,--output", &s->output,
         "where the outputs go (.npz; a directory if --input has many feeds); left out: only described");
  s->data.batch_size = 1;
  s->data.num_calib_batches = -1;
  s->data.workers = 1;
  add_image_options(a, s->data);
  a.example(
      "quantal run model.onnx --input x.npz -o y.npz\n"
      "  quantal run model.onnx --input photos/ --imgsz 224 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 -o out/");
  return [s](const common_options& common) { return run(*s, common); };
}

}  // namespace quantal::cli
