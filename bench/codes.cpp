// Codes in, codes out: add/<elements>, multiply/<elements>, look_up/<elements> (a sigmoid), requantize/<rows>x<channels>
// (s32 sums), max_pool and average_pool/<shape of a convolution> (a window as large as the image is a global pool), and
// dynamic_rows/<rows>x<columns> (f32 -> u8, each row by its own range, with its sum). By the kernels that this run's
// ISA dispatches to. GBps counts what is read and written; /peer:memcpy and /peer:copy_loop move as many bytes.
#include <stdexcept>

#include "copies.hpp"
#include "families.hpp"
#include "peers/peers.hpp"
#include "quantal/kernels/dynamic_rows.hpp"
#include "quantal/kernels/integer.hpp"
#include "quantal/kernels/pool.hpp"
#include "rows.hpp"

namespace bench {
namespace {

using namespace quantal;

template <class Call, class Value>
prepared checked(const problem_ptr& p, const char* isa, Call call, Value value) {
  prepared r;
  r.note = isa;
  r.bytes = p->bytes();
  call();
  const check_result c = check(*p, value);
  r.wrong = c.wrong;
  r.checked = c.checked;
  r.time = repeat(call);
  return r;
}

codes_run run_of(const problem& p) {
  codes_run run;
  run.a_zero_point = p.input_zero_point;
  run.b_zero_point = p.second_zero_point;
  run.ratio = p.ratios[0];
  run.other_ratio = p.ratios.back();
  run.zero_point = p.output_zero_point;
  run.codes = {-128, 127};
  return run;
}

prepared prepare_binary(const problem_ptr& p, const integer_table& table) {
  const auto out = std::make_shared<array<std::int8_t>>(p->outputs());
  const auto call = [p, out, run = run_of(*p), f = p->what == kind::add ? table.add_s8 : table.multiply_s8] {
    f(reinterpret_cast<const std::int8_t*>(p->input.data()), reinterpret_cast<const std::int8_t*>(p->second.data()),
      out->size(), run, out->data());
  };
  return checked(p, table.isa, call, [out](std::size_t i) { return static_cast<double>((*out)[i]); });
}

prepared prepare_look_up(const problem_ptr& p, const integer_table& table) {
  const auto out = std::make_shared<array<std::int8_t>>(p->outputs());
  const auto map = std::make_shared<array<std::uint8_t>>(256);
  for (int byte = 0; byte < 256; ++byte)
    (*map)[static_cast<std::size_t>(byte)] = static_cast<std::uint8_t>(looked_up(*p, static_cast<std::int8_t>(byte)));
  const auto call = [p, out, map, f = table.look_up] {
    f(p->input.data(), out->size(), map->data(), reinterpret_cast<std::uint8_t*>(out->data()));
  };
  return checked(p, table.isa, call, [out](std::size_t i) { return static_cast<double>((*out)[i]); });
}

prepared prepare_requantize(const problem_ptr& p, const integer_table& table) {
  const auto out = std::make_shared<array<std::int8_t>>(p->outputs());
  const auto call = [p, out, f = table.requantize_s8] {
    requantizer r;
    r.ratios = p->ratios.data();
    r.count = p->ratios.size();
    r.zero_point = p->output_zero_point;
    f(p->sums.data(), p->bias.data(), static_cast<std::size_t>(p->out_width), r.count, r, {-128, 127}, out->data());
  };
  return checked(p, table.isa, call, [out](std::size_t i) { return static_cast<double>((*out)[i]); });
}

prepared prepare_pool(const problem_ptr& p, const integer_table& table) {
  pool_desc d;
  d.in_h = p->height;
  d.in_w = p->width;
  d.channels = p->in_channels;
  d.kernel_h = d.kernel_w = p->kernel;
  d.stride_h = d.stride_w = p->stride;
  d.pad_top = d.pad_left = d.pad_bottom = d.pad_right = p->pad;
  d.type = p->unsigned_codes ? dtype::u8 : dtype::s8;
  d.in = {p->ratios[0], p->input_zero_point};
  d.out = {1.0f, p->output_zero_point};
  pool_plan plan;
  if (plan_pool(d, p->what == kind::average_pool, plan) != status::ok)
    throw std::runtime_error("plan_pool refused " + p->name);
  const auto out = std::make_shared<array<std::uint8_t>>(p->outputs());
  const auto call = [p, out, plan, &table] { (void)run_pool(plan, table, p->input.data(), out->data()); };
  return checked(p, table.isa, call, [out, p](std::size_t i) { return code_value(*p, (*out)[i]); });
}

// Checked against exact sums of its codes, and codes against their row's own parameters.
prepared prepare_rows(const std::string& shape) {
  long rows = 0, columns = 0;
  if (std::sscanf(shape.c_str(), "%ldx%ld", &rows, &columns) != 2) throw std::runtime_error("bad rows " + shape);
  const problem_ptr p = make_array(kind::observe, std::to_string(rows * columns));
  const std::size_t n = p->values.size();
  const auto codes = std::make_shared<array<std::uint8_t>>(n);
  const auto params = std::make_shared<std::vector<quant_params>>(static_cast<std::size_t>(rows));
  const auto sums = std::make_shared<std::vector<std::int32_t>>(static_cast<std::size_t>(rows));
  const auto call = [p, codes, params, sums, rows, columns] {
    (void)quantize_rows(elementwise(), p->values.data(), rows, columns, columns, dtype::u8, codes->data(), columns,
                        params->data(), sums->data());
  };
  prepared r;
  r.note = elementwise().isa;
  r.bytes = 5.0 * static_cast<double>(n);
  call();
  for (std::size_t row = 0; row < params->size(); ++row) {
    const quant_params q = (*params)[row];
    const std::size_t width = static_cast<std::size_t>(columns);
    std::int32_t sum = 0;
    bool good = true;
    for (std::size_t i = row * width; i < (row + 1) * width; ++i) {
      sum += (*codes)[i];
      const double real = (static_cast<double>((*codes)[i]) - q.zero_point) * static_cast<double>(q.scale);
      good = good && std::abs(real - static_cast<double>(p->values[i])) <= 0.51 * static_cast<double>(q.scale);
    }
    ++r.checked;
    if (!good || sum != (*sums)[row]) ++r.wrong;
  }
  r.time = repeat(call);
  return r;
}

}  // namespace

void add_codes_rows(const std::string& family, const std::string&, const std::string& shape) {
  const std::string name = family + "/" + shape;
  if (family == "dynamic_rows") {
    long rows = 0, columns = 0;
    std::sscanf(shape.c_str(), "%ldx%ld", &rows, &columns);
    add_row(name, [shape] { return prepare_rows(shape); });
    add_copies(name + "/peer:memcpy", name + "/peer:copy_loop", static_cast<std::size_t>(rows * columns) * 5);
    return;
  }
  const kind what = family == "add"          ? kind::add
                    : family == "multiply"   ? kind::multiply
                    : family == "look_up"    ? kind::look_up
                    : family == "requantize" ? kind::requantize
                    : family == "max_pool"   ? kind::max_pool
                                             : kind::average_pool;
  const auto make = [what, shape] { return make_codes(what, shape); };
  add_row(name, [make, what] {
    const integer_table& table = integer_kernels();
    switch (what) {
      case kind::look_up: return prepare_look_up(make(), table);
      case kind::requantize: return prepare_requantize(make(), table);
      case kind::max_pool:
      case kind::average_pool: return prepare_pool(make(), table);
      default: return prepare_binary(make(), table);
    }
  });
  add_peer_rows(name, what, make);
  add_copies(name + "/peer:memcpy", name + "/peer:copy_loop", static_cast<std::size_t>(make()->bytes()));
}

}  // namespace bench
