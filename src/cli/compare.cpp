// quantal compare: quality of one model against another, as numbers and as a gate for scripts.
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <limits>

#include "inputs.hpp"
#include "output.hpp"
#include "quantal/io/text.hpp"
#include "quantal/pipeline/json.hpp"
#include "verbs.hpp"

namespace quantal::cli {
namespace {

struct state {
  std::string model_a, model_b, eval;
  data_options data;
  pipeline::compare_options options;
  double min_sqnr = 0, max_drop = 0;
};

// What --eval's command printed for one model: its last line is the number.
result<double> evaluate(const std::string& command, const std::string& model) {
  std::string quoted = "'";
  for (const char c : model) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  std::FILE* pipe = popen((command + " " + quoted + "'").c_str(), "r");
  if (pipe == nullptr) return error{status::io, "cannot start the command", "--eval", {}};
  std::string text;
  char block[4096];
  while (const std::size_t n = std::fread(block, 1, sizeof block, pipe)) {
    if (text.size() < (1u << 20)) text.append(block, n);
  }
  const int ended = pclose(pipe);
  if (ended != 0) {
    return error{status::io,
                 "the command failed with exit code " + std::to_string(WIFEXITED(ended) ? WEXITSTATUS(ended) : 128),
                 "--eval",
                 {}};
  }
  std::string_view rest = io::trim(text);
  const std::size_t line = rest.find_last_of('\n');
  if (line != std::string_view::npos) rest = io::trim(rest.substr(line + 1));
  const auto number = io::parse_double(rest);
  if (!number)
    return error{status::usage, "the command did not print a number: " + io::quote(rest), "--eval",
                 "its last line must be the figure"};
  return *number;
}

std::string text_of(const pipeline::compare_report& r) {
  std::string out = "Compared on " + std::to_string(r.samples) + " samples:\n  a: " + io::escape_text(r.model_a, 4096) +
                    "\n  b: " + io::escape_text(r.model_b, 4096) + "\n";
  std::vector<std::vector<std::string>> rows;
  for (const pipeline::output_quality& o : r.outputs) {
    rows.push_back(
        {o.name, decibel(o.sqnr_db), io::fixed(o.cosine, 6), io::number(static_cast<float>(o.max_abs_error))});
  }
  if (!rows.empty()) out += table({"output", "SQNR", "cosine", "max error"}, rows, {false, true, true, true});
  if (r.metric_a && r.metric_b) {
    const bool share = r.metric != "eval";
    const auto figure = [share](double x) { return share ? io::fixed(x, 2) + " %" : io::number(x); };
    out += r.metric + ": a " + figure(*r.metric_a) + ", b " + figure(*r.metric_b) + ", drop " +
           io::fixed(*r.metric_a - *r.metric_b, 2) + (share ? " points\n" : "\n");
  }
  if (!r.nodes.empty()) {
    rows.clear();
    for (const pipeline::node_quality& n : r.nodes) {
      rows.push_back({n.node, decibel(n.accumulated_db), n.isolated_db ? decibel(*n.isolated_db) : "-"});
    }
    out += "Per node (accumulated: all errors so far; isolated: this node's alone):\n" +
           table({"node", "accumulated", "isolated"}, rows, {false, true, true});
  }
  return out;
}

// The lowest SQNR over the outputs.
double worst(const pipeline::compare_report& r) {
  double db = std::numeric_limits<double>::infinity();
  for (const pipeline::output_quality& o : r.outputs) db = std::min(db, o.sqnr_db);
  return db;
}

result<int> compare(state& s, const args& a, const common_options& common) {
  if (s.data.path.empty() && s.eval.empty()) {
    return error{status::data_missing, "samples required for compare: pass --data", {}, {}};
  }
  if (!s.options.metric.empty() && !s.eval.empty())
    return error{status::usage, "--metric and --eval exclude each other", {}, "give one of them"};
  if (a.given("--max-drop") && s.options.metric.empty() && s.eval.empty()) {
    return error{status::usage, "--max-drop needs a figure to compare", {}, "add --metric top1, or --eval COMMAND"};
  }
  if (a.given("--min-sqnr") && s.data.path.empty())
    return error{status::usage, "--min-sqnr needs samples", {}, "add --data"};
  if (s.data.path.empty()) {
    static constexpr const char* per_node[] = {"--per-node"};
    QUANTAL_CHECK(a.refuse(per_node, "without --data"));
    QUANTAL_CHECK(a.refuse(sample_options, "without --data"));
  }
  QUANTAL_TRY(model_a, load_model(s.model_a));
  QUANTAL_TRY(model_b, load_model(s.model_b));
  pipeline::compare_report report;
  if (!s.data.path.empty()) {
    QUANTAL_TRY(samples, open_samples(s.data, *model_a));
    if (!common.quiet)
      for (const std::string& line : data::unread_options(s.data.image, samples.get())) print_warning(line);
    s.options.threads = static_cast<std::size_t>(common.threads);
    progress_bar bar(common);
    QUANTAL_TRY(done, pipeline::compare(model_a, model_b, *samples, s.options, bar.hook()));
    report = std::move(done);
  }
  report.model_a = s.model_a;
  report.model_b = s.model_b;
  if (!s.eval.empty()) {
    report.metric = "eval";
    QUANTAL_TRY(figure_a, evaluate(s.eval, s.model_a));
    QUANTAL_TRY(figure_b, evaluate(s.eval, s.model_b));
    report.metric_a = figure_a;
    report.metric_b = figure_b;
  }
  QUANTAL_CHECK(print(common.json ? pipeline::to_json(report) + "\n" : text_of(report)));
  bool below = false;
  if (a.given("--min-sqnr") && !(worst(report) >= s.min_sqnr)) {
    if (!common.quiet)
      print_warning("SQNR " + decibel(worst(report)) + " is below --min-sqnr " + io::number(s.min_sqnr));
    below = true;
  }
  if (a.given("--max-drop") && !(*report.metric_a - *report.metric_b <= s.max_drop)) {
    if (!common.quiet)
      print_warning("the drop of " + io::fixed(*report.metric_a - *report.metric_b, 2) + " is above --max-drop " +
                    io::number(s.max_drop));
    below = true;
  }
  return below ? 1 : 0;
}

}  // namespace

action compare_verb(args& a) {
  auto s = std::make_shared<state>();
  a.text("MODEL_A", &s->model_a, "the reference, usually the float model").required();
  a.text("MODEL_B", &s->model_b, "the model to judge").required();
  add_data_options(a, s->data, -1);
  a.flag("--per-node", &s->options.per_node, "also per node, accumulated and isolated");
  a.text("--metric", &s->options.metric, "share of right classes; needs labels").choices({"top1", "top5"});
  a.text("--eval", &s->eval, "a command that gets a model's path and prints a number");
  a.real("--min-sqnr", &s->min_sqnr, "exit code 1 if an output's SQNR is below (dB)");
  a.real("--max-drop", &s->max_drop,
         "exit code 1 if the figure drops by more (percentage points; with --eval its own unit)");
  a.example("quantal compare model.onnx model_int8.onnx --data test.npz --metric top1 --max-drop 0.5");
  return [s, &a](const common_options& common) { return compare(*s, a, common); };
}

}  // namespace quantal::cli
