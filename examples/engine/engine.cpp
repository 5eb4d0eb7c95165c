// The network of engine.c on the header-only core: nothing of Quantal is linked, the kernel is the one the compiler's
// flags allow. The engine brings its own memory (one arena) and its own threads. Both programs print the same bytes.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <quantal/kernels/conv.hpp>
#include <quantal/kernels/native.hpp>
#include <thread>
#include <vector>

namespace {

constexpr std::int64_t side = 12, in_c = 4, mid_c = 24, classes = 10, flat = side * side * mid_c;
constexpr std::size_t thread_count = 2;

struct arena {
  std::unique_ptr<unsigned char, decltype(&std::free)> memory{
      static_cast<unsigned char*>(std::aligned_alloc(64, std::size_t{4} << 20)), &std::free};
  std::size_t used = 0;
  std::uint8_t* take(std::uint64_t bytes) {
    unsigned char* p = memory.get() + used;
    used += static_cast<std::size_t>((bytes + 63) / 64 * 64);
    return memory != nullptr && used <= std::size_t{4} << 20 ? p : nullptr;
  }
};

// The engine's threads: task i goes to thread i mod 2 (a real engine keeps a pool).
void spread(void*, std::size_t count, quantal::parallel_for::task_fn task, void* argument) {
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < thread_count; ++t) {
    threads.emplace_back([=] {
      for (std::size_t i = t; i < count; i += thread_count) task(argument, i);
    });
  }
  for (std::thread& t : threads) t.join();
}

}  // namespace

int main() {
  using namespace quantal;
  std::uint32_t state = 1;
  const auto next = [&] { return (state = state * 1664525u + 1013904223u) >> 24; };
  std::vector<std::int8_t> conv_w(mid_c * 9 * in_c), fc_w(flat * classes);
  for (std::int8_t& x : conv_w) x = static_cast<std::int8_t>(next());
  for (std::int8_t& x : fc_w) x = static_cast<std::int8_t>(next());
  std::vector<std::int32_t> conv_bias(mid_c), fc_bias(classes);
  std::vector<float> conv_ratio(mid_c);
  for (std::int32_t i = 0; i < mid_c; ++i) {
    conv_bias[static_cast<std::size_t>(i)] = i * 50 - 600;
    conv_ratio[static_cast<std::size_t>(i)] = 0.002f + 0.0001f * static_cast<float>(i);
  }
  for (std::int32_t i = 0; i < classes; ++i) fc_bias[static_cast<std::size_t>(i)] = i * 100;
  const float fc_ratio = 0.0004f;

  conv_desc conv;
  conv.shape.in_h = conv.shape.in_w = side;
  conv.shape.in_c = in_c;
  conv.shape.out_c = mid_c;
  conv.shape.kernel_h = conv.shape.kernel_w = 3;
  conv.shape.pad_top = conv.shape.pad_left = conv.shape.pad_bottom = conv.shape.pad_right = 1;
  conv.out = dtype::u8;
  conv.in_zero_point = 128;
  conv.finish.requant.ratios = conv_ratio.data();
  conv.finish.requant.count = conv_ratio.size();
  conv.finish.requant.zero_point = 10;
  conv.finish.requant.min = 10;  // a fused ReLU
  gemm_desc fc;
  fc.shape = {1, classes, flat};
  fc.out = dtype::u8;
  fc.lhs_zero_point = 10;
  fc.finish.requant.ratios = &fc_ratio;
  fc.finish.requant.count = 1;
  fc.finish.requant.zero_point = 128;

  conv_plan conv_planned;
  gemm_plan fc_planned;
  if (plan_conv(conv, native_gemm_leaf(), thread_count, conv_planned) != status::ok) return 1;
  if (plan_gemm(fc, native_gemm_leaf(), thread_count, fc_planned) != status::ok) return 1;
  const std::uint64_t conv_space = conv_workspace_bytes(conv_planned, thread_count);
  const std::uint64_t fc_space = gemm_workspace_bytes(fc_planned, thread_count);
  const std::uint64_t space = conv_space > fc_space ? conv_space : fc_space;

  arena memory;
  std::uint8_t* conv_packed = memory.take(conv_planned.packed_bytes);
  std::uint8_t* fc_packed = memory.take(fc_planned.packed_bytes);
  std::uint8_t* image = memory.take(side * side * in_c);
  std::uint8_t* features = memory.take(flat);
  std::uint8_t* logits = memory.take(classes);
  std::uint8_t* workspace = memory.take(space);
  if (workspace == nullptr) return 1;
  if (pack_conv(conv_planned, conv_w.data(), conv_bias.data(), conv.finish, conv_packed, conv_planned.packed_bytes) !=
      status::ok)
    return 1;
  if (pack_gemm(fc_planned, {fc_w.data(), fc_bias.data(), nullptr, fc.finish}, fc_packed, fc_planned.packed_bytes) !=
      status::ok)
    return 1;

  for (std::int64_t i = 0; i < side * side * in_c; ++i) image[i] = static_cast<std::uint8_t>(next());
  const parallel_for threads{nullptr, spread, thread_count};
  conv_buffers first;
  first.in = image;
  first.in_bytes = side * side * in_c;
  first.packed = conv_packed;
  first.packed_bytes = conv_planned.packed_bytes;
  first.out = features;
  first.out_bytes = flat;
  first.workspace = workspace;
  first.workspace_bytes = space;
  if (run_conv(conv_planned, first, threads) != status::ok) return 1;
  gemm_buffers second;
  second.lhs = features;
  second.lhs_bytes = flat;
  second.packed = fc_packed;
  second.packed_bytes = fc_planned.packed_bytes;
  second.out = logits;
  second.out_bytes = classes;
  second.workspace = workspace;
  second.workspace_bytes = space;
  if (run_gemm(fc_planned, second, threads) != status::ok) return 1;
  std::printf("logits");
  for (std::int64_t i = 0; i < classes; ++i) std::printf(" %d", logits[i]);
  std::printf("\n");
  return 0;
}
