// The one translation unit of stb_image: png, jpg and bmp from memory, every allocation through operator new.
#include "stb.hpp"

#include <cstring>
#include <new>

namespace {

void* stb_new(std::size_t bytes) {
  return ::operator new(bytes, std::nothrow);
}
void stb_delete(void* memory) {
  ::operator delete(memory);
}
void* stb_grow(void* old, std::size_t old_bytes, std::size_t bytes) {
  void* grown = stb_new(bytes);
  if (grown == nullptr) return nullptr;
  if (old != nullptr) std::memcpy(grown, old, old_bytes < bytes ? old_bytes : bytes);
  stb_delete(old);
  return grown;
}

}  // namespace

#define STBI_MALLOC(bytes) stb_new(bytes)
#define STBI_FREE(memory) stb_delete(memory)
#define STBI_REALLOC_SIZED(memory, old_bytes, bytes) stb_grow(memory, old_bytes, bytes)
#define STBI_ASSERT(condition) ((void)0)
#define STBI_NO_STDIO
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_BMP
#define STBI_MAX_DIMENSIONS 65535
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_NO_HDR
#define STBI_NO_LINEAR
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wextra"
#endif
#include <stb/stb_image.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

namespace quantal::data::stb {

bool read_header(const unsigned char* bytes, std::size_t size, int& width, int& height, int& channels) {
  return stbi_info_from_memory(bytes, static_cast<int>(size), &width, &height, &channels) != 0;
}

unsigned char* load(const unsigned char* bytes, std::size_t size, int wanted, int& width, int& height) {
  int channels = 0;
  return stbi_load_from_memory(bytes, static_cast<int>(size), &width, &height, &channels, wanted);
}

void free_pixels(unsigned char* pixels) {
  stbi_image_free(pixels);
}

const char* reason() {
  const char* text = stbi_failure_reason();
  return text != nullptr ? text : "damaged";
}

}  // namespace quantal::data::stb
