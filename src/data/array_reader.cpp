// One .npz or .npy that holds all samples: each array is a stream that is cut from front to back.
//
//   model input [N, 3, H, W]   array [1000, 3, H, W]      samples: batches of --batch-size (or of the model's fixed N)
//                              array [20, 8, 3, H, W]     feeds: 20 of them, as they are
// All arrays of a file are cut the same way; an input of rank 0 gets the same scalar in each feed. A Fortran-order
// array is held in memory whole (io/npy.hpp), any other by one batch.
#include <algorithm>
#include <cstring>

#include "feed_reader.hpp"
#include "quantal/data/convert.hpp"
#include "quantal/io/npy.hpp"
#include "quantal/io/path.hpp"
#include "quantal/io/text.hpp"

namespace quantal::data {

namespace {

enum class cut { samples, feeds, scalar };

// An array of the file and the input it feeds.
struct column {
  ir::value_info input;
  cut how = cut::samples;
  std::int64_t batch = 1;  // samples per feed
  bool fixed = false;      // the model fixes the batch: short ones are filled
  shape dims;
  std::optional<io::npy_reader> stream;
  tensor_buffer scalar;
};

std::int64_t feeds_of(const column& c) {
  if (c.how == cut::scalar) return -1;
  const std::int64_t count = c.dims[0];
  return c.how == cut::feeds ? count : count / c.batch + (count % c.batch != 0 ? 1 : 0);
}

// Opens the arrays of one file by name: an .npz, or an .npy as its only array.
class array_file {
 public:
  static result<array_file> open(const std::string& path, const inputs_list& inputs) {
    array_file file;
    QUANTAL_TRY(raw, io::random_file::open(path));
    file.file_ = std::make_shared<const io::random_file>(std::move(raw));
    file.where_ = io::escape_text(path);
    if (io::extension_of(path) == "npy") {
      if (inputs.size() != 1) {
        return error{status::data_format,
                     "a .npy holds one array, the model has " + std::to_string(inputs.size()) + " inputs", file.where_,
                     "use an .npz with one array per input"};
      }
      file.only_ = inputs[0].name;
      return file;
    }
    QUANTAL_TRY(npz, io::npz_file::open(file.file_));
    for (const std::string& name : npz.names()) {
      const bool known = std::any_of(inputs.begin(), inputs.end(), [&](const auto& i) { return i.name == name; });
      if (!known && !name.starts_with('_')) return unknown(name, inputs, file.where_);
    }
    file.npz_ = std::move(npz);
    return file;
  }

  bool has(const std::string& name) const { return npz_ ? npz_->has(name) : name == only_; }
  result<io::npy_reader> array(const std::string& name) const {
    return npz_ ? npz_->array(name) : io::npy_reader::open(io::stream_of(file_));
  }
  const std::string& where() const { return where_; }

 private:
  static error unknown(const std::string& name, const inputs_list& inputs, const std::string& where) {
    std::string names;
    for (const auto& i : inputs) names += (names.empty() ? "" : ", ") + io::quote(i.name);
    return {status::data_format, "array " + io::quote(name) + " is not an input of the model", where,
            "name the arrays as the inputs (" + names + "), or begin other names with '_'"};
  }
  std::shared_ptr<const io::random_file> file_;
  std::optional<io::npz_file> npz_;
  std::string only_, where_;
};

error missing(const ir::value_info& input, const std::string& where) {
  return {status::data_missing, "no array for input " + io::quote(input.name), where,
          "the model wants it with shape " + text_of(input.type)};
}

class array_reader final : public feed_reader {
 public:
  explicit array_reader(array_file file) : file_(std::move(file)) {}

  result<void> plan(const inputs_list& inputs, const source_options& options) {
    for (const ir::value_info& input : inputs) {
      if (!file_.has(input.name)) return missing(input, file_.where());
      QUANTAL_TRY(reader, file_.array(input.name));
      column c;
      c.input = input;
      c.dims = reader.dims();
      QUANTAL_CHECK(plan_column(c, options));
      if (c.how == cut::scalar) {
        QUANTAL_TRY(value, reader.read_tensor(reader.dims()));
        c.scalar = std::move(value);
      }
      columns_.push_back(std::move(c));
    }
    QUANTAL_CHECK(agree());
    return plan_labels();
  }

  std::int64_t feeds() const override { return feeds_; }
  std::int64_t samples() const override { return samples_before(feeds_); }
  std::int64_t samples_before(std::int64_t feed) const override {
    if (lead().how == cut::samples) return std::min(feed * lead().batch, lead().dims[0]);
    return feed * samples_in_feed();
  }
  bool random_access() const override { return false; }

  result<std::unique_ptr<feed>> read(std::int64_t index) override {
    if (index == 0) QUANTAL_CHECK(reopen());
    auto f = std::make_unique<feed>();
    const std::int64_t first = samples_before(index);
    f->samples = samples_before(index + 1) - first;
    f->origin =
        file_.where() + ": " +
        (lead().how == cut::samples ? "samples " + std::to_string(first) + ".." + std::to_string(first + f->samples - 1)
                                    : "feed " + std::to_string(index));
    for (column& c : columns_) {
      QUANTAL_TRY(value, next_of(c, index, f->origin));
      QUANTAL_TRY(fitting, fit(c.input, std::move(value), f->origin));
      f->inputs.emplace_back(c.input.name, std::move(fitting));
    }
    if (labels_) f->label = label_part(first, f->samples);
    return f;
  }

 private:
  // The column that tells how many samples there are: the first one that is cut.
  const column& lead() const { return columns_[lead_]; }
  std::int64_t samples_in_feed() const { return lead().dims.rank > 1 ? lead().dims[1] : 1; }

  result<void> plan_column(column& c, const source_options& options) const {
    const auto& type = c.input.type;
    const std::int32_t rank = type.has_rank() ? static_cast<std::int32_t>(type.dims->size()) : c.dims.rank;
    if (c.dims.rank == 0 && rank == 0) {
      c.how = cut::scalar;
      return {};
    }
    if (c.dims.rank != rank && c.dims.rank != rank + 1) {
      return error{status::data_shape, "array of shape " + text_of(c.dims) + " where the model wants " + text_of(type),
                   file_.where() + ": input " + io::quote(c.input.name),
                   "the first axis counts samples; one axis more counts feeds"};
    }
    c.how = c.dims.rank == rank ? cut::samples : cut::feeds;
    if (c.how == cut::samples) c.batch = batch_of(c.input, options.batch_size, c.fixed);
    if (c.batch < 1)
      return error{status::data_shape, "the model wants batches of 0 samples", io::quote(c.input.name), ""};
    return {};
  }

  result<void> agree() {
    lead_ = columns_.size();
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const column& c = columns_[i];
      if (c.how == cut::scalar) continue;
      if (lead_ == columns_.size()) lead_ = i;
      const column& first = columns_[lead_];
      const bool same = c.how == first.how && feeds_of(c) == feeds_of(first) &&
                        (c.how == cut::feeds || c.batch != first.batch || c.dims[0] == first.dims[0]);
      if (same) continue;
      return error{status::data_shape,
                   "arrays " + io::quote(first.input.name) + " " + text_of(first.dims) + " and " +
                       io::quote(c.input.name) + " " + text_of(c.dims) + " do not hold the same number of " +
                       (first.how == cut::feeds ? "feeds" : "samples"),
                   file_.where(), "all arrays of a file are cut along their first axis together"};
    }
    if (lead_ == columns_.size()) {
      return error{status::data_missing, "no array counts samples: all are scalars", file_.where(), "add a first axis"};
    }
    feeds_ = feeds_of(lead());
    if (feeds_ == 0) return error{status::data_missing, "the arrays hold no samples", file_.where(), ""};
    return {};
  }

  result<void> plan_labels() {
    const std::string name = "_label";
    if (!file_.has(name) ||
        std::any_of(columns_.begin(), columns_.end(), [&](auto& c) { return c.input.name == name; }))
      return {};
    QUANTAL_TRY(reader, file_.array(name));
    if (!is_integer(reader.type()) && reader.type() != dtype::boolean) return {};
    const shape& d = reader.dims();
    const bool feed_rows = lead().how == cut::feeds && d.rank == 2;
    if (d.rank != 1 && !feed_rows) return {};  // boxes or sequences, not classes
    if (d.elements() != samples()) {
      return error{status::data_shape,
                   std::to_string(d.elements()) + " labels for " + std::to_string(samples()) + " samples",
                   file_.where() + ": _label", "_label needs one class per sample"};
    }
    QUANTAL_TRY(value, reader.read_tensor(d));
    labels_ = class_labels(value.reshaped(shape(d.elements())));
    return {};
  }

  tensor_buffer label_part(std::int64_t first, std::int64_t count) const {
    const std::int64_t* from = labels_->as<std::int64_t>() + first;
    return tensor_buffer::of<std::int64_t>(shape(count), {from, from + count});
  }

  result<void> reopen() {
    for (column& c : columns_) {
      if (c.how == cut::scalar) continue;
      QUANTAL_TRY(reader, file_.array(c.input.name));
      c.stream = std::move(reader);
    }
    return {};
  }

  result<tensor_buffer> next_of(column& c, std::int64_t index, const std::string& origin) const {
    if (c.how == cut::scalar) return c.scalar;
    shape part = c.dims;
    if (c.how == cut::feeds) {
      part = shape();
      for (std::int32_t i = 1; i < c.dims.rank; ++i) part.push_back(c.dims[i]);
      return with_origin(c.stream->read_tensor(part), origin);
    }
    const std::int64_t count = std::min(c.batch, c.dims[0] - index * c.batch);
    part[0] = c.fixed ? c.batch : count;
    if (part[0] == count) return with_origin(c.stream->read_tensor(part), origin);
    QUANTAL_TRY(batch, tensor_buffer::make(c.stream->type(), part));
    auto filled = c.stream->read(batch.mutable_data(), static_cast<std::uint64_t>(count * part.elements(1, part.rank)));
    if (!filled) return std::move(filled).failure().at(origin);
    repeat_last(batch, count);
    return std::move(batch);
  }

  static result<tensor_buffer> with_origin(result<tensor_buffer> got, const std::string& origin) {
    if (!got) return std::move(got).failure().at(origin);
    return got;
  }

  array_file file_;
  std::vector<column> columns_;
  std::size_t lead_ = 0;
  std::int64_t feeds_ = 0;
  std::optional<tensor_buffer> labels_;
};

// Files that are one feed each.
class feed_files_reader final : public feed_reader {
 public:
  feed_files_reader(std::vector<std::string> paths, inputs_list inputs)
      : paths_(std::move(paths)), inputs_(std::move(inputs)) {}

  std::int64_t feeds() const override { return static_cast<std::int64_t>(paths_.size()); }
  std::int64_t samples() const override { return -1; }
  std::int64_t samples_before(std::int64_t) const override { return -1; }
  bool random_access() const override { return true; }

  result<std::unique_ptr<feed>> read(std::int64_t index) override {
    QUANTAL_TRY(file, array_file::open(paths_[static_cast<std::size_t>(index)], inputs_));
    auto f = std::make_unique<feed>();
    f->origin = file.where();
    for (const ir::value_info& input : inputs_) {
      if (!file.has(input.name)) return missing(input, file.where());
      QUANTAL_TRY(reader, file.array(input.name));
      QUANTAL_TRY(value, reader.read_tensor(reader.dims()));
      QUANTAL_TRY(fitting, fit(input, std::move(value), f->origin));
      if (f->inputs.empty() && fitting.dims().rank > 0) f->samples = fitting.dims()[0];
      f->inputs.emplace_back(input.name, std::move(fitting));
    }
    if (file.has("_label")) QUANTAL_CHECK(put_label(file, *f));
    return f;
  }

 private:
  static result<void> put_label(const array_file& file, feed& f) {
    for (const auto& [name, value] : f.inputs) {
      if (name == "_label") return {};
    }
    QUANTAL_TRY(reader, file.array("_label"));
    if (reader.dims().rank > 1) return {};
    QUANTAL_TRY(value, reader.read_tensor(reader.dims()));
    auto labels = class_labels(value);
    if (!labels) return {};
    if (labels->elements() != f.samples) {
      return error{status::data_shape,
                   std::to_string(labels->elements()) + " labels for " + std::to_string(f.samples) + " samples",
                   file.where() + ": _label", "_label needs one class per sample"};
    }
    f.label = labels->reshaped(shape(f.samples));
    return {};
  }

  std::vector<std::string> paths_;
  inputs_list inputs_;
};

}  // namespace

std::int64_t batch_of(const ir::value_info& input, std::int64_t batch_size, bool& fixed) {
  fixed = input.type.has_rank() && !input.type.dims->empty() && input.type.dims->front().known();
  return fixed ? input.type.dims->front().value : batch_size;
}

void repeat_last(tensor_buffer& batch, std::int64_t count) {
  const std::int64_t all = batch.dims()[0];
  if (count < 1 || count >= all) return;
  const std::size_t bytes = batch.bytes() / static_cast<std::size_t>(all);
  auto* data = batch.mutable_as<unsigned char>();
  for (std::int64_t i = count; i < all; ++i) {
    std::memcpy(data + static_cast<std::size_t>(i) * bytes, data + static_cast<std::size_t>(count - 1) * bytes, bytes);
  }
}

std::optional<tensor_buffer> class_labels(const tensor_buffer& value) {
  if (value.dims().rank > 1 || !(is_integer(value.type()) || value.type() == dtype::boolean)) return std::nullopt;
  auto labels = convert(value, dtype::s64);
  if (!labels) return std::nullopt;
  return std::move(*labels);
}

result<std::unique_ptr<feed_reader>> open_array_file(const std::string& path, const inputs_list& inputs,
                                                     const source_options& options) {
  QUANTAL_TRY(file, array_file::open(path, inputs));
  auto reader = std::make_unique<array_reader>(std::move(file));
  QUANTAL_CHECK(reader->plan(inputs, options));
  return std::unique_ptr<feed_reader>(std::move(reader));
}

result<std::unique_ptr<feed_reader>> open_feed_files(std::vector<std::string> paths, const inputs_list& inputs) {
  return std::unique_ptr<feed_reader>(std::make_unique<feed_files_reader>(std::move(paths), inputs));
}

}  // namespace quantal::data
