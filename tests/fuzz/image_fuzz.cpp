// Any bytes as an image; what decodes is resized and boxed.
#include <cstdint>
#include <cstdlib>

#include "quantal/data/image.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace quantal::data;
  auto picture = decode_image({reinterpret_cast<const std::byte*>(data), size}, "fuzz");
  if (!picture) return 0;
  if (picture->pixels.size() != static_cast<std::size_t>(picture->height * picture->width * picture->channels))
    std::abort();
  if (letterbox(with_channels(*picture, 3), 9, 16).pixels.size() != 9 * 16 * 3) std::abort();
  return 0;
}
