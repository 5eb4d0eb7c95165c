// Arrays: quantize/<elements> (f32 -> s8), dequantize/<elements>, observer/<method>-<elements>, by the kernels that
// this run's ISA dispatches to. GBps counts what is read and written (quantize: 4 + 1 bytes an element); the rows
// .../peer:memcpy and .../peer:copy_loop move the same number of bytes. 65536 elements lie in a 512 KiB L2.
#include <cstring>

#include "families.hpp"
#include "peers/peers.hpp"
#include "quantal/calib/observers/all.hpp"
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

prepared prepare_observer(const problem_ptr& p) {
  prepared r;
  r.bytes = p->bytes();
  std::shared_ptr<calib::observer> o;
  calib::method_options options;
  options.min_max_of = elementwise().min_max_of;  // as the library's calibration does
  if (p->method == "min_max") o = std::make_shared<calib::min_max_observer>(options);
  if (p->method == "histogram") o = std::make_shared<calib::histogram_observer>(options);
  if (p->method == "moments") o = std::make_shared<calib::moments_observer>(options);
  if (o == nullptr) {
    r.note = "no such observer";
    return r;
  }
  r.time = repeat([p, o] { o->observe(p->values.data(), p->values.size()); });
  return r;
}

// A copy that reads and writes as many bytes in all.
void add_copies(const std::string& name, std::size_t bytes) {
  for (const bool library : {true, false}) {
    add_row(name + (library ? "/peer:memcpy" : "/peer:copy_loop"), [bytes, library] {
      prepared r;
      r.bytes = static_cast<double>(bytes);
      const std::size_t n = bytes / 2 / sizeof(float);
      const auto from = std::make_shared<array<float>>(n, 1.0f), to = std::make_shared<array<float>>(n);
      if (library) {
        r.time = repeat([from, to, n] {
          std::memcpy(to->data(), from->data(), n * sizeof(float));
          asm volatile("" ::"r"(to->data()) : "memory");
        });
      } else {  // the addition keeps the compiler from calling memcpy, which is slow on some CPUs (string instructions)
        r.time = repeat([from, to, n] {
          const float* x = from->data();
          float* y = to->data();
          for (std::size_t i = 0; i < n; ++i) y[i] = x[i] + 1.0f;
          asm volatile("" ::"r"(y) : "memory");
        });
      }
      return r;
    });
  }
}

}  // namespace

void add_array_rows(const std::string& family, const std::string& shape) {
  if (family == "observer") {
    const std::size_t dash = shape.find('-');
    const auto make = [size = shape.substr(dash + 1), method = shape.substr(0, dash)] {
      return make_array(kind::observe, size, method);
    };
    add_row("observer/" + shape, [make] { return prepare_observer(make()); });
    add_peer_rows("observer/" + shape, kind::observe, make);
    return;
  }
  const kind what = family == "quantize" ? kind::quantize : kind::dequantize;
  const auto make = [what, shape] { return make_array(what, shape); };
  const std::string name = family + "/" + shape;
  add_row(name, [make] { return prepare_codes(make(), elementwise()); });
  add_peer_rows(name, what, make);
  add_copies(name, static_cast<std::size_t>(std::atoll(shape.c_str())) * 5);
}

}  // namespace bench
