#include "quantal/ops/strided.hpp"

#include <algorithm>
#include <cstring>

#include "quantal/ops/arguments.hpp"

namespace quantal::ops {

namespace {

struct bytes16 {
  std::uint64_t low, high;
};

// Dimensions with the strides of both sides, joined.
struct walk {
  std::int64_t dim[limits::max_rank + 1];
  std::int64_t from[limits::max_rank + 1];
  std::int64_t to[limits::max_rank + 1];
  std::int32_t rank = 0;
};

walk join(const shape& dims, const stride_list& from, const stride_list& to) {
  walk w;
  for (std::int32_t i = 0; i < dims.rank; ++i) {
    const auto u = static_cast<std::size_t>(i);
    if (dims[i] == 1) continue;
    const std::int32_t last = w.rank - 1;
    if (last >= 0 && w.from[last] == from[u] * dims[i] && w.to[last] == to[u] * dims[i]) {
      w.dim[last] *= dims[i];
      w.from[last] = from[u];
      w.to[last] = to[u];
    } else {
      w.dim[w.rank] = dims[i];
      w.from[w.rank] = from[u];
      w.to[w.rank++] = to[u];
    }
  }
  if (w.rank == 0) {
    w.dim[0] = 1;
    w.from[0] = w.to[0] = 1;
    w.rank = 1;
  }
  return w;
}

template <class T>
void copy_line(const T* x, std::int64_t sx, T* y, std::int64_t sy, std::int64_t n) {
  if (sx == 1 && sy == 1) {
    std::memcpy(y, x, static_cast<std::size_t>(n) * sizeof(T));
  } else if (sx == 0 && sy == 1) {
    std::fill_n(y, n, *x);
  } else {
    for (std::int64_t i = 0; i < n; ++i) y[i * sy] = x[i * sx];
  }
}

// Two dimensions, of which the source is dense along the first and the target along the second.
template <class T>
void copy_tiles(const T* x, T* y, std::int64_t rows, std::int64_t row_from, std::int64_t row_to, std::int64_t columns,
                std::int64_t column_from, std::int64_t column_to) {
  constexpr std::int64_t tile = 16;
  for (std::int64_t r = 0; r < rows; r += tile) {
    for (std::int64_t k = 0; k < columns; k += tile) {
      for (std::int64_t i = r; i < std::min(rows, r + tile); ++i) {
        for (std::int64_t j = k; j < std::min(columns, k + tile); ++j) {
          y[i * row_to + j * column_to] = x[i * row_from + j * column_from];
        }
      }
    }
  }
}

template <class T>
void run(const parallel_for& parallel, walk w, const T* x, T* y) {
  // Bring the dimension along which the source is dense next to the last one.
  std::int32_t tiled = -1;
  for (std::int32_t i = 0; i + 1 < w.rank; ++i) {
    if (w.from[i] == 1 && w.from[w.rank - 1] != 1 && w.from[w.rank - 1] != 0) tiled = i;
  }
  if (tiled >= 0) {
    std::rotate(w.dim + tiled, w.dim + tiled + 1, w.dim + w.rank - 1);
    std::rotate(w.from + tiled, w.from + tiled + 1, w.from + w.rank - 1);
    std::rotate(w.to + tiled, w.to + tiled + 1, w.to + w.rank - 1);
  }
  const std::int32_t outer = w.rank - (tiled >= 0 ? 2 : 1);
  const std::int32_t last = w.rank - 1;
  std::int64_t count = 1;
  for (std::int32_t i = 0; i < outer; ++i) count *= w.dim[i];
  const std::int64_t each = w.dim[last] * (tiled >= 0 ? w.dim[last - 1] : 1);
  parallel_ranges(
      parallel, count, 1 + 16384 / std::max<std::int64_t>(each, 1), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t at = begin; at < end; ++at) {
          const T* p = x;
          T* q = y;
          for (std::int64_t i = outer - 1, rest = at; i >= 0; --i) {
            p += rest % w.dim[i] * w.from[i];
            q += rest % w.dim[i] * w.to[i];
            rest /= w.dim[i];
          }
          if (tiled >= 0) {
            copy_tiles(p, q, w.dim[last - 1], w.from[last - 1], w.to[last - 1], w.dim[last], w.from[last], w.to[last]);
          } else {
            copy_line(p, w.from[last], q, w.to[last], w.dim[last]);
          }
        }
      });
}

void run_sized(const parallel_for& parallel, std::size_t size, const walk& w, const void* x, void* y) {
  switch (size) {
    case 1: run(parallel, w, static_cast<const std::uint8_t*>(x), static_cast<std::uint8_t*>(y)); break;
    case 2: run(parallel, w, static_cast<const std::uint16_t*>(x), static_cast<std::uint16_t*>(y)); break;
    case 4: run(parallel, w, static_cast<const std::uint32_t*>(x), static_cast<std::uint32_t*>(y)); break;
    case 8: run(parallel, w, static_cast<const std::uint64_t*>(x), static_cast<std::uint64_t*>(y)); break;
    default: run(parallel, w, static_cast<const bytes16*>(x), static_cast<bytes16*>(y)); break;
  }
}

}  // namespace

stride_list dense_strides(const shape& s) {
  stride_list strides{};
  std::int64_t step = 1;
  for (std::int32_t i = s.rank - 1; i >= 0; --i) {
    strides[static_cast<std::size_t>(i)] = step;
    step *= s[i];
  }
  return strides;
}

void gather_strided(const parallel_for& parallel, std::size_t size, const shape& dims, const stride_list& strides,
                    const void* source, void* target) {
  if (dims.elements() > 0) run_sized(parallel, size, join(dims, strides, dense_strides(dims)), source, target);
}

void scatter_strided(const parallel_for& parallel, std::size_t size, const shape& dims, const stride_list& strides,
                     const void* source, void* target) {
  if (dims.elements() > 0) run_sized(parallel, size, join(dims, dense_strides(dims), strides), source, target);
}

void fill_elements(std::size_t size, const void* element, std::int64_t n, void* target) {
  if (n <= 0) return;
  auto* out = static_cast<std::byte*>(target);
  const std::size_t total = size * static_cast<std::size_t>(n);
  std::memcpy(out, element, size);
  for (std::size_t done = size; done < total;) {  // doubles what is there
    const std::size_t more = std::min(done, total - done);
    std::memcpy(out + done, out, more);
    done += more;
  }
}

}  // namespace quantal::ops
