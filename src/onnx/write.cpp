#include "encode.hpp"
#include "guard.hpp"
#include "quantal/base/text.hpp"
#include "quantal/io/atomic_file.hpp"
#include "quantal/io/digest.hpp"
#include "quantal/io/path.hpp"
#include "quantal/onnx/onnx.hpp"

namespace quantal::onnx {

namespace {

result<void> put(io::atomic_file& file, const rope& r) {
  result<void> ok;
  r.for_each_piece([&](const char* data, std::size_t size) {
    ok = file.write(data, size);
    return static_cast<bool>(ok);
  });
  return ok;
}

result<void> put(io::atomic_file& file, const data_plan& plan) {
  const std::string zeros(data_plan::alignment, '\0');
  for (const data_plan::part& p : plan.parts) {
    QUANTAL_CHECK(file.write(zeros.data(), static_cast<std::size_t>(p.offset - file.written())));
    QUANTAL_CHECK(file.write(p.data, p.size));
  }
  return {};
}

error too_large(const char* what, const char* advice) {
  return {status::limit, what, "", advice};
}

result<std::string> in_memory(const ir::model& m) {
  const rope r = encode_model(m);
  if (r.size() > largest_file) {
    return too_large("the serialized model would be larger than 2 GB",
                     "write it to a file: its tensors then go beside it");
  }
  std::string bytes;
  bytes.reserve(static_cast<std::size_t>(r.size()));
  r.for_each_piece([&](const char* data, std::size_t size) {
    bytes.append(data, size);
    return true;
  });
  return bytes;
}

// Both files are complete before either appears; the data file appears first.
result<std::uint64_t> to_file(const ir::model& m, const std::string& path, std::uint64_t inline_limit) {
  rope r = encode_model(m);
  data_plan plan;
  if (r.size() > inline_limit) {
    plan.location = std::string(io::file_name_of(path)) + ".data";
    r = encode_model(m, &plan);
  }
  if (r.size() > largest_file)
    return too_large("the model is larger than 2 GB even without its tensors", "remove text or nodes from the model");
  QUANTAL_TRY(file, io::atomic_file::create(path));
  QUANTAL_CHECK(put(file, r));
  std::uint64_t bytes = file.written();
  if (!plan.parts.empty()) {
    QUANTAL_TRY(data, io::atomic_file::create(path + ".data"));
    QUANTAL_CHECK(put(data, plan));
    bytes += data.written();
    QUANTAL_CHECK(data.commit());
  }
  QUANTAL_CHECK(file.commit());
  return bytes;
}

}  // namespace

result<std::string> write(const ir::model& m) {
  return guarded([&] { return in_memory(m); });
}

result<std::uint64_t> write_file(const ir::model& m, const std::string& path, std::uint64_t inline_limit) {
  return guarded([&] { return to_file(m, path, inline_limit); });
}

std::string model_hash(const ir::model& m) {
  io::digest digest(io::digest::sha256);
  encode_model(m).for_each_piece([&](const char* data, std::size_t size) {
    digest.add(data, size);
    return true;
  });
  return digest.hex();
}

}  // namespace quantal::onnx
