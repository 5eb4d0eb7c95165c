// quantal: the command line. This file has the list of verbs, and turns what a verb returns into an exit code, one line
// on stderr or one JSON object. Nothing below it prints an error, exits or throws.
#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <new>
#include <numeric>
#include <sstream>
#include <utility>

#include "output.hpp"
#include "quantal/io/text.hpp"
#include "quantal/version.hpp"
#include "verbs.hpp"

namespace quantal::cli {
namespace {

struct verb {
  const char* name;
  const char* description;
  action (*make)(args&);  // null: a verb of a later version
};

constexpr verb verbs[] = {
    {"quantize", "make a smaller model: ONNX in, quantized ONNX out", quantize_verb},
    {"calibrate", "collect the statistics only; --merge joins caches of shards", calibrate_verb},
    {"inspect", "what is in a model or cache, and what would be quantized; --preset shows a preset", inspect_verb},
    {"run", "execute a float or quantized model on arrays", run_verb},
    {"compare", "how far two models are apart: SQNR, accuracy, per node", compare_verb},
    {"cpu", "what this CPU offers and which kernels run", cpu_verb},
    {"selftest", "run the integer kernels on known inputs and print their checksum", selftest_verb},
    {"sensitivity", "rank layers by what quantizing them costs", nullptr},
    {"study", "make every variant that applies and compare them", nullptr},
    {"bench", "latency, memory and size, side by side", nullptr},
    {"export", "C source for firmware", nullptr},
    {"ai8x", "quantize a checkpoint for MAX78000 / MAX78002", nullptr},
};

// A closed stdin, stdout or stderr would let the next file that is opened take its number: a model written by print().
// The gaps are filled with a descriptor that cannot be written, so that printing fails as it should.
void guard_standard_descriptors() noexcept {
  for (int descriptor = 0; descriptor <= 2; ++descriptor) {
    if (fcntl(descriptor, F_GETFD) != -1) continue;
    if (open("/dev/null", descriptor == 0 ? O_RDONLY : descriptor == 1 ? O_RDONLY : O_WRONLY) < 0) return;
  }
}

std::string error_json(const error& e, int code) {
  return "{\"error\": {\"what\": " + io::json_string(e.what) + ", \"where\": " + io::json_string(e.where) +
         ", \"advice\": " + io::json_string(e.advice) +
         ", \"status\": " + std::to_string(static_cast<std::int32_t>(e.code)) +
         ", \"exit_code\": " + std::to_string(code) + "}}\n";
}

int fail(const error& e, bool json) {
  const int code = exit_code(e.code);
  print_error(e);
  if (json) {
    if (const auto printed = print(error_json(e, code)); !printed) return exit_code(printed.failure().code);
  }
  return code;
}

int print_or_fail(const std::string& text) {
  const auto printed = print(text);
  return printed ? 0 : fail(printed.failure(), false);
}

// CLI11's texts may have several lines; an error is one.
error usage_error(const std::string& text, const std::string& verb_name) {
  std::string line;
  for (const char c : text) line += c == '\n' ? ' ' : c;
  while (!line.empty() && line.back() == ' ') line.pop_back();
  // CLI11 repeats what was typed; an argument may have a megabyte.
  return {status::usage,
          io::escape_text(line, 300),
          {},
          "see quantal " + verb_name + (verb_name.empty() ? "" : " ") + "--help"};
}

std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t corner = std::exchange(row[0], i);
    for (std::size_t k = 1; k <= b.size(); ++k)
      corner = std::exchange(
          row[k], std::min({row[k] + 1, row[k - 1] + 1, corner + static_cast<std::size_t>(a[i - 1] != b[k - 1])}));
  }
  return row[b.size()];
}

// CLI11 lists words that nobody took in reverse; the first of them is what the user has to look at.
error unknown_argument(const CLI::App& verb_app) {
  std::string typed;
  for (const std::string& word : verb_app.remaining())
    if (typed.empty() || (typed[0] != '-' && word[0] == '-')) typed = word;
  if (typed.empty() || typed[0] != '-') return usage_error("unexpected argument '" + typed + "'", verb_app.get_name());
  typed = typed.substr(0, typed.find('='));
  std::string text = "unknown option " + io::escape_text(typed, 100), nearest;
  std::size_t least = 3;  // further apart is another word, not a slip
  for (const CLI::Option* option : verb_app.get_options())
    for (const std::string& name : option->get_lnames())
      if (const std::size_t d = typed.size() < 64 ? edit_distance(typed, "--" + name) : least; d < least) {
        least = d;
        nearest = "--" + name;
      }
  if (!nearest.empty()) text += "; the nearest is " + nearest;
  return usage_error(text, verb_app.get_name());
}

int run(int argc, char** argv) {
  CLI::App app("Quantal " QUANTAL_VERSION_TEXT ": smaller integer models out of float ONNX models.", "quantal");
  app.set_version_flag("--version", "quantal " QUANTAL_VERSION_TEXT);
  app.footer(
      "Examples:\n"
      "  quantal quantize model.onnx --quant-type static_int8 --data samples/\n"
      "  quantal compare model.onnx quantized_models/model_static_int8.onnx --data test.npz --metric top1\n"
      "Exit codes: 0 done, 1 below the asked gate, 2 usage, 3 model, 4 data, 5 input/output, 6 unsupported, 70 "
      "internal.");
  app.require_subcommand(1);

  common_options common;
  struct entry {
    CLI::App* app;
    std::unique_ptr<args> options;
    action act;
    const verb* what;
  };
  std::vector<entry> entries;
  for (const verb& v : verbs) {
    CLI::App* sub = app.add_subcommand(
        v.name, v.make != nullptr ? v.description : std::string(v.description) + " (not available yet)");
    entry e{sub, std::make_unique<args>(*sub), {}, &v};
    if (v.make != nullptr) {
      e.act = v.make(*e.options);
      e.options->flag("--json", &common.json, "print one JSON object on stdout and nothing else there")
          .group("General");
      e.options->flag("-q,--quiet", &common.quiet, "no progress, no warnings").group("General");
      e.options->flag("-v,--verbose", &common.verbose, "every node, not only the summary").group("General");
      e.options->integer("--threads", &common.threads, "threads; 0: all cores the process may use", 0, 1024)
          .group("General");
    } else {
      sub->set_help_flag();
      e.options->anything();
    }
    entries.push_back(std::move(e));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {  // --help, --version
    std::ostringstream out, ignored;
    app.exit(e, out, ignored);
    return print_or_fail(wrapped(out.str(), 30));
  } catch (const CLI::ParseError& e) {
    std::string verb_name;
    for (const CLI::App* sub : app.get_subcommands()) verb_name = sub->get_name();
    if (verb_name.empty() && argc > 1 && argv[1][0] != '-')
      return fail({status::usage, "unknown verb '" + io::escape_text(argv[1], 100) + "'", {}, "see quantal --help"},
                  false);
    bool json = false;  // the parser may have stopped before it reached the flag
    for (int i = 1; i < argc; ++i) json = json || std::string(argv[i]) == "--json";
    if (dynamic_cast<const CLI::ExtrasError*>(&e) != nullptr && !verb_name.empty())
      return fail(unknown_argument(*app.get_subcommand(verb_name)), json);
    return fail(usage_error(e.what(), verb_name), json);
  }
  for (const entry& e : entries) {
    if (!e.app->parsed()) continue;
    if (e.what->make == nullptr) {
      bool json = false;
      for (const std::string& word : e.app->remaining()) json = json || word == "--json";
      return fail({status::unsupported,
                   std::string("quantal ") + e.what->name + " is not available yet",
                   {},
                   "see quantal --help for what this version does"},
                  json);
    }
    if (const auto refused = e.options->refuse_later(); !refused) return fail(refused.failure(), common.json);
    const auto done = e.act(common);
    return done ? *done : fail(done.failure(), common.json);
  }
  return 70;
}

}  // namespace
}  // namespace quantal::cli

int main(int argc, char** argv) {
#ifdef __GLIBC__
  // One heap for all threads: with glibc's default of one per thread, what the readers of calibration data leave behind
  // makes peak memory depend on how many samples each of them happened to read.
  mallopt(M_ARENA_MAX, 1);
  // Large buffers go back to the system when freed. glibc raises this threshold after the first of them, and the heap
  // then grows with holes of the shapes it has seen: images of four sizes cost half as much again.
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
#endif
  quantal::cli::guard_standard_descriptors();
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return quantal::cli::run(argc, argv);
  } catch (const std::bad_alloc&) {
    quantal::cli::print_error({quantal::status::out_of_memory, "out of memory", {}, {}});
    return 5;
  } catch (const std::exception& e) {
    quantal::cli::print_error(
        {quantal::status::internal, std::string("unexpected: ") + e.what(), {}, "please report this"});
    return 70;
  }
}
