// The C ABI's sessions: exec::session behind an opaque handle, results that own their tensors.
#include "quantal/exec/session.hpp"

#include "guard.hpp"
#include "quantal/onnx/onnx.hpp"
#include "source.hpp"

using namespace quantal;
using namespace quantal::capi;

struct quantal_session {
  exec::session session;
};
struct quantal_results {
  std::vector<exec::named_tensor> tensors;
};

namespace {

std::int32_t create(result<ir::model> m, std::int32_t threads, quantal_session** out, quantal_diag* diag) {
  if (!m) return fail(m.failure(), diag);
  exec::session_options options;
  options.threads = static_cast<std::size_t>(threads);
  auto session = exec::session::create(std::make_shared<ir::model>(*std::move(m)), options);
  if (!session) return fail(session.failure(), diag);
  *out = new quantal_session{*std::move(session)};
  return QUANTAL_OK;
}

std::int32_t describe(const std::vector<ir::value_info>& values, std::uint64_t index,
                      quantal_value_info* info) noexcept {
  if (info == nullptr) return QUANTAL_E_NULL;
  if (index >= values.size()) return QUANTAL_E_ARGUMENT;
  const ir::value_info& v = values[static_cast<std::size_t>(index)];
  quantal_value_info out = {};
  out.name = v.name.c_str();
  out.dtype = static_cast<std::int32_t>(v.type.elem);
  out.rank = -1;
  if (v.type.has_rank() && v.type.dims->size() <= 8) {
    out.rank = static_cast<std::int32_t>(v.type.dims->size());
    for (std::size_t i = 0; i < v.type.dims->size(); ++i) out.dims[i] = (*v.type.dims)[i].value;
  }
  return write_struct(out, info, sizeof(quantal_value_info));
}

}  // namespace

extern "C" {

int32_t quantal_session_create_file(const char* model_path, int32_t threads, quantal_session** session,
                                    quantal_diag* diag) {
  if (model_path == nullptr || session == nullptr) return fail(QUANTAL_E_NULL, "model_path or session is NULL", diag);
  if (threads < 0) return fail(QUANTAL_E_ARGUMENT, "threads is negative", diag);
  return fenced(diag, [&] { return create(onnx::read_file(model_path), threads, session, diag); });
}

int32_t quantal_session_create_memory(const void* model, size_t model_bytes, int32_t threads, quantal_session** session,
                                      quantal_diag* diag) {
  if (model == nullptr || session == nullptr) return fail(QUANTAL_E_NULL, "model or session is NULL", diag);
  if (threads < 0) return fail(QUANTAL_E_ARGUMENT, "threads is negative", diag);
  return fenced(diag, [&] {
    return create(onnx::read({static_cast<const std::byte*>(model), model_bytes}), threads, session, diag);
  });
}

void quantal_session_free(quantal_session* session) {
  delete session;
}

uint64_t quantal_session_input_count(const quantal_session* session) {
  return session == nullptr ? 0 : session->session.inputs().size();
}
uint64_t quantal_session_output_count(const quantal_session* session) {
  return session == nullptr ? 0 : session->session.outputs().size();
}

int32_t quantal_session_input(const quantal_session* session, uint64_t index, quantal_value_info* info) {
  return session == nullptr ? QUANTAL_E_NULL : describe(session->session.inputs(), index, info);
}
int32_t quantal_session_output(const quantal_session* session, uint64_t index, quantal_value_info* info) {
  return session == nullptr ? QUANTAL_E_NULL : describe(session->session.outputs(), index, info);
}

int32_t quantal_session_run(const quantal_session* session, const quantal_tensor* feeds, uint64_t feed_count,
                            const char* const* outputs, uint64_t output_count, quantal_results** results,
                            quantal_diag* diag) {
  if (session == nullptr || results == nullptr) return fail(QUANTAL_E_NULL, "session or results is NULL", diag);
  if ((feed_count > 0 && feeds == nullptr) || (output_count > 0 && outputs == nullptr))
    return fail(QUANTAL_E_NULL, "feeds or outputs is NULL", diag);
  if (feed_count > 100'000 || output_count > 1'000'000) return fail(QUANTAL_E_COUNT, "too many feeds or outputs", diag);
  return fenced(diag, [&]() -> int32_t {
    std::vector<exec::named_tensor> named;
    for (uint64_t i = 0; i < feed_count; ++i) {
      auto t = tensor_of(tensor_at(feeds, i), "feed");
      if (!t) return fail(t.failure(), diag);
      named.push_back(*std::move(t));
    }
    exec::run_options options;
    for (uint64_t i = 0; i < output_count; ++i) {
      if (outputs[i] == nullptr) return fail(QUANTAL_E_NULL, "an output name is NULL", diag);
      options.outputs.emplace_back(outputs[i]);
    }
    auto run = session->session.run(named, options);
    if (!run) return fail(run.failure(), diag);
    for (exec::named_tensor& t : *run) {
      // A model that passes an input on gives the caller's own memory back: the results must outlive it.
      for (const exec::named_tensor& feed : named) {
        const auto* p = static_cast<const char*>(t.value.data());
        const auto* from = static_cast<const char*>(feed.value.data());
        if (p == nullptr || p < from || p >= from + feed.value.bytes()) continue;
        auto copy = t.value.clone();
        if (!copy) return fail(copy.failure(), diag);
        t.value = *std::move(copy);
        break;
      }
      if (t.value.type() == dtype::string) return fail(QUANTAL_E_UNSUPPORTED, "an output holds strings", diag);
    }
    *results = new quantal_results{*std::move(run)};
    return QUANTAL_OK;
  });
}

uint64_t quantal_results_count(const quantal_results* results) {
  return results == nullptr ? 0 : results->tensors.size();
}

int32_t quantal_results_get(const quantal_results* results, uint64_t index, quantal_tensor* tensor) {
  if (results == nullptr || tensor == nullptr) return QUANTAL_E_NULL;
  if (index >= results->tensors.size()) return QUANTAL_E_ARGUMENT;
  const exec::named_tensor& t = results->tensors[static_cast<std::size_t>(index)];
  quantal_tensor out = {};
  out.name = t.name.c_str();
  out.dtype = static_cast<int32_t>(t.value.type());
  out.rank = t.value.dims().rank;
  out.dims = t.value.dims().dims;
  out.data = t.value.data();
  out.bytes = t.value.bytes();
  return write_struct(out, tensor, sizeof(quantal_tensor));
}

void quantal_results_free(quantal_results* results) {
  delete results;
}

}  // extern "C"
