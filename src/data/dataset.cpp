// The part of YAML 1.2 that dataset files use, read line by line, so that the library needs no YAML library at run
// time: top-level keys whose value is a plain or quoted scalar, a list ("- a" lines or [a, b]) or a map of scalars
// ("0: a" lines or {0: a}). Other keys are skipped with everything indented below them (scripts in `download: |`).
// Anchors, aliases, tags and block scalars in the keys that are read are errors. No recursion.
#include "quantal/data/dataset.hpp"

#include <algorithm>
#include <optional>

#include "quantal/io/text.hpp"

namespace quantal::data {

namespace {

constexpr std::size_t most_yaml_bytes = std::size_t{1} << 22;
constexpr std::size_t most_items = 100'000;

error bad(const std::string& what) {
  return {status::data_format, "dataset yaml: " + what, "", "it needs train, val and names; see docs/data.md"};
}

// A value: empty, one scalar, a list (items without keys) or a map.
struct yaml_value {
  enum class kind { none, scalar, list, map } of = kind::none;
  std::string text;
  std::vector<std::pair<std::string, std::string>> items;
};

// Reads scalars off the front of a line. In a flow collection ("[a, b]") plain scalars end at , ] } too.
class scanner {
 public:
  explicit scanner(std::string_view text) : text_(text) {}

  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n')) ++at_;
  }
  bool at_end() {
    skip_blanks();
    return at_ == text_.size();
  }
  std::string_view rest() const { return text_.substr(at_); }
  bool take(char c) {
    skip_blanks();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  // `ends`: characters that end a plain scalar. ':' ends it where a blank or the end follows.
  bool scalar(std::string& out, std::string_view ends) {
    skip_blanks();
    if (at_ >= text_.size()) return false;
    const char first = text_[at_];
    if (first == '\'' || first == '"') return quoted(out, first);
    constexpr std::string_view indicators = "&*!|>%@`[]{},";
    if (indicators.find(first) != std::string_view::npos) return false;
    if ((first == '-' || first == '?') && (at_ + 1 == text_.size() || text_[at_ + 1] == ' ')) return false;
    const std::size_t begin = at_;
    while (at_ < text_.size() && ends.find(text_[at_]) == std::string_view::npos && !is_colon()) ++at_;
    out = io::trim(text_.substr(begin, at_ - begin));
    return !out.empty();
  }

 private:
  bool is_colon() const {
    if (text_[at_] != ':') return false;
    return at_ + 1 == text_.size() || std::string_view(" \t\n,]}").find(text_[at_ + 1]) != std::string_view::npos;
  }
  bool quoted(std::string& out, char quote) {
    out.clear();
    for (++at_; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == quote) {
        ++at_;
        if (quote == '"' || at_ >= text_.size() || text_[at_] != quote) return true;
        out += quote;  // '' is one quote
      } else if (c == '\\' && quote == '"') {
        ++at_;
        if (at_ >= text_.size() || (text_[at_] != '"' && text_[at_] != '\\' && text_[at_] != '/')) return false;
        out += text_[at_];
      } else {
        out += c;
      }
    }
    return false;
  }
  std::string_view text_;
  std::size_t at_ = 0;
};

// Cuts a comment off: '#' at the start or after a blank, outside quotes.
std::string_view without_comment(std::string_view line) {
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    const bool after_blank = i == 0 || line[i - 1] == ' ' || line[i - 1] == '\t';
    if (quote != 0) {
      if (quote == '"' && c == '\\')
        ++i;
      else if (c == quote)
        quote = 0;
    } else if (c == '#' && after_blank) {
      return line.substr(0, i);
    } else if ((c == '"' || c == '\'') &&
               (after_blank || line[i - 1] == '[' || line[i - 1] == '{' || line[i - 1] == ',')) {
      quote = c;
    }
  }
  return line;
}

bool read_flow(std::string_view text, yaml_value& out) {
  scanner in(text);
  const bool map = in.take('{');
  if (!map && !in.take('[')) return false;
  const char close = map ? '}' : ']';
  out.of = map ? yaml_value::kind::map : yaml_value::kind::list;
  while (!in.take(close)) {
    std::string key, value;
    if (map && (!in.scalar(key, ",]}") || !in.take(':'))) return false;
    if (!in.scalar(value, ",]}") || out.items.size() == most_items) return false;
    out.items.emplace_back(std::move(key), std::move(value));
    if (in.take(',')) continue;
    if (!in.take(close)) return false;
    break;
  }
  return in.at_end();
}

bool read_block(const std::vector<std::string_view>& lines, yaml_value& out) {
  const bool list = io::trim(lines.front()).starts_with('-');
  const std::size_t indent = lines.front().find_first_not_of(' ');
  out.of = list ? yaml_value::kind::list : yaml_value::kind::map;
  for (const std::string_view line : lines) {
    if (line.find_first_not_of(' ') != indent || out.items.size() == most_items) return false;
    scanner in(line.substr(indent));
    std::string key, value;
    if (list ? !in.take('-') : !in.scalar(key, "") || !in.take(':')) return false;
    if (!in.scalar(value, "") || !in.at_end()) return false;
    out.items.emplace_back(std::move(key), std::move(value));
  }
  return true;
}

// What stands after "key:" on its line, and the lines below it.
bool read_value(std::string_view rest, const std::vector<std::string_view>& below, yaml_value& out) {
  rest = io::trim(rest);
  if (rest.empty()) return below.empty() || read_block(below, out);
  if (rest.front() == '[' || rest.front() == '{') {
    std::string joined(rest);
    for (const std::string_view line : below) joined.append(" ").append(line);
    return read_flow(joined, out);
  }
  if (!below.empty()) return false;
  if (rest == "~" || rest == "null") return true;
  scanner in(rest);
  out.of = yaml_value::kind::scalar;
  return in.scalar(out.text, "") && in.at_end();
}

struct top_level {
  yaml_value path, train, val, names;
  yaml_value* find(std::string_view key) {
    return key == "path" ? &path : key == "train" ? &train : key == "val" ? &val : key == "names" ? &names : nullptr;
  }
};

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = without_comment(text.substr(0, end));
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t')) line.remove_suffix(1);
    lines.push_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

result<top_level> read_top(std::string_view yaml) {
  top_level top;
  const std::vector<std::string_view> lines = split_lines(yaml);
  std::vector<std::string> seen;
  for (std::size_t i = 0; i < lines.size();) {
    const std::string_view line = lines[i++];
    if (line.empty() || line == "---") continue;
    if (line == "...") break;
    const auto where = [&] { return "line " + std::to_string(i) + " " + io::quote(line.substr(0, 60)); };
    scanner in(line);
    std::string key;
    if (line.front() == ' ' || line.front() == '\t' || !in.scalar(key, "") || !in.take(':'))
      return bad("cannot read " + where());
    std::vector<std::string_view> below;
    for (; i < lines.size() &&
           (lines[i].empty() || lines[i].front() == ' ' || lines[i].front() == '\t' || lines[i].front() == '-');
         ++i) {
      if (lines[i] == "---") break;
      if (!lines[i].empty()) below.push_back(lines[i]);
    }
    yaml_value* wanted = top.find(key);
    if (wanted == nullptr) continue;
    if (std::find(seen.begin(), seen.end(), key) != seen.end()) return bad("key " + io::quote(key) + " twice");
    seen.push_back(key);
    const std::string_view rest = in.rest();
    if (!read_value(rest, below, *wanted)) return bad("cannot read the value of " + key + " at " + where());
  }
  return top;
}

result<std::vector<std::string>> texts_of(yaml_value value, const char* key) {
  if (value.of == yaml_value::kind::none) return std::vector<std::string>();
  if (value.of == yaml_value::kind::scalar) return std::vector<std::string>{value.text};
  if (value.of == yaml_value::kind::map) return bad(std::string(key) + " is not a path or a list of paths");
  std::vector<std::string> texts;
  for (auto& [name, text] : value.items) texts.push_back(std::move(text));
  return texts;
}

result<std::vector<std::string>> names_of(const yaml_value& value) {
  if (value.of == yaml_value::kind::scalar) return bad("names is not a list or a map");
  if (value.of != yaml_value::kind::map) return texts_of(value, "names");
  std::vector<std::optional<std::string>> names(value.items.size());
  for (const auto& [key, name] : value.items) {
    const auto number = io::parse_int(key);
    if (!number || *number < 0 || static_cast<std::size_t>(*number) >= names.size() ||
        names[static_cast<std::size_t>(*number)]) {
      return bad("names must be numbered 0, 1, 2, ... without gaps, found " + io::quote(key));
    }
    names[static_cast<std::size_t>(*number)] = name;
  }
  std::vector<std::string> all;
  for (auto& name : names) all.push_back(std::move(*name));
  return all;
}

}  // namespace

result<dataset> parse_dataset(std::string_view yaml) {
  if (yaml.size() > most_yaml_bytes) return error{status::limit, "dataset yaml is above the limit of 4 MB", "", ""};
  if (yaml.starts_with("\xef\xbb\xbf")) yaml.remove_prefix(3);
  if (!io::is_utf8(yaml)) return bad("not UTF-8 text");
  QUANTAL_TRY(top, read_top(yaml));
  dataset d;
  if (top.path.of == yaml_value::kind::list || top.path.of == yaml_value::kind::map) return bad("path is not a text");
  d.path = top.path.text;
  QUANTAL_TRY(train, texts_of(std::move(top.train), "train"));
  QUANTAL_TRY(val, texts_of(std::move(top.val), "val"));
  QUANTAL_TRY(names, names_of(top.names));
  d.train = std::move(train);
  d.val = std::move(val);
  d.names = std::move(names);
  if (d.train.empty() && d.val.empty()) return bad("neither train nor val");
  return d;
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
