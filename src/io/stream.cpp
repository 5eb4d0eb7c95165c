#include "quantal/io/stream.hpp"

#include <utility>

#include "quantal/io/text.hpp"

namespace quantal::io {

namespace {

class part_stream final : public byte_stream {
 public:
  part_stream(std::shared_ptr<const random_file> file, std::uint64_t offset, std::uint64_t bytes, std::string name)
      : file_(std::move(file)), offset_(offset), left_(bytes), name_(std::move(name)) {}

  std::uint64_t remaining() const noexcept override { return left_; }
  result<void> read(void* out, std::size_t bytes) override {
    if (bytes > left_)
      return error{status::model_syntax, "data end too early", name_, "the file is truncated or damaged"};
    QUANTAL_CHECK(file_->read(offset_, out, bytes));
    offset_ += bytes;
    left_ -= bytes;
    return {};
  }
  result<void> finish() override {
    if (left_ == 0) return {};
    return error{status::model_syntax, std::to_string(left_) + " bytes too many at the end", name_, ""};
  }
  const std::string& name() const noexcept override { return name_; }

 private:
  std::shared_ptr<const random_file> file_;
  std::uint64_t offset_, left_;
  std::string name_;
};

}  // namespace

std::unique_ptr<byte_stream> stream_of(std::shared_ptr<const random_file> file, std::uint64_t offset,
                                       std::uint64_t bytes, std::string name) {
  return std::make_unique<part_stream>(std::move(file), offset, bytes, std::move(name));
}

std::unique_ptr<byte_stream> stream_of(std::shared_ptr<const random_file> file) {
  const std::uint64_t size = file->size();
  std::string name = escape_text(file->name());
  return stream_of(std::move(file), 0, size, std::move(name));
}

}  // namespace quantal::io
