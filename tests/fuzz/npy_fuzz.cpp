// Any bytes as an .npy file: an error or an array whose size is that of the file.
#include <cstdint>
#include <cstdlib>

#include "quantal/io/npy.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace quantal::io;
  const file_bytes bytes{nullptr, reinterpret_cast<const std::byte*>(data), size};
  auto reader = npy_reader::open(stream_of(std::make_shared<const random_file>(random_file::over(bytes, "fuzz"))));
  if (!reader) return 0;
  auto value = reader->read_tensor(reader->dims());
  if (!value) return 0;
  if (value->bytes() > size || value->dims().rank > quantal::limits::max_rank) std::abort();
  return 0;
}
