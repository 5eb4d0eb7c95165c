// What a verb shows: text and tables on stdout, progress on stderr, numbers the same in every locale.
//
// stdout is collected and written once, at the end, so that a closed pipe is one error and nothing is half printed.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "quantal/base/result.hpp"
#include "quantal/pipeline/quantize.hpp"
#include "verbs.hpp"

namespace quantal::cli {

// Exit codes: 0 done, 1 below the asked gate, 2 usage, 3 model, 4 data, 5 input/output, 6 unsupported, 70 internal.
int exit_code(status s) noexcept;

// Writes all of `text` to stdout. Errors: io (closed, full disk, broken pipe).
result<void> print(const std::string& text);
void print_error(const error& e) noexcept;
void print_warning(const std::string& text) noexcept;

// "45.23 MB" (2^20 bytes).
std::string megabytes(std::int64_t bytes);
// "38.21 dB", "identical" for infinity.
std::string decibel(double db);
std::string percent(double share);  // 0..1 -> "99.8 %"

// Columns padded to their widest cell; the last column is cut so that a line has at most 100 characters. Cells are
// escaped: names from files cannot move the cursor. `right`: columns that hold numbers.
std::string table(const std::vector<std::string>& head, const std::vector<std::vector<std::string>>& rows,
                  const std::vector<bool>& right = {});

// Lines of more than 100 columns continue below, indented; the two lines of the summary that name files do not.
std::string wrapped(const std::string& text, std::size_t indent = 13);
std::string indented(const std::string& text);  // every line by two

// A bar with ETA on a terminal, a line every few seconds otherwise, nothing with --quiet.
class progress_bar {
 public:
  explicit progress_bar(const common_options& common);
  ~progress_bar();
  pipeline::progress_fn hook();

 private:
  bool show(const char* stage, std::int64_t done, std::int64_t total);
  void clear() noexcept;
  bool quiet_ = false, terminal_ = false, drawn_ = false;
  std::string stage_;
  std::chrono::steady_clock::time_point stage_start_, last_;
};

}  // namespace quantal::cli
