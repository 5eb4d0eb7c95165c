// What `--data` names: a file or a directory of arrays, images, a dataset yaml, a list.
#include <algorithm>
#include <new>

#include "feed_reader.hpp"
#include "quantal/io/npy.hpp"
#include "quantal/io/path.hpp"
#include "quantal/io/text.hpp"

namespace quantal::data {

namespace {

result<std::vector<std::int64_t>> read_label_lines(const std::string& path) {
  constexpr std::uint64_t most = std::uint64_t{1} << 30;
  QUANTAL_TRY(bytes, io::read_file(path, most));
  std::string_view text(reinterpret_cast<const char*>(bytes.data), bytes.size);
  std::vector<std::int64_t> labels;
  for (std::size_t line = 1; !text.empty(); ++line) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view word = io::trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (word.empty() || word.front() == '#') continue;
    const auto value = io::parse_int(word);
    if (!value) {
      return error{status::data_format, "label " + io::quote(word.substr(0, 80)) + " is not an integer",
                   io::escape_text(path) + ": line " + std::to_string(line), "write one class number per line"};
    }
    labels.push_back(*value);
  }
  return labels;
}

result<std::unique_ptr<feed_reader>> open_directory(const std::string& path, const inputs_list& inputs) {
  QUANTAL_TRY(names, io::list_directory(path));
  std::vector<std::string> npz, npy;
  for (const std::string& name : names) {
    if (name.starts_with('.')) continue;
    const std::string extension = io::extension_of(name);
    if (extension == "npz") npz.push_back(io::join(path, name));
    if (extension == "npy") npy.push_back(io::join(path, name));
  }
  if (!npz.empty() && !npy.empty()) {
    return error{status::data_format, "directory holds .npz and .npy files", io::escape_text(path),
                 "keep one kind per directory"};
  }
  if (!npz.empty()) return open_feed_files(std::move(npz), inputs);
  if (!npy.empty()) return open_feed_files(std::move(npy), inputs);
  return error{status::data_missing, "directory holds no data", io::escape_text(path),
               "put .npz, .npy or image files into it"};
}

result<std::unique_ptr<feed_reader>> open_reader(const std::string& path, const inputs_list& inputs,
                                                 const source_options& options) {
  const std::string extension = io::extension_of(path);
  switch (io::kind_of(path)) {
    case io::path_kind::missing:
      return error{status::not_found, "data not found", io::escape_text(path), "give a file or a directory"};
    case io::path_kind::directory: return open_directory(path, inputs);
    case io::path_kind::other: return error{status::io, "data is not a file or a directory", io::escape_text(path), ""};
    case io::path_kind::regular: break;
  }
  if (extension == "npz" || extension == "npy") return open_array_file(path, inputs, options);
  return error{status::data_format, "unknown kind of data file", io::escape_text(path),
               "use .npz, .npy, a directory, .yaml or .txt"};
}

}  // namespace

result<std::vector<std::int64_t>> read_labels(const std::string& path) {
  if (io::extension_of(path) != "npy") return read_label_lines(path);
  QUANTAL_TRY(value, io::read_npy(path));
  const auto labels = class_labels(value);
  if (!labels || labels->dims().rank != 1) {
    return error{status::data_format, "labels must be integers along one axis", io::escape_text(path),
                 "save class numbers as int64"};
  }
  return std::vector<std::int64_t>(labels->as<std::int64_t>(), labels->as<std::int64_t>() + labels->elements());
}

result<std::unique_ptr<source>> open(const std::string& path, const std::vector<ir::value_info>& inputs,
                                     const source_options& options) {
  if (options.batch_size < 1) return error{status::usage, "--batch-size must be at least 1", "", ""};
  if (inputs.empty()) return error{status::data_format, "the model has no inputs to feed", "", ""};
  try {
    QUANTAL_TRY(reader, open_reader(path, inputs, options));
    return read_ahead(std::move(reader), options);
  } catch (const std::bad_alloc&) {
    return error{status::out_of_memory, "out of memory while opening data", io::escape_text(path), ""};
  }
}

}  // namespace quantal::data
