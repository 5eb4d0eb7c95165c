// Models and samples from paths (see inputs.hpp).
#include "inputs.hpp"

#include <filesystem>

#include "quantal/io/path.hpp"
#include "quantal/io/text.hpp"
#include "quantal/onnx/onnx.hpp"
#include "quantal/pipeline/compare.hpp"

namespace quantal::cli {

namespace fs = std::filesystem;

void add_image_options(args& a, data_options& d) {
  a.text("--split", &d.split, "of a dataset .yaml").choices({"train", "val"}).group("Data");
  data::image_options& image = d.image;
  a.text("--imgsz", &image.imgsz, "size of images: 640 or HEIGHTxWIDTH; left out: the model's, else each image's own")
      .group("Images");
  a.text("--layout", &image.layout, "axes of the input; left out: seen from the model")
      .choices({"nchw", "nhwc"})
      .group("Images");
  a.text("--mean", &image.mean,
         "(x - mean) / std, after --value-range: one number, or one per channel (0.485,0.456,0.406)")
      .group("Images");
  a.text("--std", &image.std, "see --mean").group("Images");
  a.text("--value-range", &image.value_range,
         "what pixels 0..255 become: 0..1, 0..255, -1..1, any A..B; left out: 0..1 (integer inputs: 0..255)")
      .group("Images");
  a.text("--color", &image.color, "channels of the input; left out: rgb (gray for one channel)")
      .choices({"rgb", "bgr", "gray"})
      .group("Images");
  a.flag("--letterbox", &image.letterbox, "keep the aspect ratio, fill with gray 114; else images are stretched")
      .group("Images");
}

void add_data_options(args& a, data_options& d, std::int64_t limit) {
  d.num_calib_batches = limit;
  a.text("--data", &d.path,
         "samples: .npz or .npy, a directory of them or of images, a .txt list, a dataset .yaml (docs/data.md)")
      .group("Data");
  a.integer("--batch-size", &d.batch_size, "samples per run of the model; a model with a fixed batch keeps its own", 1,
            1 << 20)
      .group("Data");
  a.integer("--num-calib-batches", &d.num_calib_batches, "batches to use; -1: all", -1, INT64_C(1) << 40).group("Data");
  a.integer("--workers", &d.workers, "readers that work ahead; 0: read when needed", 0, 256).group("Data");
  a.text("--labels", &d.labels,
         "classes of the samples: a .npy of integers or a .txt (else `_label` in the .npz, or sub-directories)")
      .group("Data");
  add_image_options(a, d);
}

bool exists(const std::string& path) noexcept {
  std::error_code failed;
  return fs::exists(path, failed);
}

bool is_directory(const std::string& path) noexcept {
  std::error_code failed;
  return fs::is_directory(path, failed);
}

result<void> refuse_overwrite(const std::string& option, const std::string& output,
                              const std::vector<named_file>& others) {
  if (output.empty()) return {};
  for (const named_file& other : others) {
    if (other.path.empty() || !io::same_file(output, other.path)) continue;
    return error{status::usage, "the output would replace " + other.what + ": " + io::escape_text(output), option,
                 "choose another file"};
  }
  return {};
}

result<result_directory> result_directory::make(const std::string& path) {
  result_directory d;
  for (fs::path p = path; !p.empty() && !exists(p.string()); p = p.parent_path())
    if (p.has_filename()) d.made_.push_back(p.string());
  std::error_code failed;
  if (!path.empty() && !is_directory(path)) fs::create_directories(path, failed);
  if (!failed) return d;
  return error{status::io, "cannot create the directory: " + failed.message(), io::escape_text(path), {}};
}

result_directory::~result_directory() {
  std::error_code full;
  for (const std::string& p : made_) fs::remove(p, full);
}

std::string stem_of(const std::string& path) {
  return fs::path(path).stem().string();
}

result<void> check_model_exists(const std::string& path) {
  if (exists(path)) return {};
  return error{status::not_found, "model file not found: " + io::escape_text(path), {}, {}};
}

result<std::shared_ptr<ir::model>> load_model(const std::string& path) {
  QUANTAL_CHECK(check_model_exists(path));
  QUANTAL_TRY(m, onnx::read_file(path));
  return std::make_shared<ir::model>(std::move(m));
}

void add_lint_options(args& a, data_options& d, pipeline::quantize_config& c) {
  a.integer("--min-samples", &c.min_samples, "fewer calibration samples than this are a warning", 0, INT64_C(1) << 40)
      .group("Data");
  a.text("--eval-data", &d.evaluation,
         "held-out samples: warn where --data differs from them (a dataset .yaml: its other split); needs --data")
      .group("Data");
}

void add_method_options(args& a, pipeline::quantize_config& c, std::int64_t& bins) {
  a.real("--percentile", &c.percentile, "of the percentile observers, in percent: above 0, at most 100")
      .group("Recipe");
  a.real("--stddev", &c.stddev, "of the stddev observer: how many standard deviations").group("Recipe");
  a.real("--scale", &c.scale, "of the scale observer: share of the largest magnitude").group("Recipe");
  a.integer("--bins", &bins, "of histogram observers; 0: the observer's own", 0, 1 << 20).group("Recipe");
}

namespace {
data::source_options source_options_of(const data_options& d) {
  data::source_options options;
  options.batch_size = d.batch_size;
  options.max_feeds = d.num_calib_batches;
  options.workers = static_cast<std::int32_t>(d.workers);
  options.labels = d.labels;
  options.split = d.split;
  options.image = d.image;
  return options;
}
}  // namespace

result<std::unique_ptr<data::source>> open_evaluation(const data_options& d, const ir::model& m) {
  if (d.evaluation.empty()) return std::unique_ptr<data::source>();
  return data::open(d.evaluation, pipeline::fed_inputs(m), data::held_out(source_options_of(d)));
}

result<std::unique_ptr<data::source>> open_samples(const data_options& d, const ir::model& m) {
  return data::open(d.path, pipeline::fed_inputs(m), source_options_of(d));
}

}  // namespace quantal::cli
