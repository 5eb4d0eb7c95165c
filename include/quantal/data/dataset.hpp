// Descriptions of data sets: the yaml that detection frameworks use, and plain lists of files.
//
//   path: ../datasets/pets        # root; relative to the yaml; optional
//   train: images/train           # a directory, a .txt list, a file, or a list of these
//   val: images/val
//   names: [cat, dog]             # or {0: cat, 1: dog}
//
// These files are the user's own word, like the command line: absolute paths and '..' are followed, other keys are
// ignored. They only choose files to read as images or arrays.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "quantal/base/result.hpp"

namespace quantal::data {

struct dataset {
  std::string path;
  std::vector<std::string> train, val;
  std::vector<std::string> names;
};

// The part of YAML that such files use (src/data/dataset.cpp says which). Errors: data_format, limit.
result<dataset> parse_dataset(std::string_view yaml);

// One file per line; "#" lines and empty ones are skipped. A last word that is an integer is the class: "a.png 3".
struct list_entry {
  std::string path;
  std::int64_t label = -1;
};
result<std::vector<list_entry>> parse_list(std::string_view text);

}  // namespace quantal::data
