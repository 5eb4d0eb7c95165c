#include "quantal/exec/session.hpp"

#include <algorithm>
#include <mutex>

#include "arena.hpp"
#include "exact_products.hpp"
#include "inline_functions.hpp"
#include "program.hpp"
#include "quantal/exec/thread_pool.hpp"
#include "quantal/ir/verify.hpp"

namespace quantal::exec {

namespace {

constexpr std::size_t max_plans = 16;   // input shapes remembered
constexpr std::size_t max_blocks = 16;  // idle blocks kept for the next runs: as many as ran at once

std::string text(const shape& dims) {
  std::string s = "[";
  for (std::int32_t i = 0; i < dims.rank; ++i) {
    if (i > 0) s += ',';
    s += std::to_string(dims[i]);
  }
  return s + "]";
}

std::string text(const std::vector<ir::dim>& dims) {
  std::string s = "[";
  for (std::size_t i = 0; i < dims.size(); ++i) {
    s += i == 0 ? "" : ",";
    s += dims[i].known() ? std::to_string(dims[i].value) : dims[i].symbol.empty() ? "?" : dims[i].symbol;
  }
  return s + "]";
}

result<void> check_feed(const ir::value_info& info, const tensor_buffer& value) {
  const ir::value_type& want = info.type;
  if (!want.is_tensor()) return {};
  if (want.elem != dtype::none && want.elem != value.type()) {
    return error{status::data_format,
                 std::string("input is ") + name_of(value.type()) + " and the model wants " + name_of(want.elem),
                 "input '" + info.name + "'", "convert the data"};
  }
  if (!want.has_rank()) return {};
  bool fits = want.dims->size() == static_cast<std::size_t>(value.dims().rank);
  for (std::size_t i = 0; fits && i < want.dims->size(); ++i) {
    fits = !(*want.dims)[i].known() || (*want.dims)[i].value == value.dims()[static_cast<std::int32_t>(i)];
  }
  if (fits) return {};
  return error{status::data_shape, "input has shape " + text(value.dims()) + " and the model wants " + text(*want.dims),
               "input '" + info.name + "'", "feed data of the model's shape"};
}

// What decides the sizes of a run's values, as far as the caller can: shapes and types of the feeds, values asked for.
using run_key = std::vector<std::int64_t>;

void append(run_key& key, const tensor_buffer& t) {
  key.push_back(static_cast<std::int64_t>(t.type()));
  key.push_back(t.dims().rank);
  key.insert(key.end(), t.dims().begin(), t.dims().end());
}

// Plans by key and idle blocks. Shared by concurrent runs.
class memory_pool {
 public:
  std::shared_ptr<const arena_plan> find(const run_key& key) {
    std::lock_guard lock(guard_);
    const auto at = std::find_if(plans_.begin(), plans_.end(), [&](const auto& p) { return p.first == key; });
    if (at == plans_.end()) {
      blocks_.clear();  // a recording run brings its own memory: do not hold both
      return nullptr;
    }
    std::rotate(plans_.begin(), at, at + 1);  // newest first
    return plans_.front().second;
  }

  void remember(run_key key, arena_plan plan) {
    std::lock_guard lock(guard_);
    for (const auto& p : plans_) {
      if (p.first == key) return;
    }
    if (plans_.size() == max_plans) plans_.pop_back();
    plans_.emplace(plans_.begin(), std::move(key), std::make_shared<const arena_plan>(std::move(plan)));
  }

  std::shared_ptr<arena_block> take(std::size_t bytes) {
    std::lock_guard lock(guard_);
    for (auto at = blocks_.begin(); at != blocks_.end(); ++at) {
      if ((*at)->bytes() < bytes) continue;
      std::shared_ptr<arena_block> block = std::move(*at);
      blocks_.erase(at);
      return block;
    }
    blocks_.clear();  // all too small
    return arena_block::make(bytes);
  }

  void give(std::shared_ptr<arena_block> block) {
    if (block == nullptr || !block->idle()) return;
    std::lock_guard lock(guard_);
    if (blocks_.size() < max_blocks) blocks_.push_back(std::move(block));
  }

 private:
  std::mutex guard_;
  std::vector<std::pair<run_key, std::shared_ptr<const arena_plan>>> plans_;
  std::vector<std::shared_ptr<arena_block>> blocks_;
};

}  // namespace

struct session::state {
  std::shared_ptr<const ir::model> model;
  ir::model compiled;  // sorted, functions inlined; constants are shared with `model`
  std::unique_ptr<program> main;
  std::unique_ptr<thread_pool> pool;
  parallel_for parallel;
  std::vector<ir::value_info> inputs, outputs;
  mutable memory_pool memory;

  // The slot of a value asked for, and whether its constant was dropped after folding.
  result<slot> slot_of(const std::string& name) const {
    const auto at = main->slots.find(name);
    if (name.empty() || at == main->slots.end()) {
      return error{status::argument, "the model has no value named '" + name + "'", "requested outputs",
                   "ask for a value of the main graph"};
    }
    return at->second;
  }

  result<void> feed(const std::vector<named_tensor>& feeds, std::vector<tensor_buffer>& values) const;
  result<void> execute(std::vector<tensor_buffer>& values, const run_options& options, bool everything,
                       const std::vector<bool>& kept, arena& arena_of_run) const;
};

result<session> session::create(std::shared_ptr<const ir::model> m, const session_options& options) {
  if (m == nullptr) return error{status::null_pointer, "no model", "session", "pass a model"};
  auto s = std::make_unique<state>();
  s->model = m;
  s->compiled = *m;
  QUANTAL_CHECK(inline_functions(s->compiled));
  QUANTAL_CHECK(ir::verify(s->compiled));
  QUANTAL_CHECK(ir::sort_nodes(s->compiled.graph));
  exact_products(s->compiled);
  s->parallel = options.parallel;
  if (options.parallel.call == nullptr) {
    const std::size_t threads = options.threads == 0 ? usable_cores() : options.threads;
    if (threads > 1) {
      s->pool = std::make_unique<thread_pool>(threads);
      s->parallel = s->pool->hook();
    }
  }
  QUANTAL_TRY(compiled, compile(s->compiled, s->compiled.graph, s->parallel));
  s->main = std::move(compiled);
  const ir::graph& g = s->compiled.graph;
  for (std::size_t i = 0; i < g.inputs.size(); ++i) {
    const bool has_default = static_cast<bool>(s->main->constants[static_cast<std::size_t>(s->main->inputs[i])]);
    if (!has_default) s->inputs.push_back(g.inputs[i]);
  }
  s->outputs = g.outputs;
  return session(std::move(s));
}

session::session(std::unique_ptr<state> s) : state_(std::move(s)) {}
session::session(session&&) noexcept = default;
session& session::operator=(session&&) noexcept = default;
session::~session() = default;

const std::vector<ir::value_info>& session::inputs() const noexcept {
  return state_->inputs;
}
const std::vector<ir::value_info>& session::outputs() const noexcept {
  return state_->outputs;
}
const ir::model& session::model() const noexcept {
  return *state_->model;
}

result<void> session::state::feed(const std::vector<named_tensor>& feeds, std::vector<tensor_buffer>& values) const {
  const ir::graph& g = compiled.graph;
  for (const named_tensor& f : feeds) {
    const auto at =
        std::find_if(g.inputs.begin(), g.inputs.end(), [&](const ir::value_info& v) { return v.name == f.name; });
    if (at == g.inputs.end()) {
      std::string known;
      for (const ir::value_info& v : inputs) known += (known.empty() ? "" : ", ") + v.name;
      return error{status::argument, "the model has no input named '" + f.name + "'", "feeds",
                   "its inputs are: " + known};
    }
    if (!f.value) return error{status::data_missing, "the feed is empty", "input '" + f.name + "'", "feed a tensor"};
    QUANTAL_CHECK(check_feed(*at, f.value));
    values[static_cast<std::size_t>(main->inputs[static_cast<std::size_t>(at - g.inputs.begin())])] = f.value;
  }
  for (std::size_t i = 0; i < g.inputs.size(); ++i) {
    if (!values[static_cast<std::size_t>(main->inputs[i])]) {
      return error{status::data_missing, "input is not fed", "input '" + g.inputs[i].name + "'", "feed it"};
    }
  }
  return {};
}

result<void> session::state::execute(std::vector<tensor_buffer>& values, const run_options& options, bool everything,
                                     const std::vector<bool>& kept, arena& arena_of_run) const {
  const run_state run{parallel, &arena_of_run};
  if (options.observe) {
    for (slot in : main->inputs)
      options.observe(main->names[static_cast<std::size_t>(in)], values[static_cast<std::size_t>(in)]);
  }
  for (std::size_t i = 0; i < main->steps.size(); ++i) {
    const step& s = main->steps[i];
    const auto missing = [&](slot o) { return o != no_slot && !values[static_cast<std::size_t>(o)]; };
    const bool wanted = everything || !s.unread;
    if (wanted && (!s.folded || (everything && std::any_of(s.out.begin(), s.out.end(), missing)))) {
      arena_of_run.begin_step(i);
      QUANTAL_CHECK(call(s, values, run, &arena_of_run));
    }
    if (options.observe) {
      for (slot o : s.out) {
        if (o != no_slot)
          options.observe(main->names[static_cast<std::size_t>(o)], values[static_cast<std::size_t>(o)]);
      }
    }
    for (slot r : s.release) {
      if (!kept[static_cast<std::size_t>(r)]) values[static_cast<std::size_t>(r)] = {};
    }
  }
  return {};
}

result<std::vector<named_tensor>> session::run(const std::vector<named_tensor>& feeds,
                                               const run_options& options) const {
  const state& s = *state_;
  std::vector<tensor_buffer> values = s.main->constants;
  QUANTAL_CHECK(s.feed(feeds, values));

  std::vector<slot> wanted = s.main->outputs;
  bool everything = static_cast<bool>(options.observe);
  if (!options.outputs.empty()) {
    wanted.clear();
    everything = true;
    for (const std::string& name : options.outputs) {
      QUANTAL_TRY(found, s.slot_of(name));
      wanted.push_back(found);
    }
  }
  std::vector<bool> kept(values.size(), false);
  run_key key = {everything ? 1 : 0};
  for (slot w : wanted) {
    kept[static_cast<std::size_t>(w)] = true;
    key.push_back(w);
  }
  for (slot in : s.main->inputs) append(key, values[static_cast<std::size_t>(in)]);

  std::shared_ptr<const arena_plan> plan = s.memory.find(key);
  std::shared_ptr<arena_block> block;
  if (plan != nullptr) {
    block = s.memory.take(plan->bytes);
    if (block == nullptr)
      return error{status::out_of_memory, "no memory for " + std::to_string(plan->bytes) + " bytes of values", "", ""};
  }
  arena memory(plan, block);
  auto done = s.execute(values, options, everything, kept, memory);
  std::vector<tensor_buffer> results;
  std::vector<named_tensor> named;
  if (done) {
    for (slot w : wanted) results.push_back(values[static_cast<std::size_t>(w)]);
    values.clear();
    if (memory.recording()) s.memory.remember(std::move(key), make_plan(memory.finish(results), s.main->steps.size()));
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      tensor_buffer value = std::move(results[i]);
      if (memory.owns(value)) {  // a view of a planned value that the recording run did not return
        QUANTAL_TRY(copy, value.clone());
        value = std::move(copy);
      }
      named.push_back({std::string(s.main->names[static_cast<std::size_t>(wanted[i])]), std::move(value)});
    }
  }
  values.clear();
  s.memory.give(std::move(block));
  if (!done) return std::move(done).failure();
  return named;
}

}  // namespace quantal::exec
