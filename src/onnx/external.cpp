#include "external.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include "quantal/base/text.hpp"
#include "quantal/io/digest.hpp"
#include "quantal/io/path.hpp"
#include "quantal/io/text.hpp"

namespace quantal::onnx {

namespace {

struct data_place {
  std::string location;
  std::uint64_t offset = 0;
  std::optional<std::uint64_t> length;
  std::string checksum;
};

error broken(std::string what, const std::string& location) {
  return {status::model_syntax, std::move(what), "external data " + quoted(location),
          "the data file does not belong to this model, or one of them is damaged"};
}

result<std::uint64_t> parse_size(const std::string& key, const std::string& text, const std::string& location) {
  const std::optional<std::int64_t> value = io::parse_int(text);
  if (!value || *value < 0) return broken("the " + key + " " + quoted(text) + " is not a size", location);
  return static_cast<std::uint64_t>(*value);
}

result<data_place> parse(const ir::string_pairs& pairs) {
  data_place place;
  for (const auto& [key, value] : pairs)
    if (key == "location") place.location = value;
  for (const auto& [key, value] : pairs) {
    if (key == "offset") {
      QUANTAL_TRY(offset, parse_size(key, value, place.location));
      place.offset = offset;
    } else if (key == "length") {
      QUANTAL_TRY(length, parse_size(key, value, place.location));
      place.length = length;
    } else if (key == "checksum") {
      place.checksum = value;
    }
  }
  if (place.location.empty()) return broken("the tensor's external data has no location", "");
  return place;
}

result<std::string> sha1_of(const io::random_file& file) {
  io::digest digest(io::digest::sha1);
  std::vector<unsigned char> piece(std::size_t{1} << 20);
  for (std::uint64_t at = 0; at < file.size(); at += piece.size()) {
    const auto bytes = static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), file.size() - at));
    QUANTAL_CHECK(file.read(at, piece.data(), bytes));
    digest.add(piece.data(), bytes);
  }
  return digest.hex();
}

}  // namespace

result<external_files::source*> external_files::open(const std::string& location, const std::string& checksum) {
  const auto known = sources_.find(location);
  if (known != sources_.end()) return &known->second;
  if (directory_.empty()) {
    return error{status::path, "the model keeps tensors in another file, but was not read from a directory",
                 "external data " + quoted(location), "load the model from its file"};
  }
  auto file = io::open_inside(directory_, location);
  if (!file) return std::move(file).failure().at("external data " + quoted(location));
  // Other writers put other things there (a tool's name, base64): only what can be a SHA-1 is compared.
  if (checksum.size() == 40) {
    QUANTAL_TRY(digest, sha1_of(*file));
    if (io::lower(checksum) != digest) return broken("the file's SHA-1 is not the one in the model", location);
  }
  return &sources_.emplace(location, source{*std::move(file), {}}).first->second;
}

result<io::file_bytes> external_files::load(const ir::string_pairs& pairs, std::uint64_t bytes) {
  QUANTAL_TRY(place, parse(pairs));
  if (place.length && *place.length != bytes) {
    return broken(
        "the tensor has " + std::to_string(*place.length) + " bytes of data, its shape needs " + std::to_string(bytes),
        place.location);
  }
  QUANTAL_TRY(from, open(place.location, place.checksum));
  std::uint64_t end = 0;
  if (!checked_add(place.offset, bytes, end) || end > from->file.size())
    return broken("the tensor's data ends beyond the file", place.location);

  const auto after = from->ranges.lower_bound(place.offset);
  if (after != from->ranges.end() && after->first == place.offset && after->second.size == bytes) return after->second;
  const bool cuts_next = after != from->ranges.end() && after->first < end;
  const bool cuts_previous = after != from->ranges.begin() && [&] {
    const auto before = std::prev(after);
    return before->first + before->second.size > place.offset;
  }();
  if (bytes != 0 && (cuts_next || cuts_previous)) return broken("the data of two tensors overlap", place.location);

  auto data = from->file.read(place.offset, bytes);
  if (!data) return std::move(data).failure().at("external data " + quoted(place.location));
  if (bytes != 0) from->ranges.emplace(place.offset, *data);
  return *std::move(data);
}

std::vector<std::string> external_files::paths() const {
  std::vector<std::string> all;
  for (const auto& [location, from] : sources_) all.push_back(io::join(directory_, location));
  return all;
}

}  // namespace quantal::onnx
