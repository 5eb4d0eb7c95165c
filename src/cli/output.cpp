// Showing things (see output.hpp).
#include "output.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "quantal/io/text.hpp"

namespace quantal::cli {
namespace {

constexpr std::size_t line_width = 100;

// Characters, not bytes: continuation bytes of UTF-8 take no column.
std::size_t columns(const std::string& text) noexcept {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

// At most `width` columns, the cut marked.
std::string fit(const std::string& text, std::size_t width) {
  if (columns(text) <= width) return text;
  if (width <= 3) return std::string(width, '.');
  std::size_t bytes = 0, seen = 0;
  while (bytes < text.size()) {
    if ((static_cast<unsigned char>(text[bytes]) & 0xc0) != 0x80 && seen++ == width - 3) break;
    ++bytes;
  }
  return text.substr(0, bytes) + "...";
}

bool write_all(int descriptor, const char* data, std::size_t bytes) noexcept {
  while (bytes > 0) {
    const ssize_t n = ::write(descriptor, data, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    data += n;
    bytes -= static_cast<std::size_t>(n);
  }
  return true;
}

}  // namespace

int exit_code(status s) noexcept {
  const auto n = static_cast<std::int32_t>(s);
  if (s == status::ok) return 0;
  if (s == status::gate) return 1;
  if (s == status::unsupported) return 6;
  if (s == status::internal) return 70;
  if (s == status::path) return 3;  // a model that names files outside its directory
  if (n > -30) return 2;            // arguments and quantization parameters of the call
  if (n > -40) return 4;
  if (n > -50) return 5;
  if (n > -60) return 3;
  return 2;
}

result<void> print(const std::string& text) {
  if (write_all(STDOUT_FILENO, text.data(), text.size())) return {};
  return error{status::io, std::string("cannot write to standard output: ") + std::strerror(errno), {}, {}};
}

void print_error(const error& e) noexcept {
  try {
    // Texts inside may quote untrusted names; they are escaped where they are quoted, and once more here as a whole.
    const std::string line = "quantal: error: " + io::escape_text(e.message(), 4096) + "\n";
    write_all(STDERR_FILENO, line.data(), line.size());
  } catch (...) {
    constexpr char text[] = "quantal: error: out of memory\n";
    write_all(STDERR_FILENO, text, sizeof text - 1);
  }
}

void print_warning(const std::string& text) noexcept {
  try {
    const std::string line = "quantal: warning: " + io::escape_text(text, 4096) + "\n";
    write_all(STDERR_FILENO, line.data(), line.size());
  } catch (...) {
    return;
  }
}

std::string megabytes(std::int64_t bytes) {
  return io::fixed(static_cast<double>(bytes) / 1048576.0, 2) + " MB";
}
std::string decibel(double db) {
  if (std::isinf(db)) return db > 0 ? "identical" : "-inf dB";
  return io::fixed(db, 2) + " dB";
}
std::string percent(double share) {
  return io::fixed(100 * share, 1) + " %";
}

std::string table(const std::vector<std::string>& head, const std::vector<std::vector<std::string>>& rows,
                  const std::vector<bool>& right) {
  const std::size_t n = head.size();
  std::vector<std::vector<std::string>> cells = {head};
  for (const auto& row : rows) {
    cells.emplace_back();
    for (std::size_t c = 0; c < n; ++c)
      cells.back().push_back(c < row.size() ? io::escape_text(row[c]) : std::string());
  }
  std::vector<std::size_t> width(n, 0);
  for (const auto& row : cells) {
    for (std::size_t c = 0; c < n; ++c) width[c] = std::max(width[c], columns(row[c]));
  }
  // Too wide: the widest columns give way until the line fits.
  auto total = [&] {
    std::size_t sum = 2 + 2 * (n - 1);
    for (const std::size_t w : width) sum += w;
    return sum;
  };
  while (total() > line_width) {
    auto widest = std::max_element(width.begin(), width.end());
    if (*widest <= 8) break;
    --*widest;
  }
  std::string out;
  for (const auto& row : cells) {
    std::string line = "  ";
    for (std::size_t c = 0; c < n; ++c) {
      const std::string cell = fit(row[c], width[c]);
      const std::string pad(width[c] - std::min(width[c], columns(cell)), ' ');
      line += (c > 0 ? "  " : "") + (c < right.size() && right[c] ? pad + cell : cell + pad);
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    out += line + "\n";
  }
  return out;
}

std::string indented(const std::string& text) {
  std::string out;
  for (std::size_t from = 0, end = 0; from < text.size(); from = end + 1) {
    end = std::min(text.find('\n', from), text.size());
    out += "  " + text.substr(from, end - from) + "\n";
  }
  return out;
}

std::string wrapped(const std::string& text, std::size_t indent) {
  std::string out;
  std::size_t from = 0;
  while (from < text.size()) {
    const std::size_t end = std::min(text.find('\n', from), text.size());
    std::string line = text.substr(from, end - from);
    while (line.size() > line_width && line.rfind("  Original model", 0) != 0 &&
           line.rfind("  Quantized model", 0) != 0) {
      const std::size_t cut = line.rfind(' ', line_width);
      if (cut == std::string::npos || cut <= indent) break;
      out += line.substr(0, cut) + "\n";
      line = std::string(indent, ' ') + line.substr(cut + 1);
    }
    out += line + "\n";
    from = end + 1;
  }
  return out;
}

// ---- progress ---------------------------------------------------------------------------------------------------

progress_bar::progress_bar(const common_options& common)
    : quiet_(common.quiet),
      terminal_(isatty(STDERR_FILENO) == 1),
      stage_start_(std::chrono::steady_clock::now()),
      last_(stage_start_) {}

progress_bar::~progress_bar() {
  clear();
}

pipeline::progress_fn progress_bar::hook() {
  return [this](const char* stage, std::int64_t done, std::int64_t total) { return show(stage, done, total); };
}

void progress_bar::clear() noexcept {
  if (!drawn_) return;
  constexpr char erase[] = "\r\033[K";
  write_all(STDERR_FILENO, erase, sizeof erase - 1);
  drawn_ = false;
}

bool progress_bar::show(const char* stage, std::int64_t done, std::int64_t total) {
  using namespace std::chrono;
  if (quiet_) return true;
  const auto now = steady_clock::now();
  if (stage_ != stage) {
    stage_ = stage;
    stage_start_ = now;
    last_ = now;
    if (!terminal_) return true;
  } else if (now - last_ < (terminal_ ? milliseconds(100) : milliseconds(5000))) {
    return true;
  }
  last_ = now;
  const double seconds = duration<double>(now - stage_start_).count();
  std::string line = stage_ + ": " + std::to_string(done);
  if (total > 0) {
    const double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
    line += " of " + std::to_string(total);
    if (terminal_) {
      const auto full = static_cast<std::size_t>(share * 30);
      line = stage_ + " [" + std::string(full, '#') + std::string(30 - full, '.') + "] " + std::to_string(done) + "/" +
             std::to_string(total);
    }
    if (share > 0 && share < 1) line += ", " + io::fixed(seconds * (1 - share) / share, 0) + " s left";
  }
  line = terminal_ ? "\r\033[K" + line : "quantal: " + line + "\n";
  drawn_ = terminal_;
  write_all(STDERR_FILENO, line.data(), line.size());
  return true;
}

}  // namespace quantal::cli
