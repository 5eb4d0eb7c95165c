// Images as feeds: a batch of files is read, decoded and laid out by one worker.
#include <algorithm>

#include "feed_reader.hpp"
#include "quantal/data/convert.hpp"
#include "quantal/data/image.hpp"
#include "quantal/io/file.hpp"
#include "quantal/io/path.hpp"
#include "quantal/io/text.hpp"

namespace quantal::data {

namespace {

constexpr std::uint64_t most_image_bytes = std::uint64_t{1} << 28;
constexpr int deepest = 16;  // nested directories; ends loops of links

class image_reader final : public feed_reader {
 public:
  image_reader(image_list images, ir::value_info input, image_plan plan, std::int64_t batch, bool fixed)
      : images_(std::move(images)), input_(std::move(input)), plan_(std::move(plan)), batch_(batch), fixed_(fixed) {}

  std::int64_t feeds() const override { return (count() + batch_ - 1) / batch_; }
  std::int64_t samples() const override { return count(); }
  std::int64_t samples_before(std::int64_t feed) const override { return std::min(feed * batch_, count()); }
  bool random_access() const override { return true; }
  std::vector<std::string> class_names() const override { return images_.names; }
  bool images() const override { return true; }

  result<std::unique_ptr<feed>> read(std::int64_t index) override {
    const std::int64_t first = samples_before(index), last = samples_before(index + 1);
    auto f = std::make_unique<feed>();
    f->samples = last - first;
    f->origin = io::escape_text(path(first));
    if (f->samples > 1) f->origin += " .. " + io::escape_text(io::file_name_of(path(last - 1)));
    std::vector<float> values;
    shape dims;
    std::vector<std::int64_t> labels;
    for (std::int64_t i = first; i < last; ++i) {
      QUANTAL_TRY(bytes, io::read_file(path(i), most_image_bytes));
      QUANTAL_TRY(picture, decode_image(bytes.span(), io::escape_text(path(i))));
      const std::int64_t height = plan_.height > 0 ? plan_.height : picture.height;
      const std::int64_t width = plan_.height > 0 ? plan_.width : picture.width;
      dims = plan_.nhwc ? shape(fixed_ ? batch_ : f->samples, height, width, plan_.channels)
                        : shape(fixed_ ? batch_ : f->samples, plan_.channels, height, width);
      append_values(plan_, picture, values);
      QUANTAL_CHECK(add_class(i, *f, labels));
    }
    QUANTAL_TRY(batch, tensor_buffer::make(dtype::f32, dims));
    std::copy(values.begin(), values.end(), batch.mutable_as<float>());
    repeat_last(batch, f->samples);
    QUANTAL_TRY(typed, to_input_type(batch));
    f->inputs.emplace_back(input_.name, std::move(typed));
    if (labels.size() == static_cast<std::size_t>(f->samples))
      f->label = tensor_buffer::of<std::int64_t>(shape(f->samples), labels);
    return f;
  }

 private:
  std::int64_t count() const { return static_cast<std::int64_t>(images_.paths.size()); }
  const std::string& path(std::int64_t i) const { return images_.paths[static_cast<std::size_t>(i)]; }

  result<void> add_class(std::int64_t i, feed& f, std::vector<std::int64_t>& labels) const {
    const std::int64_t label = images_.classes.empty() ? -1 : images_.classes[static_cast<std::size_t>(i)];
    if (label >= 0) {
      labels.push_back(label);
      return {};
    }
    QUANTAL_TRY(objects, object_classes(path(i)));
    f.classes.insert(f.classes.end(), objects.begin(), objects.end());
    return {};
  }

  // Values were rounded when the table was made; only the range of an integer type is left to check.
  result<tensor_buffer> to_input_type(const tensor_buffer& batch) const {
    if (is_float(plan_.type)) return fit(input_, batch, "images");
    QUANTAL_TRY(whole, tensor_buffer::make(dtype::s64, batch.dims()));
    for (std::int64_t i = 0; i < batch.elements(); ++i)
      whole.mutable_as<std::int64_t>()[i] = static_cast<std::int64_t>(batch.as<float>()[i]);
    return fit(input_, whole, "images");
  }

  image_list images_;
  ir::value_info input_;
  image_plan plan_;
  std::int64_t batch_;
  bool fixed_;
};

result<void> collect(const std::string& directory, std::int64_t label, int depth, image_list& out) {
  if (depth > deepest) return error{status::limit, "directories nest too deep", io::escape_text(directory), ""};
  QUANTAL_TRY(names, io::list_directory(directory));
  for (const std::string& name : names) {
    if (name.starts_with('.')) continue;
    const std::string path = io::join(directory, name);
    if (is_image_name(name)) {
      out.paths.push_back(path);
      out.classes.push_back(label);
    } else if (io::kind_of(path) == io::path_kind::directory) {
      QUANTAL_CHECK(collect(path, label, depth + 1, out));
    }
  }
  return {};
}

}  // namespace

result<image_list> find_images(const std::string& directory, const std::vector<std::string>& names) {
  QUANTAL_TRY(entries, io::list_directory(directory));
  image_list out;
  out.names = names;
  std::vector<std::string> folders;
  bool flat = false;
  for (const std::string& name : entries) {
    if (name.starts_with('.')) continue;
    flat = flat || is_image_name(name);
    if (!is_image_name(name) && io::kind_of(io::join(directory, name)) == io::path_kind::directory)
      folders.push_back(name);
  }
  if (flat) {
    QUANTAL_CHECK(collect(directory, -1, 0, out));
    return out;
  }
  if (names.empty()) out.names = folders;
  for (const std::string& folder : folders) {
    const auto named = std::find(out.names.begin(), out.names.end(), folder);
    const std::int64_t label = named == out.names.end() ? -1 : named - out.names.begin();
    QUANTAL_CHECK(collect(io::join(directory, folder), label, 1, out));
  }
  return out;
}

result<std::vector<std::int64_t>> object_classes(const std::string& image_path) {
  std::vector<std::int64_t> classes;
  constexpr std::string_view images = "/images/";
  const std::size_t at = image_path.rfind(images);
  const std::size_t dot = image_path.rfind('.');
  if (at == std::string::npos || dot == std::string::npos || dot < at) return classes;
  const std::string path =
      image_path.substr(0, at) + "/labels/" + image_path.substr(at + images.size(), dot - at - images.size()) + ".txt";
  if (io::kind_of(path) != io::path_kind::regular) return classes;
  QUANTAL_TRY(bytes, io::read_file(path, std::uint64_t{1} << 24));
  std::string_view text(reinterpret_cast<const char*>(bytes.data), bytes.size);
  for (std::size_t line = 1; !text.empty(); ++line) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view row = io::trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (row.empty()) continue;
    const auto id = io::parse_int(row.substr(0, row.find_first_of(" \t")));
    if (!id || *id < 0) {
      return error{status::data_format, "label line does not begin with a class number",
                   io::escape_text(path) + ": line " + std::to_string(line), "write 'class x y width height'"};
    }
    classes.push_back(*id);
  }
  return classes;
}

result<std::unique_ptr<feed_reader>> open_images(image_list images, const inputs_list& inputs,
                                                 const source_options& options) {
  if (inputs.size() != 1) {
    return error{status::data_format, "images for a model with " + std::to_string(inputs.size()) + " inputs", "",
                 "use .npz files with one array per input"};
  }
  QUANTAL_TRY(plan, plan_images(inputs[0], options.image));
  bool fixed = false;
  std::int64_t batch = batch_of(inputs[0], options.batch_size, fixed);
  if (plan.height == 0) {  // every image in its own size: one per feed
    if (fixed && batch != 1) {
      return error{status::usage, "a fixed batch of " + std::to_string(batch) + " needs images of one size", "",
                   "give --imgsz"};
    }
    batch = 1;
  }
  if (batch < 1)
    return error{status::data_shape, "the model wants batches of 0 samples", io::quote(inputs[0].name), ""};
  return std::unique_ptr<feed_reader>(
      std::make_unique<image_reader>(std::move(images), inputs[0], std::move(plan), batch, fixed));
}

}  // namespace quantal::data
