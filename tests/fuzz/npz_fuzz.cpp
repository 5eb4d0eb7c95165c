// Any bytes as an .npz archive: directory, local headers, inflating, arrays.
#include <cstdint>
#include <cstdlib>

#include "quantal/io/npy.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace quantal::io;
  const file_bytes bytes{nullptr, reinterpret_cast<const std::byte*>(data), size};
  auto file = std::make_shared<const random_file>(random_file::over(bytes, "fuzz"));
  if (auto archive = zip_archive::open(file)) {
    for (const zip_entry& entry : archive->entries()) {
      if (entry.compressed > size || entry.size > (entry.compressed + 1) * 1000) std::abort();
    }
  }
  auto npz = npz_file::open(file);
  if (!npz) return 0;
  for (const auto& name : npz->names()) {
    auto reader = npz->array(name);
    if (!reader) continue;
    auto value = reader->read_tensor(reader->dims());
    (void)value;
  }
  return 0;
}
