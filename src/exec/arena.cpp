#include "arena.hpp"

#include <algorithm>
#include <new>
#include <numeric>

namespace quantal::exec {

namespace {

constexpr std::size_t alignment = 64;

std::size_t rounded(std::size_t bytes) noexcept {
  return (bytes + alignment - 1) / alignment * alignment;
}

bool meet(const request& a, const request& b) noexcept {
  return a.step <= b.freed && b.step <= a.freed;
}

}  // namespace

arena_plan make_plan(const std::vector<request>& requests, std::size_t steps) {
  arena_plan plan;
  plan.places.resize(requests.size());
  plan.first.assign(steps + 1, requests.size());
  for (std::size_t r = requests.size(); r-- > 0;) plan.first[std::min(requests[r].step, steps)] = r;
  for (std::size_t s = steps; s-- > 0;) plan.first[s] = std::min(plan.first[s], plan.first[s + 1]);

  std::vector<std::size_t> order(requests.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return requests[a].bytes > requests[b].bytes; });

  std::vector<std::size_t> placed;  // by offset
  for (std::size_t r : order) {
    const std::size_t need = rounded(requests[r].bytes);
    if (need == 0 || requests[r].escapes) continue;
    std::size_t best = SIZE_MAX, best_gap = SIZE_MAX, end = 0;
    for (std::size_t p : placed) {
      if (!meet(requests[r], requests[p])) continue;
      const placement& other = plan.places[p];
      if (other.offset > end && other.offset - end >= need && other.offset - end < best_gap) {
        best = end;
        best_gap = other.offset - end;
      }
      end = std::max(end, other.offset + other.bytes);
    }
    plan.places[r] = {best == SIZE_MAX ? end : best, need};
    plan.bytes = std::max(plan.bytes, plan.places[r].offset + need);
    plan.unshared_bytes += need;
    const auto at = std::upper_bound(placed.begin(), placed.end(), r, [&](std::size_t a, std::size_t b) {
      return plan.places[a].offset < plan.places[b].offset;
    });
    placed.insert(at, r);
  }
  return plan;
}

std::shared_ptr<arena_block> arena_block::make(std::size_t bytes) {
  void* memory = ::operator new (bytes == 0 ? 1 : bytes, std::align_val_t{alignment}, std::nothrow);
  if (memory == nullptr) return nullptr;
  auto block = std::make_shared<arena_block>();
  block->memory_ = static_cast<std::byte*>(memory);
  block->bytes_ = bytes;
  return block;
}

arena_block::~arena_block() {
  ::operator delete (memory_, std::align_val_t{alignment});
}

tensor_buffer arena_block::place(dtype type, const shape& dims, const placement& where) {
  {
    std::lock_guard lock(guard_);
    const auto after = live_.lower_bound(where.offset);
    if (after != live_.end() && after->first < where.offset + where.bytes) return {};
    if (after != live_.begin() && std::prev(after)->second > where.offset) return {};
    live_.emplace_hint(after, where.offset, where.offset + where.bytes);
  }
  std::shared_ptr<const void> owner(memory_ + where.offset,
                                    [self = shared_from_this(), offset = where.offset](const void*) {
                                      std::lock_guard lock(self->guard_);
                                      self->live_.erase(offset);
                                    });
  return tensor_buffer::wrap(type, dims, memory_ + where.offset, std::move(owner));
}

bool arena_block::idle() {
  std::lock_guard lock(guard_);
  return live_.empty();
}

arena::arena(std::shared_ptr<const arena_plan> plan, std::shared_ptr<arena_block> block)
    : plan_(std::move(plan)), block_(std::move(block)) {
  if (plan_ == nullptr) log_ = std::make_shared<log>();
}

void arena::begin_step(std::size_t step) noexcept {
  step_ = step;
  next_ = 0;
  if (log_ != nullptr) {
    std::lock_guard lock(log_->guard);
    log_->step = step;
  }
}

result<tensor_buffer> arena::allocate(dtype type, const shape& dims) {
  if (plan_ != nullptr) {
    const std::size_t k = step_ + 1 < plan_->first.size() ? plan_->first[step_] + next_++ : SIZE_MAX;
    std::uint64_t count = 0, bytes = 0;
    if (k != SIZE_MAX && k < plan_->first[step_ + 1] && type != dtype::string && type != dtype::none &&
        dims.count(count) && bytes_of(type, count, bytes) && bytes > 0 && bytes <= plan_->places[k].bytes) {
      if (tensor_buffer t = block_->place(type, dims, plan_->places[k])) return t;
    }
    return tensor_buffer::make(type, dims);
  }
  QUANTAL_TRY(plain, tensor_buffer::make(type, dims));
  std::size_t id = 0;
  {
    std::lock_guard lock(log_->guard);
    id = log_->requests.size();
    log_->requests.push_back({plain.bytes(), step_, SIZE_MAX, false});
  }
  addresses_.push_back(plain.data());
  if (type == dtype::string || plain.bytes() == 0) return std::move(plain);
  std::shared_ptr<const void> owner(plain.data(), [inner = plain.owner(), log = log_, id](const void*) {
    std::lock_guard lock(log->guard);
    log->requests[id].freed = log->step;
  });
  return tensor_buffer::wrap(type, dims, plain.mutable_data(), std::move(owner));
}

bool arena::owns(const tensor_buffer& t) const noexcept {
  if (block_ == nullptr || t.data() == nullptr) return false;
  const auto begin = reinterpret_cast<std::uintptr_t>(t.data());
  return block_->contains(begin);
}

std::vector<request> arena::finish(const std::vector<tensor_buffer>& kept) {
  std::lock_guard lock(log_->guard);
  for (const tensor_buffer& t : kept) {
    for (std::size_t r = 0; r < addresses_.size(); ++r) {
      if (log_->requests[r].freed == SIZE_MAX && t.data() != nullptr && addresses_[r] == t.data())
        log_->requests[r].escapes = true;
    }
  }
  return log_->requests;
}

}  // namespace quantal::exec
