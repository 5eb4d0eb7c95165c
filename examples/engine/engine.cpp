// The network of engine.c on the header-only core: nothing of Quantal is linked, the kernel is the one the compiler's
// flags allow. The engine brings its own tensors, its own memory (one arena) and its own threads (a pool that waits
// between operators). Both programs print the same bytes.
#include <array>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <quantal/kernels/conv.hpp>
#include <quantal/kernels/native.hpp>
#include <thread>
#include <vector>

namespace {

// ---- The engine's own parts -------------------------------------------------------------------------------------

struct tensor {
  std::uint8_t* data;
  std::size_t bytes;
  float scale;
  std::int32_t zero_point;
};

[[noreturn]] void give_up(const char* what) {
  std::fprintf(stderr, "%s\n", what);
  std::exit(1);
}

class arena {
 public:
  std::uint8_t* take(std::uint64_t bytes) {
    std::uint8_t* p = memory_.get() + used_;
    used_ += static_cast<std::size_t>((bytes + 63) / 64 * 64);
    if (memory_ == nullptr || used_ > size) give_up("the arena is full");
    return p;
  }

 private:
  static constexpr std::size_t size = std::size_t{4} << 20;
  std::unique_ptr<std::uint8_t, decltype(&std::free)> memory_{static_cast<std::uint8_t*>(std::aligned_alloc(64, size)),
                                                              &std::free};
  std::size_t used_ = 0;
};

// One job at a time: its tasks are taken one by one, by the helpers and by the thread that brought it.
class pool {
 public:
  explicit pool(std::size_t helpers) {
    while (threads_.size() < helpers) threads_.emplace_back([this] { help(); });
  }
  ~pool() {
    {
      const std::lock_guard<std::mutex> held(lock_);
      stop_ = true;
    }
    work_.notify_all();
    for (std::thread& t : threads_) t.join();
  }
  quantal::parallel_for hook() { return {this, run, threads_.size() + 1}; }  // all that Quantal knows of it

 private:
  static void run(void* self, std::size_t count, quantal::parallel_for::task_fn task, void* argument) {
    pool& p = *static_cast<pool*>(self);
    std::unique_lock<std::mutex> held(p.lock_);
    p.task_ = task, p.argument_ = argument, p.next_ = 0, p.count_ = p.unfinished_ = count;
    p.work_.notify_all();
    p.take_tasks(held);
    p.done_.wait(held, [&] { return p.unfinished_ == 0; });
  }
  void help() {
    std::unique_lock<std::mutex> held(lock_);
    for (take_tasks(held); !stop_; take_tasks(held)) work_.wait(held);
  }
  void take_tasks(std::unique_lock<std::mutex>& held) {  // holds the lock, but not during a task
    while (next_ < count_) {
      const std::size_t i = next_++;
      held.unlock();
      task_(argument_, i);
      held.lock();
      if (--unfinished_ == 0) done_.notify_one();
    }
  }

  std::mutex lock_;
  std::condition_variable work_, done_;
  quantal::parallel_for::task_fn task_ = nullptr;
  void* argument_ = nullptr;
  std::size_t next_ = 0, count_ = 0, unfinished_ = 0;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

// ---- What it borrows --------------------------------------------------------------------------------------------

void check(quantal::status s) {
  if (s != quantal::status::ok) give_up("Quantal refused a layer");
}

struct conv_layer {
  quantal::conv_plan plan;
  std::uint8_t* packed = nullptr;
  conv_layer(const quantal::conv_desc& d, const std::int8_t* weights, const std::int32_t* bias, std::size_t width,
             arena& memory) {
    check(plan_conv(d, quantal::native_gemm_leaf(), width, plan));
    packed = memory.take(plan.packed_bytes);
    check(pack_conv(plan, weights, bias, d.finish, packed, plan.packed_bytes));
  }
  void run(const tensor& in, tensor& out, std::uint8_t* workspace, std::uint64_t bytes, pool& threads) const {
    const quantal::conv_buffers b{in.data, in.bytes, packed,    plan.packed_bytes, nullptr,
                                  0,       out.data, out.bytes, workspace,         bytes};
    check(run_conv(plan, b, threads.hook()));
  }
};

struct dense_layer {
  quantal::gemm_plan plan;
  std::uint8_t* packed = nullptr;
  dense_layer(const quantal::gemm_desc& d, const std::int8_t* weights, const std::int32_t* bias, std::size_t width,
              arena& memory) {
    check(plan_gemm(d, quantal::native_gemm_leaf(), width, plan));
    packed = memory.take(plan.packed_bytes);
    check(pack_gemm(plan, {weights, bias, nullptr, d.finish}, packed, plan.packed_bytes));
  }
  void run(const tensor& in, tensor& out, std::uint8_t* workspace, std::uint64_t bytes, pool& threads) const {
    quantal::gemm_buffers b;
    b.lhs = in.data, b.lhs_bytes = in.bytes;
    b.packed = packed, b.packed_bytes = plan.packed_bytes;
    b.out = out.data, b.out_bytes = out.bytes;
    b.workspace = workspace, b.workspace_bytes = bytes;
    check(run_gemm(plan, b, threads.hook()));
  }
};

// ---- A network --------------------------------------------------------------------------------------------------

constexpr std::size_t side = 12, in_c = 4, mid_c = 24, classes = 10, flat = side * side * mid_c, width = 2;

}  // namespace

int main() {
  std::uint32_t state = 1;
  const auto next = [&] { return static_cast<std::uint8_t>((state = state * 1664525u + 1013904223u) >> 24); };
  std::vector<std::int8_t> conv_w(mid_c * 9 * in_c), dense_w(flat * classes);
  for (std::int8_t& x : conv_w) x = static_cast<std::int8_t>(next());
  for (std::int8_t& x : dense_w) x = static_cast<std::int8_t>(next());
  arena memory;
  tensor image{memory.take(side * side * in_c), side * side * in_c, 0.5f, 128};
  tensor features{memory.take(flat), flat, 0.25f, 10}, logits{memory.take(classes), classes, 2.0f, 128};
  std::array<std::int32_t, mid_c> conv_bias;
  std::array<std::int32_t, classes> dense_bias;
  std::array<float, mid_c> conv_ratio;
  for (std::size_t i = 0; i < mid_c; ++i) conv_bias[i] = static_cast<std::int32_t>(i) * 50 - 600;
  for (std::size_t i = 0; i < classes; ++i) dense_bias[i] = static_cast<std::int32_t>(i) * 100;
  for (std::size_t i = 0; i < mid_c; ++i)
    conv_ratio[i] = image.scale * (0.001f + 0.00005f * static_cast<float>(i)) / features.scale;
  const float dense_ratio = features.scale * 0.0032f / logits.scale;

  quantal::conv_desc conv;
  conv.shape.in_h = conv.shape.in_w = side;
  conv.shape.in_c = in_c;
  conv.shape.out_c = mid_c;
  conv.shape.kernel_h = conv.shape.kernel_w = 3;
  conv.shape.pad_top = conv.shape.pad_left = conv.shape.pad_bottom = conv.shape.pad_right = 1;
  conv.out = quantal::dtype::u8;
  conv.in_zero_point = image.zero_point;
  conv.finish.requant.ratios = conv_ratio.data();
  conv.finish.requant.count = mid_c;
  conv.finish.requant.zero_point = conv.finish.requant.min = features.zero_point;  // the minimum is a fused ReLU
  quantal::gemm_desc dense;
  dense.shape = {1, classes, flat};
  dense.out = quantal::dtype::u8;
  dense.lhs_zero_point = features.zero_point;
  dense.finish.requant.ratios = &dense_ratio;
  dense.finish.requant.count = 1;
  dense.finish.requant.zero_point = logits.zero_point;

  const conv_layer first(conv, conv_w.data(), conv_bias.data(), width, memory);
  const dense_layer second(dense, dense_w.data(), dense_bias.data(), width, memory);
  const std::uint64_t a = conv_workspace_bytes(first.plan, width), b = gemm_workspace_bytes(second.plan, width);
  const std::uint64_t space = a > b ? a : b;
  std::uint8_t* workspace = memory.take(space);
  for (std::size_t i = 0; i < image.bytes; ++i) image.data[i] = next();
  pool threads(width - 1);
  first.run(image, features, workspace, space, threads);
  second.run(features, logits, workspace, space, threads);
  std::printf("logits");
  for (std::size_t i = 0; i < classes; ++i) std::printf(" %d", logits.data[i]);
  std::printf("\n");
  return 0;
}
