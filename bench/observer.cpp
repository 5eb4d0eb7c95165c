// Observers: observer/<method>-<elements> (f32), each told the same array again and again, with the dispatched minimum
// and maximum, as the library's calibration has it. GBps counts what is read.
#include "families.hpp"
#include "peers/peers.hpp"
#include "quantal/calib/observers/all.hpp"
#include "quantal/kernels/elementwise.hpp"
#include "rows.hpp"

namespace bench {
namespace {

using namespace quantal;

prepared prepare_observer(const problem_ptr& p) {
  prepared r;
  r.bytes = p->bytes();
  std::shared_ptr<calib::observer> o;
  calib::method_options options;
  options.moments_of = moments_kernel();
  options.min_max_of = elementwise().min_max_of;
  if (p->method == "min_max") o = std::make_shared<calib::min_max_observer>(options);
  if (p->method == "histogram") o = std::make_shared<calib::histogram_observer>(options);
  if (p->method == "moments") o = std::make_shared<calib::moments_observer>(options);
  if (o == nullptr) {
    r.note = "no such observer";
    return r;
  }
  r.time = repeat([p, o] { (void)o->observe(p->values.data(), p->values.size()); });
  return r;
}

}  // namespace

void add_observer_rows(const std::string& family, const std::string&, const std::string& shape) {
  const std::size_t dash = shape.find('-');
  const auto make = [size = shape.substr(dash + 1), method = shape.substr(0, dash)] {
    return make_array(kind::observe, size, method);
  };
  const std::string name = family + "/" + shape;
  add_row(name, [make] { return prepare_observer(make()); });
  add_peer_rows(name, kind::observe, make);
}

}  // namespace bench
