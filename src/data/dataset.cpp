#include "quantal/data/dataset.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>

#include "quantal/io/text.hpp"

namespace quantal::data {

namespace {

constexpr std::size_t most_yaml_bytes = std::size_t{1} << 22;
constexpr std::size_t most_classes = 100'000;
constexpr std::size_t most_entries = 10'000;

error bad(const std::string& what) {
  return {status::data_format, "dataset yaml: " + what, "", "it needs train, val and names; see docs/data.md"};
}

// yaml-cpp's parser recurses with the nesting; data sets nest two levels.
bool nests_too_deep(std::string_view yaml) {
  std::size_t open = 0, indents = 0, last = 0;
  for (std::size_t at = 0; at < yaml.size(); ++at) {
    if (yaml[at] == '[' || yaml[at] == '{') ++open;
    if ((yaml[at] == ']' || yaml[at] == '}') && open > 0) --open;
    if (open > 32) return true;
    if (yaml[at] != '\n') continue;
    const std::size_t text = yaml.find_first_not_of(" -?:\t", at + 1);
    const std::size_t indent = text == std::string_view::npos ? 0 : text - at - 1;
    indents = indent > last ? indents + 1 : 0;
    last = indent;
    if (indents > 32 || indent > 512) return true;
  }
  return yaml.find_first_not_of(" -?:\t") > 512 && yaml.find_first_not_of(" -?:\t") != std::string_view::npos;
}

result<std::vector<std::string>> read_texts(const YAML::Node& node, const char* key) {
  std::vector<std::string> texts;
  if (!node || node.IsNull()) return texts;
  if (node.IsScalar()) return std::vector<std::string>{node.Scalar()};
  if (!node.IsSequence()) return bad(std::string(key) + " is not a path or a list of paths");
  if (node.size() > most_entries) return error{status::limit, "dataset yaml: too many paths", "", ""};
  for (const YAML::Node& item : node) {
    if (!item.IsScalar()) return bad(std::string(key) + " is not a list of paths");
    texts.push_back(item.Scalar());
  }
  return texts;
}

result<std::vector<std::string>> read_names(const YAML::Node& node) {
  if (!node || node.IsNull()) return std::vector<std::string>();
  if (node.size() > most_classes) return error{status::limit, "dataset yaml: too many classes", "", ""};
  if (node.IsSequence()) return read_texts(node, "names");
  if (!node.IsMap()) return bad("names is not a list or a map");
  std::vector<std::string> names(node.size());
  std::vector<bool> given(node.size());
  for (const auto& item : node) {
    if (!item.first.IsScalar() || !item.second.IsScalar()) return bad("names is not a map of numbers to names");
    const auto number = io::parse_int(item.first.Scalar());
    if (!number || *number < 0 || static_cast<std::size_t>(*number) >= names.size() ||
        given[static_cast<std::size_t>(*number)]) {
      return bad("names must be numbered 0, 1, 2, ... without gaps, found " + io::quote(item.first.Scalar()));
    }
    given[static_cast<std::size_t>(*number)] = true;
    names[static_cast<std::size_t>(*number)] = item.second.Scalar();
  }
  return names;
}

result<dataset> read_dataset(const YAML::Node& root) {
  if (!root.IsMap()) return bad("not a map");
  dataset d;
  if (root["path"] && !root["path"].IsNull()) {
    if (!root["path"].IsScalar()) return bad("path is not a text");
    d.path = root["path"].Scalar();
  }
  QUANTAL_TRY(train, read_texts(root["train"], "train"));
  QUANTAL_TRY(val, read_texts(root["val"], "val"));
  QUANTAL_TRY(names, read_names(root["names"]));
  d.train = std::move(train);
  d.val = std::move(val);
  d.names = std::move(names);
  if (d.train.empty() && d.val.empty()) return bad("neither train nor val");
  return d;
}

}  // namespace

result<dataset> parse_dataset(std::string_view yaml) {
  if (yaml.size() > most_yaml_bytes) return error{status::limit, "dataset yaml is above the limit of 4 MB", "", ""};
  if (!io::is_utf8(yaml)) return bad("not UTF-8 text");
  if (nests_too_deep(yaml)) return error{status::limit, "dataset yaml nests too deep", "", ""};
  try {
    return read_dataset(YAML::Load(std::string(yaml)));
  } catch (const YAML::Exception& e) {
    return bad(io::escape_text(e.what(), 200));
  }
}

result<std::vector<list_entry>> parse_list(std::string_view text) {
  std::vector<list_entry> entries;
  for (std::size_t line = 1; !text.empty(); ++line) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view row = io::trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (row.empty() || row.front() == '#') continue;
    if (row.size() > 4096 || row.find('\0') != std::string_view::npos) {
      return error{status::data_format, "not a file name", "line " + std::to_string(line), "write one path per line"};
    }
    list_entry entry;
    const std::size_t blank = row.find_last_of(" \t");
    if (blank != std::string_view::npos) {
      const auto label = io::parse_int(row.substr(blank + 1));
      if (label && *label >= 0) {
        entry.label = *label;
        row = io::trim(row.substr(0, blank));
      }
    }
    entry.path = row;
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace quantal::data
