// f32 codes and back: quantize/<elements> (f32 -> s8), dequantize/<elements>, by the kernels that this run's ISA
// dispatches to. GBps counts what is read and written (4 + 1 bytes an element); the rows .../peer:memcpy and
// .../peer:copy_loop move the same number of bytes. 65536 elements lie in a 512 KiB L2.
#include "copies.hpp"
#include "families.hpp"
#include "peers/peers.hpp"
#include "quantal/kernels/elementwise.hpp"
#include "rows.hpp"

namespace bench {
namespace {

using namespace quantal;

prepared prepare_codes(const problem_ptr& p, const elementwise_table& table) {
  const quantize_run run{{p->scale, p->output_zero_point}, {-128, 127}, false, false};
  const std::size_t n = p->values.size();
  prepared r;
  r.note = table.isa;
  r.bytes = p->bytes();
  check_result c;
  if (p->what == kind::quantize) {
    const auto codes = std::make_shared<array<std::int8_t>>(n);
    const auto call = [p, codes, run, n, f = table.quantize_s8] { f(p->values.data(), n, run, codes->data()); };
    call();
    c = check(*p, [&](std::size_t i) { return static_cast<double>((*codes)[i]); });
    r.time = repeat(call);
  } else {
    const auto floats = std::make_shared<array<float>>(n);
    const auto call = [p, floats, run, n, f = table.dequantize_s8] {
      f(reinterpret_cast<const std::int8_t*>(p->input.data()), n, run.params, floats->data());
    };
    call();
    c = check(*p, [&](std::size_t i) { return static_cast<double>((*floats)[i]); });
    r.time = repeat(call);
  }
  r.wrong = c.wrong;
  r.checked = c.checked;
  return r;
}

}  // namespace

void add_quantize_rows(const std::string& family, const std::string&, const std::string& shape) {
  const kind what = family == "quantize" ? kind::quantize : kind::dequantize;
  const auto make = [what, shape] { return make_array(what, shape); };
  const std::string name = family + "/" + shape;
  add_row(name, [make] { return prepare_codes(make(), elementwise()); });
  add_peer_rows(name, what, make);
  add_copies(name + "/peer:memcpy", name + "/peer:copy_loop", static_cast<std::size_t>(std::atoll(shape.c_str())) * 5);
}

}  // namespace bench
