// Worker threads read feeds ahead of the consumer, at most `window` of them: memory depends on the window, not on the
// data. Feeds come out in order whatever the number of workers, so results do not depend on it.
//
//   consumed            next_to_read            total
//   ---|================|.......................|        '=': read or being read, at most `window`
#include <condition_variable>
#include <map>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

#include "feed_reader.hpp"
#include "quantal/data/convert.hpp"
#include "quantal/io/text.hpp"

namespace quantal::data {

namespace {

using feed_result = result<std::unique_ptr<feed>>;

feed_result guarded_read(feed_reader& reader, std::int64_t index) noexcept {
  try {
    return reader.read(index);
  } catch (const std::bad_alloc&) {
    return error{status::out_of_memory, "out of memory while reading data", "", "lower --batch-size or --workers"};
  } catch (const std::exception& e) {
    return error{status::internal, std::string("reading data failed: ") + e.what(), "", ""};
  }
}

class ahead_source final : public source {
 public:
  ahead_source(std::unique_ptr<feed_reader> reader, std::vector<std::int64_t> labels, std::int64_t total,
               std::int32_t workers)
      : reader_(std::move(reader)), labels_(std::move(labels)), total_(total) {
    // One stream cannot be read by several threads: there, one reader and one feed in reserve.
    workers_ = reader_->random_access() ? std::min(workers, 64) : std::min(workers, 1);
    window_ = std::max<std::int64_t>(reader_->random_access() ? workers_ : 2, 1);
  }
  ahead_source(const ahead_source&) = delete;
  ahead_source& operator=(const ahead_source&) = delete;
  ~ahead_source() override { stop(); }

  std::int64_t feeds() const override { return total_; }
  std::vector<std::string> class_names() const override { return reader_->class_names(); }
  bool images() const override { return reader_->images(); }
  std::int64_t samples() const override {
    return total_ == reader_->feeds() ? reader_->samples() : reader_->samples_before(total_);
  }

  feed_result next() override {
    if (failure_) return *failure_;
    if (consumed_ == total_) return std::unique_ptr<feed>();
    feed_result got = take();
    if (got && !labels_.empty()) {
      if (auto labelled = put_labels(**got); !labelled) got = std::move(labelled).failure();
    }
    if (!got) {
      failure_ = bad_data(std::move(got).failure());
      stop();
      return *failure_;
    }
    ++consumed_;
    label_at_ += (*got)->samples;
    return got;
  }

  result<void> rewind() override {
    stop();
    ready_.clear();
    failure_.reset();
    consumed_ = next_to_read_ = label_at_ = 0;
    return {};
  }

 private:
  feed_result take() {
    start();
    if (threads_.empty()) return guarded_read(*reader_, consumed_);
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ready_.contains(consumed_); });
    feed_result got = std::move(ready_.extract(consumed_).mapped());
    lock.unlock();
    return got;
  }

  void start() {
    if (!threads_.empty()) {
      const std::lock_guard lock(mutex_);
      released_ = consumed_;
      changed_.notify_all();
      return;
    }
    released_ = next_to_read_ = consumed_;
    try {
      for (std::int32_t i = 0; i < workers_ && i < total_ - consumed_; ++i) threads_.emplace_back([this] { work(); });
    } catch (const std::system_error&) {  // no more threads: those that run suffice, or the caller's own
    }
  }

  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return stopping_ || next_to_read_ >= total_ || next_to_read_ < released_ + window_; });
      if (stopping_ || next_to_read_ >= total_) return;
      const std::int64_t index = next_to_read_++;
      lock.unlock();
      feed_result got = guarded_read(*reader_, index);
      lock.lock();
      ready_.emplace(index, std::move(got));
      changed_.notify_all();
    }
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      changed_.notify_all();
    }
    for (std::thread& t : threads_) t.join();
    threads_.clear();
    stopping_ = false;
  }

  result<void> put_labels(feed& f) const {
    if (f.samples > static_cast<std::int64_t>(labels_.size()) - label_at_) {
      return error{status::data_shape, "only " + std::to_string(labels_.size()) + " labels for more samples", f.origin,
                   "--labels needs one class per sample"};
    }
    const auto first = labels_.begin() + label_at_;
    f.label = tensor_buffer::of<std::int64_t>(shape(f.samples), {first, first + f.samples});
    return {};
  }

  std::unique_ptr<feed_reader> reader_;
  std::vector<std::int64_t> labels_;
  std::int64_t total_, consumed_ = 0, label_at_ = 0;
  std::int32_t workers_;
  std::int64_t window_;
  std::optional<error> failure_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::int64_t, feed_result> ready_;
  std::int64_t next_to_read_ = 0, released_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

class pulled_source final : public source {
 public:
  pulled_source(pull_fn pull, std::vector<ir::value_info> inputs, rewind_fn rewind)
      : pull_(std::move(pull)), rewind_(std::move(rewind)), inputs_(std::move(inputs)) {}

  std::int64_t samples() const override { return -1; }
  result<void> rewind() override {
    count_ = 0;
    if (rewind_) return rewind_();
    return error{status::state, "this data can be read only once", "",
                 "give a list or an array instead of an iterator"};
  }
  feed_result next() override {
    QUANTAL_TRY(got, pull_());
    if (!got) return std::unique_ptr<feed>();
    if (got->origin.empty()) got->origin = "feed " + std::to_string(count_);
    ++count_;
    for (auto& [name, value] : got->inputs) {
      const ir::value_info* input = nullptr;
      for (const ir::value_info& i : inputs_) input = i.name == name ? &i : input;
      if (input == nullptr)
        return error{status::data_format, "the model has no input " + io::quote(name), got->origin, ""};
      QUANTAL_TRY(fitting, fit(*input, std::move(value), got->origin));
      value = std::move(fitting);
    }
    for (const ir::value_info& i : inputs_) {
      bool found = false;
      for (const auto& [name, value] : got->inputs) found = found || name == i.name;
      if (!found) return error{status::data_missing, "no data for input " + io::quote(i.name), got->origin, ""};
    }
    return std::move(got);
  }

 private:
  pull_fn pull_;
  rewind_fn rewind_;
  std::vector<ir::value_info> inputs_;
  std::int64_t count_ = 0;
};

}  // namespace

result<std::unique_ptr<source>> read_ahead(std::unique_ptr<feed_reader> reader, const source_options& options) {
  std::vector<std::int64_t> labels;
  if (!options.labels.empty()) {
    QUANTAL_TRY(read, read_labels(options.labels));
    labels = std::move(read);
    const std::int64_t samples = reader->samples();
    if (samples >= 0 && samples != static_cast<std::int64_t>(labels.size())) {
      return error{status::data_shape,
                   std::to_string(labels.size()) + " labels for " + std::to_string(samples) + " samples",
                   io::escape_text(options.labels), "--labels needs one class per sample"};
    }
  }
  const std::int64_t total = options.max_feeds < 0 ? reader->feeds() : std::min(reader->feeds(), options.max_feeds);
  return std::unique_ptr<source>(
      std::make_unique<ahead_source>(std::move(reader), std::move(labels), total, std::max(options.workers, 0)));
}

std::unique_ptr<source> from_pull(pull_fn pull, std::vector<ir::value_info> inputs, rewind_fn rewind) {
  return std::make_unique<pulled_source>(std::move(pull), std::move(inputs), std::move(rewind));
}

}  // namespace quantal::data
