// The matrix of one leaf: shapes around its block, every kind of product, blockings and widths, and its block function
// alone with scattered rows and taps as convolutions give them. Everything equals the reference, bit for bit.
#pragma once
#include <cstdio>
#include <string>

#include "kernels/gemm_problem.hpp"

namespace quantal_test {

struct matrix_report {
  int products = 0, wrong = 0;
  std::string first_wrong;
};

enum class effort { small, full };  // small: seconds under QEMU

class leaf_matrix {
 public:
  // `after` is asked after each run: "" or what is wrong beside the output (a tile left configured).
  leaf_matrix(const gemm_leaf& leaf, effort e, const char* (*after)() = nullptr)
      : leaf_(leaf), effort_(e), after_(after), r_(7) {}

  matrix_report run() {
    shapes();
    kinds();
    blockings();
    blocks();
    return report_;
  }

 private:
  void shapes() {
    const std::int64_t rows = leaf_.rows, columns = leaf_.layout.columns, depth = leaf_.layout.depth,
                       tile = leaf_.layout.tile_columns;
    const std::int64_t limit = effort_ == effort::full ? 300000 : 9000;
    for (const std::int64_t m : {std::int64_t{0}, std::int64_t{1}, std::int64_t{2}, std::int64_t{3}, rows / 2 + 1,
                                 rows - 1, rows, rows + 1, 2 * rows + 1, std::int64_t{37}})
      for (const std::int64_t n : {std::int64_t{0}, std::int64_t{1}, tile + 1, columns - 1, columns, columns + 1,
                                   2 * columns + 3, std::int64_t{53}})
        for (const std::int64_t k :
             {std::int64_t{0}, std::int64_t{1}, depth - 1, depth, depth + 1, 2 * depth + 3, std::int64_t{97}})
          if (m * n * k <= limit && (effort_ == effort::full || (m + n + k) % 3 == 0)) product({m, n, k}, any_kind(r_));
    if (effort_ == effort::full) {
      product({61, 131, 519}, any_kind(r_));
      product({5, 300, 1031}, any_kind(r_));
      product({131, 67, 4096}, any_kind(r_));  // rows 4 KiB apart
    }
    product({3, 5, 33029}, any_kind(r_));  // past the depth where s32 sums are safe
  }

  void kinds() {
    const gemm_shape s{leaf_.rows + 1, leaf_.layout.columns + 1, leaf_.layout.depth + 1};
    gemm_kind k;
    int index = 0;
    for (const dtype lhs : {dtype::u8, dtype::s8})
      for (const dtype rhs : {dtype::u8, dtype::s8})
        for (const dtype out : {dtype::s32, dtype::f32, dtype::u8, dtype::s8})
          for (const contract rule : {contract::fp32_rne, contract::fixed_single, contract::fixed_double})
            for (const dtype residual : {dtype::none, dtype::u8, dtype::s8})
              for (const bool option : {false, true}) {
                k = {lhs, rhs, out, rule, residual, false, option, false, index % 2 == 0, index % 3 == 0};
                if (!to_codes(k) && (rule != contract::fp32_rne || residual != dtype::none)) continue;
                k.table = to_codes(k) && option;
                k.row_scales = out == dtype::f32 && option;
                if (effort_ == effort::full || index % 7 == 0) product(s, k);
                ++index;
              }
  }

  // The same product, cut in every way: the outputs are equal.
  void blockings() {
    const std::int64_t rows = leaf_.rows, columns = leaf_.layout.columns, depth = leaf_.layout.depth;
    for (int round = 0; round < (effort_ == effort::full ? 4 : 1); ++round) {
      gemm_kind kind = any_kind(r_);
      kind.rule = round == 0 ? contract::fp32_rne : kind.rule;
      gemm_problem p({3 * rows + 1, 2 * columns + 5, 4 * depth + 3}, kind, r_.next(), memory_);
      const std::vector<std::uint8_t> wanted = p.reference();
      for (const std::int64_t block_m : {std::int64_t{0}, rows, 2 * rows})
        for (const std::int64_t panels : {0, 1, 2})
          for (const std::int64_t chunk : {0, 1, 3})
            for (const std::int32_t wide : {0, 1}) {
              const std::size_t width = static_cast<std::size_t>(1 + (block_m + panels + chunk + wide) % 3);
              const parallel_for lanes{nullptr, backwards, width};
              judge(p.run(leaf_, width, lanes, {block_m, panels, chunk, wide}) == wanted, p, "blocking");
            }
      memory_.reset();
    }
  }

  // block() alone: scattered rows, several taps, every number of live rows.
  void blocks() {
    const panel_layout& l = leaf_.layout;
    const std::int64_t steps = 2, width = steps * l.depth * lhs_bytes(leaf_);
    for (const std::int32_t taps : {1, 3})
      for (std::int32_t live = 1; live <= leaf_.rows; ++live)
        for (const bool even : {false, true}) scattered(taps, live, even, steps, width);
  }

  void scattered(std::int32_t taps, std::int32_t live, bool even, std::int64_t steps, std::int64_t width) {
    const panel_layout& l = leaf_.layout;
    const bool is_unsigned = leaf_.form == lhs_form::u8 || (leaf_.form == lhs_form::codes && live % 2 == 0);
    const std::int64_t depth = steps * l.depth, distance = width + 2 * r_.pick(0, 40);
    std::vector<std::uint8_t> image(static_cast<std::size_t>(distance * 64 + taps * 64 + width));
    for (std::uint8_t& x : image) x = static_cast<std::uint8_t>(r_.next() >> 8);
    if (leaf_.form == lhs_form::s16_centred)  // [-255, 255]
      for (std::size_t i = 1; i < image.size(); i += 2) image[i] = image[i] % 2 == 0 ? 0 : 0xff;
    std::vector<std::int8_t> weights(static_cast<std::size_t>(taps * depth * l.columns));
    for (std::int8_t& x : weights) x = static_cast<std::int8_t>(r_.pick(-128, 127));
    std::vector<std::uint8_t> panel(weights.size());
    const void* rows[64];
    std::int64_t offsets[4];
    for (std::int32_t i = 0; i < live; ++i) rows[i] = image.data() + distance * (even ? i : (i * 7) % 40);
    for (std::int32_t t = 0; t < taps; ++t) offsets[t] = 2 * r_.pick(0, 31);
    for (std::int32_t t = 0; t < taps; ++t)
      for (std::int64_t d = 0; d < depth; ++d)
        for (std::int32_t c = 0; c < l.columns; ++c)
          panel[static_cast<std::size_t>(t * depth * l.columns + panel_offset(l, d, c))] =
              static_cast<std::uint8_t>(weights[static_cast<std::size_t>((t * depth + d) * l.columns + c)]);
    std::vector<std::int32_t> acc(static_cast<std::size_t>(live * l.columns)), wanted;
    for (std::int32_t& x : acc) x = static_cast<std::int32_t>(r_.next());
    wanted = acc;
    block_args a;
    a.rows = rows;
    a.row_step = even ? distance : 0;
    a.taps = offsets;
    a.tap_count = taps;
    a.steps = steps;
    a.panel = panel.data();
    a.live_rows = live;
    a.live_columns = live % 3 == 0 ? r_.pick(1, l.columns) : l.columns;
    a.lhs_unsigned = is_unsigned;
    a.accumulate = live % 2 != 0;
    a.acc = acc.data();
    for (std::int32_t i = 0; i < live; ++i)
      for (std::int32_t c = 0; c < a.live_columns; ++c) {
        std::uint32_t sum =
            a.accumulate ? static_cast<std::uint32_t>(wanted[static_cast<std::size_t>(i * l.columns + c)]) : 0;
        for (std::int32_t t = 0; t < taps; ++t)
          for (std::int64_t d = 0; d < depth; ++d)
            sum += static_cast<std::uint32_t>(
                lhs_at(static_cast<const std::uint8_t*>(rows[i]) + offsets[t], d, is_unsigned) *
                weights[static_cast<std::size_t>((t * depth + d) * l.columns + c)]);
        wanted[static_cast<std::size_t>(i * l.columns + c)] = static_cast<std::int32_t>(sum);
      }
    if (leaf_.begin != nullptr) leaf_.begin(0);
    leaf_.block(a);
    if (leaf_.end != nullptr) leaf_.end();
    bool right = true;
    for (std::int32_t i = 0; i < live; ++i)
      for (std::int32_t c = 0; c < a.live_columns; ++c)
        right = right &&
                acc[static_cast<std::size_t>(i * l.columns + c)] == wanted[static_cast<std::size_t>(i * l.columns + c)];
    ++report_.products;
    const char* beside = after_ == nullptr ? "" : after_();
    if (right && *beside == 0) return;
    complain("block: " + std::to_string(taps) + " taps, " + std::to_string(live) + " rows" + (even ? ", even" : "") +
             " " + beside);
  }

  std::int32_t lhs_at(const std::uint8_t* row, std::int64_t d, bool is_unsigned) const {
    if (leaf_.form == lhs_form::s16_centred) {
      std::int16_t x;
      std::memcpy(&x, row + 2 * d, sizeof x);
      return x;
    }
    return is_unsigned ? std::int32_t{row[d]} : std::int32_t{static_cast<std::int8_t>(row[d])};
  }

  // Tasks in reverse order on one thread: what is not independent shows.
  static void backwards(void*, std::size_t count, parallel_for::task_fn task, void* argument) {
    while (count-- > 0) task(argument, count);
  }

  void product(const gemm_shape& s, const gemm_kind& kind) {
    gemm_problem p(s, kind, r_.next(), memory_);
    judge(p.run(leaf_) == p.reference() && p.error == status::ok, p, "product");
    memory_.reset();
  }

  void judge(bool right, const gemm_problem& p, const char* what) {
    ++report_.products;
    const char* beside = after_ == nullptr ? "" : after_();
    if (right && *beside == 0) return;
    const gemm_shape& s = p.d.shape;
    char text[200];
    std::snprintf(text, sizeof text, "%s %lld x %lld x %lld, lhs %d, rhs %d, out %d, rule %d: %s", what,
                  static_cast<long long>(s.m), static_cast<long long>(s.n), static_cast<long long>(s.k),
                  static_cast<int>(p.d.lhs), static_cast<int>(p.d.rhs), static_cast<int>(p.d.out),
                  static_cast<int>(p.d.finish.requant.rule),
                  p.error != status::ok ? "refused"
                  : *beside != 0        ? beside
                                        : "differs");
    complain(text);
  }
  void complain(const std::string& text) {
    if (report_.wrong++ == 0) report_.first_wrong = text;
  }

  const gemm_leaf& leaf_;
  effort effort_;
  const char* (*after_)();
  generator r_;
  heap_memory memory_;
  matrix_report report_;
};

}  // namespace quantal_test
