// For image_oracle_test.py: opens --data for a one-input model and writes what it gives.
//   data_tool PATH OUT.npz DTYPE DIMS [option=value]...     DIMS: "-1,3,224,224"; OUT: arrays x0, x1, ... and label0...
#include <cstdio>
#include <string>
#include <vector>

#include "quantal/data/source.hpp"
#include "quantal/io/npy.hpp"
#include "quantal/io/text.hpp"

using namespace quantal;

static ir::value_info model_input(const std::string& type, std::string dims) {
  std::vector<ir::dim> all;
  for (std::size_t at = 0; at <= dims.size();) {
    const std::size_t end = std::min(dims.find(',', at), dims.size());
    all.emplace_back(io::parse_int(dims.substr(at, end - at)).value_or(-1));
    at = end + 1;
  }
  return {"x", ir::value_type::tensor(type == "u8" ? dtype::u8 : dtype::f32, std::move(all)), "", {}};
}

static void set(data::source_options& o, const std::string& key, const std::string& value) {
  if (key == "imgsz") o.image.imgsz = value;
  if (key == "layout") o.image.layout = value;
  if (key == "mean") o.image.mean = value;
  if (key == "std") o.image.std = value;
  if (key == "value_range") o.image.value_range = value;
  if (key == "color") o.image.color = value;
  if (key == "letterbox") o.image.letterbox = value == "1";
  if (key == "batch_size") o.batch_size = io::parse_int(value).value_or(16);
}

static result<void> run(int argc, char** argv) {
  data::source_options options;
  for (int i = 5; i < argc; ++i) {
    const std::string word = argv[i];
    set(options, word.substr(0, word.find('=')), word.substr(word.find('=') + 1));
  }
  QUANTAL_TRY(source, data::open(argv[1], {model_input(argv[3], argv[4])}, options));
  io::named_arrays arrays;
  for (int i = 0;; ++i) {
    QUANTAL_TRY(feed, source->next());
    if (!feed) break;
    arrays.emplace_back("x" + std::to_string(i), feed->inputs[0].second);
    if (feed->label) arrays.emplace_back("label" + std::to_string(i), feed->label);
  }
  return io::write_npz(argv[2], arrays);
}

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  const auto done = run(argc, argv);
  if (done) return 0;
  std::printf("%d %s\n", static_cast<int>(done.failure().code), done.failure().message().c_str());
  return 1;
}
