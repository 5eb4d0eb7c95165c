// What `--data` names: a file or a directory of arrays, images, a dataset yaml, a list.
#include <algorithm>
#include <new>

#include "feed_reader.hpp"
#include "quantal/data/dataset.hpp"
#include "quantal/data/image.hpp"
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

// Where a name in a list or yaml is: absolute names stay, others are below `base`.
std::string resolve(const std::string& base, const std::string& name) {
  return name.starts_with('/') ? name : io::join(base, name);
}

result<std::string> read_text(const std::string& path) {
  QUANTAL_TRY(bytes, io::read_file(path, std::uint64_t{1} << 30));
  return std::string(reinterpret_cast<const char*>(bytes.data), bytes.size);
}

// What was found under the name(s) given: images, or files of arrays.
struct findings {
  image_list images;
  std::vector<std::string> npz, npy;
};

result<void> find_in_directory(const std::string& path, findings& out) {
  QUANTAL_TRY(names, io::list_directory(path));
  for (const std::string& name : names) {
    if (name.starts_with('.')) continue;
    const std::string extension = io::extension_of(name);
    if (extension == "npz") out.npz.push_back(io::join(path, name));
    if (extension == "npy") out.npy.push_back(io::join(path, name));
  }
  QUANTAL_TRY(images, find_images(path, out.images.names));
  out.images.paths.insert(out.images.paths.end(), images.paths.begin(), images.paths.end());
  out.images.classes.insert(out.images.classes.end(), images.classes.begin(), images.classes.end());
  if (out.images.names.empty() && !images.paths.empty()) out.images.names = std::move(images.names);
  return {};
}

result<void> find_in_list(const std::string& path, findings& out) {
  QUANTAL_TRY(text, read_text(path));
  auto entries = parse_list(text);
  if (!entries) return std::move(entries).failure().at(io::escape_text(path));
  const std::string base = io::directory_of(path);
  for (const list_entry& entry : *entries) {
    const std::string file = resolve(base, entry.path);
    const std::string extension = io::extension_of(file);
    if (extension == "npz")
      out.npz.push_back(file);
    else if (extension == "npy")
      out.npy.push_back(file);
    else if (is_image_name(file)) {
      out.images.paths.push_back(file);
      out.images.classes.push_back(entry.label);
    } else {
      return error{status::data_format, io::quote(entry.path) + " is not an image or array file", io::escape_text(path),
                   "list png, jpg, bmp, npz or npy files, one a line"};
    }
  }
  return {};
}

// One place of a data set: a directory, a list, or a file that is one sample.
result<void> find(const std::string& path, findings& out) {
  const std::string extension = io::extension_of(path);
  switch (io::kind_of(path)) {
    case io::path_kind::missing:
      return error{status::not_found, "data not found", io::escape_text(path), "give a file or a directory"};
    case io::path_kind::directory: return find_in_directory(path, out);
    case io::path_kind::other: return error{status::io, "data is not a file or a directory", io::escape_text(path), ""};
    case io::path_kind::regular: break;
  }
  if (extension == "txt") return find_in_list(path, out);
  if (is_image_name(path)) {
    out.images.paths.push_back(path);
    out.images.classes.push_back(-1);
    return {};
  }
  if (extension == "npz")
    out.npz.push_back(path);
  else if (extension == "npy")
    out.npy.push_back(path);
  else {
    return error{status::data_format, "unknown kind of data file", io::escape_text(path),
                 "use .npz, .npy, .txt, .yaml, an image or a directory"};
  }
  return {};
}

result<void> find_in_yaml(const std::string& path, const std::string& split, findings& out) {
  QUANTAL_TRY(text, read_text(path));
  auto described = parse_dataset(text);
  if (!described) return std::move(described).failure().at(io::escape_text(path));
  if (split != "train" && split != "val")
    return error{status::usage, "unknown split " + io::quote(split), "", "use --split train or val"};
  const auto& places = split == "train" ? described->train : described->val;
  if (places.empty())
    return error{status::data_missing, "the dataset has no " + split, io::escape_text(path), "use the other --split"};
  out.images.names = described->names;
  const std::string base = resolve(io::directory_of(path), described->path);
  for (const std::string& place : places) QUANTAL_CHECK(find(resolve(base, place), out));
  return {};
}

result<std::unique_ptr<feed_reader>> open_findings(findings found, const std::string& path, const inputs_list& inputs,
                                                   const source_options& options) {
  const int kinds = (found.npz.empty() ? 0 : 1) + (found.npy.empty() ? 0 : 1) + (found.images.paths.empty() ? 0 : 1);
  if (kinds == 0) {
    return error{status::data_missing, "there is no data here", io::escape_text(path),
                 "put .npz, .npy or image files into it"};
  }
  if (kinds > 1) {
    return error{status::data_format, "several kinds of data (images, .npz, .npy) together", io::escape_text(path),
                 "keep one kind"};
  }
  if (!found.images.paths.empty()) return open_images(std::move(found.images), inputs, options);
  return open_feed_files(std::move(found.npz.empty() ? found.npy : found.npz), inputs);
}

result<std::unique_ptr<feed_reader>> open_reader(const std::string& path, const inputs_list& inputs,
                                                 const source_options& options) {
  const std::string extension = io::extension_of(path);
  const bool file = io::kind_of(path) == io::path_kind::regular;
  if (file && (extension == "npz" || extension == "npy")) return open_array_file(path, inputs, options);
  findings found;
  if (file && (extension == "yaml" || extension == "yml")) {
    QUANTAL_CHECK(find_in_yaml(path, options.split, found));
  } else {
    QUANTAL_CHECK(find(path, found));
  }
  return open_findings(std::move(found), path, inputs, options);
}

}  // namespace

error bad_data(error e) {
  switch (e.code) {
    case status::model_syntax:
    case status::limit:
    case status::bomb:
    case status::path:
    case status::unsupported: e.code = status::data_format; break;
    default: break;
  }
  return e;
}

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

source_options held_out(source_options options) {
  options.labels.clear();
  options.split = options.split == "val" ? "train" : "val";
  return options;
}

std::vector<std::string> unread_options(const image_options& given, const source* samples, const source* evaluation) {
  std::vector<std::string> lines;
  for (const source* opened : {samples, evaluation})
    if (opened != nullptr && opened->images()) return lines;
  const std::pair<bool, const char*> options[] = {{!given.imgsz.empty(), "--imgsz"},
                                                  {!given.layout.empty(), "--layout"},
                                                  {!given.mean.empty(), "--mean"},
                                                  {!given.std.empty(), "--std"},
                                                  {!given.value_range.empty(), "--value-range"},
                                                  {!given.color.empty(), "--color"},
                                                  {given.letterbox, "--letterbox"}};
  for (const auto& [is_given, option] : options)
    if (is_given) lines.push_back(std::string(option) + " has no effect: no images are read");
  return lines;
}

result<std::unique_ptr<source>> open(const std::string& path, const std::vector<ir::value_info>& inputs,
                                     const source_options& options) {
  if (options.batch_size < 1) return error{status::usage, "--batch-size must be at least 1", "", ""};
  if (inputs.empty()) return error{status::data_format, "the model has no inputs to feed", "", ""};
  try {
    auto reader = open_reader(path, inputs, options);
    if (!reader) return bad_data(std::move(reader).failure());
    auto opened = read_ahead(*std::move(reader), options);
    if (!opened) return bad_data(std::move(opened).failure());
    return opened;
  } catch (const std::bad_alloc&) {
    return error{status::out_of_memory, "out of memory while opening data", io::escape_text(path), ""};
  }
}

}  // namespace quantal::data
