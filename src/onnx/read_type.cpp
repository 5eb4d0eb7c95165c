#include "read_type.hpp"

#include <algorithm>
#include <optional>

#include "quantal/base/text.hpp"
#include "quantal/ir/dtype_map.hpp"
#include "read_tensor.hpp"

namespace quantal::onnx {

error syntax(std::string what) {
  return {status::model_syntax, std::move(what), "", "the file is damaged or was written wrongly"};
}

namespace {

result<ir::dim> read_dim(cursor c) {
  ir::dim d;
  while (c.next()) switch (c.field()) {
      case 1:
        d.value = c.integer();
        d.symbol.clear();
        break;
      case 2:
        d.symbol = c.text();
        d.value = -1;
        break;
      case 3: d.denotation = c.text(); break;
      default: break;
    }
  QUANTAL_CHECK(c.finish("dimension"));
  if (d.value < -1) return syntax("the dimension " + std::to_string(d.value) + " is negative");
  return d;
}

result<std::vector<ir::dim>> read_dims(cursor c) {
  std::vector<ir::dim> dims;
  while (c.next()) {
    if (c.field() != 1) continue;
    QUANTAL_TRY(d, read_dim(c.message()));
    dims.push_back(std::move(d));
  }
  QUANTAL_CHECK(c.finish("shape"));
  return dims;
}

result<void> read_tensor_type(cursor c, ir::value_type& out) {
  out.of = ir::value_type::kind::tensor;
  while (c.next()) {
    if (c.field() == 1) {
      const std::int64_t number = c.integer();
      const std::optional<dtype> type = ir::dtype_from_onnx(number);
      if (!type) {
        return error{status::unsupported, "the element type " + std::to_string(number) + " of ONNX is not supported",
                     "", ""};
      }
      out.elem = *type;
    } else if (c.field() == 2) {
      QUANTAL_TRY(dims, read_dims(c.message()));
      out.dims = std::move(dims);
    }
  }
  return c.finish("tensor type");
}

// Kinds of types other than tensors are kept as they are written.
result<ir::value_type> read_type(cursor c, std::string_view raw) {
  ir::value_type type;
  while (c.next()) switch (c.field()) {
      case 1: QUANTAL_CHECK(read_tensor_type(c.message(), type)); break;
      case 6: type.denotation = c.text(); break;
      case 4:
      case 5:
      case 7:
      case 8:
      case 9:
        type.of = ir::value_type::kind::opaque;
        (void)c.bytes();
        break;
      default: break;
    }
  QUANTAL_CHECK(c.finish("type"));
  if (type.of == ir::value_type::kind::opaque) {
    ir::value_type opaque;
    opaque.of = ir::value_type::kind::opaque;
    opaque.raw = raw;
    return opaque;
  }
  return type;
}

}  // namespace

result<ir::value_info> read_value_info(cursor c) {
  ir::value_info v;
  result<void> ok;
  while (ok && c.next()) switch (c.field()) {
      case 1: v.name = c.text(); break;
      case 2:
        if (auto type = read_type(c.message(), c.bytes())) {
          v.type = *std::move(type);
        } else {
          ok = std::move(type).failure();
        }
        break;
      case 3: v.doc = c.text(); break;
      case 4: ok = read_pair(c.message(), v.metadata); break;
      default: break;
    }
  if (ok) ok = c.finish("value");
  if (!ok) return std::move(ok).failure().at("value " + quoted(v.name));
  return v;
}

result<void> read_opset(cursor c, std::vector<ir::opset>& out) {
  ir::opset o;
  while (c.next()) {
    if (c.field() == 1) o.domain = c.text();
    if (c.field() == 2) o.version = c.integer();
  }
  QUANTAL_CHECK(c.finish("operator set"));
  if (o.domain == "ai.onnx") o.domain.clear();
  if (o.version < 0) return syntax("the operator set version " + std::to_string(o.version) + " is negative");
  const auto same = std::find_if(out.begin(), out.end(), [&](const ir::opset& k) { return k.domain == o.domain; });
  if (same == out.end()) {
    out.push_back(std::move(o));
  } else {
    same->version = std::max(same->version, o.version);
  }
  return {};
}

}  // namespace quantal::onnx
